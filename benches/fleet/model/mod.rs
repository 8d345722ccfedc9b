//! Thousands of clients of one token endpoint, in virtual time: an event queue, a clock that jumps to the next event, and
//! nothing that waits. The proxies run the lifecycle that the program runs; the endpoint and the other clients are models.
//!
//! Everything is drawn from one seed, so the same plan gives the same figures.

#![allow(unreachable_pub, reason = "part of two crates, neither of which is a library")]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "counts and milliseconds of a few hours"
)]

mod client;
mod endpoint;
mod record;
mod run;

pub use client::Kind;
pub use endpoint::{Beyond, Endpoint, Trouble};
pub use record::Record;
pub use run::{Plan, run};

/// In milliseconds.
pub const SECOND: i64 = 1000;
/// In milliseconds.
pub const MINUTE: i64 = 60 * SECOND;
/// In milliseconds.
pub const HOUR: i64 = 60 * MINUTE;
/// Airbyte's tokens, unless configured otherwise.
pub const QUARTER: i64 = 15 * MINUTE;

/// Requests to the endpoint in a second, by proxies that are not in step: each renews its token at 60 % of its life.
pub fn steady(members: usize, life: i64) -> f64 {
    members as f64 / (0.6 * life as f64 / SECOND as f64)
}
