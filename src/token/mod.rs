//! Keeps one token fresh and lends it out. Knows nothing of HTTP beyond the type of a header's value.
//!
//! * `policy`: the numbers, and the pure functions that turn an endpoint's answer into a schedule.
//! * `lifecycle`: the pure state machine; takes time as an argument and performs nothing.
//! * `keeper`: the one task that owns it, performs its actions and feeds events back.
//! * `history`: the last things that became of it, in words.
//! * `handle`: what the request path holds; answers from memory while a live token exists.
//! * `rehearsal`: the lifecycle alone, for simulations.

mod grant;
mod handle;
mod history;
mod keeper;
mod lease;
mod lifecycle;
mod policy;
mod rehearsal;

use std::time::Duration;

pub use grant::{Failure, FailureKind, Grant, Minter, Outcome};
pub use handle::{Health, Mints, Status, TokenHandle};
pub use history::{Happening, Mood};
pub use keeper::Keeper;
pub use lease::{Lease, Unavailable, Why};
pub use rehearsal::{Deed, Rehearsal};

/// Validated settings of the lifecycle; everything else in it is fixed, with reasons, in `policy`.
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
