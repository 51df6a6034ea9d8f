//! Numbers, lanes, sums, threads and randomness: what every layer of skyscat shares.
//!
//! * [`Real`] is `f32` or `f64`, with the SIMD registers that a kernel needs.
//! * [`dispatch`] runs a kernel with the registers of this machine that fit.
//! * [`Aligned`] numbers begin at a line of the cache.
//! * [`Table`] holds constants once, in the precision that is asked for.
//! * [`tree_sum`] and [`chunk_rows`] make sums whose bits do not depend on the
//!   number of threads.
//! * [`Par`] says how many threads may be used: an argument, never a global.
//! * [`Ceilings`] measures what this machine can do at best.
//! * [`Seed`] makes independent, counter-based random streams.
//!
//! What it is not: a linear algebra or array library. Use it when you write a
//! kernel or an operator for this workspace. It depends on pulp, rayon and the
//! rand crates, and on no other crate of skyscat.

mod aligned;
mod arch;
mod ceilings;
mod par;
mod real;
mod seed;
mod sum;
mod table;

pub use aligned::Aligned;
pub use arch::{dispatch, dispatch_overlapping, dispatch_widest, register_start, widest};
pub use ceilings::Ceilings;
pub use par::{Par, ParError};
pub use pulp::{Arch, Simd, WithSimd};
pub use real::Real;
pub use seed::{Purpose, Seed, Stream};
pub use sum::{chunk_rows, tree_sum, tree_sum_slices};
pub use table::Table;
