//! The GPU: devices, and kernels against their CPU twins.

mod adjoints;
mod cases;
mod descent;
mod device;
mod dispatches;
mod double;
mod failures;
mod legendre;
mod limits;
mod loss;
mod memory;
mod mutants;
mod orphans;
mod profile;
mod rounding;
mod terms;
mod twins;
mod vectors;

use skyscat_gpu::{Choice, Device, DeviceError};
use std::sync::{Arc, OnceLock};

/// The device of all tests, or `None` after saying aloud that the test is skipped.
///
/// `SKYSCAT_DEVICE` names another one than the first that is found;
/// `SKYSCAT_REQUIRE_GPU=1` makes a missing one a failure.
fn device(test: &str) -> Option<Arc<Device>> {
    static DEVICE: OnceLock<Result<Arc<Device>, DeviceError>> = OnceLock::new();
    let opened = DEVICE.get_or_init(|| Device::open(&choice()).map(Arc::new));
    match opened {
        Ok(device) => Some(device.clone()),
        Err(error) if std::env::var("SKYSCAT_REQUIRE_GPU").is_ok_and(|v| v == "1") => {
            panic!("{test}: SKYSCAT_REQUIRE_GPU=1, and {error}")
        }
        Err(_) => {
            skyscat_tests::skip(test, "no adapter");
            None
        }
    }
}

fn choice() -> Choice {
    let name = std::env::var("SKYSCAT_DEVICE").unwrap_or_else(|_| "gpu".to_owned());
    name.parse().expect("any text is a choice")
}
