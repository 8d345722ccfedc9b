//! What every request passes first: who may come in, and what is counted.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::header::{AUTHORIZATION, DATE, USER_AGENT};
use http::{HeaderMap, HeaderValue, Uri};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;

use super::errors::{Failure, framework, unauthorized};
use super::handle::{Event, Seen, Unauthorized};
use super::misbehave;
use super::world::World;

/// Around all of the API: lets live tokens in.
pub(super) async fn require_token(State(world): State<Arc<World>>, request: Request, next: Next) -> Response {
    let uri = request.uri().clone();
    note(&world, &request);
    if world.options.require_user_agent && !request.headers().contains_key(USER_AGENT) {
        return Failure::forbidden("a User-Agent").response(&uri);
    }
    if let Err(why) = check(&world, request.headers()) {
        world.count(|counts| match why {
            Unauthorized::Missing => counts.missing += 1,
            Unauthorized::Expired => counts.expired += 1,
            Unauthorized::Revoked => counts.revoked += 1,
            Unauthorized::Foreign => counts.foreign += 1,
        });
        world.tell(Event::Unauthorized(why));
        return unauthorized(&uri);
    }
    world.count(|counts| counts.authorized += 1);
    misbehave::answer(&world, request, next).await
}

fn note(world: &World, request: &Request) {
    let authorizations = request.headers().get_all(AUTHORIZATION).iter().count();
    world.count(|counts| {
        counts.requests += 1;
        counts.authorization_headers += u64::try_from(authorizations).unwrap_or(0);
    });
    world.record(|| {
        let mut headers = request.headers().clone();
        if let http::header::Entry::Occupied(mut entry) = headers.entry(AUTHORIZATION) {
            entry.iter_mut().for_each(|value| value.set_sensitive(true));
        }
        Seen { method: request.method().clone(), target: request.uri().to_string(), headers }
    });
}

/// Two `Authorization` headers are as good as none: a proxy must have replaced the first.
fn check(world: &World, headers: &HeaderMap) -> Result<(), Unauthorized> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return Err(Unauthorized::Missing) };
    let text = value.to_str().map_err(|_| Unauthorized::Foreign)?;
    let (scheme, token) = text.split_once(' ').ok_or(Unauthorized::Missing)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Unauthorized::Missing);
    }
    world.issuer().check(token, world.millis())
}

/// Around everything: `Date` is Airbyte's time, which need not be the caller's.
pub(super) async fn date(State(world): State<Arc<World>>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let now = Timestamp::from_second(world.seconds()).unwrap_or_default();
    let date = DateTimePrinter::new().timestamp_to_rfc9110_string(&now);
    if let Some(date) = date.ok().and_then(|date| HeaderValue::try_from(date).ok()) {
        response.headers_mut().insert(DATE, date);
    }
    response
}

/// A path that does not exist: with a live token, one is told so.
pub(super) async fn unknown_path(uri: Uri) -> Response {
    framework(http::StatusCode::NOT_FOUND, "Not Found", "Page Not Found", &uri)
}

/// A method that the path does not have.
pub(super) async fn unknown_method(uri: Uri) -> Response {
    framework(http::StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed", "method is not allowed", &uri)
}
