//! One batch over several ranks, as threads of one process.

use ndarray::{Array3, Axis};
use skyscat_autodiff::{Cut, Precision, Program, Ranks, Threads};
use skyscat_emulator::{
    Batch, BatchId, Config, Emulator, EmulatorError, Init, LossConfig, Progress, SavedDescent,
    Silent, SpectrumLoss, Standardise,
};
use skyscat_healpix::{MapSet, Ordering};
use skyscat_num::{Par, Seed};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering as Atomic};

const AVERAGE: BatchId = BatchId { target: None, number: 0 };
const BATCH: usize = 7;

fn par() -> Par {
    Par::new(1).unwrap()
}

/// How an emulator is made: each rank has one of its own, for a rank that waits keeps
/// its threads.
type Make<'a> = &'a (dyn Fn() -> Emulator + Sync);

fn emulator(steps: u64, change: impl Fn(&mut Config)) -> Emulator {
    let mut stream = Seed(11).stream("inputs").index(0, 0);
    let data = Array3::from_shape_fn((6, 2, 192), |(_, c, p)| {
        let level = 1.0 + 0.8 * (p as f64 / 9.0 + c as f64).sin();
        2e-8 * (level * stream.normal() + 0.3)
    });
    let set = MapSet::new(Ordering::Ring, &["Q", "U"], data).unwrap();
    let standardise = Some(Standardise::PerPixel);
    let mut config = Config { batch: BATCH, steps, standardise, ..Config::campeti2025() };
    change(&mut config);
    Emulator::new(&set, &[], config, Seed(5), &par()).unwrap()
}

