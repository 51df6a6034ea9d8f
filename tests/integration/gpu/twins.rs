//! Every kernel against its CPU twin in f64, within bounds that follow from its text.

use super::cases::{Case, cases, normals};
use super::device;
use super::rounding::{Bounded, Bounds, Tables, bounds};
use skyscat_autodiff::check::{self, Results, Twin};
use skyscat_gpu::Device;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

/// Errors as fractions of their bounds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Fractions {
    /// The largest.
    pub(crate) worst: f64,
    /// The largest bound in units of 2⁻²⁴ and of the largest number of the result.
    bound: f64,
    numbers: usize,
    /// Numbers without a bound: rounding decides a branch on their way.
    unbounded: usize,
}

impl Fractions {
    fn join(self, other: Self) -> Self {
        Self {
            worst: self.worst.max(other.worst),
            bound: self.bound.max(other.bound),
            numbers: self.numbers + other.numbers,
            unbounded: self.unbounded + other.unbounded,
        }
    }
}

/// The CPU and the interpreter round too, in f64: 2⁻²⁹ of what f32 does, for sums of
/// some hundred terms.
const DOUBLE: f64 = 1.0 + 1e-6;

/// Errors of some numbers against the truth.
pub(crate) fn fractions(found: &[f64], exact: &[f64], bounds: &Bounded) -> Fractions {
    let peak = exact.iter().fold(f64::MIN_POSITIVE, |m, x| m.max(x.abs()));
    let mut sum = Fractions { numbers: exact.len(), ..Fractions::default() };
    for ((found, exact), &(_, bound)) in found.iter().zip(exact).zip(bounds) {
        if bound.is_infinite() {
            sum.unbounded += 1;
            continue;
        }
        let error = (found - exact).abs();
        // 0/0 is no error; NaN is the largest.
        let fraction = if error == 0.0 { 0.0 } else { error / (bound * DOUBLE) };
        sum.worst = if fraction.is_nan() { f64::INFINITY } else { sum.worst.max(fraction) };
        sum.bound = sum.bound.max(bound / peak * 2.0f64.powi(24));
    }
    sum
}

/// Of the output, and of all gradients together.
pub(crate) fn compare(found: &Results, twin: &Twin, bounds: &Bounds) -> [Fractions; 2] {
    let gradients = found.gradients.iter().zip(&twin.exact.gradients).zip(&bounds.gradients);
    let gradients = gradients.map(|((found, exact), bounds)| fractions(found, exact, bounds));
    let pullback = gradients.fold(Fractions::default(), Fractions::join);
    [fractions(&found.output, &twin.exact.output, &bounds.output), pullback]
}

/// The operators of a case, and their bounds.
pub(crate) fn bounded(case: &Case) -> Vec<(Twin, Bounds)> {
    let x = normals("twins", case.graph.variables() * case.maps);
    let twins = check::twins(&case.graph, &x, case.maps).unwrap();
    twins.into_iter().map(|twin| (twin.clone(), bounds(&twin, Tables::Rounded))).collect()
}

/// What the interpreter itself finds: the kernel without any device.
fn interpreted(bounds: &Bounds) -> Results {
    let centres = |b: &Bounded| b.iter().map(|&(centre, _)| centre).collect();
    Results {
        output: centres(&bounds.output),
        gradients: bounds.gradients.iter().map(centres).collect(),
    }
}

type Table = BTreeMap<(String, &'static str), Fractions>;

#[allow(clippy::print_stdout, reason = "the table of a test that is asked for it")]
fn print(case: &str, table: &Table) {
    println!("{case:20} {:28} numbers unbounded bound/(u·peak) error/bound", "");
    for ((operator, pass), f) in table {
        let name = format!("{operator} {pass}");
        let Fractions { worst, bound, numbers, unbounded } = f;
        println!("{case:20} {name:28} {numbers:7} {unbounded:9} {bound:14.1} {worst:11.3}");
    }
}

/// Name, and the power of spectra: roots of sums that cancel amplify their errors.
fn label(twin: &Twin) -> String {
    let text = format!("{:?}", twin.operator);
    let power = text.split("power: ").nth(1).and_then(|rest| rest.split([',', ' ']).next());
    [Some(twin.operator.name()), power].into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// A case, its operators and their bounds.
type Known = (&'static str, Vec<(Twin, Bounds)>);

/// Every operator with its bounds, interpreted once for all tests.
pub(super) fn known() -> &'static [Known] {
    static KNOWN: OnceLock<Vec<Known>> = OnceLock::new();
    KNOWN.get_or_init(|| cases(8).iter().map(|case| (case.name, bounded(case))).collect())
}

fn check_case(case: &str, twins: &[(Twin, Bounds)], device: Option<&Arc<Device>>) {
    let mut table = Table::new();
    for (twin, bounds) in twins {
        let found = match device {
            Some(device) => twin.on_gpu(twin.operator.clone(), device).unwrap(),
            None => interpreted(bounds),
        };
        let name = twin.operator.name();
        for (pass, f) in ["forward", "pullback"].into_iter().zip(compare(&found, twin, bounds)) {
            assert!(f.worst <= 1.0, "{case}: {name} (node {}) {pass}: {f:?}", twin.node);
            // Signs of products of random numbers are rarely in doubt.
            assert!(f.unbounded * 1000 <= f.numbers, "{case}: {name} {pass}: {f:?}");
            let sum = table.entry((label(twin), pass)).or_default();
            *sum = sum.join(f);
        }
    }
    print(case, &table);
}

/// Every operator that there is, by name.
pub(crate) const OPERATORS: &[&str] = &[
    "affine",
    "analysis",
    "channels",
    "conjugate-product",
    "convolve",
    "covariance",
    "gather",
    "inverse-root",
    "join",
    "mean",
    "mean-square",
    "modulus",
    "normalise",
    "real-part",
    "real-product",
    "rotate-orientations",
    "signed-root",
    "spectra",
    "spread",
    "stack",
];

fn check_all(device: Option<&Arc<Device>>) {
    let mut seen: Vec<&str> = Vec::new();
    for (case, twins) in known() {
        check_case(case, twins, device);
        seen.extend(twins.iter().map(|(twin, _)| twin.operator.name()));
    }
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen, OPERATORS, "every operator is compared");
}

#[test]
fn every_kernel_keeps_the_bound_that_its_text_implies() {
    let Some(device) = device("twins") else { return };
    check_all(Some(&device));
}

#[test]
fn every_kernel_read_without_a_device_computes_what_the_cpu_does() {
    check_all(None);
}
