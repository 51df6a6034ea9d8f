//! Contracts of the autodiff layer.
