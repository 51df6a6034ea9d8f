//! An open adapter: its queue, its pipelines, and what went wrong.

use crate::adapter::choose;
use crate::{Adapter, Buffer, Choice, DeviceError, Dispatch};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// How a kernel uses a binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// Sizes.
    Uniform,
    /// Numbers that it reads.
    Read,
    /// Numbers that it reads and writes.
    Write,
}

/// An entry point of a kernel.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// Name of the kernel.
    pub kernel: &'a str,
    /// Its WGSL.
    pub source: &'a str,
    /// Name of the function; its workgroups have 64 invocations in x.
    pub name: &'a str,
    /// Its bindings in group 0, from number 0 on.
    pub bindings: &'a [Access],
}

/// A compiled entry point.
#[derive(Clone, Debug)]
pub struct Pipeline {
    pub(crate) inner: wgpu::ComputePipeline,
    layout: wgpu::BindGroupLayout,
    bindings: usize,
}

/// A buffer, or some of its numbers, as a binding.
#[derive(Clone, Copy, Debug)]
pub struct Bound<'a> {
    /// The buffer.
    pub buffer: &'a Buffer,
    /// First number and count; `None` for all.
    pub range: Option<(usize, usize)>,
}

impl<'a> From<&'a Buffer> for Bound<'a> {
    fn from(buffer: &'a Buffer) -> Self {
        Self { buffer, range: None }
    }
}

/// What went wrong, and whether the device is gone.
#[derive(Debug)]
struct Fault {
    reason: String,
    lost: bool,
}

/// Invocations of a workgroup of every kernel.
const WORKGROUP: u64 = 64;

/// How often and how long a failure waits to be told of a loss: a fifth of a second.
const LOSS_POLLS: usize = 40;
const LOSS_PAUSE: std::time::Duration = std::time::Duration::from_millis(5);

/// Name of a kernel and of its entry.
type Key = (String, String);

/// An open adapter.
#[derive(Debug)]
pub struct Device {
    pub(crate) adapter: Adapter,
    pub(crate) device: wgpu::Device,
    pub(crate) queue: wgpu::Queue,
    double: bool,
    pipelines: Mutex<HashMap<Key, Arc<Pipeline>>>,
    fault: Arc<Mutex<Option<Fault>>>,
}

impl Device {
    /// Opens the chosen adapter with all that it allows.
    ///
    /// # Errors
    /// [`DeviceError::NoAdapter`] if there is none, [`DeviceError::Limit`] if it
    /// cannot run workgroups of 64 with eight buffers, [`DeviceError::Open`] if it
    /// gives no device.
    pub fn open(choice: &Choice) -> Result<Self, DeviceError> {
        Self::open_within(choice, u64::MAX)
    }

    /// The same, to work in f64.
    ///
    /// # Errors
    /// As [`Device::open`], and [`DeviceError::Double`] if the adapter has no such numbers.
    pub fn open_double(choice: &Choice) -> Result<Self, DeviceError> {
        Self::open_as(choice, u64::MAX, true)
    }

    /// The same, with kernels that see at most `most` bytes of a buffer: what another
    /// adapter allows.
    ///
    /// # Errors
    /// As [`Device::open`].
    pub fn open_within(choice: &Choice, most: u64) -> Result<Self, DeviceError> {
        Self::open_as(choice, most, false)
    }

