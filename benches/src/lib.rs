//! Benchmarks of skyscat; what they measure themselves against is in `skyscat-num`.

pub use skyscat::num::Ceilings;
