//! The connections of one worker to one origin.
//!
//! HTTP/1.1 connections wait on a stack, the most recently used on top. Of HTTP/2 there is one, and more only while
//! its streams do not suffice. Until the protocol is known, and always for HTTP/2, a burst of requests causes one dial
//! and not many. A dial runs in a task of its own: a caller that leaves cancels nothing for the others.
//!
//! A further HTTP/2 connection is a convenience: whoever waits for one takes a stream that becomes free meanwhile, and
//! if it cannot be had, waits for a stream of those that are there.
//!
//! How long they are kept: HTTP/1.1 connections until nobody has used them for `idle_timeout`, but for one that is kept
//! ready for a while after the last request. It is replaced each [`Pool::spare_period`], since upstream closes what is
//! silent, and made anew no sooner where upstream has closed it before. HTTP/2 connections likewise, but for the newest
//! one, which stays and is replaced shortly before `max_age`, with or without requests. One that served nobody in all its life is not
//! replaced: once nothing has been asked for `max_age` to twice `max_age` there is no connection and no PING any more.

mod sweep;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use tokio::sync::{Notify, oneshot, watch};

use super::connection::Connection;
use super::dial::Dialer;
use super::error::{Kind, SendError};
use super::http1::H1;
use super::http2::H2;
use crate::clock::{Clock, Now, Stopwatch};

/// More HTTP/2 connections than this share the streams they have.
const MAX_H2: usize = 8;
/// After a further HTTP/2 connection could not be had, none is tried for this long; twice as long after each failure.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Connections are not trusted after a suspend longer than this.
const SUSPENDED: Duration = Duration::from_secs(10);
/// Whoever waited for a connection has taken it by then.
const FRESH: Duration = Duration::from_secs(1);
/// Kept HTTP/1.1 connections; more are closed after use. As many as there are requests at the same time
/// (`limits.in_flight`), or a busy proxy would dial all the time.
const MAX_IDLE: usize = 1024;

#[derive(Debug)]
pub(super) struct Pool {
    dialer: Dialer,
    prior_knowledge_h2: bool,
    idle_timeout: Duration,
    max_age: Duration,
    state: Mutex<State>,
    /// A stream of an HTTP/2 connection has become free.
    freed: Arc<Notify>,
    /// Upstream has ended an HTTP/1.1 connection that nobody uses.
    ended: Arc<Ended>,
    /// Tells so.
    ends: Waker,
    this: Weak<Self>,
}

#[derive(Debug)]
struct State {
    protocol: Protocol,
    idle: Vec<(Box<H1>, Stopwatch)>,
    /// The newest last.
    h2: Vec<Kept>,
    /// The dial that everybody waits for.
    shared_dial: Option<SharedDial>,
    /// When a dial failed beside a living HTTP/2 connection, and for how long there is no other.
    pause: Option<(Stopwatch, Duration)>,
    sweeping: bool,
    /// When the pool was made, which counts as a request, and when a spare connection was dialled.
    born: Stopwatch,
    spare_dialled: Option<Stopwatch>,
    /// Changes when the machine wakes from a suspend.
    resumed: watch::Receiver<u64>,
    /// When the pool was last asked, by the clock that counts a suspend and by the one that does not.
    asked: Option<(Now, Stopwatch)>,
}

/// An HTTP/2 connection.
#[derive(Debug)]
struct Kept {
    h2: H2,
    /// Somebody has used it since the last sweep; its idle time has not begun.
    busy: bool,
    idle: Stopwatch,
}

impl Kept {
    /// Whether it may take a request. A new one may once, whatever has become of it: who waited for it must learn that,
    /// not wait for another.
    fn is_usable(&mut self, max_age: Duration, now: Stopwatch) -> bool {
        let age = self.h2.born.until(now);
        (!self.h2.reused && age < FRESH) || (age < max_age && !self.h2.is_closed())
    }
}

impl State {
    fn new(resumed: watch::Receiver<u64>) -> Self {
        Self {
            protocol: Protocol::Unknown,
            idle: Vec::new(),
            h2: Vec::new(),
            shared_dial: None,
            pause: None,
            sweeping: false,
            born: Stopwatch::start(),
            spare_dialled: None,
            resumed,
            asked: None,
        }
    }

    /// Whether connections made before may have died without a sign. The first request after a suspend may come before
    /// the keeper has looked at its clock.
    fn was_suspended(&mut self, now: Now, awake: Stopwatch) -> bool {
        let told = self.resumed.has_changed().unwrap_or(false);
        self.resumed.mark_unchanged();
        let gap = self.asked.replace((now, awake)).is_some_and(|(then, since)| {
            let passed = Duration::from_millis(u64::try_from(now.boot - then.boot).unwrap_or(0));
            passed.saturating_sub(since.until(awake)) > SUSPENDED
        });
        told || gap
    }