    fn open_as(choice: &Choice, most: u64, double: bool) -> Result<Self, DeviceError> {
        let (mut adapter, raw) = choose(choice)?;
        if double && !adapter.double {
            return Err(DeviceError::Double { adapter: adapter.name });
        }
        let mut limits = raw.limits();
        limits.max_storage_buffer_binding_size = limits.max_storage_buffer_binding_size.min(most);
        adapter.allowed.binding_bytes = limits.max_storage_buffer_binding_size;
        sufficient(&adapter)?;
        let mut wanted = wgpu::Features::TIMESTAMP_QUERY;
        wanted.set(wgpu::Features::SHADER_F64, double);
        let settings = wgpu::DeviceDescriptor {
            label: Some("skyscat"),
            required_features: raw.features() & wanted,
            required_limits: limits,
            ..Default::default()
        };
        let opened = pollster::block_on(raw.request_device(&settings));
        let (device, queue) = opened.map_err(|e| DeviceError::Open {
            adapter: adapter.name.clone(),
            reason: e.to_string(),
        })?;
        let fault = Arc::new(Mutex::new(None));
        let (lost, uncaptured) = (fault.clone(), fault.clone());
        device.set_device_lost_callback(move |reason, text| {
            note(&lost, Fault { reason: format!("{reason:?} {text}"), lost: true });
        });
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            note(&uncaptured, Fault { reason: error.to_string(), lost: false });
        }));
        Ok(Self { adapter, device, queue, double, pipelines: Mutex::default(), fault })
    }

    /// Whether its numbers are f64.
    pub fn is_double(&self) -> bool {
        self.double
    }

    /// Bytes of its numbers.
    pub fn number_bytes(&self) -> usize {
        if self.double { 8 } else { 4 }
    }

    /// The adapter.
    pub fn adapter(&self) -> &Adapter {
        &self.adapter
    }

    /// The compiled entry point, made at the first call.
    ///
    /// # Errors
    /// [`DeviceError::Failed`] if the driver refuses it.
    pub fn pipeline(&self, entry: &Entry<'_>) -> Result<Arc<Pipeline>, DeviceError> {
        let key = (entry.kernel.to_owned(), entry.name.to_owned());
        let mut known = self.pipelines.lock().expect("no holder panics");
        if let Some(pipeline) = known.get(&key) {
            return Ok(pipeline.clone());
        }
        let made = Arc::new(self.checked(|| self.compile(entry))?);
        known.insert(key, made.clone());
        Ok(made)
    }

    fn compile(&self, entry: &Entry<'_>) -> Pipeline {
        let label = format!("{} {}", entry.kernel, entry.name);
        let label = Some(label.as_str());
        let module = self.device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label,
            source: wgpu::ShaderSource::Wgsl(entry.source.into()),
        });
        let entries: Vec<wgpu::BindGroupLayoutEntry> = entry
            .bindings
            .iter()
            .enumerate()
            .map(|(at, access)| wgpu::BindGroupLayoutEntry {
                binding: at as u32,
                visibility: wgpu::ShaderStages::COMPUTE,
                ty: wgpu::BindingType::Buffer {
                    ty: match access {
                        Access::Uniform => wgpu::BufferBindingType::Uniform,
                        Access::Read => wgpu::BufferBindingType::Storage { read_only: true },
                        Access::Write => wgpu::BufferBindingType::Storage { read_only: false },
                    },
                    has_dynamic_offset: false,
                    min_binding_size: None,
                },
                count: None,
            })
            .collect();
        let layout = self.device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label,
            entries: &entries,
        });
        let arguments = self.device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label,
            bind_group_layouts: &[Some(&layout)],
            immediate_size: 0,
        });
        let inner = self.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label,
            layout: Some(&arguments),
            module: &module,
            entry_point: Some(entry.name),
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            cache: None,
        });
        Pipeline { inner, layout, bindings: entry.bindings.len() }
    }

    /// A run of a kernel over `invocations` numbers, ready to be recorded.
    ///
    /// # Errors
    /// [`DeviceError::Limit`] for more invocations than a dispatch can have,
    /// [`DeviceError::Failed`] for bindings that do not fit.
    ///
    /// # Panics
    /// If the number of bindings is not that of the kernel.
    pub fn dispatch(
        &self,
        pipeline: &Pipeline,
        bindings: &[Bound<'_>],
        invocations: u64,
    ) -> Result<Dispatch, DeviceError> {
        assert_eq!(bindings.len(), pipeline.bindings, "bindings of the kernel");
        let size = self.groups(invocations)?;
        let entries: Vec<wgpu::BindGroupEntry<'_>> = bindings
            .iter()
            .enumerate()
            .map(|(at, bound)| wgpu::BindGroupEntry {
                binding: at as u32,
                resource: resource(bound),
            })
            .collect();
        let settings =
            wgpu::BindGroupDescriptor { label: None, layout: &pipeline.layout, entries: &entries };
        let bindings = self.checked(|| self.device.create_bind_group(&settings))?;
        Ok(Dispatch { pipeline: pipeline.inner.clone(), bindings, size })
    }

    /// Workgroups in x and y, as even as can be.
    fn groups(&self, invocations: u64) -> Result<[u32; 2], DeviceError> {
        let wanted = invocations.div_ceil(WORKGROUP).max(1);
        let most = u64::from(self.adapter.allowed.workgroups);
        let y = wanted.div_ceil(most);
        let x = wanted.div_ceil(y);
        // Kernels count their invocations in 32 bits.
        let allowed = (most * most * WORKGROUP).min(u64::from(u32::MAX));
        let given = x * y * WORKGROUP;
        if given > allowed {
            let what = "invocations of a dispatch".to_owned();
            return Err(DeviceError::Limit { adapter: self.name(), what, given, allowed });
        }
        Ok([x as u32, y as u32])
    }

    fn name(&self) -> String {
        self.adapter.name.clone()
    }

    /// Runs `make` and reports what the driver has against it.
    pub(crate) fn checked<T>(&self, make: impl FnOnce() -> T) -> Result<T, DeviceError> {
        let memory = self.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let validation = self.device.push_error_scope(wgpu::ErrorFilter::Validation);
        let made = make();
        let refused = pollster::block_on(validation.pop());
        let full = pollster::block_on(memory.pop());
        match (full, refused) {
            (Some(error), _) => {
                Err(DeviceError::Memory { adapter: self.name(), reason: error.to_string() })
            }
            (None, Some(error)) => Err(self.failed(error.to_string())),
            (None, None) => Ok(made),
        }
    }

    /// Waits until all submitted work is done.
    ///
    /// # Errors
    /// [`DeviceError::Failed`] if the work or the device failed.
    pub fn wait(&self) -> Result<(), DeviceError> {
        let polled = self.device.poll(wgpu::PollType::wait_indefinitely());
        polled.map_err(|e| self.failed(e.to_string()))?;
        let fault = self.fault.lock().expect("no holder panics");
        let reason = fault.as_ref().map(|fault| fault.reason.clone());
        drop(fault);
        reason.map_or(Ok(()), |reason| Err(self.failed(reason)))
    }

    /// Gives the device up as a driver would that lost it, to see what follows.
    #[doc(hidden)]
    pub fn lose(&self) {
        self.device.destroy();
    }

    /// A failure for this reason; if the device is gone, that is the reason.
    ///
    /// A loss is told when the queue is empty, maybe by another thread, and errors that
    /// follow from it come before: so this waits a little for it.
    pub(crate) fn failed(&self, reason: String) -> DeviceError {
        let adapter = self.name();
        for _ in 0..LOSS_POLLS {
            let _ = self.device.poll(wgpu::PollType::Poll);
            if let Some(Fault { reason, lost: true }) =
                &*self.fault.lock().expect("no holder panics")
            {
                return DeviceError::Lost { adapter, reason: reason.clone() };
            }
            std::thread::sleep(LOSS_PAUSE);
        }
        DeviceError::Failed { adapter, reason }
    }
}

