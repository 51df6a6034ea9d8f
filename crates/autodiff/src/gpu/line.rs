//! Evaluations along a line: where a descent's vectors meet a program's lanes.

use super::job::{Job, record};
use super::vector::{GpuVector, Products};
use super::{GpuError, GpuProgram};
use crate::TermValue;
use skyscat_gpu::{Bound, Buffer, Device, Recording};

/// Value and slope at a point of a line, and the terms there.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) value: f64,
    pub(super) slope: f64,
    pub(super) terms: Vec<TermValue>,
}

/// Commands before and after an evaluation of one group.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) group: usize,
    /// point + step·direction, to the trial and to the program's lanes.
    pub(super) before: Recording,
    /// The gradient from the lanes, and its product with the direction.
    pub(super) after: Recording,
    /// Point, direction, trial and trial's gradient.
    vectors: [Buffer; 4],
}

/// Steps of all groups on their way up, slopes on their way down.
#[derive(Debug)]
pub(super) struct Slopes {
    steps: Buffer,
    products: Products,
    pub(super) finish: Recording,
    /// Bound where a kernel does not look.
    unused: [Buffer; 3],
}

impl Slopes {
    /// For vectors of so many numbers; slopes go to this place.
    pub(super) fn new(
        device: &Device,
        numbers: usize,
        groups: usize,
        to: (&Buffer, usize),
    ) -> Result<Self, GpuError> {
        let products = Products::new(device, numbers, groups)?;
        let mut finish = Recording::default();
        products.finish(device, to, &mut finish)?;
        let unused = || device.storage("unused", 4);
        let unused = [unused()?, unused()?, unused()?];
        Ok(Self { steps: device.storage("steps", groups)?, products, finish, unused })
    }

    /// Sets the step of a group for the next submission.
    pub(super) fn set(&self, device: &Device, group: usize, step: f64) {
        device.write(&self.steps, group, &[step]);
    }
}

impl GpuProgram {
    /// The commands that evaluate `group` at point + step·direction.
    pub(super) fn line(
        &self,
        group: usize,
        (point, direction): (&GpuVector, &GpuVector),
        (trial, gradient): (&GpuVector, &GpuVector),
    ) -> Result<Line, GpuError> {
        let rows = self.graph.variables();
        let (mut probes, mut gathers) = (Vec::new(), Vec::new());
        let [a, b, c] = self.slopes.unused.each_ref().map(Bound::from);
        for piece in point.pieces() {
            for share in self.lanes.shares(group) {
                let part = &self.parts[share.part];
                let sizes = vec![
                    ("rows", rows),
                    ("width", self.lanes.width()),
                    ("lane", share.lane),
                    ("lanes", share.lanes),
                    ("all", self.lanes.maps),
                    ("map", share.first),
                    ("maps", share.maps),
                    ("start", piece.start),
                    ("numbers", piece.len()),
                    ("group", group),
                ];
                probes.push(Job {
                    kernel: "line",
                    entry: "probe",
                    sizes: sizes.clone(),
                    buffers: vec![
                        point.piece(&piece),
                        direction.piece(&piece),
                        (&self.slopes.steps).into(),
                        trial.piece(&piece),
                        (&part.upload).into(),
                    ],
                    invocations: rows * share.lanes,
                });
                gathers.push(Job {
                    kernel: "line",
                    entry: "gather",
                    sizes,
                    buffers: vec![a, b, c, gradient.piece(&piece), (&part.gradient).into()],
                    invocations: rows * share.lanes,
                });
            }
        }
        let (mut before, mut after) = (Recording::default(), Recording::default());
        record(&self.device, &probes, &mut before)?;
        record(&self.device, &gathers, &mut after)?;
        let products = &self.slopes.products;
        let ends = [direction.buffer(), gradient.buffer()];
        products.record(&self.device, &ends[..1], &ends[1..], group, &mut after)?;
        let vectors = [point, direction, trial, gradient].map(|v| v.buffer().clone());
        Ok(Line { group, before, after, vectors })
    }
}

impl Line {
    /// Whether this line is made of these vectors.
    pub(super) fn is_of(&self, vectors: [&GpuVector; 4]) -> bool {
        self.vectors.iter().zip(vectors).all(|(own, other)| own.is(other.buffer()))
    }
}
