//! A token endpoint that misbehaves on demand, the clocks, and a driver that does what the keeper does.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::model::{Model, Planned};
use crate::clock::{Jitter, Now};
use crate::secret::AccessToken;
use crate::token::grant::{Failure, FailureKind, Grant, Outcome};
use crate::token::lease::Unavailable;
use crate::token::lifecycle::{Action, Event, Lifecycle, Note, WaiterId};
use crate::token::policy::Schedule;

/// Part of every token, of every secret and of nothing else.
pub(super) const TELLTALE: &str = "tell-tale";
const DAY: i64 = 86_400;

/// How the endpoint says how long its token lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// `expires_in`.
    Plain,
    /// `exp` and `iat`, and `expires_in: 900` whatever they say.
    Jwt,
    /// `exp` alone, next to a `Date`.
    NoIat,
    /// `exp` alone.
    Bare,
    /// Not at all.
    Silent,
    /// `expires_in: 0`.
    Zero,
    /// `expires_in` of five hundred billion years.
    Huge,
    /// `exp` = `iat`.
    Dead,
}

/// How the endpoint is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Endpoint {
    /// Tokens of this many seconds.
    Grants(Shape, i64),
    /// The token that it has issued last.
    Repeats,
    Fails(FailureKind, Option<u64>),
    Hangs,
}

pub(super) struct World {
    pub(super) now: Now,
    pub(super) life: Lifecycle,
    pub(super) model: Model,
    pub(super) notes: Vec<Note>,
    pub(super) answers: BTreeMap<WaiterId, (i64, Result<u64, Unavailable>)>,
    pub(super) promoted: Vec<u64>,
    /// How often pooled connections were dropped.
    pub(super) resumed: u32,
    pub(super) looks: i64,
    endpoint: Endpoint,
    latency: i64,
    good: BTreeSet<u64>,
    versions: u64,
    issued: Vec<String>,
    overdue: Vec<(u64, Outcome)>,
    next_waiter: WaiterId,
}

impl World {
    /// Working credentials, a healthy endpoint with tokens of 900 s that answers after 100 ms.
    pub(super) fn new(seed: u64) -> Self {
        let mut world = Self::without_credentials(seed);
        world.credentials(true);
        world
    }

    pub(super) fn without_credentials(seed: u64) -> Self {
        let now = Now { boot: 3_600_250, wall: 1_700_000_000_250 };
        Self {
            now,
            life: Lifecycle::new(Duration::from_secs(86_400), Jitter::seeded(seed), now),
            model: Model::new(now),
            notes: Vec::new(),
            answers: BTreeMap::new(),
            promoted: Vec::new(),
            resumed: 0,
            looks: 0,
            endpoint: Endpoint::Grants(Shape::Plain, 900),
            latency: 100,
            good: BTreeSet::new(),
            versions: 0,
            issued: Vec::new(),
            overdue: Vec::new(),
            next_waiter: 0,
        }
    }

    /// The token at hand is from now on as if it had been minted in turn, and in time.
    pub(super) fn as_if_in_turn(&mut self, seed: u64) {
        let (live, known) = (self.life.token.as_mut(), self.model.token.as_mut());
        let (live, known) = live.zip(known).expect("a live token");
        live.schedule = Schedule::new(live.schedule.lifetime, Some(Duration::ZERO), &Jitter::seeded(seed));
        known.advisory = known.life * 55 / 100;
    }

    // === what people and machines do ===

    pub(super) fn endpoint(&mut self, endpoint: Endpoint) {
        self.endpoint = endpoint;
        self.judge_fairness();
    }

    pub(super) fn latency(&mut self, millis: i64) {
        self.latency = millis;
        self.judge_fairness();
    }

    pub(super) fn credentials(&mut self, good: bool) -> u64 {
        self.versions += 1;
        self.set_good(self.versions, good);
        self.step(Event::NewCredentials { version: self.versions });
        self.versions
    }

