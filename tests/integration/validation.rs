//! Contracts of the judge: its numbers, its verdicts, its refusals.

mod exact;
mod judge;
mod minkowski;
