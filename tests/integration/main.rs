//! Layer contracts, one module a layer.

mod autodiff;
mod emulator;
mod harmonic;
mod healpix;
mod io;
mod scattering;
mod sim;
mod validation;
mod wavelet;
