//! How many batches run side by side on a GPU, and whether one fits at all.

/// Most batches side by side: each has two threads on the host.
pub(crate) const WIDEST: usize = 128;

#[cfg(feature = "gpu")]
pub(crate) use on_gpu::{description, width};

#[cfg(feature = "gpu")]
mod on_gpu {
    use super::WIDEST;
    use anyhow::{Result, bail};
    use skyscat::autodiff::{GpuError, GpuPlan};
    use skyscat::emulator::{Emulator, EmulatorError};
    use skyscat::gpu::{Device, DeviceError};

    /// Largest number up to `most` that fits, where fewer always do; 0 if none.
    fn largest(most: usize, fits: &dyn Fn(usize) -> Result<bool>) -> Result<usize> {
        if most == 0 || fits(most)? {
            return Ok(most);
        }
        let (mut good, mut bad) = (0, most);
        while bad - good > 1 {
            let middle = good + (bad - good) / 2;
            if fits(middle)? {
                good = middle;
            } else {
                bad = middle;
            }
        }
        Ok(good)
    }

    /// The plan of `groups` batches of `maps` maps in the least memory, or why they do not
    /// fit.
    fn plan(
        emulator: &Emulator,
        device: &Device,
        sizes: (usize, usize),
    ) -> Result<Result<GpuPlan, String>> {
        let plan = match emulator.plan_on_gpu(sizes, GpuPlan::LITTLE_ROOM, device) {
            Ok(plan) => plan,
            Err(EmulatorError::Gpu(
                error @ (GpuError::Batch { .. } | GpuError::Device(DeviceError::Limit { .. })),
            )) => return Ok(Err(error.to_string())),
            Err(error) => return Err(error.into()),
        };
        match plan.fits(device) {
            Ok(()) => Ok(Ok(plan)),
            Err(error @ (DeviceError::Limit { .. } | DeviceError::Memory { .. })) => {
                Ok(Err(format!("{} on the device: {error}", mib(plan.bytes()))))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The batches to run side by side, of `wanted` ones: as many as asked for, or with
    /// 0 as many as fit. Refuses what does not fit, and says what would.
    pub(crate) fn width(
        emulator: &Emulator,
        device: &Device,
        asked: usize,
        wanted: usize,
    ) -> Result<usize> {
        let batch = emulator.config().batch;
        let fits = |maps: usize, groups: usize| -> Result<bool> {
            Ok(plan(emulator, device, (maps, groups))?.is_ok())
        };
        let most = if asked > 0 { asked } else { WIDEST }.min(wanted.max(1));
        let found = largest(most, &|groups| fits(batch, groups))?;
        if found == most || (asked == 0 && found > 0) {
            return Ok(found);
        }
        let why = plan(emulator, device, (batch, most.min(found + 1)))?.err().unwrap_or_default();
        if found > 0 {
            bail!("--wide {asked} needs more memory than the device has: {why}; {found} fit");
        }
        let smaller = largest(batch.saturating_sub(1), &|maps| fits(maps, 1))?;
        let advice = match smaller {
            0 => "not even one map fits: run on the CPU".to_owned(),
            maps => format!("the largest batch that fits is --batch {maps}"),
        };
        bail!("--batch {batch} needs more than the device has: {why}; {advice}");
    }

    /// How many batches fit side by side, and the memory that they take.
    pub(crate) fn description(
        emulator: &Emulator,
        device: &Device,
        asked: usize,
        wanted: usize,
    ) -> Result<String> {
        let width = match width(emulator, device, asked, wanted) {
            Ok(width) => width,
            Err(error) => return Ok(format!("it does not fit: {error:#}")),
        };
        let sizes = (emulator.config().batch, width);
        let plan = emulator.plan_on_gpu(sizes, emulator.room_on_gpu(sizes, device)?, device)?;
        let part = |buffers: &[usize]| mib(plan.bytes_of(buffers));
        let parts = match plan.parts {
            1 => String::new(),
            parts => format!(", in {parts} parts"),
        };
        let side = match width {
            1 => "one batch".to_owned(),
            width => format!("{width} batches side by side"),
        };
        Ok(format!(
            "it fits: {} for {side}{parts}: {} fields and gradients, {} scratch, {} tables, {} \
             loss terms and transfers, {} descent",
            mib(plan.bytes()),
            part(&plan.fields),
            part(&plan.scratch),
            part(&plan.tables),
            part(&plan.terms),
            part(&plan.descents),
        ))
    }

    fn mib(bytes: u64) -> String {
        format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn the_largest_that_fits_is_found() {
            for limit in [0, 1, 7, 20, 99] {
                let found = largest(20, &|n| Ok(n <= limit)).unwrap();
                assert_eq!(found, limit.min(20), "{limit}");
            }
            assert_eq!(largest(0, &|_| Ok(false)).unwrap(), 0);
        }
    }
}
