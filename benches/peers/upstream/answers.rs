//! What the upstream answers, and to whom.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Either, Full};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::Interval;

use super::{CLIENT_SECRET, Plan, Seen};
use crate::content;

/// How much of a slow answer is sent at a time.
const PIECE: usize = 16 * 1024;

/// All that connections have in common.
pub(super) struct Answers {
    plan: Plan,
    authority: String,
    kilobyte: Bytes,
    megabyte: Bytes,
    pub(super) connections: AtomicU64,
    pub(super) h2_connections: AtomicU64,
    requests: AtomicU64,
    given: Mutex<Given>,
}

#[derive(Default)]
struct Given {
    tokens: Vec<(String, Instant)>,
    mints: Vec<u64>,
    violations: u64,
    first_violation: Option<String>,
}

type Answer = Response<Either<Full<Bytes>, Slow>>;

impl Answers {
    pub(super) fn new(plan: Plan, port: u16) -> Self {
        Self {
            plan,
            authority: format!("localhost:{port}"),
            kilobyte: content::bytes(content::KILOBYTE),
            megabyte: content::bytes(content::MEGABYTE),
            connections: AtomicU64::default(),
            h2_connections: AtomicU64::default(),
            requests: AtomicU64::default(),
            given: Mutex::default(),
        }
    }

    pub(super) fn seen(&self) -> Seen {
        let given = self.given.lock().expect("no panic");
        Seen {
            requests: self.requests.load(Ordering::Relaxed),
            connections: self.connections.load(Ordering::Relaxed),
            h2_connections: self.h2_connections.load(Ordering::Relaxed),
            mints: given.mints.clone(),
            violations: given.violations,
            first_violation: given.first_violation.clone(),
        }
    }

    pub(super) async fn answer(&self, request: Request<Incoming>) -> hyper::Result<Answer> {
        if request.uri().path() == "/v1/applications/token" {
            return self.mint(request).await;
        }
        self.requests.fetch_add(1, Ordering::Relaxed);
        if let Some(violation) = self.violation(&request) {
            let mut given = self.given.lock().expect("no panic");
            given.violations += 1;
            given.first_violation.get_or_insert(violation);
            return Ok(status(StatusCode::UNAUTHORIZED));
        }
        match (request.method(), request.uri().path()) {
            (&Method::GET, content::KILOBYTE_PATH) => Ok(whole(self.kilobyte.clone())),
            (&Method::GET, content::MEGABYTE_PATH) => Ok(whole(self.megabyte.clone())),
            (&Method::GET, content::SLOW_PATH) => Ok(slow(request.uri().query().unwrap_or_default())),
            (&Method::POST, content::POST_PATH) => {
                let mut body = request.into_body();
                let mut length = 0;
                while let Some(frame) = body.frame().await {
                    length += frame?.data_ref().map_or(0, Bytes::len);
                }
                Ok(whole(content::received(length)))
            }
            _ => Ok(status(StatusCode::NOT_FOUND)),
        }
    }

    async fn mint(&self, request: Request<Incoming>) -> hyper::Result<Answer> {
        let (head, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let knows_secret = std::str::from_utf8(&body).is_ok_and(|body| body.contains(CLIENT_SECRET));
        if head.method != Method::POST || !knows_secret {
            return Ok(status(StatusCode::UNAUTHORIZED));
        }
        let mut given = self.given.lock().expect("no panic");
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        given.mints.push(u64::try_from(now.as_micros()).unwrap_or_default());
        // As long as the fixed one, since its length is part of what every request costs.
        let token = format!("{:x>width$}", given.mints.len(), width = self.plan.fixed.len());
        let answer = serde_json::json!({
            "access_token": token, "token_type": "Bearer", "expires_in": self.plan.life.as_secs(),
        });
        given.tokens.push((token, Instant::now() + self.plan.life));
        Ok(whole(answer.to_string().into()))
    }

    /// What a real upstream would refuse.
    fn violation(&self, request: &Request<Incoming>) -> Option<String> {
        let host = request.uri().authority().map(http::uri::Authority::as_str);
        let host = host.or_else(|| request.headers().get(header::HOST)?.to_str().ok());
        if host != Some(&self.authority) {
            return Some(format!("host is {host:?}"));
        }
        let Some(token) = bearer(request.headers()) else { return Some("no bearer token".into()) };
        if token == self.plan.fixed {
            return None;
        }
        let given = self.given.lock().expect("no panic");
        match given.tokens.iter().rev().find(|(given, _)| given == token) {
            None => Some("a token that was never given".into()),
            Some((_, dies)) => (Instant::now() > *dies).then(|| "a token that has expired".into()),
        }
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}

fn whole(bytes: Bytes) -> Answer {
    let mut answer = Response::new(Either::Left(Full::new(bytes)));
    answer.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    answer
}

fn status(status: StatusCode) -> Answer {
    let mut answer = whole(Bytes::new());
    *answer.status_mut() = status;
    answer
}

/// `bytes=N&rate=N`: that many, at so many a second.
fn slow(query: &str) -> Answer {
    let number = |name: &str| {
        let value = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        value.and_then(|value| value.parse::<usize>().ok()).unwrap_or(content::MEGABYTE).max(1)
    };
    let period = Duration::from_secs(1) * u32::try_from(PIECE).unwrap_or(1)
        / u32::try_from(number("rate")).unwrap_or(1);
    let clock = tokio::time::interval(period.max(Duration::from_millis(1)));
    let mut answer = whole(Bytes::new());
    *answer.body_mut() = Either::Right(Slow { left: number("bytes"), piece: content::bytes(PIECE), clock });
    answer
}

/// A body that comes piece by piece.
pub(super) struct Slow {
    left: usize,
    piece: Bytes,
    clock: Interval,
}

impl Body for Slow {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        ready!(self.clock.poll_tick(cx));
        let piece = self.piece.slice(..self.left.min(PIECE));
        self.left -= piece.len();
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left as u64)
    }
}
