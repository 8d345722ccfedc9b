//! The life of a token as a pure state machine: `step(now, event) → actions`.
//!
//! Nothing here waits, reads a clock or talks to anybody. The keeper performs the actions and feeds back what came of
//! them, one step at a time, so every interleaving that can happen can be written down as a list of events.
//!
//! What holds, whatever happens (the property tests in `tests` check each against a model):
//! at most one mint is in flight; an error never drops a live token; a token past its deadline is never granted;
//! generations only grow; every waiter gets exactly one answer within its bound.

mod event;
mod pace;
#[cfg(test)]
mod tests;
mod waiters;

use std::time::Duration;

pub(super) use self::event::{Action, Event, Note, View, WaiterId};
use self::pace::Pace;
use self::waiters::Waiters;
use super::grant::{Failure, FailureKind, Grant, Outcome};
use super::lease::{Lease, Unavailable, Why};
use super::policy::{self, Schedule};
use crate::clock::{Jitter, Now, millis};
use crate::secret::AccessToken;

/// A token in its usable life.
#[derive(Debug)]
struct Live {
    token: AccessToken,
    generation: u64,
    /// Just before it was asked for. Moved back when the wall clock says that more time has passed, so that a later
    /// jump back makes nothing younger.
    born: Now,
    schedule: Schedule,
    /// Upstream refused it, and a mint is wanted because of that.
    suspect: bool,
    /// That happens once a generation.
    was_suspected: bool,
}

impl Live {
    fn age(&self, now: Now) -> Duration {
        now.since(self.born)
    }

    fn lease(&self) -> Lease {
        Lease::new(self.token.clone(), self.generation, self.born, self.schedule.hard)
    }
}

#[derive(Debug, Clone, Copy)]
struct Flight {
    attempt: u64,
    started: Now,
    credentials: u64,
    /// After its time had come, if that was the reason.
    late: Option<Duration>,
}

impl Flight {
    /// By the boot clock alone: the wall clock may be set while we wait.
    fn overdue_at(&self) -> i64 {
        self.started.boot.saturating_add(millis(policy::ATTEMPT_LIMIT))
    }
}

/// Credentials that are to replace the current ones once they have worked.
#[derive(Debug)]
struct Candidate {
    version: u64,
    rejections: u32,
    retry_at: i64,
}

#[derive(Debug)]
pub(super) struct Lifecycle {
    longest: Duration,
    jitter: Jitter,
    token: Option<Live>,
    generation: u64,
    /// Remembered past its death, to notice an endpoint that hands out the same one again.
    last_token: Option<AccessToken>,
    flight: Option<Flight>,
    attempts: u64,
    pace: Pace,
    /// Version of the credentials in use; none until there are any.
    current: Option<u64>,
    candidate: Option<Candidate>,
    /// The source of the credentials has failed, rather than not answered yet.
    sourceless: bool,
    doubt: Doubt,
    waiters: Waiters,
    last_failure: Option<Failure>,
    draining: bool,
    closed: bool,
    seen: Now,
}

/// What limits mints caused by 401s.
#[derive(Debug, Default)]
struct Doubt {
    last: Option<i64>,
    disproved: u32,
    quiet_until: Option<i64>,
}

impl Lifecycle {
    pub(super) fn new(longest: Duration, jitter: Jitter, now: Now) -> Self {
        Self {
            longest,
            pace: Pace::new(jitter.clone()),
            jitter,
            token: None,
            generation: 0,
            last_token: None,
            flight: None,
            attempts: 0,
            current: None,
            candidate: None,
            sourceless: false,
            doubt: Doubt::default(),
            waiters: Waiters::default(),
            last_failure: None,
            draining: false,
            closed: false,
            seen: now,
        }
    }

