//! The map as a linear function of the gains: one pass gives every map.

use crate::bins::{Progress, Run};
use crate::config::{Convention, SkyFrame};
use crate::simulation::{Scratch, Simulation};
use crate::solve::{Coverage, Symmetric, times};
use crate::{Realisation, SimError};
use ndarray::{Array2, Array3, ArrayView3};
use rayon::prelude::*;
use skyscat_healpix::{MapSet, Nside, Ordering, UNSEEN, nest2ring};
use skyscat_num::{Arch, Par, Simd, WithSimd};

/// A 3×3 block: rows T, Q, U, columns the three modes of a horn in a chunk.
pub(crate) type Block3 = [[f64; 3]; 3];

/// Which channels to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channels {
    /// Q and U.
    Qu,
    /// T, Q and U.
    Tqu,
}

impl Channels {
    /// Their names, in order.
    pub fn names(self) -> &'static [&'static str] {
        match self {
            Self::Qu => &["Q", "U"],
            Self::Tqu => &["T", "Q", "U"],
        }
    }

    /// Their number.
    pub fn count(self) -> usize {
        self.names().len()
    }

    /// Place among T, Q, U of the first one; the others follow.
    pub(crate) fn first(self) -> usize {
        3 - self.count()
    }
}

/// The maps of unit gains, at the resolution of the output.
///
/// For gains g that are constant in a chunk, the map of the systematic is
///
/// m_p = Σ_{c,h} V_{p,ch} z_{ch},  z_{ch} = Σ_{d∈h} w_d g_{c,d} (1, cos 2χ_d, sin 2χ_d)
///
/// over chunks c and horns h, the groups of detectors that share a line of sight.
/// V_{p,ch} is the mean over the solved children p' of M_{p'}⁻¹ times
/// ((A,0,0), (0,B,S), (0,−S,B))ᵀ with A, B, S = Σ s, Σ s cos 2ψ, Σ s sin 2ψ over the
/// chunk's samples in p'. For four co-located detectors in two orthogonal pairs at
/// 45° it is the paper's complex W: V_Q = (·, Re W, −Im W), V_U = (·, Im W, Re W).
#[derive(Clone, Debug, PartialEq)]
pub struct Templates {
    pub(crate) nside: Nside,
    pub(crate) chunks: usize,
    pub(crate) horns: usize,
    /// RING pixel p has the entries `offsets[p]..offsets[p + 1]`.
    pub(crate) offsets: Vec<usize>,
    /// chunk · horns + horn, ascending within a pixel.
    pub(crate) columns: Vec<u32>,
    pub(crate) blocks: Vec<Block3>,
    /// Horn of each detector.
    pub(crate) detector_horn: Vec<u32>,
    /// w (1, cos 2χ, sin 2χ) of each detector.
    pub(crate) response: Vec<[f64; 3]>,
    solved: Vec<bool>,
    frame: SkyFrame,
    convention: Convention,
}

/// [`Templates`] as plain arrays, to be stored.
#[derive(Clone, Debug, PartialEq)]
pub struct TemplatesParts {
    /// Resolution of the output.
    pub nside: usize,
    /// Number of chunks.
    pub chunks: usize,
    /// Number of horns.
    pub horns: usize,
    /// (npix + 1): RING pixel p has the entries `indptr[p]..indptr[p + 1]`.
    pub indptr: Vec<u64>,
    /// (entries): chunk · horns + horn, ascending within a pixel.
    pub columns: Vec<u32>,
    /// (entries, T Q U, mode): V, K.
    pub values: Array3<f64>,
    /// (detectors): the horn that each belongs to.
    pub detector_horn: Vec<u32>,
    /// (detectors, mode): w (1, cos 2χ, sin 2χ).
    pub response: Array2<f64>,
    /// (npix): 1 where a child was solved for, else 0.
    pub solved: Vec<u8>,
    /// Frame of the pixels.
    pub frame: SkyFrame,
    /// Signs of Q and U in `values`.
    pub convention: Convention,
}

impl Simulation {
    /// The templates: two passes over the mission, pointings and then signals.
    ///
    /// The systematics of the configuration are not looked at. Time is that of two
    /// passes of the boresight, whatever the number of detectors in a horn; memory
    /// that of the templates themselves.
    ///
    /// # Errors
    /// [`SimError::PolarisedSky`]; [`SimError::NoPixel`] if no pixel can be solved
    /// for.
    pub fn templates(&self, run: Run<'_>) -> Result<Templates, SimError> {
        let total = 2 * self.chunks();
        let coverage = self.coverage_of(run, Progress { done: 0, total })?;
        self.templates_on(&coverage, run)
    }

