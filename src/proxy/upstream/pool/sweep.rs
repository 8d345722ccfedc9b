//! What is closed when nobody uses it, and what is made before somebody asks.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::{Kept, Pool, Protocol, State};
use crate::clock::Stopwatch;

/// Between two looks at what is kept, however short its life is set to be.
const LEAST_SWEEP: Duration = Duration::from_millis(10);

impl Pool {
    /// Closes what nobody uses. The task ends when nothing is left to close.
    pub(super) fn sweep_later(&self, state: &mut State) {
        if std::mem::replace(&mut state.sweeping, true) {
            return;
        }
        let (this, ended) = (self.this.clone(), Arc::clone(&self.ended));
        // Twice in the last tenth of a life, which is when a connection is replaced.
        let pause = (self.idle_timeout / 2).min(self.max_age / 20).max(LEAST_SWEEP);
        tokio::spawn(async move {
            loop {
                let mut time = pin!(sleep(pause));
                loop {
                    tokio::select! {
                        () = time.as_mut() => break,
                        () = ended.0.notified() => {}
                    }
                    let Some(pool) = this.upgrade() else { return };
                    pool.close_ended(&mut pool.lock());
                }
                let Some(pool) = this.upgrade() else { return };
                let mut state = pool.lock();
                pool.sweep(&mut state);
                if state.idle.is_empty() && state.h2.is_empty() && !pool.wants_spare(&state) {
                    state.sweeping = false;
                    return;
                }
            }
        });
    }

    /// From one spare connection to the next: a minute, unless connections are meant to live for less or more.
    pub(super) fn spare_period(&self) -> Duration {
        (2 * self.idle_timeout).max(self.max_age / 10)
    }

    /// Whether one HTTP/1.1 connection is kept ready: for a quarter of an hour, by default, after the last request.
    fn wants_spare(&self, state: &State) -> bool {
        let asked = state.asked.map_or(state.born, |(_, asked)| asked);
        let recent = asked.elapsed() < self.max_age * 3 / 2;
        recent && state.protocol == Protocol::Http1 && !self.idle_timeout.is_zero()
    }

    /// Closes what upstream has ended, or said something on that nobody has asked for.
    fn close_ended(&self, state: &mut State) {
        state.idle.retain_mut(|(h1, _)| {
            let keeps = !self.is_over(h1);
            if !keeps {
                h1.close();
            }
            keeps
        });
    }

    fn sweep_idle(&self, state: &mut State, now: Stopwatch) {
        let wants_spare = self.wants_spare(state);
        let mut above = state.idle.len();
        state.idle.retain_mut(|(h1, since)| {
            above -= 1;
            let silent = since.until(now);
            let spare = wants_spare && above == 0;
            // Whoever takes it must expect that upstream closes it at this moment.
            h1.reused |= silent >= self.idle_timeout;
            let limit = self.idle_timeout + if spare { self.spare_period() } else { Duration::ZERO };
            let keeps = silent < limit && !self.is_over(h1);
            if !keeps {
                h1.close();
            }
            keeps
        });
        let period = self.spare_period();
        let fresh = state.idle.last().is_some_and(|(_, since)| since.until(now) < period);
        if wants_spare && !fresh && state.spare_dialled.is_none_or(|dialled| dialled.until(now) >= period) {
            state.spare_dialled = Some(now);
            self.shared_dial(state);
        }
    }

    fn sweep(&self, state: &mut State) {
        let now = Stopwatch::start();
        self.sweep_idle(state, now);
        let mut newest = state.h2.len();
        state.h2.retain_mut(|kept| {
            newest -= 1;
            if std::mem::take(&mut kept.busy) || kept.h2.is_in_use() {
                kept.idle = Stopwatch::start();
            }
            kept.is_usable(self.max_age, now) && (newest == 0 || kept.idle.elapsed() < self.idle_timeout)
        });
        // In the background and before its time is up, so that no request pays for the dial.
        let ends = |newest: &Kept| newest.h2.reused && newest.h2.born.elapsed() >= self.max_age * 9 / 10;
        if state.h2.last().is_some_and(ends) && state.may_dial_more() {
            self.shared_dial(state);
        }
    }
}
