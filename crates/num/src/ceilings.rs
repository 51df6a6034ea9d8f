//! What times are measured against: two ceilings of this machine.

use pulp::{Arch, Simd, WithSimd};
use std::time::Instant;

/// Ceilings of this machine for a number of threads: multiply-adds with data in
/// registers, and a copy that does not fit in the caches.
#[derive(Clone, Copy, Debug)]
pub struct Ceilings {
    /// f64 operations a second (a fused multiply-add is two).
    pub flops_f64: f64,
    /// Bytes a second, read plus written.
    pub bytes: f64,
}

impl Ceilings {
    /// Measures them, about half a second.
    pub fn measure(threads: usize) -> Self {
        let flops = best(threads, || Arch::new().dispatch(MultiplyAdds));
        let bytes = best(threads, copy);
        Self { flops_f64: flops, bytes }
    }
}

/// The best of five runs of `work` on every thread at once; it returns how much
/// it did.
fn best(threads: usize, work: impl Fn() -> f64 + Sync) -> f64 {
    let run = || {
        let clock = Instant::now();
        let done: f64 = std::thread::scope(|scope| {
            let handles: Vec<_> = (0..threads).map(|_| scope.spawn(&work)).collect();
            handles.into_iter().map(|h| h.join().expect("no panic")).sum()
        });
        done / clock.elapsed().as_secs_f64()
    };
    (0..5).map(|_| run()).fold(0.0, f64::max)
}

struct MultiplyAdds;

impl WithSimd for MultiplyAdds {
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f64 {
        const CHAINS: usize = 12;
        const ROUNDS: usize = 4_000_000;
        let mut sums = [simd.splat_f64s(std::hint::black_box(1.0)); CHAINS];
        let (a, b) = (simd.splat_f64s(1.0 - 1e-9), simd.splat_f64s(1e-9));
        for _ in 0..ROUNDS {
            for sum in &mut sums {
                *sum = simd.mul_add_e_f64s(*sum, a, b);
            }
        }
        std::hint::black_box(&sums);
        (2 * CHAINS * ROUNDS * S::F64_LANES) as f64
    }
}

fn copy() -> f64 {
    const LEN: usize = 1 << 22;
    const ROUNDS: usize = 24;
    let source = vec![1.0f64; LEN];
    let mut target = vec![2.0f64; LEN];
    for _ in 0..ROUNDS {
        target.copy_from_slice(std::hint::black_box(&source));
        std::hint::black_box(&target);
    }
    // Making the two vectors writes as much as one round of copies.
    (2 * (ROUNDS + 1) * 8 * LEN) as f64
}
