//! What should happen, worked out a second time.
//!
//! Nothing here calls `policy` or looks into the machine: it sees events, actions and the readers' view only. Every
//! check is named after the promise it guards. Where the machine draws a random number the model knows the bounds.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::clock::{Now, millis};
use crate::token::grant::{FailureKind, Outcome};
use crate::token::lifecycle::WaiterId;

mod checks;

/// A token that the machine has installed. All spans are in milliseconds.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) generation: u64,
    pub(super) life: i64,
    name: String,
    born: Now,
    /// When the endpoint itself stops accepting it, if its answer was honest; on the boot clock.
    ends: Option<i64>,
    age: i64,
    seen: i64,
    suspect: bool,
    was_suspected: bool,
    /// The age before which nothing but a reason renews it.
    pub(super) advisory: i64,
    /// Clocks did nothing odd in its time.
    undisturbed: bool,
}

impl Known {
    pub(super) fn hard(&self) -> i64 {
        hard(self.life)
    }

    pub(super) fn mandatory(&self) -> i64 {
        self.life - (self.life / 10).clamp(3000, 60_000)
    }

    /// Neither clock makes it younger.
    pub(super) fn age_at(&self, now: Now) -> i64 {
        (self.age + now.boot - self.seen).max(now.wall.saturating_sub(self.born.wall))
    }

    fn live_at(&self, now: Now) -> bool {
        self.age_at(now) < self.hard()
    }

    /// The moment at which it will be `age` old if the clocks behave.
    fn moment(&self, age: i64) -> i64 {
        self.seen + age - self.age
    }
}

fn hard(life: i64) -> i64 {
    life - (life * 3 / 100).clamp(2000, 10_000).min(life / 5)
}

/// What the endpoint is going to answer to the attempt that is running.
#[derive(Debug)]
pub(super) struct Planned {
    /// On the boot clock; never, if it hangs.
    pub(super) at: Option<i64>,
    pub(super) outcome: Option<Outcome>,
    pub(super) name: String,
    /// L as it should be understood, or dead on arrival.
    pub(super) life: Option<i64>,
    pub(super) ends: Option<i64>,
}

#[derive(Debug)]
pub(super) struct Flight {
    pub(super) attempt: u64,
    pub(super) credentials: u64,
    pub(super) started: Now,
    pub(super) planned: Planned,
}

#[derive(Debug)]
struct Candidate {
    version: u64,
    rejections: usize,
    not_before: i64,
}

/// One start of a mint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Start {
    pub(super) at: i64,
    pub(super) live: bool,
    pub(super) credentials: u64,
}

#[derive(Debug, Default)]
struct Doubt {
    last: Option<i64>,
    disproved: u32,
    quiet_until: i64,
}

#[derive(Debug, PartialEq, Eq, Clone, Copy)]
enum Expected {
    Minted(u64),
    Same,
    NotMinted,
}

#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "facts about the world, each independent of the others")]
pub(super) struct Model {
    pub(super) token: Option<Known>,
    pub(super) flight: Option<Flight>,
    pub(super) starts: Vec<Start>,
    pub(super) waiters: BTreeMap<WaiterId, (i64, Option<u64>)>,
    pub(super) draining: bool,
    pub(super) closed: bool,
    pub(super) sourceless: bool,
    generation: u64,
    granted: u64,
    last_name: Option<String>,
    last_success: Option<i64>,
    /// No start before this, because of a failure or a repeated token.
    not_before: i64,
    asked_until: i64,
    lasting_row: usize,
    last_was_lasting: bool,
    server_errors: (u64, u32),
    current: Option<u64>,
    candidate: Option<Candidate>,
    doubt: Doubt,
    expected: Expected,
    abort: Option<u64>,
    /// Since when the endpoint and the clocks give no reason for being without a token.
    fair_since: Option<i64>,
    lacking_since: i64,
    excused_until: i64,
}

const LASTING: [i64; 4] = [30_000, 60_000, 120_000, 300_000];

impl Model {
    pub(super) fn new(now: Now) -> Self {
        Self {
            token: None,
            flight: None,
            starts: Vec::new(),
            waiters: BTreeMap::new(),
            draining: false,
            closed: false,
            sourceless: false,
            generation: 0,
            granted: 0,
            last_name: None,
            last_success: None,
            not_before: i64::MIN,
            asked_until: i64::MIN,
            lasting_row: 0,
            last_was_lasting: false,
            server_errors: (0, 0),
            current: None,
            candidate: None,
            doubt: Doubt::default(),
            expected: Expected::NotMinted,
            abort: None,
            fair_since: None,
            lacking_since: now.boot,
            excused_until: i64::MIN,
        }
    }

