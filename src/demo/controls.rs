//! What a test suite of somebody else's asks of the simulated Airbyte: to misbehave, to begin anew, and what it has seen.
//!
//! Beside the API, so that it needs no listener of its own, and only where it is asked for. No Airbyte has these paths.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::faults::ApiFault;
use super::world::World;

/// What the next answers of the API are to be, instead of what they should.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    /// This status, in the shape that Airbyte or a gateway before it gives it.
    #[serde(default)]
    status: Option<u16>,
    /// In seconds; with a status.
    #[serde(default)]
    retry_after: Option<u32>,
    /// No answer at all: the connection ends.
    #[serde(default)]
    close: bool,
    /// From now on every answer takes this long.
    #[serde(default)]
    latency_ms: Option<u64>,
    /// How many answers.
    #[serde(default = "once")]
    times: usize,
}

/// More than a test waits for.
const MOST: usize = 10_000;
const SLOWEST: u64 = 600_000;

fn once() -> usize {
    1
}

pub(super) fn routes(prefix: &str) -> Router<Arc<World>> {
    Router::new()
        .route(&format!("{prefix}/demo/faults"), post(faults).delete(no_faults))
        .route(&format!("{prefix}/demo/reset"), post(reset))
        .route(&format!("{prefix}/demo/requests"), get(requests))
}

async fn faults(State(world): State<Arc<World>>, body: String) -> Response {
    let wish: Wish = match serde_json::from_str(&body) {
        Ok(wish) => wish,
        Err(error) => return not_understood(&error.to_string()),
    };
    let fault = match fault(&wish) {
        Ok(fault) => fault,
        Err(what) => return not_understood(what),
    };
    if let Some(latency) = wish.latency_ms {
        world.set_latency(Duration::from_millis(latency));
    }
    if let Some(fault) = fault {
        world.api_script().push(std::iter::repeat_n(Some(fault), wish.times));
    }
    StatusCode::NO_CONTENT.into_response()
}

fn fault(wish: &Wish) -> Result<Option<ApiFault>, &'static str> {
    if wish.times == 0 || wish.times > MOST {
        return Err("times is a number from 1 to 10000");
    }
    if wish.latency_ms.is_some_and(|latency| latency > SLOWEST) {
        return Err("latency_ms is at most 600000");
    }
    let status = match (wish.status, wish.close) {
        (Some(_), true) => return Err("status and close exclude each other"),
        (None, true) => return Ok(Some(ApiFault::Close)),
        (None, false) if wish.latency_ms.is_some() => return Ok(None),
        (None, false) => return Err("one of status, close and latency_ms is needed"),
        (Some(code), false) => StatusCode::from_u16(code)
            .ok()
            .filter(|status| status.is_client_error() || status.is_server_error()),
    };
    let status = status.ok_or("status is a number from 400 to 599")?;
    Ok(Some(match (status, wish.retry_after) {
        (status, Some(after)) => ApiFault::RetryAfter(status, after.to_string()),
        (StatusCode::UNAUTHORIZED, None) => ApiFault::Unauthorized,
        (StatusCode::FORBIDDEN, None) => ApiFault::Forbidden,
        (StatusCode::TOO_MANY_REQUESTS, None) => ApiFault::Shed,
        (StatusCode::INTERNAL_SERVER_ERROR, None) => ApiFault::ErrorId(status),
        (status, None) => ApiFault::Html(status),
    }))
}

async fn no_faults(State(world): State<Arc<World>>) -> StatusCode {
    world.behave();
    StatusCode::NO_CONTENT
}

async fn reset(State(world): State<Arc<World>>) -> StatusCode {
    world.behave();
    world.begin_anew();
    StatusCode::NO_CONTENT
}

/// As they came, and in this order; whole lists as the pages that the proxy asks for.
async fn requests(State(world): State<Arc<World>>) -> Json<Value> {
    let one = |seen: super::Seen| json!({ "method": seen.method.as_str(), "target": seen.target });
    Json(json!({ "data": world.seen().into_iter().map(one).collect::<Vec<_>>() }))
}

fn not_understood(what: &str) -> Response {
    (StatusCode::BAD_REQUEST, Json(json!({ "detail": format!("demo/faults: {what}") }))).into_response()
}
