//! The descent as argmin runs it: observers, interruption, resumption, plateaus.

use super::toys::Bowl;
use super::{ROWS, par, random};
use argmin::core::observers::{Observe, ObserverMode};
use argmin::core::{Error, Executor, KV, State, TerminationReason};
use skyscat_autodiff::{
    Affine, Descent, DescentState, Graph, LbfgsConfig, Objective, Program, Purpose, Shape,
};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

type Variables = Vec<f64>;
type Run = DescentState<Variables>;

const MAPS: usize = 4;

/// A stretched quadratic, as a program.
fn quadratic() -> Program<f64> {
    let mut graph = Graph::new();
    let x = graph.input(Shape::real(ROWS, 1));
    let scale = (0..ROWS).map(|i| 1.0 + i as f64).collect();
    let y = graph.apply(Affine::new(scale, vec![0.0; ROWS]), &[x]).unwrap();
    graph.term(Bowl { name: "first", target: 1.0, growth: 0.3 }, &[y], 1.0);
    graph.term(Bowl { name: "second", target: 1.0, growth: 0.0 }, &[y], 0.5);
    Program::compile(Arc::new(graph), MAPS, Purpose::Gradient, &par()).unwrap()
}

fn solver() -> Descent {
    Descent {
        config: LbfgsConfig::campeti2025(),
        plateau: 0.0,
        plateau_window: 5,
        interrupt: Arc::default(),
        par: par(),
    }
}

fn start() -> Variables {
    random("start", ROWS * MAPS)
}

/// Iteration, loss, names of the terms.
type Seen = (u64, f64, Vec<String>);

/// Notes what it sees, and can ask the descent to stop.
#[derive(Clone, Default)]
struct Notes {
    init: Arc<Mutex<usize>>,
    seen: Arc<Mutex<Vec<Seen>>>,
    stop_after: Option<usize>,
    interrupt: Arc<AtomicBool>,
}

impl Observe<Run> for Notes {
    fn observe_init(&mut self, name: &str, _state: &Run, _kv: &KV) -> Result<(), Error> {
        assert_eq!(name, "L-BFGS");
        *self.init.lock().unwrap() += 1;
        Ok(())
    }
    fn observe_iter(&mut self, state: &Run, _kv: &KV) -> Result<(), Error> {
        let mut seen = self.seen.lock().unwrap();
        let names = state.terms.iter().map(|t| t.name.clone()).collect();
        seen.push((state.get_iter(), state.get_cost(), names));
        if self.stop_after == Some(seen.len()) {
            self.interrupt.store(true, Ordering::SeqCst);
        }
        Ok(())
    }
}

fn run<O: Objective<Variables> + Send>(
    objective: O,
    solver: Descent,
    state: Run,
    notes: &Notes,
) -> Run {
    Executor::new(objective, solver)
        .configure(|_| state)
        .ctrlc(false)
        .add_observer(notes.clone(), ObserverMode::Always)
        .run()
        .unwrap()
        .state
}

#[test]
fn a_quadratic_is_solved_and_observers_see_every_iteration() {
    let notes = Notes::default();
    let state = run(quadratic(), solver(), Run::new().at(start(), 200), &notes);
    let lbfgs = state.lbfgs.as_ref().unwrap();
    for (i, x) in lbfgs.x.iter().enumerate() {
        let solution = 1.0 / (1.0 + (i / MAPS) as f64);
        assert!((x - solution).abs() < 1e-7, "{i}: {x} {solution}");
    }
    assert!(state.get_cost() < 1e-14 * state.history[0]);
    assert!(state.history.is_sorted_by(|a, b| a >= b), "the loss never rises");
    let seen = notes.seen.lock().unwrap();
    assert_eq!(*notes.init.lock().unwrap(), 1);
    assert_eq!(seen.len(), state.history.len() - 1);
    for (at, (iteration, cost, names)) in seen.iter().enumerate() {
        assert_eq!((*iteration, *cost), (at as u64, state.history[at + 1]));
        assert_eq!(names, &["first", "second"]);
    }
    // One fused evaluation gives value and gradient: few more than iterations.
    assert!(lbfgs.evaluations < 2 * seen.len() as u64 + 5, "{}", lbfgs.evaluations);
}

#[test]
fn an_interrupted_descent_goes_on_with_the_same_bits() {
    const ITERATIONS: u64 = 15;
    let whole = run(quadratic(), solver(), Run::new().at(start(), ITERATIONS), &Notes::default());
    assert_eq!(whole.history.len() as u64, ITERATIONS + 1);
    let solver_that_stops = solver();
    let notes = Notes {
        stop_after: Some(6),
        interrupt: solver_that_stops.interrupt.clone(),
        ..Notes::default()
    };
    let half = run(quadratic(), solver_that_stops, Run::new().at(start(), ITERATIONS), &notes);
    assert_eq!(half.get_termination_reason(), Some(&TerminationReason::Interrupt));
    assert_eq!(half.history, whole.history[..7]);
    let (saved, history) = (half.lbfgs.unwrap(), half.history);
    let state = Run::new().from_saved(saved, (history, Vec::new()), ITERATIONS);
    let rest = run(quadratic(), solver(), state, &Notes::default());
    assert_eq!(rest.history, whole.history);
    let (rest, whole) = (rest.lbfgs.unwrap(), whole.lbfgs.unwrap());
    assert_eq!(rest.x, whole.x);
    assert_eq!(rest.gradient, whole.gradient);
    assert_eq!(rest.evaluations, whole.evaluations);
}

/// 1 + ½|x|²: soon nothing is left to gain.
struct Offset;

impl Objective<Variables> for Offset {
    fn value_and_gradient(&mut self, x: &Variables, gradient: &mut Variables) -> f64 {
        gradient.copy_from_slice(x);
        // Uneven, so that it takes more than one step.
        gradient.iter_mut().enumerate().for_each(|(i, g)| *g *= 1.0 + i as f64);
        1.0 + 0.5 * x.iter().zip(&*gradient).map(|(x, g)| x * g).sum::<f64>()
    }
}

#[test]
fn a_plateau_stops_the_descent_only_when_asked() {
    let patient = run(Offset, solver(), Run::new().at(start(), 60), &Notes::default());
    assert_ne!(patient.get_termination_reason(), Some(&TerminationReason::SolverConverged));
    let with_plateau = Descent { plateau: 1e-3, plateau_window: 5, ..solver() };
    let quick = run(Offset, with_plateau, Run::new().at(start(), 60), &Notes::default());
    assert_eq!(quick.get_termination_reason(), Some(&TerminationReason::SolverConverged));
    let history = &quick.history;
    assert!(history.len() < patient.history.len(), "{}", history.len());
    // It stopped at the first window that gained too little.
    let gain = |end: usize| (history[end - 5] - history[end]) / history[end - 5];
    assert!(gain(history.len() - 1) < 1e-3);
    assert!((5..history.len() - 1).all(|end| gain(end) >= 1e-3));
}

#[test]
fn a_start_that_is_not_finite_is_an_error() {
    let mut x = start();
    x[0] = f64::NAN;
    let result =
        Executor::new(quadratic(), solver()).configure(|_| Run::new().at(x, 5)).ctrlc(false).run();
    let error = result.err().expect("refused").to_string();
    assert!(error.contains("not finite"), "{error}");
}