    /// The endpoint changes its mind about some credentials.
    pub(super) fn set_good(&mut self, version: u64, good: bool) {
        self.good.retain(|v| *v != version);
        self.good.extend(good.then_some(version));
        self.judge_fairness();
    }

    /// Time passes, and the machine looks at it as often as it asks to: every three seconds at most, and a few times
    /// for each attempt and each caller (invariant 12: no busy loop).
    pub(super) fn pass(&mut self, millis: i64) {
        let (looks, starts) = (self.looks, self.model.starts.len());
        let callers = i64::try_from(self.model.waiters.len()).expect("few");
        let end = self.now.boot + millis;
        loop {
            let nap = crate::clock::millis(self.life.next_look(self.now));
            self.model.check_nap(self.now, nap);
            let answer =
                self.model.flight.as_ref().and_then(|f| f.planned.at).map(|at| at.max(self.now.boot));
            let look = self.now.boot + nap;
            let next = answer.unwrap_or(look).min(look);
            if next > end {
                break self.forward(end - self.now.boot);
            }
            self.forward(next - self.now.boot);
            self.looks += 1;
            let attempts = i64::try_from(self.model.starts.len() - starts).expect("few");
            let allowed = millis / 3000 + 6 * (attempts + 1) + 2 * callers + 2;
            assert!(self.looks - looks <= allowed, "invariant 12: {allowed} looks would do in {millis} ms");
            self.look(answer == Some(next));
        }
    }

    pub(super) fn seconds(&mut self, seconds: i64) {
        self.pass(seconds * 1000);
    }

    /// Both clocks go on while nothing runs.
    pub(super) fn suspend(&mut self, millis: i64) {
        self.forward(millis);
        self.model.disturbed(self.now);
    }

    pub(super) fn jump_wall(&mut self, millis: i64) {
        self.now.wall = self.now.wall.saturating_add(millis);
        self.model.disturbed(self.now);
    }

    /// Time passes until something has happened.
    pub(super) fn until(&mut self, happened: impl Fn(&Self) -> bool) {
        let begin = self.now.boot;
        while !happened(self) {
            assert!(self.now.boot - begin < 3_600_000, "within an hour");
            self.pass(100);
        }
    }

    /// What the handle does: a token at once if readers see a live one, else the keeper is asked.
    pub(super) fn acquire(&mut self) -> WaiterId {
        let view = self.life.view();
        let lease = view.lease.filter(|_| !view.hold).filter(|l| l.is_live(self.now));
        match lease {
            Some(lease) => {
                self.model.lent(self.now, &lease);
                self.next_waiter += 1;
                self.answers.insert(self.next_waiter, (self.now.boot, Ok(lease.generation())));
                self.next_waiter
            }
            None => self.ask(None),
        }
    }

    pub(super) fn ask(&mut self, newer_than: Option<u64>) -> WaiterId {
        self.next_waiter += 1;
        self.step(Event::Acquire { waiter: self.next_waiter, newer_than });
        self.next_waiter
    }

    /// What a request does whose answer was 401.
    pub(super) fn renewed(&mut self, generation: u64) -> WaiterId {
        self.step(Event::Unauthorized { generation, replayed: false });
        self.ask(Some(generation))
    }

    /// The attempt that is running ends now, with this.
    pub(super) fn answer_now(&mut self, outcome: Outcome) {
        let flight = self.model.flight.as_mut().expect("an attempt is running");
        flight.planned.at = Some(self.now.boot);
        flight.planned.outcome = Some(outcome);
        self.step_answer();
    }

    /// An attempt that was given up answers after all.
    pub(super) fn overdue_answer(&mut self) {
        let running = self.model.flight.as_ref().map(|f| f.attempt);
        let overdue = self.overdue.iter().rposition(|(attempt, _)| Some(*attempt) != running);
        if let Some((attempt, outcome)) = overdue.map(|at| self.overdue.remove(at)) {
            self.step(Event::Answered { attempt, outcome });
        }
    }

