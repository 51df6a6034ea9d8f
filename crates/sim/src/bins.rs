//! Sums over the samples of a chunk, pixel by pixel, and over chunks in order.

use rayon::prelude::*;
use skyscat_num::Par;

/// Sums of `N` numbers in the pixels that a chunk touches.
///
/// A table of places, four bytes a pixel of the sky, leads to the few sums, which
/// stay in the cache. Memory is given once and used for many chunks.
#[derive(Clone, Debug)]
pub(crate) struct Bins<const N: usize> {
    place: Vec<u32>,
    pixels: Vec<u32>,
    sums: Vec<[f64; N]>,
}

/// The place of a pixel without a sum.
const NONE: u32 = u32::MAX;

impl<const N: usize> Bins<N> {
    /// Empty sums for a sky of `npix` pixels.
    pub(crate) fn new(npix: usize) -> Self {
        Self { place: vec![NONE; npix], pixels: Vec::new(), sums: Vec::new() }
    }

    /// Adds to the sums of a pixel.
    #[inline(always)]
    pub(crate) fn add(&mut self, pixel: u32, terms: [f64; N]) {
        let place = self.place[pixel as usize];
        if place == NONE {
            self.place[pixel as usize] = self.sums.len() as u32;
            self.pixels.push(pixel);
            self.sums.push(terms);
            return;
        }
        for (sum, term) in self.sums[place as usize].iter_mut().zip(terms) {
            *sum += term;
        }
    }

    /// Takes all sums out, by pixel.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = (u32, [f64; N])> + '_ {
        self.pixels.sort_unstable();
        let Self { place, pixels, sums } = self;
        let taken = std::mem::take(sums);
        pixels.drain(..).map(move |pixel| {
            let at = std::mem::replace(&mut place[pixel as usize], NONE);
            (pixel, taken[at as usize])
        })
    }
}

/// How far a run over the mission is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Chunks done, over all passes.
    pub done: u64,
    /// Chunks to do, over all passes.
    pub total: u64,
}

/// With which threads to run, and whom to tell.
#[derive(Clone, Copy)]
pub struct Run<'a> {
    /// The threads. Results do not depend on their number, to the last bit.
    pub par: &'a Par,
    /// Called now and then, from the calling thread's pool.
    pub watch: &'a (dyn Fn(Progress) + Sync),
}

impl<'a> Run<'a> {
    /// A run that tells nobody.
    pub fn quiet(par: &'a Par) -> Self {
        Self { par, watch: &|_| () }
    }

    /// Runs `work` on all chunks in parallel and hands its results to `take` in the
    /// order of the chunks; only a few results are alive at any time.
    pub(crate) fn in_order<S, R: Send>(
        &self,
        pass: Progress,
        chunks: u64,
        scratch: impl Fn() -> S + Sync + Send,
        work: impl Fn(&mut S, u64) -> R + Sync + Send,
        mut take: impl FnMut(R) + Send,
    ) {
        let window = 16 * self.par.threads() as u64;
        self.par.install(|| {
            for start in (0..chunks).step_by(window as usize) {
                let end = (start + window).min(chunks);
                let results: Vec<R> =
                    (start..end).into_par_iter().map_init(&scratch, &work).collect();
                results.into_iter().for_each(&mut take);
                (self.watch)(Progress { done: pass.done + end, total: pass.total });
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_taken_out_by_pixel_and_the_table_is_clean_again() {
        let mut bins = Bins::new(12);
        for _ in 0..2 {
            bins.add(7, [1.0, 2.0]);
            bins.add(3, [5.0, 5.0]);
            bins.add(7, [1.0, -2.0]);
            let out: Vec<_> = bins.drain().collect();
            assert_eq!(out, [(3, [5.0, 5.0]), (7, [2.0, 0.0])]);
        }
    }
}
