//! Contracts of the wavelet layer.
