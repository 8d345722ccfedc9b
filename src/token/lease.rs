//! A token on loan, and the reasons for not having one.

use std::time::Duration;

use http::HeaderValue;

use crate::clock::Now;
use crate::secret::AccessToken;

/// A token that may be sent until its hard deadline. Check [`is_live`](Self::is_live) when the header is written, not
/// only when the lease was taken.
#[derive(Debug, Clone, PartialEq)]
pub struct Lease {
    token: AccessToken,
    generation: u64,
    born: Now,
    hard: Duration,
}

impl Lease {
    pub(super) fn new(token: AccessToken, generation: u64, born: Now, hard: Duration) -> Self {
        Self { token, generation, born, hard }
    }

    /// Counts the tokens of this process; a later token has a higher one.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether it may still be sent.
    pub fn is_live(&self, now: Now) -> bool {
        now.since(self.born) < self.hard
    }

    /// How long ago it was asked for.
    pub fn age(&self, now: Now) -> Duration {
        now.since(self.born)
    }

    /// How long it may still be sent.
    pub fn remaining(&self, now: Now) -> Duration {
        self.hard.saturating_sub(now.since(self.born))
    }

    /// The value of the `Authorization` header.
    pub fn authorization(&self) -> &HeaderValue {
        self.token.authorization()
    }
}

/// No token, and when to come back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no access token: {why}")]
pub struct Unavailable {
    /// The reason.
    pub why: Why,
    /// Until the next attempt starts; zero if one is running.
    pub next_attempt: Duration,
}

/// The reason for having no token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Why {
    /// The first one has not arrived.
    #[error("the first one has not arrived yet")]
    NotYet,
    /// The source of the credentials has not given any.
    #[error("the client id and secret could not be read")]
    NoCredentials,
    /// The endpoint failed in a way that passes.
    #[error("{0}")]
    Failed(String),
    /// The endpoint refused the credentials.
    #[error("{0}")]
    Rejected(String),
    /// What answers there is no token endpoint.
    #[error("{0}")]
    WrongEndpoint(String),
    /// The process is ending.
    #[error("the proxy is shutting down")]
    Closed,
}