    /// Whether there may be a dial although there is an HTTP/2 connection.
    fn may_dial_more(&self) -> bool {
        self.pause.is_none_or(|(since, pause)| since.elapsed() >= pause)
    }

    fn dial_failed(&mut self) {
        if !self.h2.is_empty() {
            let pause = self.pause.map_or(FIRST_PAUSE, |(_, last)| (last * 2).min(LONGEST_PAUSE));
            self.pause = Some((Stopwatch::start(), pause));
        }
    }

    fn keep_h2(&mut self, h2: H2) {
        self.protocol = Protocol::Http2;
        self.pause = None;
        self.h2.push(Kept { h2, busy: true, idle: Stopwatch::start() });
    }
}

/// Wakes the sweep.
#[derive(Debug, Default)]
struct Ended(Notify);

impl Wake for Ended {
    fn wake(self: Arc<Self>) {
        self.0.notify_one();
    }
}

type SharedDial = watch::Receiver<Option<Result<(), SendError>>>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Unknown,
    Http1,
    Http2,
}

/// How to come by a connection.
enum Way {
    Have(Connection),
    Own(oneshot::Receiver<Result<Connection, SendError>>),
    Shared(SharedDial),
}

impl Pool {
    pub(super) fn new(
        dialer: Dialer,
        prior_knowledge_h2: bool,
        idle_timeout: Duration,
        max_age: Duration,
        resumed: watch::Receiver<u64>,
    ) -> Arc<Self> {
        let ended = Arc::<Ended>::default();
        Arc::new_cyclic(|this| Self {
            dialer,
            prior_knowledge_h2,
            idle_timeout,
            max_age,
            state: Mutex::new(State::new(resumed)),
            freed: Arc::new(Notify::new()),
            ends: Waker::from(Arc::clone(&ended)),
            ended,
            this: this.clone(),
        })
    }

