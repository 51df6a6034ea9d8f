//! Whether a batch has room in the memory of this machine, and what would have.

use crate::choices::PrecisionWord;
use crate::say;
use anyhow::{Result, bail};
use skyscat::emulator::{BatchPlan, Emulator};

/// Memory of this machine in bytes, swap included, and what is free of it now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Room {
    pub(crate) whole: usize,
    pub(crate) free: usize,
}

impl Room {
    /// What the system tells, where it does (Linux).
    pub(crate) fn of_this_machine() -> Option<Self> {
        Self::read(&std::fs::read_to_string("/proc/meminfo").ok()?)
    }

    fn read(text: &str) -> Option<Self> {
        let bytes = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            Some(line.trim().strip_suffix(" kB")?.trim().parse::<usize>().ok()? << 10)
        };
        Some(Self {
            whole: bytes("MemTotal:")? + bytes("SwapTotal:").unwrap_or(0),
            free: bytes("MemAvailable:")? + bytes("SwapFree:").unwrap_or(0),
        })
    }
}

/// What a batch takes if so many of its maps have their fields in memory at a time.
pub(crate) fn plan(
    emulator: &Emulator,
    precision: PrecisionWord,
    at_once: Option<usize>,
) -> Result<BatchPlan> {
    Ok(match precision {
        PrecisionWord::F64 => emulator.plan_at_once::<f64>(at_once)?,
        PrecisionWord::F32 => emulator.plan_at_once::<f32>(at_once)?,
    })
}

/// Refuses a batch that is larger than the memory of this machine; of one that is larger
/// than what is free now it says so.
pub(crate) fn check(
    emulator: &Emulator,
    precision: PrecisionWord,
    room: Option<Room>,
) -> Result<()> {
    let (at_once, batch) = (emulator.config().at_once, emulator.config().batch);
    let needs = plan(emulator, precision, at_once)?.bytes();
    let Some(room) = room.filter(|room| needs > room.free) else { return Ok(()) };
    let mut few = at_once.unwrap_or(batch) / 2;
    let fits = |few: usize| Ok::<_, anyhow::Error>(plan(emulator, precision, Some(few))?.bytes());
    while few > 0 && fits(few)? > room.free {
        few /= 2;
    }
    let advice = match few {
        0 => "fewer maps in a --batch, fewer pairs (--memory) or --precision f32 take less"
            .to_owned(),
        few => format!("--at-once {few} takes {}", gib(fits(few)?)),
    };
    if needs > room.whole {
        let (needs, whole) = (gib(needs), gib(room.whole));
        bail!("--batch {batch} takes {needs} of memory, this machine has {whole}: {advice}");
    }
    let (needs, free) = (gib(needs), gib(room.free));
    say::note(&format!("warning: a batch takes {needs} of memory, {free} are free now: {advice}"));
    Ok(())
}

/// Bytes as a person reads them.
pub(crate) fn gib(bytes: usize) -> String {
    format!("{:.2} GiB", bytes as f64 / f64::from(1 << 30))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array3;
    use skyscat::emulator::Config;
    use skyscat::healpix::{MapSet, Ordering};
    use skyscat::num::{Par, Seed};

    #[test]
    fn memory_is_read_as_linux_writes_it() {
        let text = "MemTotal:       2048 kB\nMemFree:  1 kB\nMemAvailable:    512 kB\n\
                    SwapTotal:      1024 kB\nSwapFree:        256 kB\n";
        assert_eq!(Room::read(text), Some(Room { whole: 3 << 20, free: 768 << 10 }));
        assert_eq!(Room::read("MemTotal: 2048 kB\n"), None);
    }

    #[test]
    fn a_batch_beyond_the_memory_is_refused_with_what_would_fit() {
        let maps =
            Array3::from_shape_fn((3, 1, 192), |(m, _, p)| ((m + 1) as f64 * (p + 1) as f64).sin());
        let inputs = MapSet::new(Ordering::Ring, &["T"], maps).unwrap();
        let config = Config { batch: 64, ..Config::campeti2025() };
        let par = Par::new(1).unwrap();
        let emulator = Emulator::new(&inputs, &[], config, Seed(1), &par).unwrap();
        let bytes = |few| plan(&emulator, PrecisionWord::F64, few).unwrap().bytes();
        let refused = |free: usize| {
            let room = Some(Room { whole: free, free });
            check(&emulator, PrecisionWord::F64, room).map_err(|e| e.to_string())
        };
        assert_eq!(refused(bytes(None)), Ok(()));
        let error = refused(bytes(None) - 1).unwrap_err();
        assert!(error.contains("--batch 64") && error.contains("--at-once 32"), "{error}");
        let error = refused(bytes(Some(8))).unwrap_err();
        assert!(error.contains("--at-once 8"), "{error}");
        let error = refused(bytes(Some(1)) / 2).unwrap_err();
        assert!(error.contains("--memory"), "{error}");
        let tight = Some(Room { whole: usize::MAX, free: 1 });
        assert!(check(&emulator, PrecisionWord::F64, tight).is_ok(), "only a warning");
        assert!(check(&emulator, PrecisionWord::F64, None).is_ok());
    }
}
