//! Ways for the simulated Airbyte to misbehave, and when it does.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use http_body::Frame;
use tokio::sync::watch;

use super::errors::gateway;

/// Holds whoever comes until it is opened. Clones are the same gate.
#[derive(Debug, Clone)]
pub struct Gate(Arc<watch::Sender<bool>>);

impl Gate {
    /// A closed gate.
    #[expect(clippy::new_without_default, reason = "a default gate would not say whether it is open")]
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }

    /// Lets everybody through, now and later.
    pub fn open(&self) {
        self.0.send_replace(true);
    }

    /// Waits until it is open.
    pub async fn passed(&self) {
        let mut open = self.0.subscribe();
        // The sender lives in `self`, so this ends only by opening.
        let _ = open.wait_for(|open| *open).await;
    }
}

/// What the token endpoint does instead of what it should.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Fault {
    /// A gateway's page: this status, an HTML body. 200 included.
    Html(StatusCode),
    /// This status, `Retry-After` as given (seconds or a date), an HTML body.
    RetryAfter(StatusCode, String),
    /// This status and an `errorId`: what an uncaught exception of Airbyte looks like.
    ErrorId(StatusCode),
    /// 200 without a body.
    Empty,
    /// 200 with JSON that holds no token.
    NotAToken,
    /// 200 with this text, said to be JSON.
    Text(String),
    /// 200 with a token whose JSON is 1 MiB long.
    Oversized,
    /// 307 to this URL, which a client that follows would send the secret to.
    Redirect(String),
    /// Closes the connection without an answer.
    Close,
    /// Announces more bytes than it sends, then closes the connection.
    Truncated,
    /// Waits for the gate, then answers as if nothing were wrong.
    Hang(Gate),
    /// A token, if the credentials are right, but not the usual one.
    Grant(Grant),
}

/// How a token differs from what it should be. The default does not differ.
#[derive(Debug, Clone, Default)]
pub struct Grant {
    /// How long it really lives.
    pub lifetime: Option<Duration>,
    /// How long the answer says it lives.
    pub expires_in: Lifespan,
    /// Leaves `iat` out of its claims.
    pub without_iat: bool,
    /// No JWT, just random characters.
    pub opaque: bool,
    /// The same token as last time, if there was one.
    pub repeat: bool,
    /// Another `token_type` than `Bearer`.
    pub token_type: Option<String>,
    /// This text for a token, which is no token that the API accepts.
    pub text: Option<String>,
}

/// What `expires_in` says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Lifespan {
    /// The configured lifetime, as Airbyte does: not that of the very token.
    #[default]
    Configured,
    /// Nothing: the member is absent.
    Absent,
    /// This JSON text, whatever it means: `900`, `"900"`, `-1`, `1e400`.
    Says(String),
}

/// What the API does instead of answering a request with a valid token.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ApiFault {
    /// A gateway's page with this status. 200 included.
    Html(StatusCode),
    /// This status with `Retry-After`, as given.
    RetryAfter(StatusCode, String),
    /// This status and an `errorId`: what an uncaught exception of Airbyte looks like.
    ErrorId(StatusCode),
    /// 429 in the shape of Airbyte's load shedding, deliberately without `Retry-After`.
    Shed,
    /// 401 in the usual shape, although the token is valid.
    Unauthorized,
    /// 403 in the shape of a problem, as a missing permission is answered.
    Forbidden,
    /// Closes the connection without an answer.
    Close,
    /// Announces more bytes than it sends, then closes the connection.
    Truncated,
    /// Waits for the gate, then answers as if nothing were wrong.
    Hold(Gate),
    /// 200 with this text, said to be JSON: a list of another shape, or none.
    Text(String),
    /// 200 with a page of one row that is at least this many bytes long; gzip makes it small.
    Oversized(usize),
    /// The proper answer, announced at its whole length, of which half is sent; then closes the connection.
    CutOff,
    /// The first half of the proper answer, as if that were all: JSON that ends within a row.
    Broken,
    /// The proper answer in gzip, asked for or not, with a few bytes wrong.
    CorruptGzip,
    /// The proper answer in gzip, asked for or not, of which the second half is missing, as if that were all.
    TruncatedGzip,
    /// Half of the proper answer; the rest once the gate is open.
    Stall(Gate),
    /// The answer to the same request with offset 0. At every page: a list that never ends.
    Endless,
}

/// Faults for the next answers, and one for all after those.
#[derive(Debug)]
pub(super) struct Script<F> {
    next: VecDeque<Option<F>>,
    standing: Option<F>,
}

// Not derived: that would ask for `F: Default`.
impl<F> Default for Script<F> {
    fn default() -> Self {
        Self { next: VecDeque::new(), standing: None }
    }
}

impl<F: Clone> Script<F> {
    pub(super) fn set(&mut self, standing: Option<F>) {
        self.standing = standing;
    }

    pub(super) fn push(&mut self, faults: impl IntoIterator<Item = Option<F>>) {
        self.next.extend(faults);
    }

    /// What happens to the answer that is due now.
    pub(super) fn take(&mut self) -> Option<F> {
        self.next.pop_front().unwrap_or_else(|| self.standing.clone())
    }
}

/// A response that the server cannot finish: as soon as the body is asked for, there is an error.
///
/// HTTP/1.1 has not written the head by then, so the connection closes without a byte; HTTP/2 resets the stream.
pub(super) fn closed() -> Response {
    Response::new(Body::new(Failing { before: None, flushed: true }))
}

/// A response that ends before its `Content-Length`.
pub(super) fn truncated() -> Response {
    let mut response = Response::new(ends_early(Bytes::from_static(b"{\"data\":[")));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from_static("4096"));
    response
}

/// Yields `before`, lets it be written, then fails.
pub(super) fn ends_early(before: Bytes) -> Body {
    Body::new(Failing { before: Some(before), flushed: false })
}

/// Yields `before`, and `after` once the gate is open.
pub(super) fn later(before: Bytes, gate: Gate, after: Bytes) -> Body {
    let opened = Box::pin(async move { gate.passed().await });
    Body::new(Stalling { before: Some(before), opened, after: Some(after) })
}

/// `status` as a gateway in front of Airbyte answers, with a `Retry-After` that is sent only if it is a header value.
pub(super) fn retry_after(status: StatusCode, after: &str) -> Response {
    let mut response = gateway(status);
    if let Ok(after) = HeaderValue::from_str(after) {
        response.headers_mut().insert(RETRY_AFTER, after);
    }
    response
}

/// 307 to `location`.
pub(super) fn redirect(location: &str) -> Response {
    let mut response = StatusCode::TEMPORARY_REDIRECT.into_response();
    if let Ok(location) = HeaderValue::from_str(location) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

/// See [`ends_early`] and [`closed`].
#[derive(Debug)]
struct Failing {
    before: Option<Bytes>,
    flushed: bool,
}

impl http_body::Body for Failing {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(bytes) = self.before.take() {
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        if !self.flushed {
            self.flushed = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Some(Err(io::Error::other("a fault that was asked for"))))
    }
}

/// See [`later`].
struct Stalling {
    before: Option<Bytes>,
    opened: Pin<Box<dyn Future<Output = ()> + Send>>,
    after: Option<Bytes>,
}

impl http_body::Body for Stalling {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(bytes) = self.before.take() {
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        if self.after.is_none() {
            return Poll::Ready(None);
        }
        std::task::ready!(self.opened.as_mut().poll(cx));
        Poll::Ready(self.after.take().map(|bytes| Ok(Frame::data(bytes))))
    }
}
