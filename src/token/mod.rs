//! Keeps one token fresh and lends it out.
//!
//! * `lifecycle`: the pure state machine; takes time as an argument and performs nothing.
//! * `keeper`: the one task that owns it, performs its actions and feeds events back.
//! * `handle`: what the request path holds; answers from memory while a live token exists.

use std::time::Duration;

/// Validated settings of the lifecycle; everything else in it is fixed, with reasons, in `lifecycle`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// Tokens are taken to live no longer than this, whatever the endpoint says.
    pub max_lifetime: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self { max_lifetime: Duration::from_secs(86_400) }
    }
}
