//! `skyscat devices`, and the choice of one for an emulation.

use crate::Ending;
use crate::args::DevicesArgs;
use crate::choices::{MpiWord, PrecisionWord};
use crate::settings::EmulateSection;
use anyhow::{Result, bail, ensure};

/// Where loss and gradient are computed.
pub(crate) struct Chosen {
    /// The GPU; `None` for the CPU.
    #[cfg(feature = "gpu")]
    pub(crate) gpu: Option<std::sync::Arc<skyscat::gpu::Device>>,
    /// For the report.
    pub(crate) name: String,
    /// For the terminal.
    pub(crate) sentence: String,
}

impl Chosen {
    fn cpu(why: &str) -> Self {
        Self {
            #[cfg(feature = "gpu")]
            gpu: None,
            name: "cpu".to_owned(),
            sentence: format!("device: the CPU ({why})"),
        }
    }
}

/// The device of a section; what `auto` became, and the precision that goes with it if
/// none is given, are written back to it.
pub(crate) fn open(section: &mut EmulateSection) -> Result<Chosen> {
    let word = section.device.clone().expect("has a default");
    let usual = if word.starts_with("gpu") { PrecisionWord::F32 } else { PrecisionWord::F64 };
    let single = *section.precision.get_or_insert(usual) == PrecisionWord::F32;
    let together = section.mpi == Some(MpiWord::Maps);
    ensure!(
        !together || ["auto", "cpu"].contains(&word.as_str()),
        "--device {word}: --mpi maps is for the CPU: allowed are auto and cpu"
    );
    let chosen = match word.as_str() {
        "auto" if together => Chosen::cpu("--mpi maps is for the CPU"),
        "cpu" => Chosen::cpu("as asked"),
        "auto" if !single => Chosen::cpu("few GPUs are made for f64, and --precision is f64"),
        "auto" => automatic(),
        "gpu" => named(&word, single)?,
        name if name.strip_prefix("gpu:").is_some_and(|rest| !rest.is_empty()) => {
            named(&word, single)?
        }
        _ => bail!("--device {word} is not allowed: allowed are auto, cpu, gpu and gpu:NAME"),
    };
    // A run goes on where it began, whatever auto would find then.
    if word == "auto" {
        let kind = if chosen.name == "cpu" { "cpu" } else { "gpu" };
        section.device = Some(kind.to_owned());
    }
    Ok(chosen)
}

#[cfg(not(feature = "gpu"))]
fn automatic() -> Chosen {
    Chosen::cpu("this program was built without GPUs")
}

#[cfg(not(feature = "gpu"))]
fn named(word: &str, _single: bool) -> Result<Chosen> {
    bail!("--device {word}: this program was built without the feature gpu")
}

#[cfg(not(feature = "gpu"))]
pub(crate) fn run(_args: &DevicesArgs) -> Result<Ending> {
    bail!("this program was built without the feature gpu")
}

#[cfg(feature = "gpu")]
pub(crate) use with_gpu::run;
#[cfg(feature = "gpu")]
use with_gpu::{automatic, named};

#[cfg(feature = "gpu")]
mod with_gpu {
    use super::{Chosen, DevicesArgs, Ending};
    use crate::say;
    use anyhow::{Context, Result};
    use skyscat::gpu::{Adapter, Choice, Device, DeviceError, Kind, adapters};
    use std::sync::Arc;

    /// More than any card has.
    const MOST_MEMORY: u64 = 1 << 42;

    /// Numbers of a copy that is measured: 64 MiB.
    const COPIED: usize = 16 << 20;

    pub(super) fn automatic() -> Chosen {
        match Device::open(&Choice::Hardware) {
            Ok(device) => chosen(device),
            Err(_) => Chosen::cpu("no hardware GPU was found; see skyscat devices"),
        }
    }

    pub(super) fn named(word: &str, single: bool) -> Result<Chosen> {
        let choice: Choice = word.parse().expect("any text is a choice");
        let opened = match single {
            true => Device::open(&choice),
            false => Device::open_double(&choice),
        };
        Ok(chosen(opened.with_context(|| format!("--device {word}"))?))
    }

    fn chosen(device: Device) -> Chosen {
        let Adapter { name, backend, driver, .. } = device.adapter();
        let name = format!("{name} ({backend}, {driver})");
        let precision = if device.is_double() { "f64" } else { "f32" };
        let sentence = format!("device: {name}; loss and gradient in {precision}");
        Chosen { gpu: Some(Arc::new(device)), name, sentence }
    }

    pub(crate) fn run(args: &DevicesArgs) -> Result<Ending> {
        let list = adapters();
        if list.is_empty() {
            say::result("no GPU was found: no driver for Vulkan, Metal or DirectX 12 shows one");
        }
        for (number, adapter) in list.iter().enumerate() {
            if number > 0 {
                say::result("");
            }
            show(adapter, !args.no_measure);
        }
        Ok(Ending::Done)
    }

    fn show(adapter: &Adapter, measure: bool) {
        let line = |name: &str, value: String| say::result(&format!("{name:<18}{value}"));
        let mib = |bytes: u64| format!("{} MiB", bytes >> 20);
        let allowed = adapter.allowed;
        line("device", adapter.name.clone());
        line("kind", format!("{:?}", adapter.kind).to_lowercase());
        line("backend", adapter.backend.clone());
        line("driver", adapter.driver.clone());
        line("largest buffer", mib(allowed.buffer_bytes));
        line("seen by a kernel", mib(allowed.binding_bytes));
        line("buffers a kernel", allowed.storage_buffers.to_string());
        line("workgroups", format!("{} in a dimension", allowed.workgroups));
        line("timestamps", if adapter.timestamps { "yes" } else { "no" }.to_owned());
        line("f64", if adapter.double { "yes" } else { "no" }.to_owned());
        if measure {
            line("memory", memory(adapter));
            line("copies", bandwidth(adapter));
        }
    }

    fn open(adapter: &Adapter) -> Result<Device, DeviceError> {
        Device::open(&Choice::Named(adapter.name.clone()))
    }

    /// What the adapter gives; one that shares the processor's memory is not asked for all
    /// of that.
    fn memory(adapter: &Adapter) -> String {
        if !matches!(adapter.kind, Kind::Discrete | Kind::Virtual) {
            return "that of the processor".to_owned();
        }
        match open(adapter).and_then(|device| device.memory(MOST_MEMORY)) {
            Ok(bytes) => format!("{} MiB free", bytes >> 20),
            Err(error) => format!("not measured: {error}"),
        }
    }

    fn bandwidth(adapter: &Adapter) -> String {
        match open(adapter).and_then(|device| device.copy_bandwidth(COPIED)) {
            Ok(rate) => format!("{:.1} GB/s, reading and writing counted", rate / 1e9),
            Err(error) => format!("not measured: {error}"),
        }
    }
}
