//! Labelled coefficients: which number is which.

use ndarray::ArrayD;
use num_complex::Complex64;
use skyscat_autodiff::{Graph, Node, Precision, Program};
use std::fmt;

/// The blocks of scattering covariances.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Mean and variance (paper), or mean and standard error (healpixml).
    S0,
    /// Mean modulus.
    S1,
    /// Power.
    S2,
    /// Covariance of a band with the modulus of another.
    S3,
    /// As S3 with the two fields of a pair exchanged.
    S3P,
    /// Covariance of two moduli.
    S4,
}

impl Kind {
    /// All blocks in order.
    pub const ALL: [Kind; 6] = [Kind::S0, Kind::S1, Kind::S2, Kind::S3, Kind::S3P, Kind::S4];

    /// Orientation indices of a coefficient, outermost first.
    pub fn orientation_labels(self) -> &'static [&'static str] {
        match self {
            Kind::S0 => &[],
            Kind::S1 | Kind::S2 => &["l"],
            Kind::S3 | Kind::S3P => &["l3", "l2"],
            Kind::S4 => &["l3", "l2", "l1"],
        }
    }

    /// Scale indices of a piece, in the order of [`Piece::scales`].
    pub fn scale_labels(self) -> &'static [&'static str] {
        match self {
            Kind::S0 => &["moment"],
            Kind::S1 | Kind::S2 => &["j"],
            Kind::S3 | Kind::S3P => &["j3", "j2"],
            Kind::S4 => &["j3", "j2", "j1"],
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// The coefficients of one combination of scales: a node of rows (masks) and
/// channels (orientations, the first label outermost).
#[derive(Clone, Debug)]
pub struct Piece {
    /// The value.
    pub node: Node,
    /// Scales as in [`Kind::scale_labels`].
    pub scales: Vec<usize>,
}

/// All coefficients of one kind.
#[derive(Clone, Debug)]
pub struct Block {
    /// Which kind.
    pub kind: Kind,
    /// Pieces in order: j3 outermost, then j2, then j1.
    pub pieces: Vec<Piece>,
}

/// The coefficients of one field or of one pair.
#[derive(Clone, Debug)]
pub struct Coefficients {
    /// Name of the field ("Q") or pair ("QxU").
    pub name: String,
    /// The blocks, in the order of [`Kind`].
    pub blocks: Vec<Block>,
}

impl Coefficients {
    /// A block, if there is one of this kind.
    pub fn block(&self, kind: Kind) -> Option<&Block> {
        self.blocks.iter().find(|b| b.kind == kind)
    }

    /// Names every coefficient as an output of the graph.
    pub fn output(&self, graph: &mut Graph) {
        for block in &self.blocks {
            for (i, piece) in block.pieces.iter().enumerate() {
                graph.output(self.label(block.kind, i), piece.node);
            }
        }
    }

    fn label(&self, kind: Kind, piece: usize) -> String {
        format!("{}_{kind}/{piece}", self.name)
    }

    /// Reads the outputs of a program that has run.
    ///
    /// # Panics
    /// If the program's graph lacks the outputs of [`Coefficients::output`].
    pub fn read<T: Precision>(&self, program: &Program<T>) -> Vec<CoefficientTable> {
        self.blocks.iter().map(|block| self.read_block(block, program)).collect()
    }

    fn read_block<T: Precision>(&self, block: &Block, program: &Program<T>) -> CoefficientTable {
        let maps = program.maps();
        let pieces: Vec<_> = (0..block.pieces.len())
            .map(|i| program.output(&self.label(block.kind, i)).expect("an output of this block"))
            .collect();
        let shape = pieces[0].0;
        let complex = pieces.iter().any(|p| p.0.complex);
        let dims = block.kind.orientation_labels().len();
        let orientations = (shape.channels as f64).powf(1.0 / dims.max(1) as f64).round() as usize;
        let mut sizes = vec![maps, shape.rows, pieces.len()];
        sizes.extend(vec![orientations; dims]);
        let mut data = Vec::with_capacity(sizes.iter().product());
        for map in 0..maps {
            for mask in 0..shape.rows {
                for (shape, values) in &pieces {
                    for channel in 0..shape.channels {
                        let parts = if shape.complex { 2 } else { 1 };
                        let at = ((mask * shape.channels + channel) * parts) * maps + map;
                        let im = if shape.complex { values[at + maps] } else { 0.0 };
                        data.push(Complex64::new(values[at], im));
                    }
                }
            }
        }
        CoefficientTable {
            field: self.name.clone(),
            kind: block.kind,
            scales: block.pieces.iter().map(|p| p.scales.clone()).collect(),
            complex,
            data: ArrayD::from_shape_vec(sizes, data).expect("sizes fit"),
        }
    }
}

/// One block of coefficients of every map, with its labels.
///
/// `data` has axes (map, mask, piece, orientations…), the orientations as in
/// [`Kind::orientation_labels`].
#[derive(Clone, Debug, PartialEq)]
pub struct CoefficientTable {
    /// Name of the field or pair.
    pub field: String,
    /// Which block.
    pub kind: Kind,
    /// Scales of each piece, as in [`Kind::scale_labels`].
    pub scales: Vec<Vec<usize>>,
    /// Whether the coefficients are complex by definition.
    pub complex: bool,
    /// The numbers.
    pub data: ArrayD<Complex64>,
}

impl CoefficientTable {
    /// "Q_S3", the name in files.
    pub fn name(&self) -> String {
        format!("{}_{}", self.field, self.kind)
    }
}
