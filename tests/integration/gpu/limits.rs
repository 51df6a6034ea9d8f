//! Batches, vectors and tables of which kernels may not see all.

use super::cases::normals;
use super::device;
use super::loss::{ID, emulator, start};
use skyscat_autodiff::{
    Affine, GpuError, GpuPlan, GpuProgram, Graph, Lbfgs, LbfgsConfig, Purpose, Seat, Shape, Vector,
};
use skyscat_emulator::loss::{MatchMean, MatchVariance};
use skyscat_emulator::{BatchId, Progress, Silent};
use skyscat_gpu::{Choice, Device, DeviceError};
use skyscat_wavelet::{MaskedMean, Masks, Modulus};
use std::sync::Arc;

/// The device of the tests, with kernels that see at most `most` bytes of a buffer.
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
fn maps_that_do_not_fit_are_worked_on_in_parts_with_the_same_bits() {
    // 2000 numbers of 4 bytes a map: 12 maps fit, 16 do not.
    let Some(narrow) = small("parts", 4 * 2000 * 13) else { return };
    let compile = |maps, device: &Arc<Device>| {
        GpuProgram::compile(graph(), maps, Purpose::Values, device.clone()).unwrap()
    };
    let parts = [1, 12, 13, 24, 25, 30].map(|maps| compile(maps, &narrow).parts());
    assert_eq!(parts, [1, 1, 2, 2, 3, 3]);
    let whole = device("parts").unwrap();
    let (mut split, mut whole) = (compile(30, &narrow), compile(30, &whole));
    assert_eq!(whole.parts(), 1);
    let x: Vec<f32> = normals("limits", whole.variables()).iter().map(|&x| x as f32).collect();
    let mut outputs = [&mut split, &mut whole].map(|program| {
        program.evaluate(&x).unwrap();
        program.output("out").unwrap().unwrap().1
    });
    assert_eq!(outputs[0], outputs[1]);
    // They are the right ones too: a root of 9 u of two squares of u each, and a power of two.
    let exact = |i: usize| 2.0 * f64::from(x[i]).hypot(f64::from(x[i + 30]));
    let at = |i: usize| i / 30 * 60 + i % 30;
    let bound = 11.0 * 2.0f64.powi(-24);
    let off = |found: &[f64]| {
        let pairs = found.iter().enumerate().map(|(i, &y)| (y, exact(at(i))));
        pairs.filter(|(found, exact)| (found - exact).abs() > bound * exact).count()
    };
    assert_eq!(off(&outputs[0]), 0);
    outputs[0].swap(29, 28);
    assert_eq!(off(&outputs[0]), 2, "maps that changed places passed");
}

#[test]
fn what_no_part_can_be_small_enough_for_is_refused() {
    let Some(device) = small("one map", 4 * 2000 * 3) else { return };
    let error = GpuProgram::compile(graph(), 1, Purpose::Values, device).unwrap_err();
    let GpuError::Batch { buffer, maps, given, allowed, fits, .. } = &error else {
        panic!("{error}")
    };
    // Four lanes are the least.
    assert_eq!((*maps, *given, *allowed, *fits), (4, 4 * 2000 * 4, 4 * 2000 * 3, 0));
    assert!(buffer == "the result of input (node 0)" || buffer == "the variables", "{buffer}");
    // The statistics of all maps must be seen together: 1000 numbers a map.
    let terms = || {
        let mut graph = Graph::new();
        let z = graph.input(Shape::complex(1000, 1));
        let m = graph.apply(Modulus::exact(), &[z]).unwrap();
        let term = MatchMean::new("means".into(), vec![0.0; 1000], vec![1.0; 1000], 1000);
        graph.term(term, &[m], 1.0);
        Arc::new(graph)
    };
    let device = small("statistics", 4 * 2000 * 9).unwrap();
    let compile = |maps| GpuProgram::compile(terms(), maps, Purpose::Gradient, device.clone());
    assert_eq!(compile(16).unwrap().parts(), 2);
    let error = compile(17).unwrap_err();
    assert!(error.to_string().contains("a statistic of 17 maps"), "{error}");
    assert!(error.to_string().contains("at most 16 maps fit"), "{error}");
}

const ROWS: usize = 1024;

/// Powers of random fields against targets: many variables and few statistics.
fn powers(target: f64) -> Arc<Graph> {
    let mut graph = Graph::new();
    let x = graph.input(Shape::real(ROWS, 1));
    let scale = (0..ROWS).map(|i| 1.0 + 0.5 * (i as f64).sin()).collect();
    let y = graph.apply(Affine::new(scale, vec![0.1; ROWS]), &[x]).unwrap();
    let weights = [0, 1].map(|odd| (0..ROWS).map(|i| ((i + odd) % 2) as f64).collect());
    let masks = Arc::new(Masks::new(&weights).unwrap());
    let power = graph.apply(MaskedMean::of_squares(masks), &[y]).unwrap();
    let term = MatchMean::new("power".into(), vec![target, 2.0], vec![1.0; 2], 2);
    graph.term(term, &[power], 1.0);
    graph.term(MatchVariance::new("scatter".into(), vec![0.3, 0.2], vec![1.0; 2]), &[power], 1.0);
    Arc::new(graph)
}

