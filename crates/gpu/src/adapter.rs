//! Which adapters there are, what they allow, and how one is chosen.

use crate::DeviceError;
use std::str::FromStr;

/// What kind of device an adapter is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A card with memory of its own.
    Discrete,
    /// A part of the processor's chip.
    Integrated,
    /// A share of a card in another machine.
    Virtual,
    /// A program that runs kernels on the processor, such as lavapipe.
    Software,
    /// Something else.
    Other,
}

impl Kind {
    /// Whether kernels run on hardware made for them.
    pub fn is_hardware(self) -> bool {
        !matches!(self, Kind::Software)
    }

    fn rank(self) -> u8 {
        match self {
            Kind::Discrete => 0,
            Kind::Virtual => 1,
            Kind::Integrated => 2,
            Kind::Other => 3,
            Kind::Software => 4,
        }
    }
}

/// What an adapter allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowed {
    /// Bytes of one buffer.
    pub buffer_bytes: u64,
    /// Bytes of a buffer that one kernel sees.
    pub binding_bytes: u64,
    /// Storage buffers that one kernel sees.
    pub storage_buffers: u32,
    /// Workgroups in one dimension of a dispatch.
    pub workgroups: u32,
    /// Invocations of a workgroup.
    pub invocations: u32,
}

/// An adapter of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adapter {
    /// Its name.
    pub name: String,
    /// Vulkan, Metal or DirectX 12.
    pub backend: String,
    /// The driver and its version.
    pub driver: String,
    /// What kind of device it is.
    pub kind: Kind,
    /// What it allows.
    pub allowed: Allowed,
    /// Whether it can time its own work.
    pub timestamps: bool,
    /// Whether it has numbers of 64 bits.
    pub double: bool,
}

/// Which adapter to open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// A hardware adapter, the most capable kind first.
    Hardware,
    /// Any adapter, hardware before software.
    Any,
    /// The first adapter whose name holds this text, whatever the case.
    Named(String),
}

impl FromStr for Choice {
    type Err = std::convert::Infallible;

    /// `auto`, `gpu` or a part of a name.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "auto" => Choice::Hardware,
            "gpu" => Choice::Any,
            name => Choice::Named(name.strip_prefix("gpu:").unwrap_or(name).to_owned()),
        })
    }
}

impl Choice {
    /// Index of the chosen one among some adapters.
    fn among(&self, adapters: &[Adapter]) -> Option<usize> {
        let fits = |adapter: &Adapter| match self {
            Choice::Hardware => adapter.kind.is_hardware(),
            Choice::Any => true,
            Choice::Named(name) => adapter.name.to_lowercase().contains(&name.to_lowercase()),
        };
        let fitting = (0..adapters.len()).filter(|&i| fits(&adapters[i]));
        fitting.min_by_key(|&i| (adapters[i].kind.rank(), i))
    }

    fn asked(&self) -> String {
        match self {
            Choice::Hardware => "auto".to_owned(),
            Choice::Any => "gpu".to_owned(),
            Choice::Named(name) => format!("gpu:{name}"),
        }
    }
}

/// Every adapter of this machine; none is an empty list.
pub fn adapters() -> Vec<Adapter> {
    found().into_iter().map(|(adapter, _)| adapter).collect()
}

fn found() -> Vec<(Adapter, wgpu::Adapter)> {
    let mut settings = wgpu::InstanceDescriptor::new_without_display_handle();
    // No validation layers: the commands are checked by wgpu itself.
    settings.flags = wgpu::InstanceFlags::empty();
    // Refused before the driver begins to move memory about, where it tells its budget.
    settings.memory_budget_thresholds.for_resource_creation = Some(95);
    let instance = wgpu::Instance::new(settings);
    let list = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::PRIMARY));
    list.into_iter().map(|adapter| (describe(&adapter), adapter)).collect()
}

/// The chosen adapter of this machine.
pub(crate) fn choose(choice: &Choice) -> Result<(Adapter, wgpu::Adapter), DeviceError> {
    let mut found = found();
    let known: Vec<Adapter> = found.iter().map(|(adapter, _)| adapter.clone()).collect();
    match choice.among(&known) {
        Some(at) => Ok(found.swap_remove(at)),
        None => Err(DeviceError::NoAdapter {
            asked: choice.asked(),
            known: known.into_iter().map(|adapter| adapter.name).collect(),
        }),
    }
}

fn describe(adapter: &wgpu::Adapter) -> Adapter {
    let info = adapter.get_info();
    let limits = adapter.limits();
    Adapter {
        name: info.name,
        backend: format!("{:?}", info.backend),
        driver: format!("{} {}", info.driver, info.driver_info).trim().to_owned(),
        kind: match info.device_type {
            wgpu::DeviceType::DiscreteGpu => Kind::Discrete,
            wgpu::DeviceType::IntegratedGpu => Kind::Integrated,
            wgpu::DeviceType::VirtualGpu => Kind::Virtual,
            wgpu::DeviceType::Cpu => Kind::Software,
            wgpu::DeviceType::Other => Kind::Other,
        },
        allowed: Allowed {
            buffer_bytes: limits.max_buffer_size,
            binding_bytes: limits.max_storage_buffer_binding_size,
            storage_buffers: limits.max_storage_buffers_per_shader_stage,
            workgroups: limits.max_compute_workgroups_per_dimension,
            invocations: limits.max_compute_invocations_per_workgroup,
        },
        timestamps: adapter.features().contains(wgpu::Features::TIMESTAMP_QUERY),
        double: adapter.features().contains(wgpu::Features::SHADER_F64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adapter(name: &str, kind: Kind) -> Adapter {
        let allowed = Allowed {
            buffer_bytes: 1,
            binding_bytes: 1,
            storage_buffers: 8,
            workgroups: 65_535,
            invocations: 256,
        };
        let (backend, driver) = ("Vulkan".to_owned(), String::new());
        let (name, timestamps, double) = (name.to_owned(), false, false);
        Adapter { name, backend, driver, kind, allowed, timestamps, double }
    }

    #[test]
    fn software_is_never_chosen_unless_asked_for() {
        let software = [adapter("llvmpipe", Kind::Software)];
        assert_eq!(Choice::Hardware.among(&software), None);
        assert_eq!(Choice::Any.among(&software), Some(0));
        assert_eq!(Choice::Named("LLVM".to_owned()).among(&software), Some(0));
        assert_eq!(Choice::Named("other".to_owned()).among(&software), None);
    }

    #[test]
    fn cards_come_before_chips_and_software() {
        let kinds = [Kind::Software, Kind::Integrated, Kind::Discrete];
        let list: Vec<Adapter> = kinds.iter().map(|&kind| adapter("a", kind)).collect();
        assert_eq!(Choice::Any.among(&list), Some(2));
        assert_eq!(Choice::Hardware.among(&list[..2]), Some(1));
        assert_eq!(Choice::Any.among(&[]), None);
    }

    #[test]
    fn choices_are_read_from_text() {
        assert_eq!("auto".parse(), Ok(Choice::Hardware));
        assert_eq!("gpu".parse(), Ok(Choice::Any));
        assert_eq!("gpu:H200".parse(), Ok(Choice::Named("H200".to_owned())));
    }
}