    /// An empty pool for the same origin.
    pub(super) fn another(&self) -> Arc<Self> {
        let resumed = self.lock().resumed.clone();
        Self::new(self.dialer.clone(), self.prior_knowledge_h2, self.idle_timeout, self.max_age, resumed)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection that can take a request, and when that is: `now`, unless it had to be waited for.
    pub(super) async fn checkout(&self, mut now: Now, clock: &Clock) -> Result<(Connection, Now), SendError> {
        loop {
            // In a statement of its own: the lock must be gone before anything is awaited.
            let way = self.way(now);
            match way {
                Way::Have(connection) => return Ok((connection, now)),
                Way::Own(dialled) => {
                    let connection = dialled.await.unwrap_or_else(|_| Err(dial_lost()))?;
                    return Ok((connection, clock.now()));
                }
                Way::Shared(mut dial) => {
                    let ended = tokio::select! {
                        ended = dial.wait_for(Option::is_some) => ended.map(|result| result.clone()),
                        () = self.freed.notified() => {
                            now = clock.now();
                            continue;
                        }
                    };
                    now = clock.now();
                    match ended.ok().flatten().unwrap_or_else(|| Err(dial_lost())) {
                        // There is one that lives, and its streams become free.
                        Err(_) if !self.lock().h2.is_empty() => {}
                        ended => ended?,
                    }
                }
            }
        }
    }

    /// Makes the first connection before anybody asks.
    pub(super) fn warm(&self) {
        let mut state = self.lock();
        if state.idle.is_empty() && state.h2.is_empty() {
            self.shared_dial(&mut state);
        }
    }

    /// A connection whose response has been read to its end.
    pub(super) fn put_back(&self, mut h1: Box<H1>) {
        let now = Stopwatch::start();
        if h1.born.until(now) >= self.max_age || self.is_over(&mut h1) {
            return h1.close();
        }
        let mut state = self.lock();
        if state.idle.len() >= MAX_IDLE {
            return h1.close();
        }
        state.idle.push((h1, now));
        self.sweep_later(&mut state);
    }

    /// Whether upstream has ended it. If it does so later, and nobody uses it then, the sweep is told.
    fn is_over(&self, h1: &mut H1) -> bool {
        h1.has_ended(&mut Context::from_waker(&self.ends))
    }

    /// Whether upstream has ended the connection since it was checked out.
    pub(super) fn has_ended(&self, connection: &mut Connection) -> bool {
        match connection {
            Connection::H1(h1) => self.is_over(h1),
            Connection::H2(h2, _) => h2.is_closed(),
        }
    }

    fn way(&self, now: Now) -> Way {
        // One look at this clock for all that is judged by it.
        let awake = Stopwatch::start();
        let mut state = self.lock();
        if state.was_suspended(now, awake) {
            state.idle.clear();
            state.h2.clear();
        }
        if let Some(h2) = self.h2(&mut state, awake) {
            return Way::Have(h2);
        }
        while let Some((mut h1, since)) = state.idle.pop() {
            // Of those that are older the sweep has left one, the spare.
            if !self.is_over(&mut h1) && since.until(awake) < self.spare_period() + self.idle_timeout {
                return Way::Have(Connection::H1(h1));
            }
            h1.close();
        }
        if state.protocol == Protocol::Http1 {
            drop(state);
            return Way::Own(self.own_dial());
        }
        Way::Shared(self.shared_dial(&mut state))
    }

    fn h2(&self, state: &mut State, now: Stopwatch) -> Option<Connection> {
        state.h2.retain_mut(|kept| kept.is_usable(self.max_age, now));
        let more = state.h2.len() < MAX_H2 && state.may_dial_more();
        let somebody_waits = state.shared_dial.is_some();
        let best = state.h2.iter_mut().max_by_key(|kept| kept.h2.room())?;
        let room = best.h2.room();
        if room == 0 && more {
            return None;
        }
        // Whoever waits for a stream need not be the one who heard that there are several.
        if room > 1 && somebody_waits {
            self.freed.notify_one();
        }
        let picked = best.h2.clone();
        best.h2.reused = true;
        best.busy = true;
        let share = picked.share();
        Some(Connection::H2(picked, share))
    }

    fn shared_dial(&self, state: &mut State) -> SharedDial {
        // One whose task is gone without a result (a panic) must not be waited for by everybody from now on.
        if let Some(dial) = state.shared_dial.as_ref().filter(|dial| dial.has_changed().is_ok()) {
            return dial.clone();
        }
        let (ended, dial) = watch::channel(None);
        state.shared_dial = Some(dial.clone());
        let Some(pool) = self.this.upgrade() else { return dial };
        tokio::spawn(async move {
            let result = pool.dial().await;
            let mut state = pool.lock();
            state.shared_dial = None;
            if result.is_err() {
                state.dial_failed();
            }
            let result = result.map(|connection| pool.keep(&mut state, connection));
            drop(state);
            let _ = ended.send(Some(result));
        });
        dial
    }

    fn own_dial(&self) -> oneshot::Receiver<Result<Connection, SendError>> {
        let (ended, dialled) = oneshot::channel();
        if let Some(pool) = self.this.upgrade() {
            tokio::spawn(async move {
                let result = pool.dial().await;
                if let Ok(Connection::H2(h2, _)) = &result {
                    let mut state = pool.lock();
                    state.keep_h2(h2.clone());
                    pool.sweep_later(&mut state);
                }
                // The caller has left: somebody else may use it.
                if let Err(Ok(connection @ Connection::H1(_))) = ended.send(result) {
                    pool.keep(&mut pool.lock(), connection);
                }
            });
        }
        dialled
    }

    async fn dial(&self) -> Result<Connection, SendError> {
        Connection::open(self.dialer.dial().await?, self.prior_knowledge_h2, &self.freed).await
    }

    fn keep(&self, state: &mut State, connection: Connection) {
        match connection {
            Connection::H1(mut h1) => {
                state.protocol = Protocol::Http1;
                if self.is_over(&mut h1) {
                    return h1.close();
                }
                state.idle.push((h1, Stopwatch::start()));
            }
            Connection::H2(h2, _) => state.keep_h2(h2),
        }
        self.sweep_later(state);
    }
}

fn dial_lost() -> SendError {
    SendError::new(Kind::Refused, "the connection attempt was given up")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suspend_shows_by_the_clocks_or_by_being_told_and_shows_once() {
        let (clock, hand) = Clock::manual();
        let (tell, resumed) = watch::channel(0);
        let mut state = State::new(resumed);
        let mut was_suspended = |now| state.was_suspended(now, Stopwatch::start());
        assert!(!was_suspended(clock.now()), "the first request cannot tell");
        hand.advance(Duration::from_secs(9));
        assert!(!was_suspended(clock.now()));
        hand.jump_wall(86_400_000);
        assert!(!was_suspended(clock.now()), "somebody set the wall clock");
        hand.advance(Duration::from_secs(7200));
        assert!(was_suspended(clock.now()));
        assert!(!was_suspended(clock.now()));
        tell.send_modify(|n| *n += 1);
        assert!(was_suspended(clock.now()));
        assert!(!was_suspended(clock.now()));
    }
}
