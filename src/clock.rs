//! The only place that asks what time it is.
//!
//! A token's life is judged by two clocks at once, because each of them alone lies: the monotonic clock of
//! `std::time::Instant` stops while a laptop sleeps, and the wall clock jumps. [`Now`] therefore carries a clock
//! that counts suspend (`CLOCK_BOOTTIME` on Linux, `CLOCK_MONOTONIC` on macOS, where it does) *and* the wall clock.
//!
//! Tests use [`Clock::manual`] and move both by hand; naps on a manual clock end when it has been moved far enough.

#![allow(clippy::disallowed_types, reason = "the one room that may read a clock")]

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

/// One reading of both clocks, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Since an arbitrary start; counts suspend; never goes back.
    pub boot: i64,
    /// Since the Unix epoch; may jump either way.
    pub wall: i64,
}

impl Now {
    /// This reading with both clocks moved on by `by`.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Self { boot: self.boot.saturating_add(millis(by)), wall: self.wall.saturating_add(millis(by)) }
    }

    /// How long ago `earlier` was: by whichever clock says longer, and never negative.
    pub fn since(self, earlier: Self) -> Duration {
        let boot = self.boot.saturating_sub(earlier.boot);
        let wall = self.wall.saturating_sub(earlier.wall);
        Duration::from_millis(u64::try_from(boot.max(wall)).unwrap_or(0))
    }
}

/// `d` in whole milliseconds, saturating.
pub fn millis(d: Duration) -> i64 {
    i64::try_from(d.as_millis()).unwrap_or(i64::MAX)
}

/// Where the time comes from: the system, or a test's hand.
#[derive(Debug, Clone)]
pub struct Clock(Source);

#[derive(Debug, Clone)]
enum Source {
    System,
    Manual(Arc<watch::Sender<Now>>),
}

/// Moves a manual [`Clock`].
#[derive(Debug, Clone)]
pub struct Hand(Arc<watch::Sender<Now>>);

impl Clock {
    /// The clocks of this machine.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands still until its [`Hand`] moves it. Starts at one hour of uptime in November 2023.
    pub fn manual() -> (Self, Hand) {
        let start = Now { boot: 3_600_000, wall: 1_700_000_000_000 };
        let sender = Arc::new(watch::Sender::new(start));
        (Self(Source::Manual(Arc::clone(&sender))), Hand(sender))
    }

    /// Reads both clocks.
    pub fn now(&self) -> Now {
        match &self.0 {
            Source::System => Now { boot: system::boot_millis(), wall: system::wall_millis() },
            Source::Manual(now) => *now.borrow(),
        }
    }

    /// Reads the wall clock alone, for what people read.
    pub fn wall(&self) -> i64 {
        match &self.0 {
            Source::System => system::wall_millis(),
            Source::Manual(now) => now.borrow().wall,
        }
    }

    /// Returns once at least `d` has passed on the boot clock, as far as this process can tell while it runs: a
    /// suspended machine does not count down a nap, so callers nap briefly and compare afterwards.
    pub async fn nap(&self, d: Duration) {
        match &self.0 {
            Source::System => tokio::time::sleep(d).await,
            Source::Manual(now) => {
                let mut moved = now.subscribe();
                let until = moved.borrow().boot.saturating_add(millis(d));
                // The sender lives as long as the clock, so this ends only by the hand reaching `until`.
                let _ = moved.wait_for(|now| now.boot >= until).await;
            }
        }
    }
}

impl Hand {
    /// Time passes on both clocks.
    pub fn advance(&self, by: Duration) {
        self.0.send_modify(|now| *now = now.plus(by));
    }

    /// Somebody sets the wall clock; no time passes.
    pub fn jump_wall(&self, by_millis: i64) {
        self.0.send_modify(|now| now.wall = now.wall.saturating_add(by_millis));
    }

    /// What the clock shows.
    pub fn now(&self) -> Now {
        *self.0.borrow()
    }
}

/// Measures how long something took, for logs and metrics only.
///
/// Not for validity of anything: it stands still while the machine sleeps.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(std::time::Instant);

impl Stopwatch {
    /// Starts measuring.
    pub fn start() -> Self {
        Self(std::time::Instant::now())
    }

