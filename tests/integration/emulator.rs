//! Contracts of the emulator: gradients of the whole loss, descent, draws, resume.

use ndarray::{Array3, Axis};
use skyscat_autodiff::{TermValue, check};
use skyscat_emulator::{
    BatchId, Config, Course, Emulator, EmulatorError, Init, LossConfig, Progress, SavedDescent,
    Saving, Sigma, Silent, SpectrumLoss, Standardise, TargetMode, assemble,
};
use skyscat_healpix::{HealpixError, MapSet, Ordering};
use skyscat_num::{Par, Seed};
use skyscat_scattering::{Normalisation, OrientationConfig};
use skyscat_tests::{reals, shared_npz};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering as Atomic};
use std::sync::{Arc, Mutex};

const AVERAGE: BatchId = BatchId { target: None, number: 0 };

/// Inhomogeneous correlated noise: fields whose pixels differ in variance.
fn inputs(count: usize, nside: usize, channels: &[&str]) -> MapSet {
    let pixels = 12 * nside * nside;
    let mut stream = Seed(11).stream("inputs").index(0, count as u64);
    let data = Array3::from_shape_fn((count, channels.len(), pixels), |(_, c, p)| {
        let level = 1.0 + 0.8 * (p as f64 / 9.0 + c as f64).sin();
        2e-8 * (level * stream.normal() + 0.3)
    });
    MapSet::new(Ordering::Ring, channels, data).unwrap()
}

fn emulator(set: &MapSet, config: Config) -> Emulator {
    Emulator::new(set, &[], config, Seed(5), &Par::new(2).unwrap()).unwrap()
}

fn small(batch: usize, steps: u64) -> Config {
    let standardise = Some(Standardise::PerPixel);
    Config { batch, steps, standardise, ..Config::campeti2025() }
}

#[test]
fn gradients_of_the_whole_loss_agree_with_central_differences() {
    let base = small(4, 1);
    let loss = |change: fn(&mut LossConfig)| {
        let mut config = base.clone();
        change(&mut config.loss);
        config
    };
    let mut raw = base.clone();
    raw.scattering.normalisation = Normalisation::None;
    let oriented = Config { orientation: Some(OrientationConfig::campeti2025()), ..base.clone() };
    let cases = [
        ("paper, own", base.clone()),
        ("paper, none", raw),
        ("oriented", oriented),
        ("sigma inputs", loss(|l| l.sigma = Sigma::Inputs)),
        ("sigma one", loss(|l| l.sigma = Sigma::One)),
        ("variance", loss(|l| (l.variance, l.variance_fraction) = (0.5, 0.7))),
        ("equation 6", loss(|l| l.spectrum_loss = SpectrumLoss::Equation6)),
        ("spectra summed", loss(|l| l.spectrum_loss = SpectrumLoss::SumOverBatch)),
        ("single", Config { target: Some(TargetMode::Single), ..base.clone() }),
    ];
    for (channels, list) in [(&["Q", "U"][..], &cases[..]), (&["T", "Q", "U"][..], &cases[..1])] {
        let set = inputs(6, 4, channels);
        for (name, config) in list {
            let emulator = emulator(&set, config.clone());
            let target = (emulator.target() == TargetMode::Single).then_some(2);
            let mut program = emulator.program::<f64>(BatchId { target, number: 0 }).unwrap();
            let x = Seed(6).stream("x").index(0, 0).normals(program.variables());
            let mismatch = check::gradient(&mut program, &x, 1e-5).relative();
            assert!(mismatch <= 1e-6, "{name} {channels:?}: {mismatch:e}");
            assert!(program.terms().iter().all(|t| t.value.is_finite()));
        }
    }
}

#[test]
fn the_loss_at_the_inputs_themselves_is_zero_but_for_the_scatter() {
    // A batch that is the input set has the inputs' mean statistics exactly.
    let set = inputs(5, 4, &["Q", "U"]);
    let nest = set.reordered(Ordering::Nest);
    let init = Init::Maps(nest.data().to_owned());
    let emulator = emulator(&set, Config { init, ..small(5, 1) });
    let mut program = emulator.program::<f64>(AVERAGE).unwrap();
    let start = emulator.start(AVERAGE).unwrap();
    let x: Vec<f64> = start.view().permuted_axes([1, 2, 0]).iter().copied().collect();
    let mut gradient = vec![0.0; x.len()];
    let at_inputs = program.value_and_gradient(&x, &mut gradient);
    let noise = Seed(6).stream("x").index(0, 0).normals(x.len());
    let at_noise = program.value_and_gradient(&noise, &mut gradient);
    assert!(at_inputs < 1e-20, "{at_inputs:e}");
    assert!(at_noise > 1e-2, "{at_noise:e}");
}