/// Where two descents side by side end after a few steps, and their losses.
fn descents(device: &Arc<Device>, maps: usize, nudge: f32) -> Vec<(Vec<f64>, f64)> {
    let graphs = [powers(1.0), powers(3.0)];
    let program = GpuProgram::compile_groups(&graphs, maps, 0, device.clone()).unwrap();
    let mut x: Vec<f32> = normals("powers", ROWS * maps).iter().map(|&x| x as f32).collect();
    x[ROWS * maps - 1] += nudge;
    let config = LbfgsConfig { memory: 3, ..LbfgsConfig::campeti2025() };
    let descend = |mut seat: Seat| {
        let start = seat.maker().vector(&x).unwrap();
        let mut descent = Lbfgs::start(config, start, &mut seat).unwrap();
        (0..5).for_each(|_| assert_eq!(descent.step(&mut seat), None));
        (descent.x.numbers().unwrap(), descent.value)
    };
    std::thread::scope(|scope| {
        let seats = program.seats().into_iter();
        let threads: Vec<_> = seats.map(|seat| scope.spawn(|| descend(seat))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn vectors_larger_than_a_kernel_may_see_keep_their_bits() {
    // Four lanes of a field fit; a vector of ten maps is ten parts of products, in three
    // pieces that begin amid the rows of three parts of the maps.
    let most = 4 * 4 * ROWS as u64;
    let Some(narrow) = small("pieces", most) else { return };
    let whole = device("pieces").unwrap();
    let graphs = [powers(1.0), powers(3.0)];
    let program = GpuProgram::compile_groups(&graphs, 10, u64::MAX, narrow.clone());
    assert_eq!(program.unwrap().parts(), 6);
    let expected = descents(&whole, 10, 0.0);
    assert_eq!(descents(&narrow, 10, 0.0), expected);
    // The last number of the last map counts.
    for (other, expected) in descents(&narrow, 10, 0.5).iter().zip(&expected) {
        assert_ne!(other.1, expected.1);
    }
}

#[test]
fn a_split_emulation_has_the_loss_gradient_and_iterates_of_a_whole_one() {
    let Some(whole) = device("split emulation") else { return };
    let emulator = emulator(8, 10, 4);
    let plan = emulator.plan_on_gpu((10, 1), GpuPlan::LITTLE_ROOM, &whole).unwrap();
    let largest = plan.fields.iter().chain(&plan.scratch).max().unwrap();
    // A third of the twelve lanes.
    let narrow = small("split emulation", 4 * *largest as u64 / 3).unwrap();
    let ids = [0, 1].map(|number| BatchId { target: None, number });
    let together = emulator.gpu_program_within(&ids[..1], 0, &whole).unwrap();
    let together = together.commands().dispatches;
    let evaluate = |device: &Arc<Device>, parts: usize, nudge: f32| {
        let mut program = emulator.gpu_program(&ids[..1], device).unwrap();
        assert_eq!(program.parts(), parts);
        // Beside the parts one evaluation of the terms, and statistics there and back.
        let dispatches = program.commands().dispatches;
        assert!(dispatches < parts * (together + 40), "{dispatches} dispatches in {parts} parts");
        let mut x = start(&emulator);
        *x.last_mut().unwrap() += nudge;
        let mut gradient = vec![0.0; x.len()];
        let value = program.value_and_gradient(&x, &mut gradient).unwrap();
        (value, gradient, program.terms().to_vec())
    };
    let expected = evaluate(&whole, 1, 0.0);
    assert_eq!(evaluate(&narrow, 3, 0.0), expected);
    assert_ne!(evaluate(&narrow, 3, 0.1).0, expected.0, "the last map did not count");
    let planned = emulator.plan_on_gpu((10, 1), u64::MAX, &narrow).unwrap();
    let memory = emulator.gpu_program(&ids[..1], &narrow).unwrap().memory();
    assert_eq!((planned.parts, planned.bytes_of(&planned.fields)), (3, memory.field_bytes as u64));
    // Two batches side by side: each has parts of its own.
    let run = |device: &Arc<Device>| {
        let runs = ids.map(|id| (id, None, Arc::new(Silent) as Arc<dyn Progress>));
        let ended = emulator.run_on_gpu(runs.to_vec(), device).unwrap();
        let batches = ended.into_iter().map(Result::unwrap);
        batches.map(|batch| (batch.maps, batch.history)).collect::<Vec<_>>()
    };
    assert_eq!(emulator.gpu_program(&ids, &narrow).unwrap().parts(), 6);
    assert_eq!(run(&narrow), run(&whole));
}

#[test]
fn statistics_too_large_to_be_seen_of_all_maps_are_read_channel_by_channel() {
    const MAPS: usize = 600;
    let Some(whole) = device("copied statistics") else { return };
    let emulator = emulator(4, MAPS, 1);
    // Tables fit; coefficients of all maps in one field do not, those of each kind do.
    let plan = emulator.plan_on_gpu((MAPS, 1), 0, &whole).unwrap();
    let most = 32 * *plan.tables.iter().max().unwrap() as u64;
    let narrow = small("copied statistics", most).unwrap();
    let x = start(&emulator);
    let evaluate = |device: &Arc<Device>| {
        let mut program = emulator.gpu_program_within(&[ID], 0, device).unwrap();
        let mut gradient = vec![0.0; x.len()];
        let value = program.value_and_gradient(&x, &mut gradient).unwrap();
        ((value, gradient), program.parts(), program.commands().dispatches)
    };
    let (expected, one, together) = evaluate(&whole);
    let (found, parts, split) = evaluate(&narrow);
    assert_eq!(one, 1);
    assert!(found == expected, "other bits");
    // Channels of each kind are copied in each part.
    assert!(split > parts * (together + 40), "{split} dispatches in {parts} parts");
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
