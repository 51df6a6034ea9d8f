//! Rings as lanes in f64, that is single maps: sums while the sequence climbs, u_k in
//! registers only.
//!
//! Each value of a sequence waits for the one before it, and the sums fill that wait. The
//! bits are those of [`Climb::keep`] and of the sums after it.

use crate::climb::{Belt, Climb, State, WIDE, Wide};
use pulp::Simd;

/// Registers of sixteen rings, of eight lanes each.
const HALVES: usize = 2;

/// Whether registers are such that this serves.
#[inline(always)]
pub(crate) fn serves<S: Simd>() -> bool {
    S::F64_LANES == WIDE / HALVES && S::REGISTER_COUNT >= 32
}

/// A sequence in registers.
#[derive(Clone, Copy)]
struct Walk<S: Simd> {
    now: [S::f64s; HALVES],
    before: [S::f64s; HALVES],
    sin2: [S::f64s; HALVES],
}

#[inline(always)]
fn load<S: Simd>(numbers: &[f64]) -> [S::f64s; HALVES] {
    *S::as_simd_f64s(&numbers[..WIDE]).0.first_chunk().expect("sixteen rings")
}

#[inline(always)]
fn store<S: Simd>(numbers: &mut [f64], registers: [S::f64s; HALVES]) {
    S::as_mut_simd_f64s(&mut numbers[..WIDE]).0.copy_from_slice(&registers);
}

impl<S: Simd> Walk<S> {
    /// A sequence of which all rings count.
    #[inline(always)]
    fn begin(climb: &Climb, belt: &Belt) -> Self {
        debug_assert_eq!(climb.state(), State::All);
        let [now, before]: [&Wide; 2] = climb.values();
        Self { now: load::<S>(now), before: load::<S>(before), sin2: load::<S>(belt.sin2()) }
    }

    #[inline(always)]
    fn step(&mut self, simd: S, [sum, a]: [f64; 2]) {
        let (sum, a) = (simd.splat_f64s(sum), simd.splat_f64s(-a));
        for i in 0..HALVES {
            let factor = simd.mul_add_e_f64s(a, self.sin2[i], sum);
            let next = simd.mul_add_e_f64s(factor, self.now[i], self.before[i]);
            self.before[i] = self.now[i];
            self.now[i] = next;
        }
    }

    #[inline(always)]
    fn end(self, climb: &mut Climb) {
        let [now, before] = climb.values_mut();
        store::<S>(now, self.now);
        store::<S>(before, self.before);
    }
}

/// `sums[row][ring] += Σ_k u_k coef[k][row]` over these steps.
#[inline(always)]
pub(crate) fn synthesis<S: Simd, const ROWS: usize>(
    simd: S,
    (climb, belt, steps): (&mut Climb, &Belt, &[[f64; 2]]),
    coef: &[f64],
    sums: &mut [f64],
) {
    let mut walk = Walk::<S>::begin(climb, belt);
    let mut own = [[simd.splat_f64s(0.0); HALVES]; ROWS];
    for row in 0..ROWS {
        own[row] = load::<S>(&sums[row * WIDE..]);
    }
    for (values, &step) in coef.as_chunks::<ROWS>().0.iter().zip(steps) {
        for (own, &value) in own.iter_mut().zip(values) {
            let value = simd.splat_f64s(value);
            for (own, &now) in own.iter_mut().zip(&walk.now) {
                *own = simd.mul_add_e_f64s(now, value, *own);
            }
        }
        walk.step(simd, step);
    }
    for row in 0..ROWS {
        store::<S>(&mut sums[row * WIDE..], own[row]);
    }
    walk.end(climb);
}

