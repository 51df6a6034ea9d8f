//! Contracts of the healpix layer.
