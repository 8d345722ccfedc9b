//! How many requests a second go on to Airbyte, in all and per client, so that ten notebooks behave as one polite client.
//! Off unless configured. A caller is refused, never queued; the further pages of a whole list, which nobody could ask
//! for again, wait for their turn.
//!
//! A second's worth may come at once; then they are spread out. Each limit is one number, the time at which the next
//! request would be due if all came evenly (GCRA), so there is nothing to refill and no lock between requests of one
//! client. Whoever comes from this host without a key counts towards the sum alone, as with permits.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::sleep;

use super::admit::Caller;
use crate::clock::Now;
use crate::problem::{self, Problem};

/// From this many clients on, those that have not asked for a while are forgotten.
const MANY: usize = 1024;
/// All times here are in millionths of a second.
const SECOND: i64 = 1_000_000;

/// Pages wait while less than this is left of a second's worth, so that whole lists, which always have one more page
/// to ask for, leave something to everybody else.
const KEPT: i64 = SECOND / 2;
/// A page that waits longer than this is given up.
const LONGEST_TURN: Duration = Duration::from_secs(60);

/// By caller. The lock is for the table alone, not for what is in it.
type Known = Mutex<HashMap<Caller, Arc<Due>>>;

#[derive(Debug)]
pub(super) struct Rate {
    all: Option<(Pace, Due)>,
    each: Option<(Pace, Known)>,
}

/// Which limit is reached, and when there is room again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TooFast {
    All(Duration),
    Client(Duration),
}

impl From<TooFast> for Problem {
    fn from(limit: TooFast) -> Self {
        let (detail, wait) = match limit {
            TooFast::All(wait) => ("more requests a second than limits.rate allows", wait),
            TooFast::Client(wait) => {
                ("more requests of this client a second than limits.rate_per_client allows", wait)
            }
        };
        Self::new(problem::RATE_LIMITED, detail).retry_after(wait)
    }
}

/// So much time from one request to the next.
#[derive(Debug, Clone, Copy)]
struct Pace(i64);

/// When the next request would be due.
#[derive(Debug)]
struct Due(AtomicI64);

impl Pace {
    fn new(per_second: u32) -> Self {
        Self((SECOND / i64::from(per_second.max(1))).max(1))
    }
}

impl Due {
    fn never_asked() -> Self {
        Self(AtomicI64::new(i64::MIN))
    }

    /// Takes one if that leaves `kept`, or tells how long it takes until it would.
    fn take(&self, Pace(step): Pace, now: i64, kept: i64) -> Result<(), Duration> {
        let mut refused = 0;
        let took = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |due| {
            let due = due.max(now);
            refused = (due + step).saturating_sub(now + (SECOND - kept).max(step));
            (refused <= 0).then_some(due + step)
        });
        took.map(drop).map_err(|_| Duration::from_micros(u64::try_from(refused).unwrap_or(0)))
    }

    fn give_back(&self, Pace(step): Pace) {
        self.0.fetch_sub(step, Ordering::Relaxed);
    }
}

impl Rate {
    pub(super) fn new(all: Option<u32>, each: Option<u32>) -> Self {
        Self {
            all: all.map(|rate| (Pace::new(rate), Due::never_asked())),
            each: each.map(|rate| (Pace::new(rate), Mutex::default())),
        }
    }

    /// Whether anything is limited: where not, nobody need look at a clock.
    pub(super) fn is_on(&self) -> bool {
        self.all.is_some() || self.each.is_some()
    }

    /// Counts one request of `caller`, or refuses it and counts nothing.
    pub(super) fn take(&self, caller: Option<&Caller>, now: Now) -> Result<(), TooFast> {
        self.take_and_keep(caller, now, 0)
    }

    fn take_and_keep(&self, caller: Option<&Caller>, now: Now, kept: i64) -> Result<(), TooFast> {
        let now = now.boot.saturating_mul(1000);
        let own =
            self.each.as_ref().zip(caller).map(|((pace, known), caller)| (*pace, due(known, caller, now)));
        if let Some((pace, due)) = &own {
            due.take(*pace, now, kept).map_err(TooFast::Client)?;
        }
        let Some((pace, all)) = &self.all else { return Ok(()) };
        all.take(*pace, now, kept).map_err(|wait| {
            if let Some((pace, due)) = &own {
                due.give_back(*pace);
            }
            TooFast::All(wait)
        })
    }
}

/// The turns of one whole list.
#[derive(Debug, Clone)]
pub(super) struct Turns {
    rate: Arc<Rate>,
    caller: Option<Caller>,
}

impl Turns {
    pub(super) fn new(rate: &Arc<Rate>, caller: Option<Caller>) -> Self {
        Self { rate: Arc::clone(rate), caller }
    }

