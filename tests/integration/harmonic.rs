//! Contracts of the harmonic layer.
