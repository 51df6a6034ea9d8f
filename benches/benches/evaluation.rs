//! One evaluation of loss and gradient at Nside 16, batch 10, Q and U, four terms,
//! against the floor that the graph computes.
#![allow(missing_docs, reason = "criterion's macros make undocumented items")]

use criterion::{Criterion, criterion_group, criterion_main};
use skyscat::emulator::{BatchId, Config, Emulator, Precision};
use skyscat::healpix::Nside;
use skyscat::num::Par;
use skyscat_benches::{Ceilings, check_descent, emulator, say_floor, variables};

const ID: BatchId = BatchId { target: None, number: 0 };

fn evaluate<T: Precision>(c: &mut Criterion, emulator: &Emulator, ceilings: Ceilings) {
    let mut program = emulator.program::<T>(ID).expect("terms");
    let x = variables(&program);
    let mut gradient = vec![T::default(); x.len()];
    check_descent(&mut program, &x, &mut gradient);
    let id = format!("evaluation/nside16/batch{}/{}", program.maps(), T::NAME);
    say_floor::<T>(&id, program.floor(), ceilings);
    c.bench_function(&id, |b| b.iter(|| program.value_and_gradient(&x, &mut gradient)));
}

fn benches(c: &mut Criterion) {
    let par = Par::new(0).expect("threads");
    let ceilings = Ceilings::measure(par.threads());
    let nside = Nside::new(16).expect("a power of two");
    for batch in [10, 16] {
        let config = Config { batch, ..Config::campeti2025() };
        let emulator = emulator(nside, 10, config, &par).expect("inputs fit");
        evaluate::<f64>(c, &emulator, ceilings);
        evaluate::<f32>(c, &emulator, ceilings);
    }
}

criterion_group! {
    name = all;
    config = Criterion::default().sample_size(20);
    targets = benches
}
criterion_main!(all);
