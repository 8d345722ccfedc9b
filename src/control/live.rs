//! What changes while somebody looks: the state of the token and the last requests, as server-sent events.
//!
//! Nobody is told of anything. While a page is open, a task of its own looks four times a second whether there is
//! something new; with no page open, nothing runs. A page that does not keep up is let go and comes back.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body::Frame;
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::{Readiness, Shared};
use crate::browser::wants_page;
use crate::problem::{OVERLOADED, Problem};
use crate::telemetry::recent::{Place, Seen, totals};

/// Pages that are open at the same time.
const MOST: usize = 32;

/// Requests that a page shows.
const REQUESTS: usize = 50;

/// How often is looked.
const PERIOD: Duration = Duration::from_millis(250);

/// Looks without news after which the state is told all the same, so that both ends notice if the other has gone, and
/// the page's clock stays right.
const QUIET: u32 = 40;

/// Events that wait for a slow page.
const WAITING: usize = 8;

/// How a browser that has lost the connection goes about it.
const RETRY: &str = "retry: 1000\n\n";

/// What there is to tell of the token, beside its readiness.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenLife {
    /// Now, in milliseconds since the Unix epoch, as all times here.
    pub now: i64,
    /// When the live token was asked for, and until when it is used.
    pub from_to: Option<(i64, i64)>,
    /// The last things that became of it: when, how people are to take it (`good`, `warning`, `bad` or `neutral`), and
    /// what happened. Oldest first.
    pub history: Vec<(i64, &'static str, String)>,
}

/// The end of all streams, when it comes.
pub type End = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Room for pages that are open.
#[derive(Debug, Clone)]
pub(super) struct Audience(Arc<Semaphore>);

impl Default for Audience {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MOST)))
    }
}

/// `GET /-/events`
pub(super) fn events(state: Shared, audience: Audience, headers: &HeaderMap) -> Response {
    let Ok(seat) = audience.0.try_acquire_owned() else {
        let problem = Problem::new(OVERLOADED, format!("{MOST} status pages are open already; close one"));
        return problem.retry_after(Duration::from_secs(5)).response(wants_page(headers)).map(Body::from);
    };
    let (tell, events) = mpsc::channel(WAITING);
    tokio::spawn(tell_all(state, tell, seat));
    let head = [(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"))];
    (head, Body::new(Events(events))).into_response()
}

/// Until the page is closed or too slow, or the proxy ends.
async fn tell_all(state: Shared, tell: mpsc::Sender<Bytes>, _seat: OwnedSemaphorePermit) {
    let mut end = state.end();
    let mut watched = Watched::default();
    let mut look = tokio::time::interval(PERIOD);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    if tell.try_send(Bytes::from_static(RETRY.as_bytes())).is_err() {
        return;
    }
    loop {
        tokio::select! {
            biased;
            () = &mut end => return,
            () = tell.closed() => return,
            _ = look.tick() => {}
        }
        for event in watched.news(&state) {
            if tell.try_send(event).is_err() {
                return;
            }
        }
    }
}

/// What one page has been told.
#[derive(Default)]
struct Watched {
    place: Place,
    told: Option<(Readiness, TokenLife)>,
    quiet: u32,
    begun: bool,
}

impl Watched {
    fn news(&mut self, state: &Shared) -> Vec<Bytes> {
        let mut events = Vec::new();
        self.quiet += 1;
        let (readiness, life) = (state.readiness(), state.token());
        let told = self.told.as_ref();
        let known = told.is_some_and(|(before, past)| same(before, &readiness, past, &life));
        if !known || self.quiet >= QUIET {
            events.push(event("state", &state_of(&readiness, &life)));
            self.told = Some((readiness, life));
            self.quiet = 0;
        }
        let seen = self.place.read_on(REQUESTS);
        if !(self.begun && seen.is_empty()) {
            self.begun = true;
            let totals = totals();
            let told = json!({
                "requests": seen.iter().map(request).collect::<Vec<_>>(),
                "totals": {
                    "requests": totals.requests,
                    "refused": totals.refused,
                    "replayed": totals.replayed,
                    "failed": totals.failed,
                },
            });
            events.push(event("requests", &told));
        }
        events
    }
}

/// Whether a page that knows the one can work out the other. All that counts down does so by itself.
fn same(before: &Readiness, now: &Readiness, past: &TokenLife, life: &TokenLife) -> bool {
    before.status == now.status
        && before.reason == now.reason
        && before.token.generation == now.token.generation
        && before.token.next_attempt_in.is_some() == now.token.next_attempt_in.is_some()
        && past.history == life.history
}

fn state_of(readiness: &Readiness, life: &TokenLife) -> Value {
    let happening = |(at, mood, what): &(i64, &str, String)| json!({ "at": at, "mood": mood, "what": what });
    let next = readiness.token.next_attempt_in.and_then(|next| i64::try_from(next.as_millis()).ok());
    json!({
        "now": life.now,
        "status": readiness.status.as_str(),
        "reason": readiness.reason,
        "generation": readiness.token.generation,
        "obtained": life.from_to.map(|(from, _)| from),
        "expires": life.from_to.map(|(_, to)| to),
        "next_attempt": next.map(|next| life.now.saturating_add(next)),
        "history": life.history.iter().map(happening).collect::<Vec<_>>(),
    })
}

fn request(seen: &Seen) -> Value {
    let named = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    json!({
        "id": seen.id,
        "at": seen.at,
        "method": seen.method,
        "route": seen.route,
        "status": seen.status,
        "ms": seen.millis,
        "rows": seen.rows,
        "replayed": seen.replayed,
        "client": named(&seen.client),
        "rule": named(&seen.rule),
        "error": named(&seen.error),
    })
}

/// JSON has no line breaks of its own, so one line of data is enough.
fn event(name: &str, data: &Value) -> Bytes {
    format!("event: {name}\ndata: {data}\n\n").into()
}

/// The body: whatever the task says, until it says no more.
struct Events(mpsc::Receiver<Bytes>);

impl http_body::Body for Events {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0.poll_recv(cx).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}