/// `lines[k][row][..] += u_k sums[row][ring]` of `B` blocks of rings over these steps, a
/// line being a register whose lanes are still to be added up.
#[inline(always)]
pub(crate) fn adjoint<S: Simd, const ROWS: usize, const B: usize>(
    simd: S,
    (climbs, belts, steps): ([&mut Climb; B], [&Belt; B], &[[f64; 2]]),
    lines: &mut [f64],
    sums: [&[f64]; B],
) {
    let mut walks = [Walk::<S>::begin(climbs[0], belts[0]); B];
    for block in 1..B {
        walks[block] = Walk::begin(climbs[block], belts[block]);
    }
    let mut own = [[[simd.splat_f64s(0.0); HALVES]; B]; ROWS];
    for row in 0..ROWS {
        for block in 0..B {
            own[row][block] = load::<S>(&sums[block][row * WIDE..]);
        }
    }
    let (lines, _) = S::as_mut_simd_f64s(lines).0.as_chunks_mut::<ROWS>();
    for (lines, &step) in lines.iter_mut().zip(steps) {
        for (line, own) in lines.iter_mut().zip(&own) {
            let mut sum = *line;
            for (walk, own) in walks.iter().zip(own) {
                for (&now, &own) in walk.now.iter().zip(own) {
                    sum = simd.mul_add_e_f64s(now, own, sum);
                }
            }
            *line = sum;
        }
        for walk in &mut walks {
            walk.step(simd, step);
        }
    }
    for (walk, climb) in walks.into_iter().zip(climbs) {
        walk.end(climb);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::climb::UNIT;
    use crate::shared_kernels::SharedKernels;
    use pulp::{Arch, WithSimd};

    fn numbers(len: usize, seed: usize) -> Vec<f64> {
        (0..len).map(|i| ((i * 7919 + seed * 31) % 997) as f64 / 997.0 - 0.5).collect()
    }

    /// A block of rings that all count.
    fn block(lowest: f64) -> (Belt, Climb, Vec<[f64; 2]>) {
        let sin: Wide = std::array::from_fn(|i| lowest + 0.02 * i as f64);
        let (belt, steps) = (Belt::new(sin, 4), vec![[1.9, 2.3]; 40]);
        let mut climb = Climb::start(&belt, 3, 0.4);
        climb.skip(&belt, &steps[..UNIT]);
        assert_eq!(climb.state(), State::All);
        (belt, climb, steps)
    }

    /// Whether the registers serve, and the sums are those of the steps one by one.
    struct Compare<const ROWS: usize>;

    impl<const ROWS: usize> WithSimd for Compare<ROWS> {
        type Output = bool;

        fn with_simd<S: Simd>(self, simd: S) -> bool {
            if !serves::<S>() {
                return false;
            }
            let ((belt, climb, steps), (other_belt, other, _)) = (block(0.4), block(0.6));
            let kept = |belt: &Belt, mut climb: Climb| {
                let mut table = vec![0.0; steps.len() * WIDE];
                climb.keep(belt, &steps, &mut table);
                (table, climb.values().map(|v| *v))
            };
            let ((table, end), (other_table, other_end)) =
                (kept(&belt, climb), kept(&other_belt, other));
            let (coef, sums) = (numbers(steps.len() * ROWS, 1), numbers(ROWS * WIDE, 2));
            let (mut expected, mut found) = (sums.clone(), sums.clone());
            f64::rings_synthesis(simd, &table, &coef, ROWS, &mut expected);
            let mut walked = climb;
            synthesis::<S, ROWS>(simd, (&mut walked, &belt, &steps), &coef, &mut found);
            assert_eq!(found, expected);
            assert_eq!(walked.values().map(|v| *v), end);
            // Must fail: another block's.
            let mut wrong = sums.clone();
            f64::rings_synthesis(simd, &other_table, &coef, ROWS, &mut wrong);
            assert_ne!(found, wrong);
            let lines = numbers(steps.len() * ROWS * 8, 3);
            let (mut expected, mut found) = (lines.clone(), lines);
            let both = [&sums[..], &numbers(ROWS * WIDE, 4)];
            f64::rings_adjoint(simd, [&table[..], &other_table], &mut expected, ROWS, both);
            let (mut one, mut two) = (climb, other);
            let climbs = ([&mut one, &mut two], [&belt, &other_belt], &steps[..]);
            adjoint::<S, ROWS, 2>(simd, climbs, &mut found, both);
            assert_eq!(found, expected);
            assert_eq!(two.values().map(|v| *v), other_end);
            true
        }
    }

    #[test]
    fn sums_on_the_way_have_the_bits_of_sums_after_it() {
        let served = [Arch::new().dispatch(Compare::<4>), Arch::new().dispatch(Compare::<8>)];
        // Only AVX-512 has registers of eight f64.
        #[cfg(target_arch = "x86_64")]
        assert_eq!(served, [pulp::x86::V4::try_new().is_some(); 2]);
        #[cfg(not(target_arch = "x86_64"))]
        assert_eq!(served, [false; 2]);
    }
}
