//! How long the kernels of a recording take, by the device's own clock.

use crate::recording::{Command, pass, transfer};
use crate::{Device, DeviceError, Recording};
use std::time::Duration;

/// Time of neighbouring dispatches with one mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// The mark.
    pub mark: usize,
    /// Number of dispatches.
    pub dispatches: usize,
    /// From the start of the first to the end of the last.
    pub time: Duration,
}

/// Timed stretches of one set of queries, which holds at most 4096.
const SET: usize = 2048;

/// Bytes of the two timestamps of a stretch.
const PAIR: u64 = 16;

impl Device {
    /// Runs a recording and times its marked dispatches, in order; each stretch waits for
    /// the one before. Dispatches before the first mark are run and not timed.
    ///
    /// # Errors
    /// [`DeviceError::Limit`] if the adapter cannot time its work, other
    /// [`DeviceError`]s if it fails.
    pub fn time(&self, recording: &Recording) -> Result<Vec<Timing>, DeviceError> {
        if !self.adapter.timestamps {
            let (adapter, what) = (self.adapter.name.clone(), "timestamps of a kernel".to_owned());
            return Err(DeviceError::Limit { adapter, what, given: 2, allowed: 0 });
        }
        let stretches = stretches(recording);
        let sets: Vec<wgpu::QuerySet> = stretches
            .chunks(SET)
            .map(|part| {
                self.device.create_query_set(&wgpu::QuerySetDescriptor {
                    label: Some("timestamps"),
                    ty: wgpu::QueryType::Timestamp,
                    count: 2 * part.len() as u32,
                })
            })
            .collect();
        let buffer = |label, usage| {
            let size = PAIR * stretches.len().max(1) as u64;
            let settings = wgpu::BufferDescriptor {
                label: Some(label),
                size,
                usage,
                mapped_at_creation: false,
            };
            self.checked(|| self.device.create_buffer(&settings))
        };
        use wgpu::BufferUsages as Use;
        let resolved = buffer("timestamps", Use::QUERY_RESOLVE | Use::COPY_SRC)?;
        let staging = buffer("timestamps", Use::MAP_READ | Use::COPY_DST)?;
        let label = Some("timed recording");
        let mut encoder =
            self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label });
        encode(&mut encoder, recording, &stretches, &sets);
        for (at, (set, part)) in sets.iter().zip(stretches.chunks(SET)).enumerate() {
            let to = at as u64 * SET as u64 * PAIR;
            encoder.resolve_query_set(set, 0..2 * part.len() as u32, &resolved, to);
        }
        encoder.copy_buffer_to_buffer(&resolved, 0, &staging, 0, resolved.size());
        self.queue.submit([encoder.finish()]);
        let ticks = self.ticks(&staging)?;
        let period = f64::from(self.queue.get_timestamp_period()) * 1e-9;
        let time =
            |pair: &[u64]| Duration::from_secs_f64(pair[1].saturating_sub(pair[0]) as f64 * period);
        let timings = stretches.iter().zip(ticks.chunks_exact(2));
        Ok(timings
            .map(|(s, pair)| Timing { mark: s.mark, dispatches: s.len, time: time(pair) })
            .collect())
    }

    fn ticks(&self, staging: &wgpu::Buffer) -> Result<Vec<u64>, DeviceError> {
        let slice = staging.slice(..);
        slice.map_async(wgpu::MapMode::Read, |_| ());
        self.wait()?;
        let view = slice.get_mapped_range().map_err(|e| self.failed(e.to_string()))?;
        Ok(bytemuck::pod_collect_to_vec(&view))
    }
}

/// Neighbouring dispatches with one mark.
struct Stretch {
    first: usize,
    len: usize,
    mark: usize,
}

fn stretches(recording: &Recording) -> Vec<Stretch> {
    let ends = recording.marks.iter().skip(1).map(|(at, _)| *at);
    let ends = ends.chain([recording.commands.len()]);
    let mut found: Vec<Stretch> = Vec::new();
    for (&(start, mark), end) in recording.marks.iter().zip(ends) {
        let mut open = false;
        for (at, command) in recording.commands[start..end].iter().enumerate() {
            match command {
                Command::Dispatch(_) if open => found.last_mut().expect("one is open").len += 1,
                Command::Dispatch(_) => found.push(Stretch { first: start + at, len: 1, mark }),
                _ => {}
            }
            open = matches!(command, Command::Dispatch(_));
        }
    }
    found
}

fn encode(
    encoder: &mut wgpu::CommandEncoder,
    recording: &Recording,
    stretches: &[Stretch],
    sets: &[wgpu::QuerySet],
) {
    let mut next = stretches.iter().enumerate().peekable();
    let mut at = 0;
    while let Some(command) = recording.commands.get(at) {
        if let Some((number, stretch)) = next.next_if(|(_, stretch)| stretch.first == at) {
            let query = 2 * (number % SET) as u32;
            let writes = wgpu::ComputePassTimestampWrites {
                query_set: &sets[number / SET],
                beginning_of_pass_write_index: Some(query),
                end_of_pass_write_index: Some(query + 1),
            };
            let commands = &recording.commands[at..at + stretch.len];
            pass(encoder, commands, Some(writes));
            at += stretch.len;
            continue;
        }
        match command {
            Command::Dispatch(_) => pass(encoder, std::slice::from_ref(command), None),
            _ => transfer(encoder, command),
        }
        at += 1;
    }
}