    /// The templates, where the coverage is known already: one pass.
    ///
    /// # Errors
    /// [`SimError::PolarisedSky`]; [`SimError::Shape`] if the coverage is that of
    /// other resolutions.
    pub fn templates_on(&self, coverage: &Coverage, run: Run<'_>) -> Result<Templates, SimError> {
        if self.sky().is_some_and(|sky| sky.qu.is_some()) {
            return Err(SimError::PolarisedSky);
        }
        let settings = &self.config().maps;
        let given = (coverage.nside().get(), coverage.nside_out().get());
        let allowed = (settings.nside, settings.nside_out);
        if given != allowed {
            return Err(SimError::Shape {
                what: "the coverage",
                given: format!("nside {} and {}", given.0, given.1),
                allowed: format!("nside {} and {}", allowed.0, allowed.1),
            });
        }
        let signs = settings.convention.signs();
        let work = |scratch: &mut Scratch<3>, chunk| -> Vec<Vec<(u32, Block3)>> {
            (0..self.horns.len())
                .map(|horn| fold(coverage, signs, self.intensity_sums(chunk, horn, scratch)))
                .collect()
        };
        let mut found: Vec<Vec<(u32, Block3)>> = Vec::new();
        let pass = Progress { done: self.chunks(), total: 2 * self.chunks() };
        run.in_order(pass, self.chunks(), || self.scratch(), work, |c| found.extend(c));
        Ok(self.assembled(coverage, found))
    }

    /// Rows by pixel from columns by chunk and horn.
    fn assembled(&self, coverage: &Coverage, found: Vec<Vec<(u32, Block3)>>) -> Templates {
        let nside = coverage.nside_out();
        let mut offsets = vec![0usize; nside.npix() + 1];
        for (pixel, _) in found.iter().flatten() {
            offsets[*pixel as usize + 1] += 1;
        }
        (0..nside.npix()).for_each(|p| offsets[p + 1] += offsets[p]);
        let mut next = offsets.clone();
        let mut columns = vec![0; offsets[nside.npix()]];
        let mut blocks = vec![[[0.0; 3]; 3]; columns.len()];
        for (column, entries) in found.into_iter().enumerate() {
            for (pixel, block) in entries {
                let place = &mut next[pixel as usize];
                columns[*place] = column as u32;
                blocks[*place] = block;
                *place += 1;
            }
        }
        let detectors = self.config().detectors.len();
        let (mut detector_horn, mut response) = (vec![0; detectors], vec![[0.0; 3]; detectors]);
        for (index, horn) in self.horns.iter().enumerate() {
            for member in &horn.members {
                detector_horn[member.detector] = index as u32;
                response[member.detector] = member.response();
            }
        }
        let mut solved = vec![false; nside.npix()];
        for pixel in 0..nside.npix() {
            solved[nest2ring(nside, pixel)] = coverage.solved(pixel);
        }
        Templates {
            nside,
            chunks: self.chunks() as usize,
            horns: self.horns.len(),
            offsets,
            columns,
            blocks,
            detector_horn,
            response,
            solved,
            frame: self.config().maps.frame,
            convention: self.config().maps.convention,
        }
    }
}

/// One column of V, by RING pixel of the output, from sums by NEST pixel.
fn fold(coverage: &Coverage, signs: [f64; 3], sums: Vec<(u32, [f64; 3])>) -> Vec<(u32, Block3)> {
    let modes = |inverse: Symmetric, [a, b, s]: [f64; 3]| {
        [[a, 0.0, 0.0], [0.0, b, s], [0.0, -s, b]].map(|mode| times(inverse, mode))
    };
    let mut column: Vec<(u32, Block3)> = Vec::new();
    // Children of a pixel are neighbours in NEST order.
    for (pixel, sum) in sums {
        let Some((coarse, inverse)) = coverage.share(pixel as usize) else { continue };
        let coarse = coarse as u32;
        if column.last().is_none_or(|(last, _)| *last != coarse) {
            column.push((coarse, [[0.0; 3]; 3]));
        }
        let (_, block) = column.last_mut().expect("one was pushed");
        for (k, mode) in modes(inverse, sum).into_iter().enumerate() {
            for (i, x) in mode.into_iter().enumerate() {
                block[i][k] += signs[i] * x;
            }
        }
    }
    column.iter_mut().for_each(|(p, _)| *p = nest2ring(coverage.nside_out(), *p as usize) as u32);
    column
}

/// Maps made together.
const LANES: usize = 8;

impl Templates {
    /// Resolution of the maps.
    pub fn nside(&self) -> Nside {
        self.nside
    }

