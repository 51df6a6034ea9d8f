//! What must fail: one number of what an operator sends to a device is changed, and the
//! comparison of `twins.rs` has to see it.
//!
//! Changed are, one at a time and for every kernel and entry point of every operator, the
//! numbers that it reads: the
//! largest number of an eighth of each table, by 1e-4 of itself; an index of each table of indices, by
//! one; each member of the uniform, by one.

use super::cases::{Case, cases};
use super::device;
use super::rounding::{Bounds, ROOM, Reads};
use super::twins::{OPERATORS, bounded, compare};
use skyscat_autodiff::check::Twin;
use skyscat_autodiff::device::{Binding, DeviceCall, DevicePass, DeviceWork, Run};
use skyscat_autodiff::{CpuKernel, GraphError, Keeps, Operator, Shape};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Which number is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    /// A member of the uniform: one less, or more.
    Size(usize, bool),
    /// The largest number in an eighth of the table at a binding.
    Weight(usize, usize),
    /// An index of the table at a binding, this far into it in eighths.
    Index(usize, usize),
}

/// An operator whose device work is changed in one number: in every pass that has this
/// kernel and entry point, in the last run of it.
#[derive(Debug)]
struct Mutant {
    inner: Arc<dyn Operator>,
    kernel: &'static str,
    entry: &'static str,
    change: Change,
}

impl Operator for Mutant {
    fn name(&self) -> &'static str {
        self.inner.name()
    }
    fn shape(&self, inputs: &[Shape]) -> Result<Shape, GraphError> {
        self.inner.shape(inputs)
    }
    fn keeps(&self) -> Keeps {
        self.inner.keeps()
    }
    fn joint(&self) -> bool {
        self.inner.joint()
    }
    fn flops(&self, inputs: &[Shape]) -> f64 {
        self.inner.flops(inputs)
    }
    fn cpu(&self) -> &dyn CpuKernel {
        self.inner.cpu()
    }
    fn gpu(&self, call: &DeviceCall<'_>) -> Option<DeviceWork<'_>> {
        let mut work = self.inner.gpu(call)?;
        let own = |run: &&mut Run<'_>| (run.kernel, run.entry) == (self.kernel, self.entry);
        if let Some(run) = work.runs.iter_mut().rfind(own) {
            self.change.apply(run);
        }
        Some(work)
    }
}

impl Change {
    fn apply(self, run: &mut Run<'_>) {
        match self {
            Change::Size(at, more) => match &mut run.uniforms[at].1 {
                n if more || *n == 0 => *n += 1,
                n => *n -= 1,
            },
            Change::Weight(at, eighth) => {
                let Binding::Numbers(table) = &mut run.bindings[at] else { return };
                let mut own = table.to_vec();
                let larger = |a: &usize, b: &usize| own[*a].abs().total_cmp(&own[*b].abs());
                let part = own.len() * eighth / 8..(own.len() * (eighth + 1)).div_ceil(8);
                let largest = part.max_by(larger).expect("tables are not empty");
                own[largest] *= 1.0 + 1e-4;
                *table = Cow::Owned(own);
            }
            Change::Index(at, eighths) => {
                let Binding::Indices(table) = &mut run.bindings[at] else { return };
                let mut own = table.to_vec();
                let place = (own.len() - 1) * eighths / 8;
                own[place] = if own[place] == 0 { 1 } else { own[place] - 1 };
                *table = Cow::Owned(own);
            }
        }
    }

    /// Changes of the numbers that a run looks at; of each list one has to be seen.
    fn of(run: &Run<'_>, reads: &Reads) -> Vec<(String, Vec<Change>)> {
        let size = |&at: &usize| {
            let changes = [false, true].map(|more| Change::Size(at, more));
            (run.uniforms[at].0.to_owned(), changes.to_vec())
        };
        let table = |&at: &usize| match run.bindings[at] {
            Binding::Numbers(_) => {
                let changes = [4, 3, 5, 2, 6, 1, 7, 0].map(|eighth| Change::Weight(at, eighth));
                Some((format!("table {at}"), changes.to_vec()))
            }
            Binding::Indices(_) => {
                let places = [4, 5, 3, 6, 2, 7, 1, 8].map(|eighths| Change::Index(at, eighths));
                Some((format!("indices {at}"), places.to_vec()))
            }
            _ => None,
        };
        reads.sizes.iter().map(size).chain(reads.bindings.iter().filter_map(table)).collect()
    }
}

/// A run of each kernel and entry point of an operator.
fn runs(twin: &Twin) -> Vec<Run<'_>> {
    let back = match twin.operator.joint() {
        true => vec![DevicePass::Joint],
        false => (0..twin.shapes.len()).map(|which| DevicePass::Pullback { which }).collect(),
    };
    let passes = [vec![DevicePass::Forward], back].concat();
    let runs = passes.into_iter().flat_map(|pass| {
        let (inputs, lanes) = (&twin.shapes[..], twin.maps);
        let call = DeviceCall { pass, inputs, lanes, double: false, scratch: &ROOM };
        twin.operator.gpu(&call).unwrap().runs
    });
    let named: BTreeMap<_, _> = runs.map(|run| ((run.kernel, run.entry), run)).collect();
    named.into_values().collect()
}

/// Operator, kernel, entry point, and which number is changed.
type Key = (&'static str, &'static str, &'static str, String);

#[derive(Default)]
struct Tally {
    seen: BTreeSet<Key>,
    missed: BTreeSet<Key>,
}

impl Tally {
    /// Makes every change that was not seen at another operator of the same name: where a
    /// field has one row, say, its stride is of no consequence.
    fn mutate(&mut self, twin: &Twin, bounds: &Bounds, caught: &dyn Fn(Mutant) -> bool) {
        for run in runs(twin) {
            let (kernel, entry) = (run.kernel, run.entry);
            for (what, changes) in Change::of(&run, &bounds.reads[&(kernel, entry)]) {
                let key = (twin.operator.name(), kernel, entry, what);
                let mutant =
                    |change| Mutant { inner: twin.operator.clone(), kernel, entry, change };
                if self.seen.contains(&key) {
                    continue;
                }
                if changes.into_iter().any(|change| caught(mutant(change))) {
                    self.missed.remove(&key);
                    self.seen.insert(key);
                } else {
                    self.missed.insert(key);
                }
            }
        }
    }
}

#[test]
fn one_number_off_is_seen_in_every_kernel() {
    let Some(device) = device("mutants") else { return };
    let mut tally = Tally::default();
    // Without padding: a number that is left out is never one that nobody looks at.
    for case in cases(4).into_iter().map(|case| Case { maps: 4, ..case }) {
        for (twin, bounds) in bounded(&case) {
            let caught = |mutant: Mutant| match twin.on_gpu(Arc::new(mutant), &device) {
                Ok(found) => compare(&found, &twin, &bounds).iter().any(|f| f.worst > 1.0),
                Err(_) => true,
            };
            tally.mutate(&twin, &bounds, &caught);
        }
    }
    assert!(tally.missed.is_empty(), "not seen: {:#?}", tally.missed);
    let operators: BTreeSet<_> = tally.seen.iter().map(|key| key.0).collect();
    assert_eq!(Vec::from_iter(operators), OPERATORS, "every operator is changed");
    let seen: BTreeSet<_> = tally.seen.iter().map(|key| (key.1, key.2)).collect();
    for (kernel, _) in &seen {
        for entry in skyscat_shaders::kernel(kernel).unwrap().entries {
            assert!(seen.contains(&(kernel, entry.name)), "{kernel} {} is changed", entry.name);
        }
    }
}
