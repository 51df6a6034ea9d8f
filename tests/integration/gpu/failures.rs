//! A device that is lost, and numbers that are not finite, in the middle of a descent.

use super::descent::Keeper;
use super::loss::{emulator_of, on_gpu};
use super::{choice, device};
use argmin::core::checkpointing::{Checkpoint, CheckpointingFrequency};
use argmin::core::{Error, Executor, State};
use skyscat_autodiff::{
    Affine, Descent, DescentState, GpuProgram, GpuVector, Graph, LbfgsConfig, Purpose, Seat, Shape,
};
use skyscat_emulator::loss::MatchMean;
use skyscat_emulator::{BatchId, BatchRun, Config, EmulatorError, Progress, Silent};
use skyscat_gpu::{Device, DeviceError};
use skyscat_num::Par;
use skyscat_wavelet::{MaskedMean, Masks};
use std::sync::{Arc, Mutex};

const ID: BatchId = BatchId { target: None, number: 0 };

#[test]
fn a_lost_device_is_a_typed_error_and_the_last_save_goes_on() {
    let Some(shared) = device("lost device") else { return };
    let own = Arc::new(Device::open(&choice()).unwrap());
    let emulator = emulator_of(4, Config { batch: 3, steps: 9, ..Config::campeti2025() });
    let lose = Some((5, own.clone()));
    let keeper = Arc::new(Keeper { lose, ..Keeper::default() });
    let other = Arc::new(Silent);
    let second = BatchId { target: None, number: 1 };
    let runs: Vec<BatchRun> = vec![(ID, None, keeper.clone()), (second, None, other)];
    let ended = emulator.run_on_gpu(runs, &own).unwrap();
    // Both batches were on it.
    for ended in ended {
        let error = ended.unwrap_err();
        let EmulatorError::Lost { reason, .. } = &error else { panic!("{error}") };
        assert!(reason.contains("was lost") && reason.contains("iteration"), "{error}");
    }
    assert!(matches!(own.wait(), Err(DeviceError::Lost { .. })));
    // What was saved before goes on where it stopped, on another device.
    let saved = keeper.saved.lock().unwrap().last().unwrap().clone();
    assert!((4..=6).contains(&saved.course.history.len()), "{}", saved.course.history.len());
    let whole = on_gpu(&emulator, &shared);
    assert_eq!(saved.course.history, whole.history[..saved.course.history.len()]);
    let runs: Vec<BatchRun> = vec![(ID, Some(saved), Arc::new(Silent) as Arc<dyn Progress>)];
    let rest = emulator.run_on_gpu(runs, &shared).unwrap().pop().unwrap().unwrap();
    assert_eq!(rest.maps, whole.maps);
}

/// Keeps the values of all states that are saved.
#[derive(Clone, Default)]
struct Saves(Arc<Mutex<Vec<f64>>>);

impl Checkpoint<Descent, DescentState<GpuVector>> for Saves {
    fn save(&self, _: &Descent, state: &DescentState<GpuVector>) -> Result<(), Error> {
        self.0.lock().unwrap().push(state.lbfgs.as_ref().unwrap().save()?.value);
        Ok(())
    }
    fn load(&self) -> Result<Option<(Descent, DescentState<GpuVector>)>, Error> {
        Ok(None)
    }
    fn frequency(&self) -> CheckpointingFrequency {
        CheckpointingFrequency::Always
    }
}

const PIXELS: usize = 48;

