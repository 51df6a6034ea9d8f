//! Contracts of the scattering layer.