#[test]
fn a_batch_descends_and_single_precision_follows() {
    let emulator = emulator(&inputs(6, 4, &["Q", "U"]), small(4, 60));
    let double = emulator.run::<f64>(AVERAGE, None, Arc::new(Silent)).unwrap();
    let fall = double.history[0] / double.history.last().unwrap();
    assert!(fall > 100.0, "{fall}");
    assert!(double.history.windows(2).all(|w| w[1] <= w[0]));
    let single = emulator.run::<f32>(AVERAGE, None, Arc::new(Silent)).unwrap();
    let start = (single.history[0] - double.history[0]).abs() / double.history[0];
    assert!(start < 1e-4, "{start:e}");
    assert!(single.history[0] / single.history.last().unwrap() > 100.0);
    let blocks = emulator.block_matches(&double).unwrap();
    assert_eq!(blocks.len(), 4 + 4 + 5);
}

/// Interrupts a batch after some iterations, and keeps what was saved.
struct Stopper {
    after: u64,
    flag: Arc<AtomicBool>,
    seen: Mutex<Vec<Vec<TermValue>>>,
    saved: Mutex<Option<SavedDescent>>,
}

impl Stopper {
    fn after(after: u64) -> Arc<Self> {
        let (flag, seen, saved) = Default::default();
        Arc::new(Self { after, flag, seen, saved })
    }
}

impl Progress for Stopper {
    fn step(&self, iteration: u64, _loss: f64, terms: &[TermValue]) {
        self.seen.lock().unwrap().push(terms.to_vec());
        if iteration == self.after {
            self.flag.store(true, Atomic::SeqCst);
        }
    }
    fn save(&self, saving: &mut Saving<'_>) -> Result<(), String> {
        *self.saved.lock().unwrap() = Some(saving.keep()?);
        Ok(())
    }
    fn save_every(&self) -> u64 {
        4
    }
    fn interrupt(&self) -> Arc<AtomicBool> {
        self.flag.clone()
    }
}

#[test]
fn an_interrupted_batch_resumes_to_the_same_bits() {
    let set = inputs(6, 4, &["Q", "U"]);
    let emulator = emulator(&set, small(3, 15));
    let whole = emulator.run::<f64>(AVERAGE, None, Arc::new(Silent)).unwrap();
    let stopper = Stopper::after(6);
    let part = emulator.run::<f64>(AVERAGE, None, stopper.clone()).unwrap();
    assert_eq!(part.history.len(), 7);
    assert_eq!(stopper.seen.lock().unwrap().len(), 6);
    let names: Vec<String> = part.terms.iter().map(|t| t.name.clone()).collect();
    assert_eq!(names, ["SC(Q)", "SC(U)", "SC(QxU)", "spectra", "spectra level"]);
    // From the interruption, and from the checkpoint of iteration 4.
    assert!(part.interrupted && part.failed.is_none());
    for saved in [part.saved, stopper.saved.lock().unwrap().clone()] {
        let resumed = emulator.run::<f64>(AVERAGE, saved, Arc::new(Silent)).unwrap();
        assert_eq!(resumed.maps, whole.maps);
        assert_eq!(resumed.history, whole.history);
        assert_eq!(resumed.evaluations, whole.evaluations);
        assert_eq!(resumed.terms, whole.terms);
    }
    // The terms are those of the accepted points: at each they add up to the loss.
    for (i, loss) in whole.history.iter().enumerate() {
        let sum: f64 = whole.terms.iter().map(|t| t.values[i]).sum();
        assert!((sum - loss).abs() <= 1e-14 * loss, "iteration {i}: {sum:e} {loss:e}");
    }
    let other = Emulator::new(&set, &[], small(3, 15), Seed(6), &Par::new(1).unwrap()).unwrap();
    let other = other.run::<f64>(AVERAGE, None, Arc::new(Silent)).unwrap();
    assert_ne!(other.maps, whole.maps, "another seed");
}

#[test]
fn the_same_bits_for_any_number_of_threads() {
    let set = inputs(6, 8, &["Q", "U"]);
    let run = |threads| {
        let par = Par::new(threads).unwrap();
        let emulator = Emulator::new(&set, &[], small(3, 4), Seed(5), &par).unwrap();
        emulator.run::<f64>(AVERAGE, None, Arc::new(Silent)).unwrap().maps
    };
    let one = run(1);
    assert!(one == run(2) && one == run(7));
}