    // === what came of it ===

    /// Generation of the live token, as readers see it.
    pub(super) fn generation(&self) -> Option<u64> {
        self.life.view().lease.filter(|l| l.is_live(self.now)).map(|l| l.generation())
    }

    pub(super) fn got(&self, waiter: WaiterId) -> Option<Result<u64, Unavailable>> {
        self.answers.get(&waiter).map(|(_, answer)| answer.clone())
    }

    /// Between starts of mints.
    pub(super) fn gaps(&self) -> Vec<i64> {
        self.model.starts.windows(2).map(|pair| pair[1].at - pair[0].at).collect()
    }

    // === the driver ===

    /// Time passes in a rhythm that does not depend on the machine.
    pub(super) fn tick_after(&mut self, millis: i64) {
        self.forward(millis);
        let due = self.model.flight.as_ref().and_then(|f| f.planned.at).is_some_and(|at| at <= self.now.boot);
        self.look(due);
    }

    pub(super) fn step(&mut self, event: Event) {
        self.model.time(self.now);
        match &event {
            Event::Acquire { waiter, newer_than } => self.model.acquire(self.now, *waiter, *newer_than),
            Event::Gone { waiter } => drop(self.model.waiters.remove(waiter)),
            Event::Unauthorized { generation, replayed } => {
                self.model.unauthorized(self.now, *generation, *replayed);
            }
            Event::Accepted => self.model.accepted(),
            Event::NewCredentials { version } => self.model.new_credentials(self.now, *version),
            Event::NoCredentials => self.model.sourceless = true,
            Event::RetryNow => self.model.retry_now(self.now),
            Event::Drain => self.model.draining = true,
            Event::Close => self.model.close(),
            Event::Tick | Event::Answered { .. } => {}
        }
        self.feed(event);
    }

    fn look(&mut self, answered: bool) {
        if answered {
            self.step_answer();
        } else {
            self.step(Event::Tick);
        }
    }

    fn step_answer(&mut self) {
        self.model.time(self.now);
        if self.model.flight.is_none() {
            // Overdue by now, so that the machine gives it up as it looks at the clocks.
            return self.feed(Event::Tick);
        }
        let (attempt, outcome) = self.model.answer(self.now);
        self.feed(Event::Answered { attempt, outcome });
    }

    fn feed(&mut self, event: Event) {
        let before = format!("{event:?}");
        let actions = self.life.step(self.now, event);
        let after = format!("{actions:?}");
        assert!(!before.contains(TELLTALE) && !after.contains(TELLTALE), "invariant 15: {before} {after}");
        for action in actions {
            self.perform(action);
        }
        self.model.after(self.now, &self.life.view());
        self.judge_fairness();
    }

    fn perform(&mut self, action: Action) {
        self.model.performed(self.now, &action);
        match action {
            Action::Mint { attempt, credentials } => {
                let planned = self.plan(credentials);
                self.overdue.push((attempt, planned.outcome.clone().unwrap_or_else(|| Err(timed_out()))));
                self.model.started(self.now, attempt, credentials, planned);
            }
            Action::Grant { waiter, lease } => self.answered(waiter, Ok(lease.generation())),
            Action::Refuse { waiter, error } => self.answered(waiter, Err(error)),
            Action::Promote { version } => self.promoted.push(version),
            Action::Note(note) => self.notes.push(note),
            Action::DropConnections => self.resumed += 1,
            Action::Abort { .. } => {}
        }
    }

    fn answered(&mut self, waiter: WaiterId, answer: Result<u64, Unavailable>) {
        self.answers.insert(waiter, (self.now.boot, answer));
    }

    fn forward(&mut self, millis: i64) {
        self.now = self.now.plus(Duration::from_millis(u64::try_from(millis).expect("forward")));
    }

