//! Batches and tables that are larger than a device allows.

use super::cases::normals;
use super::device;
use skyscat_autodiff::{Affine, GpuError, GpuProgram, Graph, Program, Purpose, Shape};
use skyscat_gpu::{Choice, Device, DeviceError};
use skyscat_num::Par;
use skyscat_wavelet::Modulus;
use std::sync::Arc;

/// The device of the tests, with buffers of at most `most` bytes.
fn small(test: &str, most: u64) -> Option<Arc<Device>> {
    let name = device(test)?.adapter().name.clone();
    let opened = Device::open_within(&Choice::Named(name), most).unwrap();
    assert_eq!(opened.adapter().allowed.binding_bytes, most);
    Some(Arc::new(opened))
}

/// 1000 complex numbers, their moduli, and those scaled.
fn graph() -> Arc<Graph> {
    let mut graph = Graph::new();
    let z = graph.input(Shape::complex(1000, 1));
    let m = graph.apply(Modulus::exact(), &[z]).unwrap();
    let out = graph.apply(Affine::new(vec![2.0; 1000], vec![0.0; 1000]), &[m]).unwrap();
    graph.output("out", out);
    Arc::new(graph)
}

#[test]
fn a_batch_that_does_not_fit_is_refused_with_the_one_that_does() {
    // 2000 numbers of 4 bytes a map: 12 maps fit, 16 do not.
    let Some(device) = small("batch", 4 * 2000 * 13) else { return };
    let compile = |maps| GpuProgram::compile(graph(), maps, Purpose::Values, device.clone());
    let error = compile(30).unwrap_err();
    let GpuError::Batch { buffer, maps, given, allowed, fits, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!((*maps, *given, *allowed, *fits), (30, 4 * 2000 * 32, 4 * 2000 * 13, 12));
    assert!(buffer == "the result of input (node 0)" || buffer == "the variables", "{buffer}");
    assert!(error.to_string().contains("at most 12 maps fit"), "{error}");
    // What is said to fit does, and gives the right numbers; one map more does not.
    assert!(matches!(compile(13), Err(GpuError::Batch { fits: 12, .. })));
    let mut gpu = compile(*fits).unwrap();
    let x = normals("limits", gpu.variables());
    let single: Vec<f32> = x.iter().map(|&x| x as f32).collect();
    gpu.evaluate(&single).unwrap();
    let wide: Vec<f64> = single.iter().map(|&x| f64::from(x)).collect();
    let par = Par::new(1).unwrap();
    let mut cpu = Program::<f64>::compile(graph(), *fits, Purpose::Values, &par).unwrap();
    cpu.evaluate(&wide);
    let (found, expected) = (gpu.output("out").unwrap().unwrap().1, cpu.output("out").unwrap().1);
    // A root of 9 u of two squares of u each, and a power of two.
    let bound = 11.0 * 2.0f64.powi(-24);
    let pairs = found.iter().zip(&expected);
    assert!(pairs.clone().all(|(a, b)| (f64::from(*a) - b).abs() <= bound * b));
}

#[test]
fn a_table_that_does_not_fit_is_refused_with_its_operator() {
    let Some(device) = small("table", 4096) else { return };
    let error = GpuProgram::compile(table(2000), 1, Purpose::Values, device.clone()).unwrap_err();
    // The field is too large too, and is looked at first.
    assert!(matches!(error, GpuError::Batch { fits: 0, .. }), "{error}");
    let mut graph = Graph::new();
    let x = graph.input(Shape::complex(16, 1));
    let weights = vec![vec![1.0 / 2000.0; 16]; 80];
    let masks = skyscat_wavelet::Masks::new(&weights).unwrap();
    let y = graph.apply(skyscat_wavelet::MaskedMean::of_values(Arc::new(masks)), &[x]).unwrap();
    graph.output("out", y);
    let error = GpuProgram::compile(Arc::new(graph), 1, Purpose::Values, device).unwrap_err();
    let GpuError::Device(DeviceError::Limit { what, given, allowed, .. }) = error else {
        panic!("{error}")
    };
    assert_eq!((what.as_str(), given, allowed), ("bytes of a table of mean", 4 * 80 * 16, 4096));
}

fn table(numbers: usize) -> Arc<Graph> {
    let mut graph = Graph::new();
    let x = graph.input(Shape::real(numbers, 1));
    let y = graph.apply(Affine::new(vec![2.0; numbers], vec![0.0; numbers]), &[x]).unwrap();
    graph.output("out", y);
    Arc::new(graph)
}
