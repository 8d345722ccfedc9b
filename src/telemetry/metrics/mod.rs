//! What is counted, and how it is told to Prometheus.
//!
//! * [`Metrics`]: one a process. Everything it can tell apart is fixed at its start, so nothing that a caller makes up
//!   adds a series.
//! * [`Shard`]: one a worker. Counting a request takes no lock and no map and allocates only at a route's first use, and
//!   no two workers write to the same place; whoever reads adds the shards up.
//! * `histogram`: how long things took; `text`: the two formats; `report`: all of it, written out.

mod histogram;
mod report;
mod shard;
#[cfg(test)]
mod tests;
mod text;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub use shard::{By, Finished, Shard};
pub use text::Format;

use crate::clock::Now;

/// Everything that can be told apart.
#[derive(Debug, Default)]
pub struct Labels {
    /// Where requests went, by number.
    pub routes: Vec<String>,
    /// What can go wrong; anything else is `other`.
    pub errors: Vec<&'static str>,
    /// Which rules can refuse; any other is `other`.
    pub rules: Vec<String>,
}

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Client connections, as the server counts them.
#[derive(Debug, Default)]
pub struct Connections {
    pub(crate) open: AtomicUsize,
    pub(crate) accepted: Counter,
    pub(crate) refused: Counter,
}

/// How the token is, which somebody else knows.
#[derive(Debug, Clone, Default)]
pub struct Token {
    /// The state of readiness, in one word.
    pub state: &'static str,
    /// Until the live token is no longer used; zero without one.
    pub expires_in: Duration,
    /// When a token was last granted, in milliseconds since the epoch.
    pub last_success: Option<i64>,
    /// Attempts to get one, by what came of them.
    pub mints: [(&'static str, u64); 4],
}

/// Everything that is counted in this process.
#[derive(Debug)]
pub struct Metrics {
    labels: Arc<Labels>,
    shards: Mutex<Vec<Arc<Shard>>>,
    in_flight: Arc<AtomicUsize>,
    connections: Arc<Connections>,
    started: Now,
}

impl Metrics {
    /// Nothing yet. The process began `now`.
    pub fn new(labels: Labels, now: Now) -> Self {
        Self {
            labels: Arc::new(labels),
            shards: Mutex::default(),
            in_flight: Arc::default(),
            connections: Arc::default(),
            started: now,
        }
    }

    /// A place of its own for one more worker.
    pub fn shard(&self) -> Arc<Shard> {
        let shard = Arc::new(Shard::new(Arc::clone(&self.labels)));
        self.shards.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&shard));
        shard
    }

    /// Requests that are under way: the count by which they are limited.
    pub fn in_flight(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.in_flight)
    }

    /// Where the server is to count its clients.
    pub fn connections(&self) -> Arc<Connections> {
        Arc::clone(&self.connections)
    }

    /// All of it, in one text.
    pub fn report(&self, format: Format, token: &Token) -> String {
        report::write(self, format, token)
    }

    fn shards(&self) -> Vec<Arc<Shard>> {
        self.shards.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
