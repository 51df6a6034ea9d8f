//! The whole loss of an emulation on a GPU, and descents on it.

use super::device;
use skyscat_autodiff::{GpuError, Objective, Vector};
use skyscat_emulator::{Batch, BatchId, BatchRun, Config, Emulator, Silent};
use skyscat_gpu::Device;
use skyscat_healpix::{MapSet, Nside, Ordering};
use skyscat_num::{Par, Seed};
use std::sync::Arc;

pub(crate) const ID: BatchId = BatchId { target: None, number: 0 };

pub(crate) fn emulator(nside: usize, batch: usize, steps: u64) -> Emulator {
    emulator_of(nside, Config { batch, steps, ..Config::campeti2025() })
}

/// Six Q/U maps of white noise, smoothed a little by adding neighbours in NEST order.
pub(super) fn emulator_of(nside: usize, config: Config) -> Emulator {
    let pixels = Nside::new(nside).unwrap().npix();
    let noise = Seed(21).stream("inputs").index(0, 0).normals(6 * 2 * pixels);
    let mixed =
        (0..noise.len()).map(|i| noise[i] + 0.7 * noise[i / 4 * 4] + 0.3 * noise[i].powi(2));
    let maps = ndarray::Array3::from_shape_vec((6, 2, pixels), mixed.collect()).unwrap();
    let inputs = MapSet::new(Ordering::Nest, &["Q", "U"], maps).unwrap();
    Emulator::new(&inputs, &[], config, Seed(3), &Par::new(2).unwrap()).unwrap()
}

pub(crate) fn start(emulator: &Emulator) -> Vec<f32> {
    let maps = emulator.start(ID).unwrap();
    maps.view().permuted_axes([1, 2, 0]).iter().map(|&x| x as f32).collect()
}

/// What is asked of the whole loss and of its gradient in f32, relative to f64. These are
/// requirements and not bounds: the bounds of all kernels together, each at its worst,
/// would be far above them. `benches/record/gpu-lavapipe.md` has what is found.
pub(super) const LOSS: f64 = 1e-5;
pub(super) const GRADIENT: f64 = 1e-4;

fn compare(nside: usize, batch: usize) {
    let test = format!("whole loss at Nside {nside}");
    let Some(device) = device(&test) else { return };
    let emulator = emulator(nside, batch, 1);
    let mut cpu = emulator.program::<f64>(ID).unwrap();
    let mut gpu = emulator.gpu_program(&[ID], &device).unwrap();
    let x = start(&emulator);
    let wide: Vec<f64> = x.iter().map(|&x| f64::from(x)).collect();
    let (mut expected, mut found) = (vec![0.0; x.len()], vec![0.0; x.len()]);
    let value = cpu.value_and_gradient(&wide, &mut expected);
    let on_gpu = gpu.value_and_gradient(&x, &mut found).unwrap();
    let peak = expected.iter().fold(0.0f64, |m, g| m.max(g.abs()));
    let pairs = expected.iter().zip(&found);
    let worst = pairs.fold(0.0f64, |m, (a, b)| m.max((a - f64::from(*b)).abs()));
    let (loss, gradient) = ((value - on_gpu).abs() / value, worst / peak);
    assert!(loss <= LOSS && gradient <= GRADIENT, "{test}: loss {loss:e}, gradient {gradient:e}");
    say(&format!("{test}: off by {loss:.1e}, its gradient by {gradient:.1e}"));
    for (cpu, gpu) in cpu.terms().iter().zip(gpu.terms()) {
        assert_eq!(cpu.name, gpu.name);
        assert!((cpu.value - gpu.value).abs() <= LOSS * value, "{cpu:?} {gpu:?}");
    }
    // Must fail: one map of the start off by a thousandth.
    let mut other = x.clone();
    other.iter_mut().step_by(batch).for_each(|x| *x *= 1.001);
    let mut elsewhere = vec![0.0; x.len()];
    let off = gpu.value_and_gradient(&other, &mut elsewhere).unwrap();
    let pairs = expected.iter().zip(&elsewhere);
    let worst = pairs.fold(0.0f64, |m, (a, b)| m.max((a - f64::from(*b)).abs()));
    assert!((value - off).abs() > LOSS * value, "{test}: another loss passed");
    assert!(worst > GRADIENT * peak, "{test}: another gradient passed");
    // The same start gives the same bits.
    let mut again = vec![0.0; x.len()];
    assert_eq!(gpu.value_and_gradient(&x, &mut again), Ok(on_gpu));
    assert_eq!(again, found);
}

#[allow(clippy::print_stdout, reason = "what was measured, for those who ask")]
fn say(what: &str) {
    println!("{what}");
}

#[test]
fn value_and_gradient_agree_with_the_cpu_at_nside_8() {
    compare(8, 3);
}

#[test]
fn value_and_gradient_agree_with_the_cpu_at_nside_16() {
    compare(16, 10);
}

pub(super) fn on_gpu(emulator: &Emulator, device: &Arc<Device>) -> Batch {
    let runs: Vec<BatchRun> = vec![(ID, None, Arc::new(Silent))];
    emulator.run_on_gpu(runs, device).unwrap().pop().unwrap().unwrap()
}

#[test]
fn a_descent_on_a_gpu_goes_where_that_of_the_cpu_goes() {
    let Some(device) = device("descent") else { return };
    let emulator = emulator(4, 3, 10);
    let gpu = on_gpu(&emulator, &device);
    let cpu = emulator.run::<f64>(ID, None, Arc::new(Silent)).unwrap();
    assert_eq!(gpu.history.len(), cpu.history.len());
    for (gpu, cpu) in gpu.history.iter().zip(&cpu.history) {
        assert!((gpu / cpu - 1.0).abs() < 1e-2, "{gpu} {cpu}");
    }
    assert_eq!(on_gpu(&emulator, &device).maps, gpu.maps, "the same bits");
}

#[test]
fn numbers_that_are_not_finite_are_named() {
    let Some(device) = device("not finite") else { return };
    let emulator = emulator(4, 3, 1);
    let mut gpu = emulator.gpu_program(&[ID], &device).unwrap();
    let mut x = start(&emulator);
    let mut g = vec![0.0; x.len()];
    gpu.value_and_gradient(&x, &mut g).unwrap();
    x[7] = f32::NAN;
    let error = gpu.value_and_gradient(&x, &mut g).unwrap_err();
    let GpuError::NotFinite { term, what, evaluation } = &error else { panic!("{error}") };
    assert!(term.starts_with("SC("), "{term}");
    assert!(what.contains("operator") && *evaluation == 2, "{error}");
    // The optimiser sees NaN, and is told why.
    let mut seat = emulator.gpu_program(&[ID], &device).unwrap().seats().pop().unwrap();
    let x = seat.maker().vector(&x).unwrap();
    let mut g = x.zeros_like().unwrap();
    assert!(seat.value_and_gradient(&x, &mut g).is_nan());
    assert!(seat.failure().unwrap().reason.contains(term.as_str()));
}
