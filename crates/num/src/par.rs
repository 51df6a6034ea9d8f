//! How many threads may be used: an argument, never a global.

use rayon::{ThreadPool, ThreadPoolBuilder};
use std::sync::Arc;

/// A pool of threads that a computation runs in. Clones share the pool.
#[derive(Clone, Debug)]
pub struct Par {
    pool: Arc<ThreadPool>,
}

/// A pool that could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ParError {
    /// The operating system refused the threads.
    #[error("cannot start {threads} threads: {reason}")]
    Start {
        /// The number asked for.
        threads: usize,
        /// What the system said.
        reason: String,
    },
}

impl Par {
    /// A pool of `threads` threads; 0 means one a core.
    ///
    /// # Errors
    /// [`ParError::Start`] if the system refuses them.
    pub fn new(threads: usize) -> Result<Self, ParError> {
        ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .map(|pool| Self { pool: Arc::new(pool) })
            .map_err(|error| ParError::Start { threads, reason: error.to_string() })
    }

    /// Number of threads.
    pub fn threads(&self) -> usize {
        self.pool.current_num_threads()
    }

    /// Runs `work`; parallel iterators inside it use this pool.
    pub fn install<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        self.pool.install(work)
    }
}
