//! Loss terms on a GPU against the same in f64, within bounds that follow from the text
//! of their kernels, as those of operators do.

use super::device;
use super::rounding::{Bounded, Memory, interpreted};
use super::twins::fractions;
use skyscat_autodiff::check::Functional;
use skyscat_autodiff::device::{DeviceTerm, Run};
use skyscat_autodiff::{
    Channels, GpuError, GpuProgram, Graph, Program, Purpose, Shape, Stat, Term,
};
use skyscat_emulator::loss::{MatchMean, MatchRatio, MatchSum, MatchVariance};
use skyscat_gpu::Device;
use skyscat_num::{Par, Seed};
use std::ops::Range;
use std::sync::Arc;

/// The kernels that are compared here.
pub(super) const KERNELS: &[&str] =
    &["functional", "match_mean", "match_ratio", "match_variance", "total"];

/// Coefficients of two statistics: several parts of 64 in all, the last one short.
const SPLIT: [usize; 2] = [100, 50];
const ROWS: usize = SPLIT[0] + SPLIT[1];
/// More than a block of eight maps, and not a multiple of four.
const MAPS: usize = 10;
const LANES: usize = 12;
const WEIGHT: f64 = 0.7;

fn numbers(purpose: &'static str, len: usize) -> Vec<f64> {
    let normals = Seed(31).stream(purpose).index(0, 0).normals(len);
    normals.into_iter().map(|x| f64::from(x as f32)).collect()
}

/// Statistics of ten maps each: 3 with a spread of 0.3, as f32 holds them.
fn statistics() -> Vec<f64> {
    numbers("statistics", ROWS * MAPS).iter().map(|x| f64::from((3.0 + 0.3 * x) as f32)).collect()
}

/// A term, or what a GPU makes of it when one number of a coefficient is changed.
#[derive(Debug)]
struct Mutant {
    term: Arc<dyn Term>,
    change: Option<Change>,
}

/// So much is added to a number of a coefficient.
#[derive(Clone, Copy, Debug)]
struct Change {
    row: usize,
    column: usize,
    by: f64,
}