    /// Time since [`start`](Self::start).
    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }

    /// Time from its start to that of a later one.
    pub fn until(self, later: Self) -> Duration {
        later.0.saturating_duration_since(self.0)
    }
}

/// Scripted randomness for whatever jitters: production draws, tests decide.
#[derive(Debug, Clone)]
pub struct Jitter(Arc<Mutex<fastrand::Rng>>);

impl Jitter {
    /// Seeded from the operating system.
    pub fn random() -> Self {
        Self(Arc::new(Mutex::new(fastrand::Rng::new())))
    }

    /// The same sequence for the same seed.
    pub fn seeded(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(fastrand::Rng::with_seed(seed))))
    }

    /// Uniform in `low..=high`.
    pub fn between(&self, low: Duration, high: Duration) -> Duration {
        let (low, high) = (millis(low), millis(high));
        if high <= low {
            return Duration::from_millis(u64::try_from(low).unwrap_or(0));
        }
        let drawn = self.0.lock().unwrap_or_else(PoisonError::into_inner).i64(low..=high);
        Duration::from_millis(u64::try_from(drawn).unwrap_or(0))
    }
}

mod system {
    /// `CLOCK_BOOTTIME`: counts suspend.
    #[cfg(target_os = "linux")]
    pub(super) fn boot_millis() -> i64 {
        from_timespec(rustix::time::clock_gettime(rustix::time::ClockId::Boottime))
    }

    /// `CLOCK_MONOTONIC`, which counts suspend on macOS.
    #[cfg(all(unix, not(target_os = "linux")))]
    pub(super) fn boot_millis() -> i64 {
        from_timespec(rustix::time::clock_gettime(rustix::time::ClockId::Monotonic))
    }

    #[cfg(unix)]
    fn from_timespec(t: rustix::time::Timespec) -> i64 {
        t.tv_sec.saturating_mul(1000).saturating_add(t.tv_nsec / 1_000_000)
    }

    /// `Instant`, whose source counts suspend on Windows.
    #[cfg(not(unix))]
    pub(super) fn boot_millis() -> i64 {
        use std::sync::LazyLock;
        static START: LazyLock<std::time::Instant> = LazyLock::new(std::time::Instant::now);
        super::millis(START.elapsed())
    }

    pub(super) fn wall_millis() -> i64 {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        since.map_or(0, super::millis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn age_is_what_the_older_clock_says() {
        let (clock, hand) = Clock::manual();
        let born = clock.now();
        hand.advance(Duration::from_secs(10));
        hand.jump_wall(-3_600_000);
        assert_eq!(
            clock.now().since(born),
            Duration::from_secs(10),
            "a wall clock set back makes nothing younger"
        );
        hand.jump_wall(7_200_000);
        assert_eq!(clock.now().since(born), Duration::from_secs(3610), "a wall clock set forward ages");
    }

    #[test]
    fn wall_jumps_of_centuries_do_not_overflow() {
        let (clock, hand) = Clock::manual();
        let born = clock.now();
        hand.jump_wall(i64::MIN);
        assert_eq!(clock.now().since(born), Duration::ZERO);
        hand.jump_wall(i64::MAX);
        let _ = clock.now().plus(Duration::MAX).since(born);
    }

    #[tokio::test]
    async fn a_nap_ends_when_the_hand_has_moved_far_enough() {
        let (clock, hand) = Clock::manual();
        let nap = clock.nap(Duration::from_secs(5));
        tokio::pin!(nap);
        hand.advance(Duration::from_secs(4));
        assert!(futures_poll(nap.as_mut()).await.is_none());
        hand.advance(Duration::from_secs(6));
        nap.await;
    }

    /// Polls once.
    async fn futures_poll<F: Future + Unpin>(mut f: F) -> Option<F::Output> {
        std::future::poll_fn(|cx| {
            std::task::Poll::Ready(match std::pin::Pin::new(&mut f).poll(cx) {
                std::task::Poll::Ready(v) => Some(v),
                std::task::Poll::Pending => None,
            })
        })
        .await
    }

    #[test]
    fn the_system_clock_runs() {
        let clock = Clock::system();
        let first = clock.now();
        assert!(first.wall > 1_600_000_000_000);
        assert!(clock.now().boot >= first.boot);
    }
}
