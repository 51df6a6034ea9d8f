//! Lists of commands, made once and submitted many times.

use crate::{Buffer, Device, DeviceError};
use std::time::{Duration, Instant};

/// A run of a kernel with its bindings.
#[derive(Clone, Debug)]
pub struct Dispatch {
    pub(crate) pipeline: wgpu::ComputePipeline,
    pub(crate) bindings: wgpu::BindGroup,
    pub(crate) size: [u32; 2],
}

#[derive(Clone, Debug)]
pub(crate) enum Command {
    Dispatch(Dispatch),
    /// The first numbers of a buffer become 0.
    Clear(Buffer, u64),
    Copy {
        from: (Buffer, u64),
        to: (Buffer, u64),
        bytes: u64,
    },
}

/// How many commands there are of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Commands {
    /// Runs of kernels. Those that share a buffer wait for each other.
    pub dispatches: usize,
    /// Copies, and buffers that become 0.
    pub transfers: usize,
    /// Stretches of these between runs of kernels: a wait each.
    pub stretches: usize,
}

impl std::iter::Sum for Commands {
    fn sum<I: Iterator<Item = Self>>(each: I) -> Self {
        each.fold(Self::default(), |a, b| Self {
            dispatches: a.dispatches + b.dispatches,
            transfers: a.transfers + b.transfers,
            stretches: a.stretches + b.stretches,
        })
    }
}

/// Commands in order; each sees what those before it wrote.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    pub(crate) commands: Vec<Command>,
    /// First command that belongs to each mark.
    pub(crate) marks: Vec<(usize, usize)>,
}

impl Recording {
    /// What is added from here on belongs to this mark: [`Device::time`] tells marks
    /// apart.
    pub fn mark(&mut self, mark: usize) {
        self.marks.push((self.commands.len(), mark));
    }

    /// Adds a run of a kernel.
    pub fn dispatch(&mut self, dispatch: Dispatch) {
        self.commands.push(Command::Dispatch(dispatch));
    }

    /// Adds zeroing of the first `numbers` of a buffer.
    pub fn clear(&mut self, buffer: &Buffer, numbers: usize) {
        self.commands.push(Command::Clear(buffer.clone(), buffer.offset(numbers)));
    }

    /// Adds a copy of `numbers` between two buffers, from and to these places.
    pub fn copy(&mut self, from: (&Buffer, usize), to: (&Buffer, usize), numbers: usize) {
        let bytes = from.0.offset(numbers);
        let place = |(buffer, at): (&Buffer, usize)| (buffer.clone(), buffer.offset(at));
        let (from, to) = (place(from), place(to));
        self.commands.push(Command::Copy { from, to, bytes });
    }

    /// Commands by kind.
    pub fn count(&self) -> Commands {
        let is_run = |command: &Command| matches!(command, Command::Dispatch(_));
        let dispatches = self.commands.iter().filter(|c| is_run(c)).count();
        let stretches = self.commands.chunk_by(|a, b| is_run(a) == is_run(b));
        Commands {
            dispatches,
            transfers: self.commands.len() - dispatches,
            stretches: stretches.filter(|part| !is_run(&part[0])).count(),
        }
    }

    /// Number of commands.
    pub fn len(&self) -> usize {
        self.commands.len()
    }

    /// Whether there is no command.
    pub fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }
}

impl Device {
    /// Starts the work of a recording; [`Device::read`] and [`Device::wait`] wait for it.
    pub fn submit(&self, recording: &Recording) {
        self.submit_all([recording]);
    }

    /// Starts the work of several recordings, one after the other, as one submission.
    pub fn submit_all<'a>(&self, recordings: impl IntoIterator<Item = &'a Recording>) {
        let label = Some("recording");
        let mut encoder =
            self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label });
        recordings.into_iter().for_each(|recording| encode(&mut encoder, &recording.commands));
        self.queue.submit([encoder.finish()]);
    }

    /// Bytes a second of copies between two buffers of `numbers`, the best of three.
    ///
    /// # Errors
    /// [`DeviceError`] for buffers that do not fit, or a failed device.
    pub fn copy_bandwidth(&self, numbers: usize) -> Result<f64, DeviceError> {
        let (a, b) = (self.storage("copied", numbers)?, self.storage("copy", numbers)?);
        let mut recording = Recording::default();
        let times = 8;
        for _ in 0..times {
            recording.copy((&a, 0), (&b, 0), a.numbers());
        }
        let mut best = Duration::MAX;
        for _ in 0..4 {
            let start = Instant::now();
            self.submit(&recording);
            self.wait()?;
            best = best.min(start.elapsed());
        }
        // Each copy reads and writes.
        Ok(2.0 * f64::from(times) * a.bytes() as f64 / best.as_secs_f64())
    }
}

fn encode(encoder: &mut wgpu::CommandEncoder, mut rest: &[Command]) {
    while let Some(first) = rest.first() {
        let run = rest.iter().take_while(|c| matches!(c, Command::Dispatch(_))).count();
        match run {
            0 => transfer(encoder, first),
            _ => pass(encoder, &rest[..run], None),
        }
        rest = &rest[run.max(1)..];
    }
}

/// Encodes what is no dispatch.
pub(crate) fn transfer(encoder: &mut wgpu::CommandEncoder, command: &Command) {
    match command {
        Command::Clear(buffer, bytes) => encoder.clear_buffer(&buffer.inner, 0, Some(*bytes)),
        Command::Copy { from, to, bytes } => {
            let (source, target) = (&from.0.inner, &to.0.inner);
            encoder.copy_buffer_to_buffer(source, from.1, target, to.1, *bytes);
        }
        Command::Dispatch(_) => {}
    }
}

pub(crate) fn pass(
    encoder: &mut wgpu::CommandEncoder,
    commands: &[Command],
    timestamp_writes: Option<wgpu::ComputePassTimestampWrites<'_>>,
) {
    let settings = wgpu::ComputePassDescriptor { label: None, timestamp_writes };
    let mut pass = encoder.begin_compute_pass(&settings);
    for command in commands {
        if let Command::Dispatch(Dispatch { pipeline, bindings, size: [x, y] }) = command {
            pass.set_pipeline(pipeline);
            pass.set_bind_group(0, bindings, &[]);
            pass.dispatch_workgroups(*x, *y, 1);
        }
    }
}
