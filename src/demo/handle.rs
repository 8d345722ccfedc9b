//! What a test or the demo may see and change while the simulated Airbyte runs.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Method};
use serde_json::Value;
use tokio::sync::broadcast;

use crate::secret::{ClientCredentials, Secret};

use super::faults::{ApiFault, Fault};
use super::pages::{Change, When};
use super::reference;
use super::world::World;

/// How often things have happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Connections accepted by the own listener.
    pub connections: u64,
    /// Requests to the token endpoint, whatever came of them.
    pub token_requests: u64,
    /// Tokens given out.
    pub mints: u64,
    /// Token requests turned down for their credentials.
    pub refused: u64,
    /// Requests to anything that needs a token.
    pub requests: u64,
    /// `Authorization` headers on those; more than one on a request count as many.
    pub authorization_headers: u64,
    /// Requests with a live token.
    pub authorized: u64,
    /// Requests without a bearer token.
    pub missing: u64,
    /// Requests with a token past its time.
    pub expired: u64,
    /// Requests with a revoked token.
    pub revoked: u64,
    /// Requests with a token that was never given out.
    pub foreign: u64,
    /// Requests of either kind that stand at a [`Gate`](super::Gate) right now.
    pub held: u64,
    /// Pages of the seven paged lists that were answered with 200, damaged ones included.
    pub pages: u64,
    /// Requests with a live token that are being answered right now.
    pub at_once: u64,
    /// The most that `at_once` has been.
    pub most_at_once: u64,
}

impl Counts {
    /// Requests that needed a live token and had none.
    pub fn unauthorized(&self) -> u64 {
        self.missing + self.expired + self.revoked + self.foreign
    }
}

/// Why a token request was turned down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refused {
    /// Id or secret are not those of the application.
    Credentials,
    /// The body is not what the endpoint takes.
    Malformed,
}

/// Why a request was not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unauthorized {
    /// No bearer token.
    Missing,
    /// Past its time.
    Expired,
    /// Revoked.
    Revoked,
    /// Never given out.
    Foreign,
}

/// Something worth telling. Holds no token and no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A token was given out.
    Minted {
        /// The how many-th since the start, from 1.
        number: u64,
        /// How long it will really live.
        lifetime: Duration,
    },
    /// A token request was turned down.
    Refused(Refused),
    /// The token endpoint misbehaved, as it was told to.
    Misbehaved,
    /// A request came without a live token.
    Unauthorized(Unauthorized),
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Minted { number, lifetime } => {
                write!(f, "token {number} minted, lives {} s", lifetime.as_secs())
            }
            Self::Refused(Refused::Credentials) => f.write_str("token request refused: wrong id or secret"),
            Self::Refused(Refused::Malformed) => f.write_str("token request refused: cannot read it"),
            Self::Misbehaved => f.write_str("token endpoint misbehaved as told"),
            Self::Unauthorized(Unauthorized::Missing) => f.write_str("request without a token"),
            Self::Unauthorized(Unauthorized::Expired) => f.write_str("request with an expired token"),
            Self::Unauthorized(Unauthorized::Revoked) => f.write_str("request with a revoked token"),
            Self::Unauthorized(Unauthorized::Foreign) => f.write_str("request with an unknown token"),
        }
    }
}

/// The head of an API request as it arrived. `Authorization` does not print.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Its method.
    pub method: Method,
    /// Path and query, byte for byte.
    pub target: String,
    /// All its headers.
    pub headers: HeaderMap,
}

/// Counters and switches of a simulated Airbyte; clones are the same.
#[derive(Clone)]
pub struct Handle(Arc<World>);

impl Handle {
    pub(super) fn new(world: Arc<World>) -> Self {
        Self(world)
    }

    // === what has happened ===

    /// All counters.
    pub fn counts(&self) -> Counts {
        self.0.counts()
    }

    /// Tokens given out.
    pub fn mints(&self) -> u64 {
        self.counts().mints
    }

    /// Requests to anything that needs a token.
    pub fn requests(&self) -> u64 {
        self.counts().requests
    }

    /// Requests that needed a live token and had none.
    pub fn unauthorized(&self) -> u64 {
        self.counts().unauthorized()
    }

