//! What can be wrong with a device.

/// What can be wrong with a device.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// There is no adapter at all, or none of the kind asked for.
    #[error(
        "no adapter for {asked:?} was found (known: {known:?}): install a driver for Vulkan, \
         Metal or DirectX 12, or run on the CPU"
    )]
    NoAdapter {
        /// What was asked for.
        asked: String,
        /// Names of the adapters that are there.
        known: Vec<String>,
    },
    /// The adapter does not allow what is needed.
    #[error("{adapter}: {what} would be {given}; the adapter allows {allowed}")]
    Limit {
        /// The adapter's name.
        adapter: String,
        /// What is limited.
        what: String,
        /// What is needed.
        given: u64,
        /// What is allowed.
        allowed: u64,
    },
    /// The adapter works in f32 alone.
    #[error("{adapter} has no numbers of 64 bits: choose 32, or run on the CPU")]
    Double {
        /// The adapter's name.
        adapter: String,
    },
    /// The adapter gave no device.
    #[error("{adapter} gave no device: {reason}")]
    Open {
        /// The adapter's name.
        adapter: String,
        /// What the driver said.
        reason: String,
    },
    /// The device has no memory left for a program.
    #[error("{adapter} has no memory for this: {reason}")]
    Memory {
        /// The adapter's name.
        adapter: String,
        /// What the driver said.
        reason: String,
    },
    /// The device is gone: reset, unplugged, or its driver gave up.
    #[error("{adapter} was lost: {reason}")]
    Lost {
        /// The adapter's name.
        adapter: String,
        /// What the driver said.
        reason: String,
    },
    /// The device refused a command.
    #[error("{adapter} failed: {reason}")]
    Failed {
        /// The adapter's name.
        adapter: String,
        /// What the driver said.
        reason: String,
    },
}