#[test]
fn single_targets_are_drawn_and_assembled_in_order() {
    let config = Config { target: Some(TargetMode::Single), ..small(2, 2) };
    let emulator = emulator(&inputs(3, 4, &["Q", "U"]), config);
    let schedule = emulator.schedule(7);
    let mut batches = BTreeMap::new();
    for &id in schedule.batches() {
        let batch = emulator.run::<f64>(id, None, Arc::new(Silent)).unwrap();
        batches.insert(id, batch.maps);
    }
    let maps = assemble(&schedule, &batches);
    assert_eq!(maps.dim(), (7, 2, 192));
    for (i, draw) in schedule.draws().iter().enumerate() {
        let member = batches[&draw.batch].index_axis(Axis(0), draw.member);
        assert_eq!(maps.index_axis(Axis(0), i), member);
    }
}

#[test]
fn gaussian_starts_have_the_inputs_spectrum() {
    let set = inputs(20, 8, &["Q", "U"]);
    let config = Config { init: Init::Gaussian, ..small(20, 1) };
    let emulator = emulator(&set, config);
    let start = emulator.start(AVERAGE).unwrap();
    let physical = emulator.standardiser().undo(start.view());
    let power = |x: ndarray::ArrayView3<'_, f64>| x.mapv(|v| v * v).mean().unwrap();
    let ratio = power(physical.view()) / power(set.data());
    // White noise keeps only its modes up to lmax = 23: (24² − 4)/768 of them.
    let expected = 572.0 / 768.0;
    assert!((ratio / expected - 1.0).abs() < 0.1, "{ratio}");
    assert!((ratio - 1.0).abs() > 0.1, "must fail");
}

#[test]
fn bad_requests_are_refused_before_any_work() {
    let par = Par::new(1).unwrap();
    let new = |set: &MapSet, config| Emulator::new(set, &[], config, Seed(1), &par).err().unwrap();
    let set = inputs(4, 4, &["Q", "U"]);
    let zero = Config { batch: 0, ..small(1, 1) };
    assert!(matches!(new(&set, zero), EmulatorError::Setting { name: "batch", .. }));
    let lonely = Config { batch: 1, ..small(1, 1) };
    assert!(matches!(new(&set, lonely), EmulatorError::Setting { name: "batch", .. }));
    let one = set.select_maps(&[0]).unwrap();
    assert!(matches!(new(&one, small(3, 1)), EmulatorError::TooFewInputs { given: 1, .. }));
    let mut data = set.data().to_owned();
    data[[2, 1, 17]] = f64::NAN;
    let holes = MapSet::new(Ordering::Ring, &["Q", "U"], data).unwrap();
    let error = new(&holes, small(3, 1));
    assert!(matches!(&error, EmulatorError::Healpix(HealpixError::NotFullSky { .. })), "{error}");
    let emulator = emulator(&set, small(3, 1));
    let course = Course { history: vec![1.0], evaluations: 1, ..Course::default() };
    for (count, length, given) in [(2, 5, 5), (3, 1152, 3), (0, 0, 0)] {
        let vectors = Arc::new(vec![vec![0.0; length]; count]);
        let saved = Some(SavedDescent { course: course.clone(), vectors });
        let error = emulator.run::<f64>(AVERAGE, saved, Arc::new(Silent)).unwrap_err();
        match error {
            EmulatorError::Saved { given: found, .. } => assert_eq!(found, given),
            other => panic!("{other}"),
        }
    }
}

#[test]
fn one_input_map_is_enough_for_a_global_standardisation() {
    let one = inputs(1, 4, &["Q", "U"]);
    let emulator = emulator(&one, Config { standardise: None, ..small(3, 5) });
    let batch = emulator.run::<f64>(AVERAGE, None, Arc::new(Silent)).unwrap();
    assert!(batch.history.last() < batch.history.first());
}

#[test]
fn the_loss_of_the_peers_inputs_is_halved_in_eight_steps() {
    let Some(mut npz) = shared_npz("real inputs", "fixtures/healpixml/maps.npz") else { return };
    let raw = Array3::from_shape_vec((10, 3, 3072), reals(&mut npz, "set_raw_ring_tqu")).unwrap();
    let qu = raw.select(Axis(1), &[1, 2]);
    let set = MapSet::new(Ordering::Ring, &["Q", "U"], qu).unwrap();
    let emulator = emulator(&set, Config { steps: 8, ..Config::campeti2025() });
    let batch = emulator.run::<f64>(AVERAGE, None, Arc::new(Silent)).unwrap();
    assert!(batch.history[0] / batch.history.last().unwrap() > 2.0, "{:?}", batch.history);
}
