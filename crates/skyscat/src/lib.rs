//! Many sky maps from few: all crates of skyscat under one name.
//!
//! ```
//! use skyscat::emulator::{BatchId, Config, Emulator, Silent};
//! use skyscat::healpix::{MapSet, Ordering};
//! use skyscat::num::{Par, Seed};
//! use std::sync::Arc;
//!
//! // Four Q/U maps at Nside 4: any full-sky set will do.
//! let noise = Seed(1).stream("example").index(0, 0).normals(4 * 2 * 192);
//! let maps = ndarray::Array3::from_shape_vec((4, 2, 192), noise)?;
//! let inputs = MapSet::new(Ordering::Ring, &["Q", "U"], maps)?;
//! let config = Config { batch: 3, steps: 5, ..Config::campeti2025() };
//! let emulator = Emulator::new(&inputs, &[], config, Seed(7), &Par::new(1)?)?;
//! let id = BatchId { target: None, number: 0 };
//! let batch = emulator.run::<f64>(id, None, Arc::new(Silent))?;
//! assert!(batch.history.last() < batch.history.first());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What it is not: code of its own. Use it to depend on everything at once; each
//! crate can also be used alone. The `emulator` feature (default) brings the
//! whole chain, `validation` (default) the judge; without them only geometry,
//! transforms, simulation and files are built. `gpu` adds descents on a GPU.

pub use skyscat_harmonic as harmonic;
pub use skyscat_healpix as healpix;
pub use skyscat_io as io;
pub use skyscat_num as num;
pub use skyscat_sim as sim;

#[cfg(feature = "emulator")]
pub use skyscat_autodiff as autodiff;
#[cfg(feature = "emulator")]
pub use skyscat_emulator as emulator;
#[cfg(feature = "gpu")]
pub use skyscat_gpu as gpu;
#[cfg(feature = "emulator")]
pub use skyscat_scattering as scattering;
#[cfg(feature = "validation")]
pub use skyscat_validation as validation;
#[cfg(feature = "emulator")]
pub use skyscat_wavelet as wavelet;
