//! The request stack: admit, authorize, forward, and our own answers.

use std::time::Duration;

pub mod upstream;

/// Validated settings of the stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Requests at the same time, over all workers; more are answered 503.
    pub max_in_flight: usize,
    /// How long a client may pause within a request body.
    pub body_idle_timeout: Duration,
    /// The largest request body kept for one replay after a 401.
    pub replay_limit: usize,
    /// All bodies kept for a replay together.
    pub replay_total: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_in_flight: 1024,
            body_idle_timeout: Duration::from_secs(30),
            replay_limit: 1024 * 1024,
            replay_total: 64 * 1024 * 1024,
        }
    }
}
