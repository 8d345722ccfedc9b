//! What a token endpoint can answer, as far as the lifecycle cares.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use super::policy;
use crate::clock::Now;
use crate::secret::{AccessToken, ClientCredentials};

/// A token, and everything that was said about how long it lives. Times are Unix seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Fit to be a header.
    pub token: AccessToken,
    /// `expires_in` of the answer (RFC 6749 §5.1), where it was a number.
    pub expires_in: Option<Duration>,
    /// `exp` of the token, where it is a JWT.
    pub expires_at: Option<i64>,
    /// `iat` of the token, where it is a JWT and has one (self-managed Airbyte's has none).
    pub issued_at: Option<i64>,
    /// `Date` of the answer.
    pub date: Option<i64>,
}

impl Grant {
    /// How long it lives from `asked` on, which was just before it was asked for, and at most `longest`. None: it is dead
    /// already.
    pub fn lifetime(&self, asked: Now, longest: Duration) -> Option<Duration> {
        policy::lifetime(self, asked, longest)
    }
}

/// Why there is no token, sorted by what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Decides how long to wait.
    pub kind: FailureKind,
    /// `Retry-After`, where the endpoint gave one.
    pub retry_after: Option<Duration>,
    /// For a person. May quote what an answer says in words, but nothing of what was sent.
    pub message: String,
}

/// Sorted by what to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// Will pass: 408, 429, 5xx, connection trouble, an answer that is no token.
    Transient,
    /// 500: transient, but some servers answer wrong credentials that way, so a row of them is a rejection.
    ServerError,
    /// The credentials are wrong: 400, 401, 403.
    Rejected,
    /// This is not a token endpoint: 3xx, 404, 405, 415, 422.
    Misconfigured,
}

/// What one attempt came to.
pub type Outcome = Result<Grant, Failure>;

/// Asks a token endpoint for one token. Bounds its own time.
pub trait Minter: Send + Sync + 'static {
    /// One attempt.
    fn mint(&self, credentials: Arc<ClientCredentials>) -> Pin<Box<dyn Future<Output = Outcome> + Send>>;
}
