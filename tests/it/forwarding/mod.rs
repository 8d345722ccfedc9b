//! What a request looks like when it reaches upstream, and an answer when it reaches the caller.
//!
//! * `targets`: paths, prefixes, origins, redirects, loops
//! * `fields`: headers, both ways
//! * `answers`: statuses, lengths, codings, as upstream sent them
//! * `streaming`: nothing is held back, and what happens when one side stops
//! * `early`: answers that come before the request has been sent
//! * `goodbyes`: how connections to upstream end, over TLS
//! * `malformed`: upstreams that speak badly
//! * `retries`: what is sent again, and what never is
//! * `spare`: the connection that is kept ready
//! * `failures`: no way to upstream, TLS, and every wait's end
//! * `limits`: one request too many

mod answers;
mod early;
mod failures;
mod fields;
mod goodbyes;
mod limits;
mod malformed;
mod retries;
mod spare;
mod streaming;
mod targets;

use http::{Request, Response};
use http_body_util::{BodyExt, Collected};
use hyper::body::Incoming;

use crate::harness::daemon::Daemon;
use crate::harness::talk::Talk;
use crate::harness::upstream::{Body, full};
use crate::harness::wire::Wire;

/// An answer without content.
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// The connection to upstream that has served a first request, and is idle.
async fn served_once(wire: &Wire, proxy: &Daemon) -> Talk {
    let mut caller = proxy.ask("GET /v1/first HTTP/1.1").await;
    let mut upstream = wire.accept().await;
    upstream.head().await;
    upstream.say(OK).await;
    caller.head().await;
    upstream
}

/// Answers with the request's body.
async fn echo(request: Request<Incoming>) -> Response<Body> {
    let body = request.into_body().collect().await.map(Collected::to_bytes).unwrap_or_default();
    Response::new(full(body))
}