    pub(super) fn step(&mut self, now: Now, event: Event) -> Vec<Action> {
        let mut actions = Vec::new();
        self.look_at_the_clocks(now, &mut actions);
        match event {
            Event::Tick => {}
            Event::Acquire { waiter, newer_than } => self.waiters.add(waiter, now.boot, newer_than),
            Event::Gone { waiter } => self.waiters.remove(waiter),
            Event::Answered { attempt, outcome } => self.answered(now, attempt, outcome, &mut actions),
            Event::Unauthorized { generation, replayed } => {
                self.unauthorized(now, generation, replayed, &mut actions);
            }
            Event::Accepted => self.doubt = Doubt { last: self.doubt.last, ..Doubt::default() },
            Event::NewCredentials { version } => {
                self.candidate = Some(Candidate { version, rejections: 0, retry_at: i64::MIN });
                self.pace.forgive();
            }
            Event::NoCredentials => self.sourceless = true,
            Event::RetryNow => {
                if let Some(candidate) = &mut self.candidate {
                    (candidate.retry_at, candidate.rejections) = (i64::MIN, 0);
                }
                self.pace.forgive();
            }
            Event::Drain => self.draining = true,
            Event::Close => {
                self.closed = true;
                self.token = None;
                self.last_token = None;
                actions.extend(self.flight.take().map(|f| Action::Abort { attempt: f.attempt }));
            }
        }
        self.mint_if_due(now, &mut actions);
        self.serve_waiters(now, &mut actions);
        actions
    }

    /// What readers may see until the next step.
    pub(super) fn view(&self) -> View {
        let lease = self.token.as_ref().map(Live::lease);
        View {
            hold: self.flight.is_some() && self.token.as_ref().is_some_and(|t| t.suspect),
            next_attempt: (self.flight.is_none() && self.last_failure.is_some())
                .then(|| self.seen.plus(wait(self.earliest_start(), self.seen))),
            lease,
            last_failure: self.last_failure.clone(),
            has_credentials: self.has_credentials() || !self.sourceless,
            doubted: self.doubt.disproved > 0,
        }
    }

    /// How long nothing can happen by itself; a few seconds at most, because a nap does not count suspend.
    pub(super) fn next_look(&self, now: Now) -> Duration {
        let nap = self.jitter.between(policy::LONGEST_NAP * 3 / 5, policy::LONGEST_NAP);
        let mut points = vec![];
        if let Some(live) = &self.token {
            let age = live.age(now);
            points.extend(
                [live.schedule.advisory, live.schedule.hard]
                    .into_iter()
                    .map(|point| point.saturating_sub(age))
                    .filter(|left| !left.is_zero()),
            );
        }
        match &self.flight {
            Some(flight) => points.push(wait(flight.overdue_at(), now)),
            None if self.mint_wanted(now) => points.push(wait(self.earliest_start(), now)),
            None => {}
        }
        let lease = self.token.as_ref().map(Live::lease);
        points.extend(self.waiters.next_bound(lease.as_ref()).map(|bound| wait(bound, now)));
        points.into_iter().min().unwrap_or(nap).min(nap).max(Duration::from_millis(1))
    }

    // === time ===

    fn look_at_the_clocks(&mut self, now: Now, actions: &mut Vec<Action>) {
        let gap = now.since(Now { wall: now.wall, ..self.seen });
        self.seen = now;
        if gap > policy::RESUME_GAP {
            actions.extend([Action::DropConnections, Action::Note(Note::Resumed { gap })]);
        }
        if let Some(live) = &mut self.token {
            let age = live.age(now);
            live.born.boot = live.born.boot.min(now.boot.saturating_sub(millis(age)));
            if age >= live.schedule.hard {
                actions.push(Action::Note(Note::Died { generation: live.generation }));
                self.token = None;
                self.pace.token_died(now);
            }
        }
        if let Some(flight) = self.flight.filter(|f| f.overdue_at() <= now.boot) {
            actions.push(Action::Abort { attempt: flight.attempt });
            self.flight = None;
            let message = "the token endpoint did not answer in time".to_owned();
            let failure = Failure { kind: FailureKind::Transient, retry_after: None, message };
            self.failed(now, flight, failure, actions);
        }
    }

    // === mint ===

    fn mint_wanted(&self, now: Now) -> bool {
        if self.closed || !self.has_credentials() {
            return false;
        }
        let stale = self.token.as_ref().is_none_or(|t| t.suspect || t.age(now) >= t.schedule.advisory);
        if self.draining {
            return stale && !self.waiters.is_empty();
        }
        stale || self.candidate_due(now)
    }

    fn has_credentials(&self) -> bool {
        self.current.is_some() || self.candidate.is_some()
    }

