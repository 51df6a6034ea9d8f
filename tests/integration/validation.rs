//! Contracts of the judge: its numbers, its verdicts, its refusals.

mod exact;
mod golden;
mod judge;
mod minkowski;
mod refusals;
