//! What a request looks like when it reaches upstream, and an answer when it reaches the caller.
//!
//! * `targets`: paths, prefixes, origins, redirects, loops
//! * `fields`: headers, both ways
//! * `answers`: statuses, lengths, codings, as upstream sent them
//! * `streaming`: nothing is held back, and what happens when one side stops
//! * `malformed`: upstreams that speak badly
//! * `retries`: what is sent again, and what never is
//! * `spare`: the connection that is kept ready
//! * `failures`: no way to upstream, TLS, and every wait's end
//! * `limits`: one request too many

mod answers;
mod failures;
mod fields;
mod limits;
mod malformed;
mod retries;
mod spare;
mod streaming;
mod targets;

use http::{Request, Response};
use http_body_util::{BodyExt, Collected};
use hyper::body::Incoming;

use crate::harness::upstream::{Body, full};

/// Answers with the request's body.
async fn echo(request: Request<Incoming>) -> Response<Body> {
    let body = request.into_body().collect().await.map(Collected::to_bytes).unwrap_or_default();
    Response::new(full(body))
}