/// (⟨x²⟩/target − 1)² of one map, and a term that is 0 as long as ⟨(10¹⁷x)²⟩ is in the
/// range of f32: up to x = 184.
fn steep(target: f64) -> Arc<Graph> {
    let mut graph = Graph::new();
    let x = graph.input(Shape::real(PIXELS, 1));
    let masks = Arc::new(Masks::new(&[vec![1.0; PIXELS]]).unwrap());
    let power = graph.apply(MaskedMean::of_squares(masks.clone()), &[x]).unwrap();
    let term = MatchMean::new("power".into(), vec![target], vec![1.0 / target], 1);
    graph.term(term, &[power], 1.0);
    let y = graph.apply(Affine::new(vec![1e17; PIXELS], vec![0.0; PIXELS]), &[x]).unwrap();
    let range = graph.apply(MaskedMean::of_squares(masks), &[y]).unwrap();
    graph.term(MatchMean::new("range".into(), vec![0.0], vec![0.0], 1), &[range], 1.0);
    Arc::new(graph)
}

fn descend(target: f64, device: &Arc<Device>) -> (DescentState<GpuVector>, Vec<f64>) {
    let program = GpuProgram::compile(steep(target), 1, Purpose::Gradient, device.clone()).unwrap();
    descend_from(program.seats().pop().unwrap())
}

fn descend_from(seat: Seat) -> (DescentState<GpuVector>, Vec<f64>) {
    let x: Vec<f32> = (0..PIXELS).map(|i| 150.0 + 0.1 * i as f32).collect();
    let x = seat.maker().vector(&x).unwrap();
    let solver = Descent {
        config: LbfgsConfig::campeti2025(),
        plateau: 0.0,
        plateau_window: 5,
        interrupt: Arc::default(),
        par: Par::new(1).unwrap(),
    };
    let saves = Saves::default();
    let ended = Executor::new(seat, solver)
        .configure(|_| DescentState::new().at(x, 30))
        .ctrlc(false)
        .checkpointing(saves.clone())
        .run();
    let values = saves.0.lock().unwrap().clone();
    (ended.unwrap().state, values)
}

#[test]
fn a_loss_that_is_not_finite_stops_at_once_with_term_and_iteration() {
    let Some(device) = device("not finite on the way") else { return };
    let (ended, saved) = descend(200.0f64.powi(2), &device);
    let reason = ended.failure.expect("it came upon what is not finite");
    // The last good state is saved once more at the end.
    let mut steps = saved.clone();
    steps.dedup();
    let next = format!("iteration {}", steps.len() + 1);
    for words in ["term range", next.as_str(), "mean-square", "not finite"] {
        assert!(reason.contains(words), "{words}: {reason}");
    }
    // The state is the last good one.
    let lbfgs = ended.lbfgs.expect("started");
    assert_eq!(Some(&lbfgs.value), saved.last());
    // What was saved is finite and falls.
    assert!(!saved.is_empty() && saved.iter().all(|v| v.is_finite()), "{saved:?}");
    // With a target this side of the end of the range the same descent arrives.
    let (ended, _) = descend(160.0f64.powi(2), &device);
    assert!(ended.failure.is_none() && *ended.history.last().unwrap() < 1e-6);
}

#[test]
fn a_batch_that_fails_beside_others_leaves_them_the_bits_that_they_have_alone() {
    let Some(device) = device("not finite beside others") else { return };
    // The second comes upon the end of the range.
    let targets = [160.0, 200.0, 155.0].map(|x: f64| x * x);
    let graphs = targets.map(steep);
    let program = GpuProgram::compile_groups(&graphs, 1, 0, device.clone()).unwrap();
    let together: Vec<_> = std::thread::scope(|scope| {
        let seats = program.seats().into_iter();
        let threads: Vec<_> = seats.map(|seat| scope.spawn(|| descend_from(seat))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for (at, (target, (ended, values))) in targets.into_iter().zip(&together).enumerate() {
        let (alone, expected) = descend(target, &device);
        assert_eq!(values, &expected, "batch {at}");
        assert_eq!(ended.failure, alone.failure, "batch {at}");
        assert_eq!(ended.failure.is_some(), at == 1, "{:?}", ended.failure);
        let end = |state: &DescentState<GpuVector>| state.lbfgs.as_ref().unwrap().save().unwrap();
        assert_eq!(end(ended), end(&alone), "batch {at}");
    }
}
