//! The one way to end: running → draining → closing → aborted, never back.

use std::sync::Arc;

use tokio::sync::watch;

/// Tells the server, and everything that wants to know, that it is time to end. Cloning shares it.
#[derive(Debug, Clone)]
pub struct Stop(Arc<watch::Sender<Phase>>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Running,
    /// Readiness is false; everything is still served.
    Draining,
    /// Listeners are closed; requests in flight finish.
    Closing,
    /// Nothing is waited for.
    Aborted,
}

/// How [`Bound::serve`](super::Bound::serve) ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Drained {
    /// What became of the requests in flight.
    pub outcome: Outcome,
}

/// What became of the requests in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All were answered to their last byte.
    Clean,
    /// The grace ran out, or a second stop came.
    Aborted {
        /// Requests that were cut.
        open_requests: usize,
    },
}

impl Default for Stop {
    fn default() -> Self {
        Self::new()
    }
}

impl Stop {
    /// Running.
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(Phase::Running)))
    }

    /// Starts the drain. Further calls change nothing.
    pub fn drain(&self) {
        self.advance(Phase::Draining);
    }

    /// Ends at once, whatever is in flight.
    pub fn abort(&self) {
        self.advance(Phase::Aborted);
    }

    /// Whether the end has begun: the negative of readiness.
    pub fn is_draining(&self) -> bool {
        *self.0.borrow() >= Phase::Draining
    }

    /// Returns once the drain has begun.
    pub async fn draining(&self) {
        self.reached(Phase::Draining).await;
    }

    /// Returns once the listeners close: whoever streams without end (server-sent events) ends now.
    pub async fn closing(&self) {
        self.reached(Phase::Closing).await;
    }

    pub(super) async fn aborted(&self) {
        self.reached(Phase::Aborted).await;
    }

    pub(super) fn close(&self) {
        self.advance(Phase::Closing);
    }

    fn advance(&self, to: Phase) {
        self.0.send_if_modified(|phase| {
            let later = *phase < to;
            if later {
                *phase = to;
            }
            later
        });
    }

    async fn reached(&self, wanted: Phase) {
        // The sender lives in `self`, so this ends only by the phase.
        let _ = self.0.subscribe().wait_for(|phase| *phase >= wanted).await;
    }
}
