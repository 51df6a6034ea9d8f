//! The same kernels in f64, where a device has it: their logic, free of f32's rounding.

use super::loss::{GRADIENT, ID, LOSS, emulator, start};
use super::rounding::{Bounded, Bounds};
use super::twins::{compare, known};
use super::{choice, device};
use skyscat_gpu::{Device, DeviceError};
use std::sync::Arc;

/// The device of the tests in f64, or `None` after saying aloud why not.
fn double(test: &str) -> Option<Arc<Device>> {
    device(test)?;
    match Device::open_double(&choice()) {
        Ok(device) => Some(Arc::new(device)),
        Err(DeviceError::Double { .. }) => {
            skyscat_tests::skip(test, "the adapter has no f64");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// What f64 leaves of an error of f32; twice, for the CPU rounds too.
const FINER: f64 = 2.0 / (1u64 << 29) as f64;

#[test]
fn the_whole_loss_in_f64_is_that_of_the_cpu() {
    let Some(double) = double("loss in f64") else { return };
    let single = device("loss in f64").unwrap();
    let emulator = emulator(8, 3, 1);
    let mut cpu = emulator.program::<f64>(ID).unwrap();
    let x: Vec<f64> = start(&emulator).into_iter().map(f64::from).collect();
    let mut expected = vec![0.0; x.len()];
    let value = cpu.value_and_gradient(&x, &mut expected);
    let peak = expected.iter().fold(0.0f64, |m, g| m.max(g.abs()));
    let off = |device: &Arc<Device>| {
        let mut program = emulator.gpu_program(&[ID], device).unwrap();
        let mut found = vec![0.0; x.len()];
        let on_device = program.value_and_gradient(&x, &mut found).unwrap();
        let pairs = expected.iter().zip(&found);
        let worst = pairs.fold(0.0f64, |m, (a, b)| m.max((a - b).abs()));
        [(on_device - value).abs() / value, worst / peak]
    };
    // What `loss.rs` asks of f32.
    let allowed = [LOSS, GRADIENT].map(|bound| bound * FINER);
    let [loss, gradient] = off(&double);
    assert!(loss <= allowed[0] && gradient <= allowed[1], "loss {loss:e}, gradient {gradient:e}");
    say(&format!("in f64 the loss is off by {loss:.1e}, the gradient by {gradient:.1e}"));
    let [loss, gradient] = off(&single);
    assert!(loss > allowed[0] && gradient > allowed[1], "f32 passed: {loss:e}, {gradient:e}");
}

#[test]
fn every_kernel_in_f64_keeps_its_bound_scaled_to_f64() {
    let Some(double) = double("twins in f64") else { return };
    // The CPU takes FFTs along rings, whose errors are those of the largest numbers.
    let scaled = |list: &Bounded, spread: bool| -> Bounded {
        let largest = list.iter().fold(0.0f64, |m, (_, bound)| m.max(*bound));
        let bound = |own: f64| if spread { largest } else { own };
        list.iter().map(|&(centre, own)| (centre, bound(own) * FINER)).collect()
    };
    let mut worst = (0.0f64, "");
    for (case, twins) in known() {
        for (twin, bounds) in twins {
            let name = twin.operator.name();
            let spread = name == "analysis";
            let bounds = Bounds {
                output: scaled(&bounds.output, spread),
                gradients: bounds.gradients.iter().map(|list| scaled(list, spread)).collect(),
                reads: bounds.reads.clone(),
            };
            let found = twin.on_gpu(twin.operator.clone(), &double).unwrap();
            for (pass, f) in ["forward", "pullback"].iter().zip(compare(&found, twin, &bounds)) {
                assert!(f.worst <= 1.0, "{case}: {name} (node {}) {pass}: {f:?}", twin.node);
                worst = if f.worst > worst.0 { (f.worst, name) } else { worst };
            }
        }
    }
    say(&format!("in f64 at most {:.2} of a bound, at {}", worst.0, worst.1));
}

#[allow(clippy::print_stdout, reason = "what was measured, for those who ask")]
fn say(what: &str) {
    println!("{what}");
}
