//! Runs of the program's own kernels on known buffers, recorded in order.

use super::GpuError;
use super::compile::{UNIFORM_STRIDE, pipeline};
use skyscat_gpu::{Bound, Device, Recording};

/// A run of an entry point of `shaders/wgsl`.
#[derive(Clone, Debug)]
pub(super) struct Job<'a> {
    pub(super) kernel: &'static str,
    pub(super) entry: &'static str,
    /// Members of its uniform struct, in order; padding is left out.
    pub(super) sizes: Vec<(&'static str, usize)>,
    /// Its bindings after the uniform, in order.
    pub(super) buffers: Vec<Bound<'a>>,
    pub(super) invocations: usize,
}

/// Records runs in order; their uniforms are one buffer.
///
/// # Panics
/// If a run does not fit its WGSL.
pub(super) fn record(
    device: &Device,
    jobs: &[Job<'_>],
    into: &mut Recording,
) -> Result<(), GpuError> {
    let mut words = Vec::new();
    for job in jobs {
        let end = words.len() + UNIFORM_STRIDE;
        words.extend(job.sizes.iter().map(|&(_, n)| u32::try_from(n).expect("below 2³²")));
        words.resize(end, 0);
    }
    let uniforms = device.uniforms("sizes", &words)?;
    for (at, job) in jobs.iter().enumerate() {
        let kernel = skyscat_shaders::kernel(job.kernel).expect("a kernel of this crate");
        let names = kernel.uniforms.iter().filter(|name| !name.starts_with("padding"));
        assert!(names.eq(job.sizes.iter().map(|(name, _)| name)), "sizes of {}", job.kernel);
        let pipeline = pipeline(device, kernel, job.entry)?;
        let mut bindings = vec![uniforms.piece(at * UNIFORM_STRIDE, UNIFORM_STRIDE)];
        bindings.extend(&job.buffers);
        into.dispatch(device.dispatch(&pipeline, &bindings, job.invocations as u64)?);
    }
    Ok(())
}
