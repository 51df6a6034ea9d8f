//! Layer contracts, one module a layer.

mod autodiff;
mod covariance;
mod emulator;
mod gpu;
mod harmonic;
mod healpix;
mod io;
mod ranks;
mod scattering;
mod sim;
mod validation;
mod wavelet;
