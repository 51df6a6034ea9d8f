//! Contracts of the io layer.
