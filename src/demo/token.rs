//! The token endpoint.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode, Uri};
use serde_json::{Map, Value};

use super::Style;
use super::errors::{error_id, framework, gateway, unauthorized};
use super::faults::{self, Fault, Grant, Lifespan};
use super::handle::{Event, Refused};
use super::issuer::Minted;
use super::params::Params;
use super::world::World;

/// Larger than any answer of Airbyte, and than a client should read.
const OVERSIZED: usize = 1024 * 1024;

/// `POST …/v1/applications/token`: JSON or form; `access_token`, `token_type`, `expires_in`.
pub(super) async fn public(
    State(world): State<Arc<World>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    endpoint(&world, &uri, read(&headers, &body, true), whole).await
}

/// `POST /api/v1/applications/token`, of the Configuration API: JSON only; nothing but `access_token`.
pub(super) async fn configuration_api(
    State(world): State<Arc<World>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let bare = |minted: &Minted, _: &Grant, _| format!("{{\"access_token\":{}}}", quoted(&minted.token));
    endpoint(&world, &uri, read(&headers, &body, false), bare).await
}

async fn endpoint(
    world: &World,
    uri: &Uri,
    request: Result<Request, Unreadable>,
    body: fn(&Minted, &Grant, Duration) -> String,
) -> Response {
    let grant = match misbehave(world, uri).await {
        Ok(grant) => grant,
        Err(response) => return response,
    };
    if let Some((refused, response)) = refusal(world, uri, request) {
        world.count(|counts| counts.refused += 1);
        world.tell(Event::Refused(refused));
        return response;
    }
    let (minted, configured) = {
        let mut issuer = world.issuer();
        (issuer.mint(world.seconds(), &grant), issuer.configured_lifetime())
    };
    world.count(|counts| counts.mints += 1);
    world.tell(Event::Minted { number: minted.number, lifetime: minted.lifetime });
    json_text(body(&minted, &grant, configured))
}

/// Does what the script says. `Ok` is how the token is to be, if there is to be one.
async fn misbehave(world: &World, uri: &Uri) -> Result<Grant, Response> {
    world.count(|counts| counts.token_requests += 1);
    let Some(fault) = world.token_script().take() else {
        return Ok(Grant::default());
    };
    world.tell(Event::Misbehaved);
    Err(match fault {
        Fault::Grant(grant) => return Ok(grant),
        Fault::Hang(gate) => {
            world.hold(&gate).await;
            return Ok(Grant::default());
        }
        Fault::Html(status) => gateway(status),
        Fault::RetryAfter(status, after) => faults::retry_after(status, &after),
        Fault::ErrorId(status) => error_id(status, uri),
        Fault::Empty => StatusCode::OK.into_response(),
        Fault::NotAToken => json_text(r#"{"status":"ok"}"#.to_owned()),
        Fault::Text(text) => json_text(text),
        Fault::Oversized => {
            let padding = "x".repeat(OVERSIZED);
            json_text(format!(r#"{{"access_token":"{padding}","token_type":"Bearer","expires_in":900}}"#))
        }
        Fault::Redirect(location) => faults::redirect(&location),
        Fault::Close => faults::closed(),
        Fault::Truncated => faults::truncated(),
    })
}

/// What a readable body says.
struct Request {
    id: String,
    secret: String,
    form: bool,
}

/// What came instead of an id and a secret.
enum Unreadable {
    MediaType,
    Body,
}

fn read(headers: &HeaderMap, body: &[u8], forms: bool) -> Result<Request, Unreadable> {
    let media_type = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default().trim();
    let form = media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded");
    let (id, secret) = if media_type.eq_ignore_ascii_case("application/json") {
        // The grant is not looked at, under whichever of its two names.
        let body: Map<String, Value> = serde_json::from_slice(body).map_err(|_| Unreadable::Body)?;
        let text = |name| body.get(name).and_then(Value::as_str).map(str::to_owned);
        (text("client_id"), text("client_secret"))
    } else if form && forms {
        let body = std::str::from_utf8(body).ok().and_then(Params::parse).ok_or(Unreadable::Body)?;
        let text = |name| body.text(name).map(str::to_owned);
        (text("client_id"), text("client_secret"))
    } else {
        return Err(Unreadable::MediaType);
    };
    let (id, secret) = id.zip(secret).ok_or(Unreadable::Body)?;
    Ok(Request { id, secret, form })
}

/// Why the application may not have a token, and what it is told.
fn refusal(world: &World, uri: &Uri, request: Result<Request, Unreadable>) -> Option<(Refused, Response)> {
    let bad_request = |error| framework(StatusCode::BAD_REQUEST, "Bad Request", error, uri);
    let request = match request {
        Ok(request) if world.options.refuse_json && !request.form => Err(Unreadable::MediaType),
        other => other,
    };
    let request = match request {
        Ok(request) => request,
        Err(Unreadable::Body) => return Some((Refused::Malformed, bad_request("body is not accepted"))),
        Err(Unreadable::MediaType) => {
            let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            let response = framework(status, "Unsupported Media Type", "media type is not accepted", uri);
            return Some((Refused::Malformed, response));
        }
    };
    if request.form && world.options.refuse_form {
        return Some((Refused::Malformed, unauthorized(uri)));
    }
    if world.issuer().accepts(&request.id, &request.secret) {
        return None;
    }
    let response = match world.style() {
        Style::Cloud => error_id(StatusCode::UNAUTHORIZED, uri),
        Style::Core => bad_request("Invalid client id or token"),
    };
    Some((Refused::Credentials, response))
}

/// Written by hand because a scripted `expires_in` may be JSON that no value holds, such as `1e400`.
fn whole(minted: &Minted, grant: &Grant, configured: Duration) -> String {
    let expires_in = match &grant.expires_in {
        Lifespan::Configured => format!(",\"expires_in\":{}", configured.as_secs()),
        Lifespan::Says(text) => format!(",\"expires_in\":{text}"),
        Lifespan::Absent => String::new(),
    };
    let token_type = quoted(grant.token_type.as_deref().unwrap_or("Bearer"));
    format!("{{\"access_token\":{},\"token_type\":{token_type}{expires_in}}}", quoted(&minted.token))
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

fn json_text(text: String) -> Response {
    ([(CONTENT_TYPE, "application/json")], text).into_response()
}