    pub(super) fn live(&self) -> Option<&Known> {
        self.token.as_ref()
    }

    /// The endpoint answers as it should to some of the credentials at hand, from now on.
    pub(super) fn fair(&mut self, now: Now, fair: bool) {
        self.fair_since = if fair { self.fair_since.or(Some(now.boot)) } else { None };
    }

    /// Somebody meddled with a clock, or the machine slept.
    pub(super) fn disturbed(&mut self, now: Now) {
        self.fair_since = self.fair_since.map(|_| now.boot);
        if let Some(token) = &mut self.token {
            token.undisturbed = false;
        }
    }

    pub(super) fn tries(&self, version: u64) -> bool {
        self.current == Some(version) || self.candidate.as_ref().is_some_and(|c| c.version == version)
    }

    // === what the machine is about to be told ===

    pub(super) fn time(&mut self, now: Now) {
        self.expected = Expected::NotMinted;
        if let Some(token) = &mut self.token {
            token.age = token.age_at(now);
            token.seen = now.boot;
            if token.age >= token.hard() {
                self.check_last_chance();
                self.token = None;
                if !self.last_was_lasting {
                    let asked = self.asked_until.min(now.boot + 30_000);
                    self.not_before = self.not_before.min(asked.max(now.boot + 5000));
                }
            }
        }
        if self.flight.as_ref().is_some_and(|f| now.boot - f.started.boot >= 11_000) {
            let flight = self.flight.take().expect("just seen");
            self.abort = Some(flight.attempt);
            self.failure(now, flight.credentials, FailureKind::Transient, None);
        }
    }

    pub(super) fn acquire(&mut self, now: Now, waiter: WaiterId, newer_than: Option<u64>) {
        self.waiters.insert(waiter, (now.boot, newer_than));
    }

    pub(super) fn new_credentials(&mut self, now: Now, version: u64) {
        self.candidate = Some(Candidate { version, rejections: 0, not_before: i64::MIN });
        self.lacking_since = now.boot;
        self.forgive();
    }

    pub(super) fn retry_now(&mut self, now: Now) {
        self.lacking_since = now.boot;
        if let Some(candidate) = &mut self.candidate {
            (candidate.not_before, candidate.rejections) = (i64::MIN, 0);
        }
        self.forgive();
    }

    pub(super) fn close(&mut self) {
        self.closed = true;
        self.token = None;
        self.abort = self.flight.take().map(|f| f.attempt).or(self.abort);
    }

    pub(super) fn accepted(&mut self) {
        (self.doubt.disproved, self.doubt.quiet_until) = (0, i64::MIN);
    }

    pub(super) fn unauthorized(&mut self, now: Now, generation: u64, replayed: bool) {
        let Some(token) = self.token.as_mut().filter(|t| t.generation == generation) else { return };
        if now.boot < self.doubt.quiet_until {
            return;
        }
        if replayed {
            let minutes = [1, 2, 4, 8].get(self.doubt.disproved as usize).copied().unwrap_or(15);
            self.doubt.quiet_until = now.boot + minutes * 60_000;
            self.doubt.disproved += 1;
        } else if !token.was_suspected
            && token.age_at(now) >= 10_000
            && self.doubt.last.is_none_or(|last| now.boot - last >= 30_000)
        {
            (token.suspect, token.was_suspected) = (true, true);
            self.doubt.last = Some(now.boot);
        }
    }

    /// The attempt that is running ends with what was planned. Returns that, to be told to the machine.
    pub(super) fn answer(&mut self, now: Now) -> (u64, Outcome) {
        let mut flight = self.flight.take().expect("an attempt is running");
        let outcome = flight.planned.outcome.take().expect("answers once");
        match &outcome {
            Err(failure) => self.failure(now, flight.credentials, failure.kind, failure.retry_after),
            Ok(_) => self.grant(now, &flight),
        }
        (flight.attempt, outcome)
    }