    fn candidate_due(&self, now: Now) -> bool {
        self.candidate.as_ref().is_some_and(|c| c.retry_at <= now.boot)
    }

    fn earliest_start(&self) -> i64 {
        self.pace.earliest(self.token.is_some())
    }

    fn mint_if_due(&mut self, now: Now, actions: &mut Vec<Action>) {
        if self.flight.is_some() || !self.mint_wanted(now) || self.earliest_start() > now.boot {
            return;
        }
        let due = self.candidate.as_ref().filter(|c| c.retry_at <= now.boot || self.current.is_none());
        let Some(credentials) = due.map(|c| c.version).or(self.current) else { return };
        self.attempts += 1;
        self.pace.start(now, self.token.is_some());
        let trusted = self.token.as_ref().filter(|t| !t.suspect);
        let late = trusted.and_then(|t| t.age(now).checked_sub(t.schedule.advisory));
        self.flight = Some(Flight { attempt: self.attempts, started: now, credentials, late });
        actions.push(Action::Mint { attempt: self.attempts, credentials });
    }

    fn answered(&mut self, now: Now, attempt: u64, outcome: Outcome, actions: &mut Vec<Action>) {
        let Some(flight) = self.flight.filter(|f| f.attempt == attempt) else { return };
        self.flight = None;
        match outcome {
            Ok(grant) => self.granted(now, flight, grant, actions),
            Err(failure) => self.failed(now, flight, failure, actions),
        }
    }

    fn granted(&mut self, now: Now, flight: Flight, grant: Grant, actions: &mut Vec<Action>) {
        let life = policy::lifetime(&grant, flight.started, self.longest);
        let repeated = self.last_token.as_ref() == Some(&grant.token);
        if repeated && let Some(live) = &mut self.token {
            live.suspect = false;
            self.works(flight.credentials, actions);
            self.pace.wait_until(now.boot + millis(policy::SAME_TOKEN_RETRY));
            self.keep_attempts_close(now, flight, Duration::ZERO);
            actions.push(Action::Note(Note::SameToken));
            return;
        }
        let schedule = life.map(|life| Schedule::new(life, flight.late, &self.jitter));
        let Some(schedule) = schedule.filter(|s| !repeated && now.since(flight.started) < s.hard) else {
            let message = "the token endpoint handed out a token that has already expired".to_owned();
            let failure = Failure { kind: FailureKind::Transient, retry_after: None, message };
            return self.failed(now, flight, failure, actions);
        };
        self.works(flight.credentials, actions);
        self.pace.succeeded(now);
        self.generation += 1;
        self.last_token = Some(grant.token.clone());
        actions.push(Action::Note(Note::Minted { generation: self.generation, lifetime: schedule.lifetime }));
        self.token = Some(Live {
            token: grant.token,
            generation: self.generation,
            born: flight.started,
            schedule,
            suspect: false,
            was_suspected: false,
        });
    }

    /// The endpoint accepted credentials of this version.
    fn works(&mut self, version: u64, actions: &mut Vec<Action>) {
        self.last_failure = None;
        self.candidate.take_if(|c| c.version == version);
        // Even if newer ones have come meanwhile: those may turn out wrong, and these work.
        if self.current.is_none_or(|current| current < version) {
            self.current = Some(version);
            actions.push(Action::Promote { version });
        }
    }

    fn failed(&mut self, now: Now, flight: Flight, failure: Failure, actions: &mut Vec<Action>) {
        let live = self.token.is_some();
        let proven = self.current == Some(flight.credentials);
        let lasting = self.pace.is_lasting(failure.kind, flight.credentials, proven);
        if lasting
            && self.current.is_some()
            && let Some(candidate) = self.candidate.as_mut().filter(|c| c.version == flight.credentials)
        {
            // The old credentials may still work: they are tried at once, these again later.
            candidate.rejections += 1;
            let pause = policy::rejected_backoff(candidate.rejections, live, &self.jitter);
            candidate.retry_at = now.boot + millis(pause);
            actions.push(Action::Note(Note::CandidateRejected { failure }));
            return;
        }
        let replaced = self.candidate_due(now)
            && self.candidate.as_ref().is_some_and(|c| c.version != flight.credentials);
        // A verdict on credentials that were replaced meanwhile is none on those that are tried next.
        if !(lasting && replaced) {
            let asked = failure.retry_after.map_or(Duration::ZERO, |d| policy::honoured_retry_after(d, live));
            self.pace.failed(now, lasting, live, asked);
            self.keep_attempts_close(now, flight, asked);
        }
        let next = wait(self.earliest_start(), now);
        let live_for = self.token.as_ref().map(|t| t.schedule.hard.saturating_sub(t.age(now)));
        actions.push(Action::Note(Note::Failed { failure: failure.clone(), next, live_for }));
        self.last_failure = Some(failure);
    }