    /// `Authorization` headers on API requests, duplicates included.
    pub fn authorization_headers_seen(&self) -> u64 {
        self.counts().authorization_headers
    }

    /// Waits until the counters are as wanted: the way to synchronise without sleeping.
    pub async fn until(&self, wanted: impl FnMut(&Counts) -> bool) -> Counts {
        self.0.until(wanted).await
    }

    /// The latest API requests, as many as [`Options::record`](super::Options::record) says, oldest first.
    pub fn seen(&self) -> Vec<Seen> {
        self.0.seen()
    }

    /// What happens from now on.
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.0.subscribe()
    }

    /// The application that may have tokens.
    pub fn credentials(&self) -> ClientCredentials {
        self.0.issuer().credentials().clone()
    }

    /// Tokens that were given out, oldest first: for tests that look for them where they must not be.
    pub fn tokens(&self) -> Vec<Secret> {
        self.0.issuer().tokens()
    }

    /// All rows of the list at `target`, which is a path below the base URL with a query, such as
    /// `/jobs?status=failed`; `limit` and `offset` do not count. In the order of the pages, but not by way of them.
    ///
    /// `None` if there is no such list, or its parameters are refused.
    pub fn reference(&self, target: &str) -> Option<Vec<Value>> {
        reference::rows(&self.0, target)
    }

    // === what is to happen ===

    /// Every token given out so far stops working.
    pub fn revoke_all(&self) {
        self.0.issuer().revoke_all();
    }

    /// From now on only this secret buys a token. Tokens already given out live on.
    pub fn rotate_secret(&self, new: Secret) {
        self.0.issuer().rotate_secret(new);
    }

    /// From now on tokens live this long, in whole seconds.
    pub fn set_token_lifetime(&self, lifetime: Duration) {
        self.0.issuer().set_lifetime(lifetime);
    }

    /// The token endpoint does this whenever [`next_token_answers`](Self::next_token_answers) has run out.
    pub fn set_fault(&self, fault: Option<Fault>) {
        self.0.token_script().set(fault);
    }

    /// The token endpoint does these first, one a request; `None` is a proper answer.
    pub fn next_token_answers(&self, faults: impl IntoIterator<Item = Option<Fault>>) {
        self.0.token_script().push(faults);
    }

    /// The API does this whenever [`next_api_answers`](Self::next_api_answers) has run out.
    pub fn set_api_fault(&self, fault: Option<ApiFault>) {
        self.0.api_script().set(fault);
    }

    /// The API does these first, one a request with a live token; `None` is a proper answer.
    pub fn next_api_answers(&self, faults: impl IntoIterator<Item = Option<ApiFault>>) {
        self.0.api_script().push(faults);
    }

    /// The `n`-th page of the seven paged lists that is asked for from now on does this, counted from 1, whichever list
    /// it is of. Other requests do not count, nor do those that an answer of [`next_api_answers`](Self::next_api_answers)
    /// is for.
    pub fn fault_at_page(&self, n: u64, fault: ApiFault) {
        self.faults_at_page(n, fault, 1);
    }

    /// So do that page and those after it, so many in all; `u64::MAX` is until
    /// [`clear_page_faults`](Self::clear_page_faults). For a fault that is still there when the page is asked for again.
    pub fn faults_at_page(&self, n: u64, fault: ApiFault, times: u64) {
        self.0.pages().plan(When::Page(n), fault, times);
    }

    /// The pages with this offset do this, so many times: pages that are asked for side by side have no certain order.
    pub fn faults_at_offset(&self, offset: usize, fault: ApiFault, times: u64) {
        self.0.pages().plan(When::Offset(offset), fault, times);
    }

    /// Pages are answered properly again.
    pub fn clear_page_faults(&self) {
        self.0.pages().clear();
    }

    /// After every `every`-th page of the paged lists, its list changes so, in this order; no changes end it. What is
    /// new or how it is shuffled is the same for the same seed and the same pages.
    pub fn between_pages(&self, every: u64, changes: &[Change]) {
        self.0.pages().change_every(every, changes);
    }

    /// From now on every answer of the API takes this long, by the tokio clock.
    pub fn set_latency(&self, latency: Duration) {
        self.0.set_latency(latency);
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Handle").field(&self.counts()).finish()
    }
}
