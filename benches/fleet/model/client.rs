//! Who asks for tokens: the proxy, and two kinds of programs without one.

use airbyte_proxy::clock::{Jitter, Now, millis};
use airbyte_proxy::token::{Config, Deed, Outcome, Rehearsal};

use super::{MINUTE, SECOND};

/// Before a token's end, as Airbyte's SDKs have it.
const MARGIN: i64 = 60 * SECOND;
/// Between two runs of a script.
const EVERY: i64 = 5 * MINUTE;

/// Sorts of clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// This program.
    Proxy,
    /// A service that mints a minute before its token ends, and every second until it has one.
    Eager,
    /// A script that runs every five minutes at a time of its own, mints once each time, and fails if that fails.
    Script,
}

pub(super) trait Client {
    /// Begins.
    fn start(&mut self, now: i64) -> Vec<Deed>;
    /// Something may be due.
    fn look(&mut self, now: i64) -> Vec<Deed>;
    fn answered(&mut self, now: i64, attempt: u64, outcome: Outcome) -> Vec<Deed>;
    /// A request finds no token.
    fn acquire(&mut self, now: i64, caller: u64) -> Vec<Deed>;
    /// The secret it reads has changed.
    fn rotate(&mut self, now: i64) -> Vec<Deed>;
    /// For how long nothing is due.
    fn nap(&self, now: i64) -> i64;
}

pub(super) fn client(kind: Kind, seed: u64) -> Box<dyn Client> {
    match kind {
        Kind::Proxy => Box::new(Proxy(Rehearsal::new(Config::default(), Jitter::seeded(seed), both(0)))),
        Kind::Eager => Box::new(Eager::default()),
        Kind::Script => Box::new(Script::default()),
    }
}

/// Both clocks go alike here.
fn both(now: i64) -> Now {
    Now { boot: now, wall: 1_700_000_000_000 + now }
}

struct Proxy(Rehearsal);

impl Client for Proxy {
    fn start(&mut self, now: i64) -> Vec<Deed> {
        self.0.credentials(both(now))
    }

    fn look(&mut self, now: i64) -> Vec<Deed> {
        self.0.look(both(now))
    }

    fn answered(&mut self, now: i64, attempt: u64, outcome: Outcome) -> Vec<Deed> {
        self.0.answered(both(now), attempt, outcome)
    }

    fn acquire(&mut self, now: i64, caller: u64) -> Vec<Deed> {
        self.0.acquire(both(now), caller)
    }

    fn rotate(&mut self, now: i64) -> Vec<Deed> {
        self.0.credentials(both(now))
    }

    fn nap(&self, now: i64) -> i64 {
        millis(self.0.next_look(both(now)))
    }
}

#[derive(Debug, Default)]
struct Eager {
    attempts: u64,
    credentials: u64,
    /// When the attempt that is running began.
    asked: Option<i64>,
    next: i64,
    ends: Option<i64>,
}

impl Client for Eager {
    fn start(&mut self, now: i64) -> Vec<Deed> {
        self.credentials = 1;
        self.next = now;
        self.look(now)
    }

    fn look(&mut self, now: i64) -> Vec<Deed> {
        let mut deeds = Vec::new();
        if self.ends.is_some_and(|ends| ends <= now) {
            self.ends = None;
            deeds.push(Deed::Died);
        }
        if self.asked.is_none() && self.next <= now {
            self.attempts += 1;
            self.asked = Some(now);
            deeds.push(Deed::Ask { attempt: self.attempts, credentials: self.credentials });
        }
        deeds
    }

    fn answered(&mut self, now: i64, _: u64, outcome: Outcome) -> Vec<Deed> {
        let Some(asked) = self.asked.take() else { return Vec::new() };
        let life = outcome.ok().and_then(|grant| grant.expires_in).map(millis);
        self.next = life.map_or(now + SECOND, |life| (asked + life - MARGIN).max(now + SECOND));
        self.ends = life.map(|life| asked + life).or(self.ends);
        let mut deeds = self.look(now);
        deeds.extend(life.map(|_| Deed::Minted));
        deeds
    }

    fn acquire(&mut self, _: i64, caller: u64) -> Vec<Deed> {
        vec![Deed::Refuse(caller)]
    }

    fn rotate(&mut self, _: i64) -> Vec<Deed> {
        self.credentials += 1;
        Vec::new()
    }

    fn nap(&self, now: i64) -> i64 {
        let due = self.asked.map_or(self.next, |_| i64::MAX);
        (due.min(self.ends.unwrap_or(i64::MAX)) - now).max(1)
    }
}

#[derive(Debug, Default)]
struct Script {
    runs: u64,
    credentials: u64,
    next: i64,
}

impl Client for Script {
    fn start(&mut self, now: i64) -> Vec<Deed> {
        self.credentials = 1;
        self.next = now;
        self.look(now)
    }

    fn look(&mut self, now: i64) -> Vec<Deed> {
        if self.next > now {
            return Vec::new();
        }
        self.next = now + EVERY;
        self.runs += 1;
        vec![Deed::Ask { attempt: self.runs, credentials: self.credentials }]
    }

    fn answered(&mut self, _: i64, run: u64, outcome: Outcome) -> Vec<Deed> {
        vec![if outcome.is_ok() { Deed::Lend(run) } else { Deed::Refuse(run) }]
    }

    fn acquire(&mut self, _: i64, _: u64) -> Vec<Deed> {
        Vec::new()
    }

    fn rotate(&mut self, _: i64) -> Vec<Deed> {
        self.credentials += 1;
        Vec::new()
    }

    fn nap(&self, now: i64) -> i64 {
        (self.next - now).max(1)
    }
}