    /// Number of chunks.
    pub fn chunks(&self) -> usize {
        self.chunks
    }

    /// Number of detectors.
    pub fn detectors(&self) -> usize {
        self.response.len()
    }

    /// Number of stored 3×3 blocks.
    pub fn entries(&self) -> usize {
        self.columns.len()
    }

    /// Gains of a realisation, σ times [`Realisation::gains`]: (chunk, detector).
    pub fn draw_gains(&self, sigma: f64, realisation: Realisation<'_>) -> Array2<f64> {
        let mut gains = Array2::zeros((self.chunks, self.detectors()));
        for (detector, mut column) in gains.columns_mut().into_iter().enumerate() {
            let drawn = realisation.gains(detector, self.chunks);
            column.iter_mut().zip(drawn).for_each(|(g, x)| *g = sigma * x);
        }
        gains
    }

    /// Maps of given gains `(map, chunk, detector)`, RING, K_CMB.
    ///
    /// # Errors
    /// [`SimError::Shape`] for gains of another shape.
    pub fn maps(
        &self,
        gains: ArrayView3<'_, f64>,
        channels: Channels,
        par: &Par,
    ) -> Result<MapSet, SimError> {
        let (n_maps, chunks, detectors) = gains.dim();
        if (chunks, detectors) != (self.chunks, self.detectors()) {
            return Err(SimError::Shape {
                what: "the array of gains",
                given: format!("{chunks} chunks of {detectors} detectors"),
                allowed: format!("{} chunks of {} detectors", self.chunks, self.detectors()),
            });
        }
        let column =
            |map: usize, d: usize| (0..chunks).map(|c| gains[[map, c, d]]).collect::<Vec<_>>();
        self.make(n_maps, channels, par, &column)
    }

