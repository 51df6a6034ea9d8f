//! One batch over several ranks, as threads of one process.

use ndarray::{Array3, Axis};
use skyscat_autodiff::{Cut, Precision, Program, Ranks, Threads};
use skyscat_emulator::{
    Batch, BatchId, Config, Course, Emulator, EmulatorError, Init, LossConfig, Progress,
    SavedDescent, Saving, Silent, SpectrumLoss, Standardise,
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

/// The numbers that are an ulp or less beside these.
fn beside(x: &[f64], epsilon: f64, at: u64) -> Vec<f64> {
    let mut signs = Seed(at).stream("signs").index(0, 0);
    x.iter().map(|x| x * (1.0 + epsilon * signs.normal().signum())).collect()
}

/// max |a − b|.
fn off<T: Precision>(a: &[T], b: &[T]) -> f64 {
    let off = |(a, b): (&T, &T)| (a.to_f64() - b.to_f64()).abs();
    a.iter().zip(b).map(off).fold(0.0, f64::max)
}

/// Ranks of another number of maps sum the pixels of their covariances in another order;
/// everything else has the same bits. What a last bit does to loss and gradient is
/// measured: at points that differ in it, several times.
/// So are evaluations a few maps at a time.
fn check_evaluations<T: Precision + PartialEq>(change: fn(&mut LossConfig), name: &str) {
    let make: Make<'_> = &|| emulator(1, |config| change(&mut config.loss));
    let few_at_once = |few| {
        emulator(1, |config| {
            change(&mut config.loss);
            config.at_once = Some(few);
        })
    };
    let mut program: Program<T> = make().program(AVERAGE).unwrap();
    let x = Seed(6).stream("x").index(0, 0).normals(program.variables());
    let mut alone = |x: &[f64]| {
        let narrow: Vec<T> = x.iter().map(|&x| T::from_f64(x)).collect();
        let mut gradient = vec![T::default(); x.len()];
        let value = program.value_and_gradient(&narrow, &mut gradient);
        (value, gradient)
    };
    let (value, whole) = alone(&x);
    let (mut value_bits, mut gradient_bits) = (0.0f64, 0.0f64);
    for at in 0..6 {
        let (other, gradient) = alone(&beside(&x, T::EPSILON, at));
        value_bits = value_bits.max((other - value).abs());
        gradient_bits = gradient_bits.max(off(&gradient, &whole));
    }
    for size in [1, 2, 3, BATCH] {
        for (found, gradient, own) in evaluate::<T>(make, (size, None), &x) {
            let rows: Vec<T> =
                whole.chunks_exact(BATCH).flat_map(|row| &row[own.clone()]).copied().collect();
            let (apart, slope) = ((found - value).abs(), off(&gradient, &rows));
            let case = format!("{name}, {size} ranks: {apart:e} of {value_bits:e}");
            if size == 1 {
                assert!(found == value && gradient == rows, "{case}");
            }
            assert!(apart <= 8.0 * value_bits, "{case}");
            assert!(slope <= 8.0 * gradient_bits, "{case}: {slope:e} of {gradient_bits:e}");
        }
    }
    for few in [1, 3, 4, BATCH] {
        let mut program: Program<T> = few_at_once(few).program(AVERAGE).unwrap();
        let x: Vec<T> = x.iter().map(|&x| T::from_f64(x)).collect();
        let mut gradient = vec![T::default(); x.len()];
        for turn in ["first", "second"] {
            let apart = (program.value_and_gradient(&x, &mut gradient) - value).abs();
            let case = format!("{name}, {few} at once, {turn}: {apart:e} of {value_bits:e}");
            let slope = off(&gradient, &whole);
            assert!(few < BATCH || (apart, slope) == (0.0, 0.0), "{case}");
            assert!(apart <= 8.0 * value_bits, "{case}");
            assert!(slope <= 8.0 * gradient_bits, "{case}: {slope:e} of {gradient_bits:e}");
        }
    }
    let mut lacking = evaluate::<T>(make, (3, Some(1)), &x).into_iter();
    let missed = lacking.all(|(found, ..)| (found - value).abs() > 1e3 * value_bits);
    assert!(missed, "{name}: a rank's maps are not missed");
}

/// A loss, by name.
type Case = (&'static str, fn(&mut LossConfig));

#[test]
fn loss_and_gradient_of_a_batch_over_ranks_or_in_pieces_are_those_of_one() {
    let cases: [Case; 4] = [
        ("ratio", |_| {}),
        ("variance", |l| (l.variance, l.variance_fraction) = (0.5, 0.7)),
        ("equation 6", |l| l.spectrum_loss = SpectrumLoss::Equation6),
        ("spectra summed", |l| l.spectrum_loss = SpectrumLoss::SumOverBatch),
    ];
    for (name, change) in cases {
        check_evaluations::<f64>(change, name);
        check_evaluations::<f32>(change, name);
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

/// How far descents from starts that differ in their last bits are apart.
fn last_bits() -> (impl Fn(u64) -> Emulator + Sync, Batch, f64) {
    let noise = emulator(12, |_| {});
    let start = noise.standardiser().undo(noise.start(AVERAGE).unwrap().view());
    let from = move |at: u64| {
        let numbers = start.as_slice().expect("a cube in one piece");
        let numbers = if at == 0 { numbers.to_vec() } else { beside(numbers, f64::EPSILON, at) };
        let start = Array3::from_shape_vec(start.dim(), numbers).unwrap();
        emulator(12, |config| config.init = Init::Maps(start.clone()))
    };
    let alone = |e: &Emulator| e.run::<f64>(AVERAGE, None, Arc::new(Silent)).unwrap();
    let plain = alone(&from(0));
    let bits = (1..5).map(|at| apart(&alone(&from(at)), &plain)).fold(0.0, f64::max);
    (from, plain, bits)
}

#[test]
fn a_descent_over_any_number_of_ranks_follows_one_without() {
    let (from, plain, bits) = last_bits();
    let make = || from(0);
    for size in [1, 2, 3, BATCH] {
        let off = apart(&descend::<f64>(&make, size, None), &plain);
        assert!(off <= 8.0 * bits && bits < 1e-9, "{size} ranks: {off:e}, {bits:e} by last bits");
    }
    let other = apart(&descend::<f32>(&make, 2, None), &plain);
    assert!(other > 8.0 * bits, "f32 passed for f64: {other:e}");
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

/// The course and the numbers of the vectors of a batch that was put down.
fn numbers(batch: &Batch) -> (Course, Vec<Vec<f64>>) {
    let saved = batch.saved.as_ref().expect("put down");
    let vector = |at| saved.vectors.vector(at).unwrap().into_owned();
    (saved.course.clone(), (0..saved.vectors.count()).map(vector).collect())
}

#[test]
fn one_rank_that_is_interrupted_stops_all_and_any_number_resumes() {
    let (from, _, bits) = last_bits();
    let make = || from(0);
    let whole = descend::<f64>(&make, 3, None);
    let parts = on_ranks(3, |ranks| {
        let after = (ranks.rank() == 1).then_some(5);
        let progress = Arc::new(Stopper { after, flag: Arc::default() });
        make().run_over_ranks::<f64>((AVERAGE, None, progress), ranks).unwrap()
    });
    for part in &parts {
        // Asked after the fifth iteration, agreed on in the sixth.
        assert_eq!(part.history, whole.history[..7]);
        assert_eq!(numbers(part), numbers(&parts[0]));
    }
    let saved = parts[0].saved.clone();
    assert!(parts[0].interrupted && saved.is_some());
    for size in [1, 2, 3, 5] {
        let resumed = descend::<f64>(&make, size, saved.clone());
        if size == 3 {
            assert_eq!((&resumed.maps, &resumed.history), (&whole.maps, &whole.history));
        }
        let off = apart(&resumed, &whole);
        assert!(off <= 8.0 * bits, "{size} ranks: {off:e}, {bits:e} by last bits");
    }
    assert_eq!(whole.maps.len_of(Axis(0)), BATCH);
}

#[test]
fn ranks_may_have_a_few_of_their_maps_at_once() {
    let (from, plain, bits) = last_bits();
    let few = || {
        let whole = from(0);
        let config = Config { at_once: Some(2), ..whole.config().clone() };
        emulator(12, |to| *to = config.clone())
    };
    let off = apart(&descend::<f64>(&few, 2, None), &plain);
    assert!(off <= 8.0 * bits, "{off:e}, {bits:e} by last bits");
}

/// Takes so many vectors of every save.
struct Taker(usize);

impl Progress for Taker {
    fn save(&self, saving: &mut Saving<'_>) -> Result<(), String> {
        (0..self.0).try_for_each(|_| saving.next_vector().map_or(Ok(()), |v| v.map(drop)))
    }
    fn save_every(&self) -> u64 {
        2
    }
}

#[test]
fn ranks_bring_every_vector_of_a_save_however_many_are_taken() {
    let make = || emulator(6, |_| {});
    let whole = descend::<f64>(&make, 3, None);
    // One that brought fewer would leave the sums of the others without a partner.
    for batch in on_ranks(3, |ranks| {
        let taken = [100, 1, 0][ranks.rank()];
        make().run_over_ranks::<f64>((AVERAGE, None, Arc::new(Taker(taken))), ranks).unwrap()
    }) {
        assert_eq!((&batch.maps, &batch.history), (&whole.maps, &whole.history));
    }
}

#[test]
fn more_at_once_than_the_batch_has_are_refused() {
    for few in [0, BATCH + 1] {
        let inputs = Array3::from_shape_fn((3, 1, 192), |(m, _, p)| ((m + p) as f64).sin());
        let set = MapSet::new(Ordering::Ring, &["T"], inputs).unwrap();
        let config = Config { batch: BATCH, at_once: Some(few), ..Config::campeti2025() };
        let refused = Emulator::new(&set, &[], config, Seed(5), &par()).err();
        assert!(matches!(refused, Some(EmulatorError::Setting { name: "at_once", .. })));
    }
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
