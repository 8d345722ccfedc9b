//! The pages of one list, fetched from upstream one at a time, each again where that is safe.

use std::sync::Arc;
use std::time::Duration;

use http::response::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::sleep;

use super::decoded::{Decoded, Read, ReadError};
use super::query::Query;
use super::rows::RowPage;
use crate::airbyte::lists::{List, MOST_ROWS};
use crate::outbound::retry_after;
use crate::problem::{self, Problem};
use crate::proxy::authorize;
use crate::proxy::rate::Turns;
use crate::proxy::replay::Source;
use crate::proxy::upstream::{Origin, Outgoing, Relay};
use crate::token::TokenHandle;

/// Pauses before the second, third and fourth attempt, in terms of the first.
const PAUSES: [u32; 3] = [1, 4, 16];
/// A longer pause than this nobody waits for in the middle of an answer.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// One list, and how to ask for a page of it.
#[derive(Debug)]
pub(in crate::proxy) struct Pages {
    pub(in crate::proxy) origin: Origin,
    pub(in crate::proxy) tokens: TokenHandle,
    /// Where the list is at upstream.
    pub(in crate::proxy) path: String,
    /// The caller's, cleaned.
    pub(in crate::proxy) headers: HeaderMap,
    pub(super) query: Query,
    pub(super) list: List,
    /// What all walks together may ask for at the same time.
    pub(super) slots: Arc<Semaphore>,
    /// Where requests a second are limited. The first page needs none: the request for the list has had one.
    pub(super) turns: Option<Turns>,
    pub(super) first_pause: Duration,
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub(in crate::proxy) enum PageError {
    #[error("upstream answered {}", .status.as_u16())]
    Refused { status: StatusCode, retry_after: Option<Duration> },
    #[error("{}", .0.detail)]
    NoAnswer(Problem),
    #[error(transparent)]
    Broken(#[from] ReadError),
    #[error("the answer is no page of a list")]
    NoPage,
    #[error("the page is larger than 64 MiB")]
    TooLarge,
    #[error("the task that fetched the page has ended")]
    Lost,
    #[error("upstream sends the same rows again and again")]
    Endless,
    #[error("upstream gives fewer than 100 rows a page although more follow")]
    Capped,
}

impl Pages {
    pub(super) fn request(&self, offset: u64) -> Result<Outgoing, Problem> {
        let target = format!("{}?{}", self.path, self.query.page(MOST_ROWS, offset));
        let target = PathAndQuery::try_from(target)
            .map_err(|_| Problem::new(problem::INVALID_REQUEST, "the request has no usable path"))?;
        let mut headers = self.headers.clone();
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        Ok(Outgoing { method: Method::GET, target, headers, body: Source::Empty })
    }

    /// The page that begins with this row.
    pub(super) async fn page(&self, offset: u64) -> Result<RowPage, PageError> {
        for pause in PAUSES {
            match self.attempt(offset).await {
                Err(error) if error.is_passing() => {
                    // Others who were refused at the same time should not come back at the same time.
                    let pause = (self.first_pause * pause).mul_f64(1.0 + 0.2 * fastrand::f64());
                    let pause = pause.max(error.asked().unwrap_or_default());
                    if pause > LONGEST_PAUSE {
                        return Err(error);
                    }
                    tracing::debug!(offset, %error, ?pause, "a page of a whole list is asked for again");
                    sleep(pause).await;
                }
                other => return other,
            }
        }
        self.attempt(offset).await
    }

    async fn attempt(&self, offset: u64) -> Result<RowPage, PageError> {
        let request = self.request(offset).map_err(PageError::NoAnswer)?;
        // Before the slot: whoever waits for its own turn must not keep the others waiting.
        if let Some(turns) = &self.turns {
            let turn = turns.next(|| self.tokens.now()).await;
            turn.map_err(|too_fast| PageError::NoAnswer(too_fast.into()))?;
        }
        let _slot = self.slot().await;
        let sent = authorize::send(&self.origin, &self.tokens, &request).await;
        let (head, relay) = sent.map_err(PageError::NoAnswer)?.response.into_parts();
        self.read(head, relay).await
    }

    /// Waits until one more page may be asked for.
    pub(super) async fn slot(&self) -> Option<SemaphorePermit<'_>> {
        // Nobody closes it.
        self.slots.acquire().await.ok()
    }

    /// The rows of an answer.
    pub(super) async fn read(&self, mut head: Parts, relay: Relay) -> Result<RowPage, PageError> {
        let decoded = Decoded::new(relay, &mut head.headers);
        if head.status != StatusCode::OK {
            // To its end, so that its connection can be used again.
            let _ = decoded.read().await;
            return Err(PageError::Refused { status: head.status, retry_after: retry_after(&head.headers) });
        }
        match decoded.read().await? {
            Read::All(page) => RowPage::of(page, self.list).ok_or(PageError::NoPage),
            Read::Part(..) => Err(PageError::TooLarge),
        }
    }
}

impl PageError {
    /// Whether asking again may help and does no harm: the pages are only read.
    fn is_passing(&self) -> bool {
        match self {
            Self::Refused { status, .. } => matches!(status.as_u16(), 429 | 502 | 503 | 504),
            Self::NoAnswer(problem) => [
                problem::TOKEN_UNAVAILABLE,
                problem::UPSTREAM_CLOSED,
                problem::UPSTREAM_REFUSED,
                problem::UPSTREAM_CONNECT_TIMEOUT,
                problem::UPSTREAM_DNS,
                problem::UPSTREAM_DNS_TIMEOUT,
            ]
            .contains(&problem.kind),
            Self::Broken(error) => matches!(error, ReadError::Relay(_)),
            Self::NoPage | Self::TooLarge | Self::Lost | Self::Endless | Self::Capped => false,
        }
    }

    fn asked(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            Self::NoAnswer(problem) => problem.retry_after,
            _ => None,
        }
    }

    /// Older servers answer with an error where a list has ended. Not so what says who may read, and how fast.
    pub(super) fn may_be_the_end(&self) -> bool {
        matches!(self, Self::Refused { status, .. }
            if !matches!(status.as_u16(), 401 | 403 | 408 | 429 | 502 | 503 | 504)
                && (status.is_client_error() || status.is_server_error()))
    }

    /// As in the access log.
    pub(in crate::proxy) fn kind(&self) -> &'static str {
        match self {
            Self::Refused { .. } => "list-page-refused",
            Self::NoAnswer(problem) => problem.kind.name,
            Self::Broken(error) => error.kind(),
            Self::NoPage | Self::TooLarge => "list-page-unusable",
            Self::Lost => problem::INTERNAL.name,
            Self::Endless => "list-endless",
            Self::Capped => "list-capped",
        }
    }

    /// For a caller who has not been answered yet.
    pub(super) fn into_problem(self) -> Problem {
        match self {
            Self::NoAnswer(problem) => problem,
            other => Problem::new(problem::UPSTREAM_PROTOCOL, format!("the list cannot be read: {other}")),
        }
    }
}
