//! Timers for answers, used again and again.
//!
//! Nearly every answer comes long before its time is up. To set a timer for each and to take it back would cost more
//! than all the rest that is done about time. So a timer that is set stays set, and whoever takes it over looks at its
//! own deadline when it fires.

#![allow(clippy::disallowed_types, reason = "a timer is set by the clock that it runs by")]

use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// Timers that are kept. Each also keeps the task that used it last, though not what that was doing.
const MOST: usize = 1024;

/// Timers that are set and that nobody waits for. Of one runtime.
#[derive(Debug, Default)]
pub(super) struct Timers(Mutex<Vec<Pin<Box<Sleep>>>>);

impl Timers {
    fn lock(&self) -> MutexGuard<'_, Vec<Pin<Box<Sleep>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A time by which something should have happened.
#[derive(Debug)]
pub(super) struct Deadline<'a> {
    timers: &'a Timers,
    within: Duration,
    at: Instant,
    timer: Option<Pin<Box<Sleep>>>,
}

impl<'a> Deadline<'a> {
    pub(super) fn new(timers: &'a Timers, within: Duration) -> Self {
        Self { timers, within, at: Instant::now() + within, timer: None }
    }

    /// Ready when it has passed; the next call begins anew.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let at = self.at;
        let timers = self.timers;
        let timer = self.timer.get_or_insert_with(|| {
            // In a statement of its own: the lock must be gone before a timer is set.
            let kept = timers.lock().pop();
            kept.unwrap_or_else(|| Box::pin(sleep_until(at)))
        });
        if timer.deadline() > at {
            timer.as_mut().reset(at);
        }
        ready!(timer.as_mut().poll(cx));
        if timer.deadline() < at {
            // It was set for somebody before.
            timer.as_mut().reset(at);
            ready!(timer.as_mut().poll(cx));
        }
        self.at = Instant::now() + self.within;
        Poll::Ready(())
    }
}

impl Drop for Deadline<'_> {
    fn drop(&mut self) {
        let Some(timer) = self.timer.take().filter(|timer| !timer.is_elapsed()) else { return };
        let mut timers = self.timers.lock();
        if timers.len() < MOST {
            timers.push(timer);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Waker;

    use tokio::time::advance;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    fn passed(deadline: &mut Deadline<'_>) -> bool {
        deadline.poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[tokio::test(start_paused = true)]
    async fn a_timer_of_an_earlier_request_does_not_end_a_later_one() {
        let timers = Timers::default();
        let mut first = Deadline::new(&timers, LIMIT);
        assert!(!passed(&mut first));
        advance(Duration::from_secs(9)).await;
        drop(first);
        let mut second = Deadline::new(&timers, LIMIT);
        assert!(!passed(&mut second));
        assert!(timers.lock().is_empty(), "the same timer");
        advance(Duration::from_secs(2)).await;
        assert!(!passed(&mut second), "it has fired, but for the first");
        advance(Duration::from_secs(7)).await;
        assert!(!passed(&mut second));
        advance(Duration::from_secs(1)).await;
        assert!(passed(&mut second));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_is_woken_and_may_wait_again() {
        let timers = Timers::default();
        drop(Deadline::new(&timers, LIMIT));
        let started = Instant::now();
        let mut deadline = Deadline::new(&timers, LIMIT);
        poll_fn(|cx| deadline.poll(cx)).await;
        poll_fn(|cx| deadline.poll(cx)).await;
        assert_eq!(started.elapsed(), 2 * LIMIT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_timer_that_fired_while_nobody_waited_is_set_anew() {
        let timers = Timers::default();
        let mut first = Deadline::new(&timers, LIMIT);
        assert!(!passed(&mut first));
        drop(first);
        advance(2 * LIMIT).await;
        let mut second = Deadline::new(&timers, LIMIT);
        assert!(!passed(&mut second));
        advance(LIMIT).await;
        assert!(passed(&mut second));
    }

    #[tokio::test(start_paused = true)]
    async fn a_timer_that_has_fired_is_not_kept() {
        let timers = Timers::default();
        let mut deadline = Deadline::new(&timers, LIMIT);
        assert!(!passed(&mut deadline));
        advance(LIMIT).await;
        assert!(passed(&mut deadline));
        drop(deadline);
        assert!(timers.lock().is_empty());
    }
}
