//! The same seed, the same numbers, whatever else was drawn and by how many threads.
#![allow(clippy::print_stdout, reason = "an example shows its result")]

use skyscat_num::{Par, ParError, Seed, chunk_rows, tree_sum};

fn main() -> Result<(), ParError> {
    let seed = Seed(2025);
    // One stream for each purpose, target and member: no stream moves another.
    for member in 0..3 {
        let numbers = seed.stream("initial-noise").index(0, member).normals(4);
        println!("member {member}: {numbers:.3?}");
    }
    let numbers = seed.stream("example").index(0, 0).normals(100_000);
    let chunk = chunk_rows(numbers.len());
    let sum = |threads| -> Result<f64, ParError> {
        Ok(Par::new(threads)?.install(|| {
            let mut partials: Vec<f64> = numbers.chunks(chunk).map(|c| c.iter().sum()).collect();
            let parts = partials.len();
            tree_sum(&mut partials, parts);
            partials[0]
        }))
    };
    let (one, two) = (sum(1)?, sum(2)?);
    println!("sum with one thread {one}, with two {two}");
    assert_eq!(one.to_bits(), two.to_bits());
    Ok(())
}
