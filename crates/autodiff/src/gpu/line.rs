//! Evaluations along a line: where a descent's vectors meet a program's lanes.

use super::job::{Job, record};
use super::vector::{GpuVector, Products};
use super::{GpuError, GpuProgram};
use crate::TermValue;
use skyscat_gpu::{Buffer, Device, Recording};

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
    pub(super) fn set(&self, device: &Device, group: usize, step: f32) {
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
        let sizes = vec![
            ("rows", rows),
            ("maps", self.lanes.maps),
            ("stride", self.lanes.stride),
            ("groups", self.lanes.groups),
            ("group", group),
        ];
        let probe = Job {
            kernel: "line",
            entry: "probe",
            sizes: sizes.clone(),
            buffers: vec![
                point.buffer(),
                direction.buffer(),
                &self.slopes.steps,
                trial.buffer(),
                &self.upload,
            ],
            invocations: rows * self.lanes.stride,
        };
        let [a, b, c] = &self.slopes.unused;
        let gather = Job {
            kernel: "line",
            entry: "gather",
            sizes,
            buffers: vec![a, b, c, gradient.buffer(), &self.gradient],
            invocations: rows * self.lanes.maps,
        };
        let (mut before, mut after) = (Recording::default(), Recording::default());
        record(&self.device, &[probe], &mut before)?;
        record(&self.device, &[gather], &mut after)?;
        let products = &self.slopes.products;
        products.record(
            &self.device,
            &[direction.buffer()],
            &[gradient.buffer()],
            group,
            &mut after,
        )?;
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
