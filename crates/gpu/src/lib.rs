//! Graphics cards: choice of adapter, buffers, pipelines, recorded dispatches.
//!
//! **What it is.** The only crate that names wgpu. It lists what adapters a machine
//! has and what they allow ([`adapters`]), opens one ([`Device::open`]), holds buffers
//! and pipelines, and submits [`Recording`]s: lists of dispatches, clears and copies
//! that are made once and run many times.
//!
//! **What it is not.** It knows no operator, no graph and no WGSL of its own, and it
//! never falls back: a machine without an adapter is a [`DeviceError::NoAdapter`], a
//! buffer above the adapter's limits a [`DeviceError::Limit`], never a shorter buffer.
//!
//! **Who should use it.** The executor of `skyscat-autodiff`, and programs that want
//! to show which devices there are.
//!
//! **What it may depend on.** wgpu, bytemuck, pollster.

mod adapter;
mod buffer;
mod device;
mod error;
mod recording;
mod timestamps;

pub use adapter::{Adapter, Allowed, Choice, Kind, adapters};
pub use buffer::Buffer;
pub use device::{Access, Bound, Device, Entry, Pipeline};
pub use error::DeviceError;
pub use recording::{Commands, Dispatch, Recording};
pub use timestamps::Timing;