    /// Maps of drawn gains, one a realisation; see [`Templates::draw_gains`].
    ///
    /// # Errors
    /// [`SimError::Healpix`] if there is no realisation.
    pub fn draw(
        &self,
        sigma: f64,
        realisations: &[Realisation<'_>],
        channels: Channels,
        par: &Par,
    ) -> Result<MapSet, SimError> {
        self.make(realisations.len(), channels, par, &|map, detector| {
            let mut gains = realisations[map].gains(detector, self.chunks);
            gains.iter_mut().for_each(|g| *g *= sigma);
            gains
        })
    }

    fn make(
        &self,
        n_maps: usize,
        channels: Channels,
        par: &Par,
        gains: &(dyn Fn(usize, usize) -> Vec<f64> + Sync),
    ) -> Result<MapSet, SimError> {
        let (npix, count) = (self.nside.npix(), channels.count());
        let mut data = Array3::zeros((n_maps, count, npix));
        let flat = data.as_slice_mut().expect("a new array is contiguous");
        par.install(|| {
            flat.par_chunks_mut(LANES * count * npix).enumerate().for_each(|(batch, out)| {
                let modes = self.modes(batch * LANES, out.len() / (count * npix), gains);
                Arch::new().dispatch(Batch { templates: self, modes: &modes, channels, out });
            });
        });
        let maps = MapSet::new(Ordering::Ring, channels.names(), data)?;
        Ok(maps
            .with_unit(Some("K_CMB".into()))
            .with_coordsys(Some(self.frame.frame().to_string()))
            .with_polcconv(self.convention.polcconv().map(str::to_owned)))
    }

    /// z of `n_maps` maps from `first`: `[column][mode][map]`.
    fn modes(
        &self,
        first: usize,
        n_maps: usize,
        gains: &(dyn Fn(usize, usize) -> Vec<f64> + Sync),
    ) -> Vec<[[f64; LANES]; 3]> {
        let mut modes = vec![[[0.0; LANES]; 3]; self.chunks * self.horns];
        for lane in 0..n_maps {
            for (detector, response) in self.response.iter().enumerate() {
                let horn = self.detector_horn[detector] as usize;
                for (chunk, g) in gains(first + lane, detector).into_iter().enumerate() {
                    let mode = &mut modes[chunk * self.horns + horn];
                    for k in 0..3 {
                        mode[k][lane] += response[k] * g;
                    }
                }
            }
        }
        modes
    }

    /// The templates as plain arrays.
    pub fn to_parts(&self) -> TemplatesParts {
        let flat = |rows: &[[f64; 3]]| rows.iter().flatten().copied().collect::<Vec<f64>>();
        let values = flat(self.blocks.as_flattened());
        let shaped = "as many as counted";
        TemplatesParts {
            nside: self.nside.get(),
            chunks: self.chunks,
            horns: self.horns,
            indptr: self.offsets.iter().map(|&o| o as u64).collect(),
            columns: self.columns.clone(),
            values: Array3::from_shape_vec((self.entries(), 3, 3), values).expect(shaped),
            detector_horn: self.detector_horn.clone(),
            response: Array2::from_shape_vec((self.detectors(), 3), flat(&self.response))
                .expect(shaped),
            solved: self.solved.iter().map(|&s| u8::from(s)).collect(),
            frame: self.frame,
            convention: self.convention,
        }
    }

    /// Templates from plain arrays.
    ///
    /// # Errors
    /// [`SimError::Parts`] for arrays that do not fit together, and
    /// [`SimError::Healpix`] for a resolution that does not exist.
    pub fn from_parts(parts: TemplatesParts) -> Result<Self, SimError> {
        let nside = Nside::new(parts.nside)?;
        let entries = parts.columns.len();
        let detectors = parts.detector_horn.len();
        let require = |good: bool, what| if good { Ok(()) } else { Err(SimError::Parts { what }) };
        require(parts.indptr.len() == nside.npix() + 1, "indptr needs npix + 1 entries")?;
        require(parts.indptr[0] == 0, "indptr does not begin with 0")?;
        require(
            parts.indptr[nside.npix()] == entries as u64,
            "indptr does not end at the entries",
        )?;
        require(parts.indptr.is_sorted(), "indptr goes down")?;
        require(parts.values.dim() == (entries, 3, 3), "values are not (entries, 3, 3)")?;
        require(parts.response.dim() == (detectors, 3), "response is not (detectors, 3)")?;
        require(parts.solved.len() == nside.npix(), "solved needs npix entries")?;
        let known = |limit: usize| move |&x: &u32| (x as usize) < limit;
        let columns = parts.chunks.saturating_mul(parts.horns);
        require(parts.columns.iter().all(known(columns)), "a column is beyond chunks · horns")?;
        require(parts.detector_horn.iter().all(known(parts.horns)), "a horn is beyond horns")?;
        let mut rows =
            parts.indptr.windows(2).map(|w| &parts.columns[w[0] as usize..w[1] as usize]);
        require(
            rows.all(|row| row.is_sorted_by(|a, b| a < b)),
            "columns of a pixel do not ascend",
        )?;
        let finite = parts.values.iter().chain(&parts.response).all(|x| x.is_finite());
        require(finite, "a value is not finite")?;
        let row = |at: usize, i: usize| std::array::from_fn(|k| parts.values[[at, i, k]]);
        Ok(Self {
            nside,
            chunks: parts.chunks,
            horns: parts.horns,
            offsets: parts.indptr.iter().map(|&o| o as usize).collect(),
            blocks: (0..entries).map(|e| std::array::from_fn(|i| row(e, i))).collect(),
            response: (0..detectors)
                .map(|d| std::array::from_fn(|k| parts.response[[d, k]]))
                .collect(),
            solved: parts.solved.iter().map(|&s| s != 0).collect(),
            columns: parts.columns,
            detector_horn: parts.detector_horn,
            frame: parts.frame,
            convention: parts.convention,
        })
    }

    /// Whether an output pixel (RING) has a value.
    pub fn solved(&self, pixel: usize) -> bool {
        self.solved[pixel]
    }
}

/// Up to [`LANES`] maps at once: every block is read once for all of them.
struct Batch<'a> {
    templates: &'a Templates,
    modes: &'a [[[f64; LANES]; 3]],
    channels: Channels,
    /// `[map][channel][pixel]`.
    out: &'a mut [f64],
}

impl WithSimd for Batch<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { templates, modes, channels, out } = self;
        let (npix, count) = (templates.nside.npix(), channels.count());
        for pixel in 0..npix {
            let range = templates.offsets[pixel]..templates.offsets[pixel + 1];
            let mut sums = [[0.0; LANES]; 3];
            for (column, block) in
                templates.columns[range.clone()].iter().zip(&templates.blocks[range])
            {
                let mode = &modes[*column as usize];
                for (sum, row) in sums.iter_mut().zip(block).skip(channels.first()) {
                    for lane in 0..LANES {
                        sum[lane] += row[0] * mode[0][lane]
                            + row[1] * mode[1][lane]
                            + row[2] * mode[2][lane];
                    }
                }
            }
            for (lane, map) in out.chunks_exact_mut(count * npix).enumerate() {
                for (channel, plane) in map.chunks_exact_mut(npix).enumerate() {
                    let value = sums[channels.first() + channel][lane];
                    plane[pixel] = if templates.solved[pixel] { value } else { UNSEEN };
                }
            }
        }
    }
}