    fn grant(&mut self, now: Now, flight: &Flight) {
        let Planned { name, life, ends, .. } = &flight.planned;
        let repeated = self.last_name.as_ref() == Some(name);
        if let Some(token) = self.token.as_mut().filter(|_| repeated) {
            token.suspect = false;
            let near_the_end = token.moment(token.mandatory()).max(now.boot);
            (self.not_before, self.asked_until) = ((now.boot + 30_000).min(near_the_end + 5000), i64::MIN);
            (self.lasting_row, self.last_was_lasting) = (0, false);
            self.expected = Expected::Same;
            return self.works(flight.credentials);
        }
        let spent = (now.boot - flight.started.boot).max(now.wall.saturating_sub(flight.started.wall));
        let Some(life) = life.filter(|life| !repeated && spent < hard(*life)) else {
            return self.failure(now, flight.credentials, FailureKind::Transient, None);
        };
        let advisory = self.earliest_renewal(flight, life);
        self.generation += 1;
        self.last_name = Some(name.clone());
        self.last_success = Some(now.boot);
        self.expected = Expected::Minted(self.generation);
        self.token = Some(Known {
            generation: self.generation,
            life,
            name: name.clone(),
            born: flight.started,
            ends: *ends,
            age: spent,
            seen: now.boot,
            suspect: false,
            was_suspected: false,
            advisory,
            undisturbed: true,
        });
        self.works(flight.credentials);
        self.forgive();
    }

    /// Of a token that lives `life`: as if the one before had been renewed in time, or at any age if it was not age that
    /// made the machine ask for it.
    fn earliest_renewal(&self, flight: &Flight, life: i64) -> i64 {
        let same = self.candidate.is_none() && self.current == Some(flight.credentials);
        let before = self.token.as_ref().filter(|token| same && !token.suspect);
        let late = before.map_or(life, |token| token.age_at(flight.started) - token.advisory);
        (life * 55 / 100 - late).max(life * 5 / 100)
    }

    fn works(&mut self, version: u64) {
        if self.candidate.as_ref().is_some_and(|c| c.version == version) {
            self.candidate = None;
        }
        self.current = self.current.max(Some(version));
    }

    fn forgive(&mut self) {
        (self.not_before, self.excused_until) = (i64::MIN, i64::MIN);
        (self.lasting_row, self.last_was_lasting) = (0, false);
    }

    fn is_lasting(&mut self, version: u64, kind: FailureKind) -> bool {
        if self.server_errors.0 != version || kind == FailureKind::Transient {
            self.server_errors = (version, 0);
        }
        if kind == FailureKind::ServerError {
            self.server_errors.1 += 1;
            return self.current != Some(version) && self.server_errors.1 >= 3;
        }
        kind != FailureKind::Transient
    }

    fn failure(&mut self, now: Now, version: u64, kind: FailureKind, asked: Option<Duration>) {
        let lasting = self.is_lasting(version, kind);
        let live = self.token.is_some();
        let cap = if live { 60_000 } else { i64::MAX };
        let asked = asked.map_or(0, |d| millis(d).clamp(1000, if live { 60_000 } else { 25_000 }));
        if lasting && let Some(candidate) = &mut self.candidate {
            if candidate.version == version && self.current.is_some() {
                candidate.not_before = now.boot + LASTING[candidate.rejections.min(3)].min(cap);
                candidate.rejections += 1;
                return;
            }
            if candidate.version != version && candidate.not_before <= now.boot {
                // Says nothing about those that are tried next.
                self.excused_until = if candidate.rejections > 0 { now.boot + 360_000 } else { i64::MIN };
                return;
            }
        }
        let near_the_end = self.token.as_ref().map(|t| t.moment(t.mandatory()).max(now.boot));
        self.asked_until = now.boot + asked;
        if lasting {
            let pause = LASTING[self.lasting_row.min(3)].min(cap).max(asked);
            self.not_before = (now.boot + pause).min(near_the_end.unwrap_or(i64::MAX));
            self.excused_until = now.boot + 360_000;
            self.lasting_row += 1;
        } else {
            let latest = near_the_end.map_or(i64::MAX, |at| at + asked.clamp(5000, 30_000));
            self.not_before = (now.boot + asked.max(200)).min(latest);
            self.excused_until = if asked > 0 { now.boot + asked.max(30_000) } else { i64::MIN };
            self.lasting_row = 0;
        }
        self.last_was_lasting = lasting;
    }
}
