//! Whether a request sent now would be forwarded, and if not, why.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Map, Value};

/// The answer of `/-/ready`. Holds nothing secret: anybody who may reach the listener may read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Readiness {
    /// In one word.
    pub status: Status,
    /// In one sentence, unless all is well.
    pub reason: Option<String>,
    /// How the token does.
    pub token: TokenReadiness,
}

/// In one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// No token yet; nothing has gone wrong.
    Starting,
    /// All is well.
    Ready,
    /// Requests are forwarded, but the next token is late.
    Degraded,
    /// Requests are refused, since there is no token.
    Broken,
    /// The end has begun.
    Draining,
}

impl Status {
    /// As written in the answer.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Degraded => "degraded",
            Self::Broken => "broken",
            Self::Draining => "draining",
        }
    }
}

/// How the token does; each where there is such a thing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TokenReadiness {
    /// The number of the live token.
    pub generation: Option<u64>,
    /// Until it is no longer used.
    pub expires_in: Option<Duration>,
    /// Until the next is asked for.
    pub next_attempt_in: Option<Duration>,
}

impl Readiness {
    /// 200 while requests are forwarded, else 503.
    pub fn status_code(&self) -> StatusCode {
        match self.status {
            Status::Ready | Status::Degraded => StatusCode::OK,
            Status::Starting | Status::Broken | Status::Draining => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// One line. What there is not is left out.
    pub(super) fn to_json(&self) -> String {
        let mut token = Map::new();
        let seconds = |duration: Duration| duration.as_secs();
        for (key, value) in [
            ("generation", self.token.generation),
            ("expires_in_seconds", self.token.expires_in.map(seconds)),
            ("next_attempt_in_seconds", self.token.next_attempt_in.map(seconds)),
        ] {
            if let Some(value) = value {
                token.insert(key.into(), value.into());
            }
        }
        let mut all = Map::new();
        all.insert("status".into(), self.status.as_str().into());
        if let Some(reason) = &self.reason {
            all.insert("reason".into(), reason.as_str().into());
        }
        all.insert("token".into(), Value::Object(token));
        format!("{}\n", Value::Object(all))
    }
}