    /// Whether the endpoint owes us a token.
    fn judge_fairness(&mut self) {
        let usable = match self.endpoint {
            Endpoint::Grants(Shape::Plain | Shape::Jwt | Shape::NoIat, life) => {
                self.latency * 2 < life * 1000
            }
            _ => false,
        };
        let fair = usable && self.latency <= 500 && self.good.iter().any(|v| self.model.tries(*v));
        self.model.fair(self.now, fair);
    }

    // === the endpoint ===

    fn plan(&mut self, credentials: u64) -> Planned {
        let at = Some(self.now.boot + self.latency);
        let refused = Err(Failure { kind: FailureKind::Rejected, ..timed_out() });
        let no =
            |outcome| Planned { at, outcome: Some(outcome), name: String::new(), life: None, ends: None };
        match self.endpoint {
            Endpoint::Hangs => Planned { at: None, ..no(Err(timed_out())) },
            Endpoint::Fails(kind, asked) => {
                no(Err(Failure { kind, retry_after: asked.map(Duration::from_secs), ..timed_out() }))
            }
            _ if !self.good.contains(&credentials) => no(refused),
            Endpoint::Repeats if !self.issued.is_empty() => self.repeat(at),
            Endpoint::Repeats => self.issue(at, Shape::Plain, 900),
            Endpoint::Grants(shape, life) => self.issue(at, shape, life),
        }
    }

    fn issue(&mut self, at: Option<i64>, shape: Shape, life: i64) -> Planned {
        let name = format!("{TELLTALE}.{}", self.issued.len());
        // The endpoint's own clock is right, and its tokens count whole seconds.
        let iat = 1_700_000_000 + self.now.boot / 1000;
        let wall = self.now.wall / 1000;
        let mut grant = grant(&name);
        let said = match shape {
            Shape::Plain => {
                grant.expires_in = u64::try_from(life).ok().map(Duration::from_secs);
                Some(life)
            }
            Shape::Jwt => {
                grant.expires_in = Some(Duration::from_secs(900));
                (grant.expires_at, grant.issued_at) = (Some(iat + life), Some(iat));
                Some(life.min(900))
            }
            Shape::NoIat => {
                (grant.expires_at, grant.date) = (Some(iat + life), Some(iat));
                Some(life)
            }
            Shape::Bare => {
                grant.expires_at = Some(iat + life);
                Some(if iat + life > wall { (iat + life - wall).min(DAY) } else { 180 })
            }
            Shape::Silent => Some(180),
            Shape::Zero | Shape::Huge => {
                let seconds = if shape == Shape::Zero { 0 } else { u64::MAX };
                grant.expires_in = Some(Duration::from_secs(seconds));
                Some(180)
            }
            Shape::Dead => {
                (grant.expires_at, grant.issued_at) = (Some(iat), Some(iat));
                None
            }
        };
        // Under five seconds the margin is less than the second that `iat` may lose.
        let honest = matches!(shape, Shape::Plain | Shape::Jwt | Shape::NoIat) && life >= 5;
        let ends = honest.then_some((iat - 1_700_000_000 + life) * 1000);
        self.issued.push(name.clone());
        Planned { at, outcome: Some(Ok(grant)), name, life: said.map(|s| s * 1000), ends }
    }

    fn repeat(&mut self, at: Option<i64>) -> Planned {
        let name = self.issued.last().cloned().expect("has issued one");
        let mut grant = grant(&name);
        grant.expires_in = Some(Duration::from_secs(900));
        Planned { at, outcome: Some(Ok(grant)), name, life: Some(900_000), ends: None }
    }
}

fn grant(name: &str) -> Grant {
    Grant {
        token: AccessToken::parse(name).expect("valid"),
        expires_in: None,
        expires_at: None,
        issued_at: None,
        date: None,
    }
}

pub(super) fn timed_out() -> Failure {
    Failure { kind: FailureKind::Transient, retry_after: None, message: "no answer".to_owned() }
}