impl Term for Mutant {
    fn name(&self) -> &str {
        self.term.name()
    }
    fn evaluate(&self, stats: &[Stat<'_>], gradients: &mut [&mut [f64]]) -> f64 {
        self.term.evaluate(stats, gradients)
    }
    fn gpu(&self, weight: f64, maps: usize) -> Option<DeviceTerm> {
        let mut work = self.term.gpu(weight, maps)?;
        if let Some(Change { row, column, by }) = self.change {
            let width = work.columns.len() / ROWS;
            work.columns[row * width + column] += by;
        }
        Some(work)
    }
}

fn graph(term: &Arc<dyn Term>, change: Option<Change>) -> Arc<Graph> {
    let mut graph = Graph::new();
    let inputs = SPLIT.map(|rows| graph.input(Shape::real(rows, 1)));
    graph.term(Mutant { term: term.clone(), change }, &inputs, WEIGHT);
    Arc::new(graph)
}

/// Value and gradient.
type Found = (f64, Vec<f64>);

fn on_cpu(graph: Arc<Graph>, x: &[f64]) -> Found {
    let par = Par::new(1).unwrap();
    let mut cpu = Program::<f64>::compile(graph, MAPS, Purpose::Gradient, &par).unwrap();
    let mut gradient = vec![0.0; x.len()];
    (cpu.value_and_gradient(x, &mut gradient), gradient)
}

fn on_gpu(graph: Arc<Graph>, x: &[f64], device: &Arc<Device>) -> Found {
    let mut gpu = GpuProgram::compile(graph, MAPS, Purpose::Gradient, device.clone()).unwrap();
    let narrow: Vec<f32> = x.iter().map(|&x| x as f32).collect();
    let mut gradient = vec![0.0; x.len()];
    let value = gpu.value_and_gradient(&narrow, &mut gradient).unwrap();
    (value, gradient.into_iter().map(f64::from).collect())
}

/// What a device may give: centres and bounds of the value and of the gradient.
struct Allowed {
    value: Bounded,
    gradient: Bounded,
}

/// Every rounding of the kernels of a term and of `total.wgsl`, and of their columns.
fn allowed(term: &dyn Term, x: &[f64]) -> Allowed {
    let work = term.gpu(WEIGHT, MAPS).expect("it has a kernel");
    let zeros = |n: usize| Memory::Field(vec![(0.0, 0.0); n]);
    let column = |&c: &f64| (f64::from(c as f32), (f64::from(c as f32) - c).abs());
    let mut columns = Memory::Field(work.columns.iter().map(column).collect());
    let mut contributions = zeros(ROWS);
    let (mut gradient, mut first) = (Bounded::new(), 0);
    for rows in SPLIT {
        let maps = x[first * MAPS..][..rows * MAPS].chunks_exact(MAPS);
        let padded = maps.flat_map(|row| {
            row.iter().map(|&x| (x, 0.0)).chain([(0.0, 0.0); LANES - MAPS]).collect::<Bounded>()
        });
        let padded = Memory::Field(padded.collect());
        let picks = (0..rows).flat_map(|row| [(first + row) as u32, row as u32]);
        let picks = Memory::Indices(picks.collect());
        let memory = vec![columns, padded, zeros(rows * LANES), contributions, picks];
        let sizes = [("coefficients", rows), ("groups", 1), ("maps", MAPS), ("stride", LANES)];
        let run = Run::new((work.kernel, "evaluate"), &sizes, Vec::new(), rows);
        let mut memory = interpreted(&run, memory).into_iter();
        columns = memory.next().unwrap();
        let own = field(memory.nth(1).unwrap());
        gradient.extend(own.chunks_exact(LANES).flat_map(|row| row[..MAPS].to_vec()));
        contributions = memory.next().unwrap();
        first += rows;
    }
    let parts = ROWS.div_ceil(64);
    let sizes = [("rows", ROWS), ("groups", 1), ("parts", parts), ("term", 0)];
    let mut memory = vec![contributions, zeros(parts), zeros(1)];
    for (entry, count) in [("parts", parts), ("finish", 1)] {
        memory = interpreted(&Run::new(("total", entry), &sizes, Vec::new(), count), memory);
    }
    Allowed { value: field(memory.pop().unwrap()), gradient }
}

fn field(memory: Memory) -> Bounded {
    let Memory::Field(field) = memory else { panic!("results are fields") };
    field
}

/// Largest errors of value and gradient, in units of what they may be.
fn errors(found: &Found, expected: &Found, allowed: &Allowed) -> [f64; 2] {
    let value = fractions(&[found.0], &[expected.0], &allowed.value);
    [value.worst, fractions(&found.1, &expected.1, &allowed.gradient).worst]
}

/// How far apart two terms are, in units of what a device may be off by at both.
fn apart(a: &Allowed, b: &Allowed) -> [f64; 2] {
    let worst = |a: &Bounded, b: &Bounded| {
        let pairs = a.iter().zip(b);
        pairs.fold(0.0f64, |m, (a, b)| m.max((a.0 - b.0).abs() / (2.0 * (a.1 + b.1) + 1e-300)))
    };
    [worst(&a.value, &b.value), worst(&a.gradient, &b.gradient)]
}

/// Compares a term with f64, and then with each number of a coefficient changed by the
/// least power of two that takes it past the bounds: value and gradient each must see it.
fn check(term: impl Term + 'static, columns: &[(usize, [bool; 2])]) {
    let term: Arc<dyn Term> = Arc::new(term);
    let name = term.name().to_owned();
    let x = statistics();
    let expected = on_cpu(graph(&term, None), &x);
    let bounds = allowed(&*term, &x);
    assert!(expected.0 != 0.0);
    let all = bounds.value.iter().chain(&bounds.gradient);
    assert!(all.clone().all(|(_, bound)| bound.is_finite()), "{name}: no branch is in doubt");
    let centres = |list: &Bounded| list.iter().map(|(centre, _)| *centre).collect::<Vec<_>>();
    let read = (bounds.value[0].0, centres(&bounds.gradient));
    let [value, gradient] = errors(&read, &expected, &bounds);
    assert!(value <= 1.0 && gradient <= 1.0, "{name} read: {value}, {gradient} of the bound");
    let Some(device) = device(&name) else { return };
    let [value, gradient] = errors(&on_gpu(graph(&term, None), &x, &device), &expected, &bounds);
    assert!(value <= 1.0 && gradient <= 1.0, "{name}: {value}, {gradient} of the bound");
    say(&format!("{name}: the value takes {value:.2} of its bound, the gradient {gradient:.2}"));
    let rows = [0..SPLIT[0], SPLIT[0]..ROWS].map(|rows| {
        // Where the residual is largest: elsewhere the value hardly depends on a target.
        let slope = |row: &usize| expected.1[row * MAPS].abs();
        rows.max_by(|a, b| slope(a).total_cmp(&slope(b))).expect("there are rows")
    });
    for (row, &(column, sees)) in rows.iter().flat_map(|&row| columns.iter().map(move |c| (row, c)))
    {
        for which in (0..2).filter(|&which| sees[which]) {
            let change = |k: i32| Change { row, column, by: 2.0f64.powi(k) };
            let passes = |k: &i32| {
                let mutant = Mutant { term: term.clone(), change: Some(change(*k)) };
                apart(&allowed(&mutant, &x), &bounds)[which] > 1.0
            };
            let least = change((-34..10).find(passes).expect("some change is seen"));
            let found = on_gpu(graph(&term, Some(least)), &x, &device);
            let off = errors(&found, &expected, &bounds)[which];
            assert!(off > 1.0, "{name}: {least:?} passed: {off} of the bound");
            assert!(least.by < SHARP[which], "{name}: {least:?} is no small change");
        }
    }
}

/// Changes that must be seen at the latest, where targets are of order one: by the value,
/// which is a sum over all coefficients with each of them at its worst, and by the gradient.
const SHARP: [f64; 2] = [0.3, 0.03];

/// Numbers of a coefficient that value and gradient both depend on.
const BOTH: [(usize, [bool; 2]); 4] =
    [(0, [true; 2]), (1, [true; 2]), (2, [true; 2]), (3, [true; 2])];

fn targets() -> Vec<f64> {
    numbers("targets", ROWS).iter().map(|x| 3.0 + 0.1 * x).collect()
}

fn weights() -> Vec<f64> {
    let weight = |(i, x): (usize, &f64)| if i % 17 == 3 { 0.0 } else { 0.5 + x.abs() };
    numbers("weights", ROWS).iter().enumerate().map(weight).collect()
}

#[test]
fn means_keep_the_bound_that_their_text_implies() {
    check(MatchMean::new("mean".into(), targets(), weights(), 140), &BOTH);
}

#[test]
fn sums_keep_the_bound_that_their_text_implies() {
    check(MatchSum::new("sum".into(), targets(), weights(), 50), &BOTH);
}

#[test]
fn ratios_keep_the_bound_that_their_text_implies() {
    let mut ratios: Vec<f64> = targets().iter().map(|t| 3.0 * t).collect();
    ratios[20] = f64::NAN;
    check(MatchRatio::relative("ratio".into(), ratios), &BOTH[..3]);
}

#[test]
fn variances_keep_the_bound_that_their_text_implies() {
    let aims = targets().iter().map(|t| 0.02 * t).collect();
    check(MatchVariance::new("variance".into(), aims, weights()), &BOTH);
}

/// [`Functional`] over several statistics.
#[derive(Debug)]
struct Weighted(Functional);

impl Term for Weighted {
    fn name(&self) -> &str {
        self.0.name()
    }
    fn evaluate(&self, stats: &[Stat<'_>], gradients: &mut [&mut [f64]]) -> f64 {
        let (mut first, mut sum) = (0, 0.0);
        for (stat, gradient) in stats.iter().zip(gradients) {
            let weights = &self.0.0[first..][..stat.data.len()];
            gradient.copy_from_slice(weights);
            sum += stat.data.iter().zip(weights).map(|(x, w)| x * w).sum::<f64>();
            first += weights.len();
        }
        sum
    }
    fn gpu(&self, weight: f64, maps: usize) -> Option<DeviceTerm> {
        self.0.gpu(weight, maps)
    }
}

#[test]
fn functionals_keep_the_bound_that_their_text_implies() {
    let weights = Functional(numbers("functional", ROWS * MAPS));
    check(Weighted(weights), &[(0, [true; 2]), (MAPS - 1, [true; 2])]);
}

#[allow(clippy::print_stdout, reason = "what was measured, for those who ask")]
fn say(what: &str) {
    println!("{what}");
}

#[test]
fn groups_have_the_bits_that_they_have_alone() {
    let Some(device) = device("groups") else { return };
    let make = |change: f64| {
        let mut targets = targets();
        targets[70] *= 1.0 + change;
        let term: Arc<dyn Term> = Arc::new(MatchMean::new("mean".into(), targets, weights(), 140));
        graph(&term, None)
    };
    let graphs = [make(0.0), make(0.5), make(-0.3)];
    let x: Vec<f64> = (0..3)
        .flat_map(|i| statistics().into_iter().map(move |x| x + 0.1 * f64::from(i)))
        .collect();
    let x: Vec<f32> = x.into_iter().map(|x| x as f32).collect();
    let mut together = GpuProgram::compile_groups(&graphs, MAPS, 0, device.clone()).unwrap();
    let mut gradient = vec![0.0; x.len()];
    let sum = together.value_and_gradient(&x, &mut gradient).unwrap();
    let mut values = Vec::new();
    for (group, graph) in graphs.iter().enumerate() {
        let range = group * ROWS * MAPS..(group + 1) * ROWS * MAPS;
        let wide: Vec<f64> = x[range.clone()].iter().map(|&x| f64::from(x)).collect();
        let (value, alone) = on_gpu(graph.clone(), &wide, &device);
        values.push(value);
        let together = gradient[range].iter().map(|&g| f64::from(g));
        assert!(together.eq(alone), "group {group}");
    }
    assert_eq!(sum, values.iter().sum::<f64>());
    assert!(values[0] != values[1] && values[1] != values[2], "groups with one loss");
}

#[test]
fn channels_read_where_they_stand_give_the_bits_of_those_that_are_copied() {
    let Some(device) = device("channels of a term") else { return };
    let x = statistics();
    let evaluate = |copied: bool, parts: [Range<usize>; 2]| {
        let mut graph = Graph::new();
        let whole = graph.input(Shape::complex(ROWS / 6, 3));
        let parts = parts.map(|range| graph.apply(Channels::new(range), &[whole]).unwrap());
        if copied {
            parts.iter().for_each(|&part| graph.output(format!("{part:?}"), part));
        }
        graph.term(MatchMean::new("mean".into(), targets(), weights(), 140), &parts, WEIGHT);
        let graph = Arc::new(graph);
        let program = GpuProgram::compile(graph.clone(), MAPS, Purpose::Gradient, device.clone());
        // Two fields, or two that are read in one run and never made.
        let dispatches = program.unwrap().commands().dispatches;
        assert_eq!(dispatches, if copied { 2 + 2 + 2 + 2 } else { 1 + 2 });
        on_gpu(graph, &x, &device)
    };
    let found = evaluate(false, [1..3, 0..1]);
    assert!(found.1.iter().all(|g| g.is_finite()) && found.1.iter().any(|g| *g != 0.0));
    assert_eq!(found, evaluate(true, [1..3, 0..1]));
    assert_ne!(found, evaluate(false, [0..2, 2..3]), "must fail");
}

/// A term that runs on the CPU alone.
#[derive(Debug)]
struct Lonely;

impl Term for Lonely {
    fn name(&self) -> &str {
        "lonely"
    }
    fn evaluate(&self, _stats: &[Stat<'_>], _gradients: &mut [&mut [f64]]) -> f64 {
        0.0
    }
}

#[test]
fn a_term_without_a_kernel_is_refused_by_name() {
    let Some(device) = device("no term kernel") else { return };
    let mut graph = Graph::new();
    let x = graph.input(Shape::real(ROWS, 1));
    graph.term(Lonely, &[x], WEIGHT);
    let graph = Arc::new(graph);
    let refused = GpuProgram::compile(graph, MAPS, Purpose::Gradient, device).unwrap_err();
    assert_eq!(refused, GpuError::Term { term: "lonely".into() });
}