    /// Waits until one more page may be asked for.
    pub(super) async fn next(&self, now: impl Fn() -> Now) -> Result<(), TooFast> {
        let mut waited = Duration::ZERO;
        loop {
            let Err(too_fast) = self.rate.take_and_keep(self.caller.as_ref(), now(), KEPT) else {
                return Ok(());
            };
            let (TooFast::All(wait) | TooFast::Client(wait)) = too_fast;
            waited += wait;
            if waited > LONGEST_TURN {
                return Err(too_fast);
            }
            sleep(wait).await;
        }
    }
}

fn due(known: &Known, caller: &Caller, now: i64) -> Arc<Due> {
    let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(due) = known.get(caller) {
        return Arc::clone(due);
    }
    if known.len() >= MANY {
        known.retain(|_, due| due.0.load(Ordering::Relaxed) > now);
    }
    Arc::clone(known.entry(caller.clone()).or_insert_with(|| Arc::new(Due::never_asked())))
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;
    use crate::clock::Clock;

    fn at(millis: i64) -> Now {
        Now { boot: millis, wall: 0 }
    }

    fn caller(last: u16) -> Caller {
        Caller::Address(std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last).into())
    }

    #[test]
    fn a_seconds_worth_comes_at_once_and_the_rest_evenly() {
        let rate = Rate::new(Some(4), None);
        for _ in 0..4 {
            assert_eq!(rate.take(None, at(10_000)), Ok(()));
        }
        let quarter = Duration::from_millis(250);
        assert_eq!(rate.take(None, at(10_000)), Err(TooFast::All(quarter)));
        assert_eq!(rate.take(None, at(10_100)), Err(TooFast::All(Duration::from_millis(150))));
        assert_eq!(rate.take(None, at(10_250)), Ok(()));
        assert_eq!(rate.take(None, at(10_250)), Err(TooFast::All(quarter)));
        // However long nobody asks, no more than a second's worth is saved up.
        let later = (0..9).filter(|_| rate.take(None, at(90_000)).is_ok()).count();
        assert_eq!(later, 4);
    }

    #[test]
    fn one_client_takes_nothing_from_another_and_its_refusals_nothing_from_the_sum() {
        let rate = Rate::new(Some(3), Some(2));
        let ask = |last| rate.take(Some(&caller(last)), at(0));
        assert!(ask(1).is_ok() && ask(1).is_ok());
        assert_eq!(ask(1), Err(TooFast::Client(Duration::from_millis(500))));
        assert_eq!(ask(2), Ok(()));
        assert!(matches!(ask(2), Err(TooFast::All(_))));
        // What the sum refused was not taken from the client.
        assert!(rate.take(Some(&caller(2)), at(334)).is_ok());
        assert!(
            Rate::new(None, Some(1)).take(None, at(0)).is_ok(),
            "this host's programs are told apart by keys"
        );
    }

    #[test]
    fn pages_of_whole_lists_leave_half_to_requests() {
        let rate = Rate::new(Some(4), None);
        let page = |millis| rate.take_and_keep(None, at(millis), KEPT);
        assert!(page(0).is_ok() && page(0).is_ok());
        assert_eq!(page(0), Err(TooFast::All(Duration::from_millis(250))));
        assert!(rate.take(None, at(0)).is_ok(), "a request");
        assert_eq!(page(250), Err(TooFast::All(Duration::from_millis(250))), "requests go first");
        assert!(page(500).is_ok());
        let slow = Rate::new(Some(1), None);
        assert!(slow.take_and_keep(None, at(0), KEPT).is_ok(), "of one there is no half");
    }

    #[tokio::test(start_paused = true)]
    async fn a_page_waits_for_its_turn_and_not_for_ever() {
        let (clock, hand) = Clock::manual();
        let turns = Turns::new(&Arc::new(Rate::new(Some(2), None)), None);
        assert_eq!(turns.next(|| clock.now()).await, Ok(()));
        let mut second = pin!(turns.next(|| clock.now()));
        assert!(second.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending(), "not yet");
        hand.advance(Duration::from_millis(500));
        assert_eq!(second.await, Ok(()));
        // The hand stands still: there never is another turn.
        assert_eq!(turns.next(|| clock.now()).await, Err(TooFast::All(Duration::from_millis(500))));
    }

    #[test]
    fn one_a_second_is_possible_and_clients_of_long_ago_are_forgotten() {
        let rate = Rate::new(None, Some(1));
        assert_eq!(rate.take(Some(&caller(1)), at(0)), Ok(()));
        assert_eq!(rate.take(Some(&caller(1)), at(1)), Err(TooFast::Client(Duration::from_millis(999))));
        for last in 0..2000 {
            let _ = rate.take(Some(&caller(last)), at(i64::from(last) * 10));
        }
        let (_, known) = rate.each.as_ref().expect("on");
        assert!(known.lock().expect("sound").len() <= MANY);
    }
}