/// What each of so many ranks answers.
fn on_ranks<R: Send>(size: usize, work: impl Fn(Arc<dyn Ranks>) -> R + Sync) -> Vec<R> {
    let work = &work;
    std::thread::scope(|scope| {
        let start = |rank| scope.spawn(move || work(Arc::new(rank) as Arc<dyn Ranks>));
        let threads: Vec<_> = Threads::new(size).into_iter().map(start).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// A rank that keeps to itself what it should add.
#[derive(Debug)]
struct Silenced(Arc<dyn Ranks>);

impl Ranks for Silenced {
    fn rank(&self) -> usize {
        self.0.rank()
    }
    fn size(&self) -> usize {
        self.0.size()
    }
    fn sum(&self, numbers: &mut [f64]) {
        numbers.fill(0.0);
        self.0.sum(numbers);
    }
}

/// Loss at `x`, and its gradient, of a batch over some ranks: what each of them has.
fn evaluate<T: Precision>(
    make: Make<'_>,
    (size, silenced): (usize, Option<usize>),
    x: &[f64],
) -> Vec<(f64, Vec<T>, std::ops::Range<usize>)> {
    on_ranks(size, |ranks| {
        let ranks = match silenced == Some(ranks.rank()) {
            true => Arc::new(Silenced(ranks)),
            false => ranks,
        };
        let cut = Cut::new(ranks, BATCH, Arc::default()).unwrap();
        let mut program = make().cut_program::<T>(AVERAGE, cut.clone()).unwrap();
        let x: Vec<T> = cut.take(x).map(|&x| T::from_f64(x)).collect();
        let mut gradient = vec![T::default(); x.len()];
        let value = program.value_and_gradient(&x, &mut gradient);
        (value, gradient, cut.own())
    })
}

fn check_evaluations<T: Precision + PartialEq>(make: Make<'_>, name: &str) {
    let mut program: Program<T> = make().program(AVERAGE).unwrap();
    let x = Seed(6).stream("x").index(0, 0).normals(program.variables());
    let narrow: Vec<T> = x.iter().map(|&x| T::from_f64(x)).collect();
    let mut whole = vec![T::default(); x.len()];
    let value = program.value_and_gradient(&narrow, &mut whole);
    for size in [1, 2, 3, BATCH] {
        for (found, gradient, own) in evaluate::<T>(make, (size, None), &x) {
            assert_eq!(found.to_bits(), value.to_bits(), "{name}, {size} ranks");
            let rows = whole.chunks_exact(BATCH).flat_map(|row| &row[own.clone()]);
            assert!(gradient.iter().eq(rows), "{name}, {size} ranks: the gradient");
        }
    }
    let mut lacking = evaluate::<T>(make, (3, Some(1)), &x).into_iter();
    assert!(lacking.all(|(found, ..)| found != value), "{name}: a rank's maps are not missed");
}

/// Kernels never mix maps, and sums of a number and zeros are exact: the bound is 0.
#[test]
fn loss_and_gradient_of_a_batch_over_ranks_have_the_bits_of_one() {
    let cases: [(&str, fn(&mut LossConfig)); 4] = [
        ("ratio", |_| {}),
        ("variance", |l| (l.variance, l.variance_fraction) = (0.5, 0.7)),
        ("equation 6", |l| l.spectrum_loss = SpectrumLoss::Equation6),
        ("spectra summed", |l| l.spectrum_loss = SpectrumLoss::SumOverBatch),
    ];
    for (name, change) in cases {
        let make = || emulator(1, |config| change(&mut config.loss));
        check_evaluations::<f64>(&make, name);
        check_evaluations::<f32>(&make, name);
    }
}

fn descend<T: Precision>(make: Make<'_>, size: usize, saved: Option<SavedDescent>) -> Batch {
    let batches = on_ranks(size, |ranks| {
        let run = (AVERAGE, saved.clone(), Arc::new(Silent) as Arc<dyn Progress>);
        make().run_over_ranks::<T>(run, ranks).unwrap()
    });
    for batch in &batches {
        assert_eq!(batch.maps, batches[0].maps, "{size} ranks hold different maps");
        assert_eq!(batch.history, batches[0].history);
    }
    batches.into_iter().next().expect("at least one rank")
}

/// max |a/b − 1| over the iterations.
fn apart(a: &Batch, b: &Batch) -> f64 {
    assert_eq!(a.history.len(), b.history.len());
    let off = |(a, b): (&f64, &f64)| (a / b - 1.0).abs();
    a.history.iter().zip(&b.history).map(off).fold(0.0, f64::max)
}

#[test]
fn a_descent_over_ranks_has_the_same_bits_for_any_number_and_follows_one_without() {
    let noise = emulator(12, |_| {});
    let start = noise.standardiser().undo(noise.start(AVERAGE).unwrap().view());
    // The only difference is the order of the sums in products. What a last bit does to
    // a descent is measured: starts that differ in it, several times.
    let from = |at: usize| {
        let mut signs = Seed(at as u64).stream("signs").index(0, 0);
        let start = start.mapv(|x| match at {
            0 => x,
            _ => x * (1.0 + f64::EPSILON * signs.normal().signum()),
        });
        emulator(12, |config| config.init = Init::Maps(start.clone()))
    };
    let alone = |e: &Emulator| e.run::<f64>(AVERAGE, None, Arc::new(Silent)).unwrap();
    let plain = alone(&from(0));
    let bits = (1..5).map(|at| apart(&alone(&from(at)), &plain)).fold(0.0, f64::max);
    let make = || from(0);
    let one = descend::<f64>(&make, 1, None);
    for size in [2, 3, BATCH] {
        let more = descend::<f64>(&make, size, None);
        assert_eq!(more.maps, one.maps, "{size} ranks");
        assert_eq!(more.history, one.history, "{size} ranks");
    }
    let off = apart(&one, &plain);
    assert!(off <= 4.0 * bits && bits < 1e-9, "{off:e}, and {bits:e} by last bits");
    let single = descend::<f32>(&make, 2, None);
    assert_eq!(single.maps, descend::<f32>(&make, 3, None).maps);
    let other = apart(&single, &plain);
    assert!(other > 4.0 * bits, "f32 passed for f64: {other:e}");
}

/// Follows a batch, and asks for its end after some iterations.
struct Stopper {
    after: Option<u64>,
    flag: Arc<AtomicBool>,
}

impl Progress for Stopper {
    fn step(&self, iteration: u64, _loss: f64, _terms: &[skyscat_autodiff::TermValue]) {
        if Some(iteration) == self.after {
            self.flag.store(true, Atomic::SeqCst);
        }
    }
    fn interrupt(&self) -> Arc<AtomicBool> {
        self.flag.clone()
    }
}

#[test]
fn one_rank_that_is_interrupted_stops_all_and_any_number_resumes() {
    let make = || emulator(12, |_| {});
    let whole = descend::<f64>(&make, 2, None);
    let parts = on_ranks(3, |ranks| {
        let after = (ranks.rank() == 1).then_some(5);
        let progress = Arc::new(Stopper { after, flag: Arc::default() });
        make().run_over_ranks::<f64>((AVERAGE, None, progress), ranks).unwrap()
    });
    for part in &parts {
        // Asked after the fifth iteration, agreed on in the sixth.
        assert_eq!(part.history, whole.history[..7]);
        assert_eq!(part.interrupted, parts[0].interrupted);
    }
    let saved = parts[0].interrupted.clone();
    assert!(saved.is_some());
    for size in [1, 2, 5] {
        let resumed = descend::<f64>(&make, size, saved.clone());
        assert_eq!((&resumed.maps, &resumed.history), (&whole.maps, &whole.history));
    }
    assert_eq!(whole.maps.len_of(Axis(0)), BATCH);
}

#[test]
fn more_ranks_than_maps_are_refused() {
    let make = || emulator(1, |config| config.batch = 2);
    for answer in on_ranks(3, |ranks| {
        make().run_over_ranks::<f64>((AVERAGE, None, Arc::new(Silent)), ranks).err()
    }) {
        assert!(matches!(answer, Some(EmulatorError::Setting { name: "batch", .. })));
    }
}
