//! Layer contracts, one module a layer.

mod autodiff;
mod harmonic;
mod healpix;
mod io;
mod scattering;
mod wavelet;