/// Whether an adapter allows what every kernel needs.
fn sufficient(adapter: &Adapter) -> Result<(), DeviceError> {
    let needs = [
        ("storage buffers of a kernel", 8, adapter.allowed.storage_buffers),
        ("invocations of a workgroup", WORKGROUP as u32, adapter.allowed.invocations),
    ];
    match needs.into_iter().find(|(_, given, allowed)| given > allowed) {
        None => Ok(()),
        Some((what, given, allowed)) => Err(DeviceError::Limit {
            adapter: adapter.name.clone(),
            what: what.to_owned(),
            given: given.into(),
            allowed: allowed.into(),
        }),
    }
}

fn resource<'a>(bound: &Bound<'a>) -> wgpu::BindingResource<'a> {
    let (first, count) = bound.range.unwrap_or((0, bound.buffer.numbers));
    wgpu::BindingResource::Buffer(wgpu::BufferBinding {
        buffer: &bound.buffer.inner,
        offset: bound.buffer.offset(first),
        size: std::num::NonZeroU64::new(bound.buffer.offset(count)),
    })
}

/// Keeps the first fault, for later ones follow from it, but a loss before all.
fn note(known: &Mutex<Option<Fault>>, fault: Fault) {
    let mut known = known.lock().expect("no holder panics");
    if known.as_ref().is_none_or(|known| fault.lost && !known.lost) {
        *known = Some(fault);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Allowed, Kind};

    #[test]
    fn an_adapter_without_the_needed_limits_is_refused_with_them() {
        let adapter = |storage_buffers, invocations| Adapter {
            name: "small".to_owned(),
            backend: "Vulkan".to_owned(),
            driver: String::new(),
            kind: Kind::Discrete,
            allowed: Allowed {
                buffer_bytes: 1 << 28,
                binding_bytes: 1 << 27,
                storage_buffers,
                workgroups: 65_535,
                invocations,
            },
            timestamps: false,
            double: false,
        };
        assert_eq!(sufficient(&adapter(8, 64)), Ok(()));
        for (buffers, invocations, given, allowed) in [(7, 64, 8, 7), (8, 63, 64, 63)] {
            let error = sufficient(&adapter(buffers, invocations)).unwrap_err();
            let DeviceError::Limit { given: needed, allowed: has, .. } = error else {
                panic!("{error}")
            };
            assert_eq!((needed, has), (given, allowed));
        }
    }
}