    /// A pause drawn while the token was young must not outlast it unnoticed.
    fn keep_attempts_close(&mut self, now: Now, flight: Flight, asked: Duration) {
        let Some(live) = &self.token else { return };
        let at = |point| live.born.boot.saturating_add(millis(point));
        let (mandatory, hard) = (at(live.schedule.mandatory), at(live.schedule.hard));
        let near_the_end = mandatory.max(now.boot);
        if !self.pace.is_rejected() {
            let apart = policy::MANDATORY_RETRY.max(asked.min(policy::LONGEST_ASKED));
            self.pace.wait_at_most_until(near_the_end + millis(apart));
        } else if self.pace.earliest(true) >= hard && flight.started.boot < mandatory {
            self.pace.wait_at_most_until(near_the_end);
        }
    }

    // === 401 ===

    fn unauthorized(&mut self, now: Now, generation: u64, replayed: bool, actions: &mut Vec<Action>) {
        let Some(live) = self.token.as_mut().filter(|t| t.generation == generation) else { return };
        if self.doubt.quiet_until.is_some_and(|until| now.boot < until) {
            return;
        }
        if replayed {
            let quiet = policy::DISPROVED_FIRST * (1 << self.doubt.disproved.min(8));
            let quiet = quiet.min(policy::DISPROVED_LAST);
            self.doubt.disproved += 1;
            self.doubt.quiet_until = Some(now.boot + millis(quiet));
            actions.push(Action::Note(Note::NotTheToken { quiet }));
            return;
        }
        let recently = self.doubt.last.is_some_and(|at| now.boot - at < millis(policy::SUSPECT_INTERVAL));
        if live.was_suspected || recently || live.age(now) < policy::SUSPECT_MIN_AGE {
            return;
        }
        live.suspect = true;
        live.was_suspected = true;
        self.doubt.last = Some(now.boot);
        actions.push(Action::Note(Note::Suspected { generation }));
    }

    // === waiters ===

    fn serve_waiters(&mut self, now: Now, actions: &mut Vec<Action>) {
        if self.waiters.is_empty() {
            return;
        }
        let lease = self.token.as_ref().map(Live::lease);
        let hold = self.flight.is_some() && self.token.as_ref().is_some_and(|t| t.suspect);
        // Credentials that are still being read may be there any moment.
        let on_the_way = self.flight.is_some() || !(self.has_credentials() || self.sourceless);
        let coming = (on_the_way && !self.closed).then_some(now.boot);
        let coming = coming.or_else(|| self.mint_wanted(now).then(|| self.earliest_start()));
        let error = Unavailable { why: self.why(), next_attempt: wait(coming.unwrap_or(now.boot), now) };
        for (waiter, lease) in self.waiters.answer(now.boot, lease.as_ref(), hold, coming) {
            actions.push(match lease {
                Some(lease) => Action::Grant { waiter, lease },
                None => Action::Refuse { waiter, error: error.clone() },
            });
        }
    }

    fn why(&self) -> Why {
        match &self.last_failure {
            _ if self.closed => Why::Closed,
            _ if !self.has_credentials() && self.sourceless => Why::NoCredentials,
            None => Why::NotYet,
            Some(f) if f.kind == FailureKind::Misconfigured => Why::WrongEndpoint(f.message.clone()),
            Some(f) if self.pace.is_rejected() => Why::Rejected(f.message.clone()),
            Some(f) => Why::Failed(f.message.clone()),
        }
    }
}

/// From `now` to a moment on the boot clock.
fn wait(until: i64, now: Now) -> Duration {
    Duration::from_millis(u64::try_from(until.saturating_sub(now.boot)).unwrap_or(0))
}
