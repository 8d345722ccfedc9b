//! A token endpoint: how long it takes, how much it bears, and its bad hours.

use std::time::Duration;

use airbyte_proxy::secret::AccessToken;
use airbyte_proxy::token::{Failure, FailureKind, Grant, Outcome};

use super::SECOND;

/// The proxy's own limit for one attempt.
const ATTEMPT: i64 = 10 * SECOND;
/// Until an answer, drawn evenly.
const LATENCY: std::ops::RangeInclusive<i64> = 50..=150;

/// What is wrong with it for a while.
#[derive(Debug, Clone, Copy)]
pub enum Trouble {
    /// Connections are refused.
    Refused,
    /// Connections are accepted, and that is all.
    Hangs,
    /// It answers this, with this `Retry-After` in seconds.
    Answers(u16, Option<u64>),
    /// It does not accept the credentials of this version.
    Wrong(u64),
}

/// Trouble from one moment to another, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct Spell {
    pub from: i64,
    pub to: i64,
    pub trouble: Trouble,
}

/// What happens to requests that are too many.
#[derive(Debug, Clone, Copy)]
pub enum Beyond {
    /// They are answered this at once, with this `Retry-After` in seconds.
    Answers(u16, Option<u64>),
    /// They stand in line up to this many, and whoever gave up waiting is served for nothing; the rest is answered 503.
    Queues(i64),
}

/// Tokens a second, and as many at once.
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    pub per_second: i64,
    pub beyond: Beyond,
}

#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Of its tokens, in milliseconds.
    pub life: i64,
    pub limit: Option<Limit>,
    pub spells: Vec<Spell>,
    /// In microseconds: when the limit has been used up to.
    used_until: i64,
    issued: u64,
}

impl Endpoint {
    /// Healthy, and up to anything.
    pub fn new(life: i64) -> Self {
        Self { life, limit: None, spells: Vec::new(), used_until: i64::MIN / 2, issued: 0 }
    }

    #[must_use]
    pub fn with_limit(self, per_second: i64, beyond: Beyond) -> Self {
        Self { limit: Some(Limit { per_second, beyond }), ..self }
    }

    #[must_use]
    pub fn with(mut self, from: i64, to: i64, trouble: Trouble) -> Self {
        self.spells.push(Spell { from, to, trouble });
        self
    }

    /// What somebody who asks now gets, and after how many milliseconds.
    pub(super) fn ask(&mut self, now: i64, credentials: u64, rng: &mut fastrand::Rng) -> (i64, Outcome) {
        let latency = rng.i64(LATENCY);
        let spells = self.spells.iter().filter(|spell| (spell.from..spell.to).contains(&now));
        let trouble = spells.map(|spell| spell.trouble).find(|trouble| match trouble {
            Trouble::Wrong(version) => *version == credentials,
            _ => true,
        });
        match trouble {
            Some(Trouble::Refused) => return (1, Err(failure(FailureKind::Transient, None))),
            Some(Trouble::Hangs) => return (ATTEMPT, Err(failure(FailureKind::Transient, None))),
            Some(Trouble::Answers(status, after)) => return (latency, Err(answer(status, after))),
            Some(Trouble::Wrong(_)) => return (latency, Err(answer(401, None))),
            None => {}
        }
        match self.wait(now) {
            Ok(wait) if wait + latency >= ATTEMPT => (ATTEMPT, Err(failure(FailureKind::Transient, None))),
            Ok(wait) => (wait + latency, Ok(self.grant())),
            Err(failure) => (latency, Err(failure)),
        }
    }

    /// For how many milliseconds one has to stand in line.
    fn wait(&mut self, now: i64) -> Result<i64, Failure> {
        let Some(limit) = self.limit else { return Ok(0) };
        let (now, each) = (now * 1000, 1_000_000 / limit.per_second);
        let until = self.used_until.max(now);
        let ahead = until - now;
        match limit.beyond {
            Beyond::Answers(status, after) if ahead + each > 1_000_000 => return Err(answer(status, after)),
            Beyond::Queues(longest) if ahead / each >= longest => return Err(answer(503, None)),
            _ => self.used_until = until + each,
        }
        Ok(if matches!(limit.beyond, Beyond::Queues(_)) { ahead / 1000 } else { 0 })
    }

    fn grant(&mut self) -> Grant {
        self.issued += 1;
        Grant {
            token: AccessToken::parse(&format!("token-{}", self.issued)).expect("fit to be a header"),
            expires_in: Some(Duration::from_millis(self.life as u64)),
            expires_at: None,
            issued_at: None,
            date: None,
        }
    }
}

/// As the proxy sorts them.
fn answer(status: u16, retry_after: Option<u64>) -> Failure {
    let kind = match status {
        400 | 401 | 403 => FailureKind::Rejected,
        500 => FailureKind::ServerError,
        _ => FailureKind::Transient,
    };
    failure(kind, retry_after)
}

fn failure(kind: FailureKind, retry_after: Option<u64>) -> Failure {
    Failure { kind, retry_after: retry_after.map(Duration::from_secs), message: String::new() }
}
