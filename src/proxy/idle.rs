//! Notices when nothing has moved for too long, without touching a timer for each thing that moves.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Sleep, sleep};

/// Fires after `limit` … 2 × `limit` without progress while somebody waits. Costs nothing until something has to wait.
#[derive(Debug)]
pub(super) struct IdleTimer {
    limit: Duration,
    sleep: Option<Pin<Box<Sleep>>>,
    progressed: bool,
}

impl IdleTimer {
    pub(super) fn new(limit: Duration) -> Self {
        Self { limit, sleep: None, progressed: false }
    }

    /// Something moved.
    pub(super) fn progress(&mut self) {
        self.progressed = true;
    }

    /// Polled while waiting; ready means that it took too long.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let limit = self.limit;
            ready!(self.sleep.get_or_insert_with(|| Box::pin(sleep(limit))).as_mut().poll(cx));
            self.sleep = None;
            if !std::mem::take(&mut self.progressed) {
                return Poll::Ready(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn fires_only_when_nothing_moved_for_a_whole_period() {
        let mut timer = IdleTimer::new(Duration::from_secs(10));
        let mut poll_once = |moved: bool| {
            if moved {
                timer.progress();
            }
            timer.poll(&mut Context::from_waker(std::task::Waker::noop())).is_ready()
        };
        assert!(!poll_once(false));
        tokio::time::advance(Duration::from_secs(9)).await;
        assert!(!poll_once(true));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(!poll_once(false), "it moved within the period");
        tokio::time::advance(Duration::from_secs(9)).await;
        assert!(!poll_once(false));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(poll_once(false));
        let mut fresh = IdleTimer::new(Duration::from_secs(1));
        poll_fn(|cx| fresh.poll(cx)).await;
    }
}
