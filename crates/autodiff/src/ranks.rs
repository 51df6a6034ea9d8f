//! One batch over several ranks: each has some of its maps, and all meet in sums.
//!
//! Whatever crosses from map to map is written in the layout of the whole batch, with
//! zeros for the maps of others, and summed over the ranks. A number plus zeros is
//! exact, so each rank then holds the same bits, whatever the number of ranks, and
//! takes the same decisions from them.

use std::fmt::Debug;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier, Mutex};

/// Processes, or threads, that work together and add up numbers.
pub trait Ranks: Debug + Send + Sync {
    /// Which one this is, from 0.
    fn rank(&self) -> usize;
    /// How many there are.
    fn size(&self) -> usize;
    /// Replaces each number by its sum over the ranks. All ranks call this with as many
    /// numbers, as often, and in the same order.
    fn sum(&self, numbers: &mut [f64]);
}

/// Ranks that are threads of one process, each with a pool of its own for its work: one
/// that waits for the others keeps its threads.
#[derive(Debug)]
pub struct Threads {
    rank: usize,
    table: Arc<Table>,
}

/// Where threads put their numbers, each in its own row.
#[derive(Debug)]
struct Table {
    rows: Vec<Mutex<Vec<f64>>>,
    barrier: Barrier,
}

impl Threads {
    /// So many ranks, one for each thread that takes part.
    pub fn new(size: usize) -> Vec<Self> {
        let rows = (0..size).map(|_| Mutex::default()).collect();
        let table = Arc::new(Table { rows, barrier: Barrier::new(size) });
        (0..size).map(|rank| Self { rank, table: table.clone() }).collect()
    }
}

impl Ranks for Threads {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.table.rows.len()
    }

    fn sum(&self, numbers: &mut [f64]) {
        let row = |rank: usize| self.table.rows[rank].lock().expect("no holder panics");
        *row(self.rank) = numbers.to_vec();
        self.table.barrier.wait();
        numbers.fill(0.0);
        for rank in 0..self.size() {
            let other = row(rank);
            assert_eq!(other.len(), numbers.len(), "ranks {} and {rank} disagree", self.rank);
            numbers.iter_mut().zip(other.iter()).for_each(|(sum, x)| *sum += x);
        }
        self.table.barrier.wait();
    }
}

/// The maps of a batch that this rank has, and the way to the others.
///
/// ```
/// use skyscat_autodiff::{Cut, Threads};
/// use std::sync::Arc;
/// let cuts = Threads::new(3).into_iter().map(|t| Cut::new(Arc::new(t), 8, Arc::default()));
/// let owned: Vec<_> = cuts.map(|cut| cut.unwrap().own()).collect();
/// assert_eq!(owned, [0..2, 2..5, 5..8]);
/// ```
#[derive(Clone, Debug)]
pub struct Cut {
    ranks: Arc<dyn Ranks>,
    maps: usize,
    asked: Arc<AtomicBool>,
    agreed: Arc<AtomicBool>,
}

impl Cut {
    /// The share of this rank in `maps` maps; `None` if there are fewer maps than ranks.
    ///
    /// `asked` is set on any rank to stop all of them: see [`Cut::agreed`].
    pub fn new(ranks: Arc<dyn Ranks>, maps: usize, asked: Arc<AtomicBool>) -> Option<Self> {
        (maps >= ranks.size()).then(|| Self { ranks, maps, asked, agreed: Arc::default() })
    }

    /// Maps of the whole batch.
    pub fn maps(&self) -> usize {
        self.maps
    }

    /// The maps of this rank.
    pub fn own(&self) -> Range<usize> {
        let (rank, size) = (self.ranks.rank(), self.ranks.size());
        self.maps * rank / size..self.maps * (rank + 1) / size
    }

    /// Set on all ranks in the same evaluation, once any of them was asked to stop.
    pub fn agreed(&self) -> Arc<AtomicBool> {
        self.agreed.clone()
    }

    /// Of rows of the whole batch, the numbers of this rank's maps.
    pub fn take<'a>(&self, whole: &'a [f64]) -> impl Iterator<Item = &'a f64> + use<'a> {
        let own = self.own();
        whole.chunks_exact(self.maps).flat_map(move |row| &row[own.clone()])
    }

    /// Rows of the whole batch from those of each rank's maps.
    pub(crate) fn gather(&self, own: impl ExactSizeIterator<Item = f64>) -> Vec<f64> {
        let range = self.own();
        let mut whole = vec![0.0; own.len() / range.len() * self.maps];
        let places = whole.chunks_exact_mut(self.maps).flat_map(|row| &mut row[range.clone()]);
        places.zip(own).for_each(|(place, x)| *place = x);
        self.ranks.sum(&mut whole);
        whole
    }

    /// Completes rows of the whole batch that hold this rank's maps, and zeros for the
    /// others: one exchange for all of them, and for whether to stop.
    pub(crate) fn complete(&self, stats: &mut [Vec<f64>]) {
        let stop = f64::from(u8::from(self.asked.load(Ordering::SeqCst)));
        let mut all: Vec<f64> = stats.iter().flatten().copied().chain([stop]).collect();
        self.ranks.sum(&mut all);
        let (stop, all) = all.split_last().expect("at least one number");
        if *stop > 0.0 {
            self.agreed.store(true, Ordering::SeqCst);
        }
        stats.iter_mut().flatten().zip(all).for_each(|(place, x)| *place = *x);
    }
}
