//! Runs: fifty iterations of one batch, and everything from the inputs to new maps.
#![allow(missing_docs, reason = "criterion's macros make undocumented items")]

use criterion::{Criterion, criterion_group, criterion_main};
use skyscat::emulator::{Batch, BatchId, Config, Emulator, Silent};
use skyscat::healpix::Nside;
use skyscat::num::Par;
use skyscat_benches::{Ceilings, emulator, say_seconds};
use std::sync::Arc;

const ID: BatchId = BatchId { target: None, number: 0 };
const STEPS: u64 = 50;

fn run(emulator: &Emulator) -> Batch {
    let batch = emulator.run::<f32>(ID, None, Arc::new(Silent)).expect("a descent");
    let fall = batch.history[0] / batch.history[batch.history.len() - 1];
    assert!(fall > 10.0, "the loss fell only {fall} times");
    batch
}

fn benches(c: &mut Criterion) {
    let par = Par::new(0).expect("threads");
    let nside = Nside::new(16).expect("a power of two");
    let config = Config { steps: STEPS, ..Config::campeti2025() };
    let make = || emulator(nside, 10, config.clone(), &par).expect("inputs fit");
    let fixed = make();
    let plan = fixed.plan::<f32>().expect("a plan");
    let (arithmetic, memory) = plan.least(&Ceilings::measure(par.threads()));
    for (id, made) in [("run/50steps/f32", Some(&fixed)), ("run/end-to-end/f32", None)] {
        say_seconds(id, [arithmetic, memory].map(|least| least.as_secs_f64() * STEPS as f64));
        c.bench_function(id, |b| match made {
            Some(emulator) => b.iter(|| run(emulator)),
            None => b.iter(|| run(&make())),
        });
    }
}

criterion_group! {
    name = all;
    config = Criterion::default().sample_size(10);
    targets = benches
}
criterion_main!(all);
