//! What comes of an API request with a live token: a proper answer, unless the scripts say otherwise.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::header::CONTENT_TYPE;
use http::{Method, StatusCode, Uri};

use super::coding::Damage;
use super::errors::{Failure, error_id, gateway, shed, unauthorized};
use super::faults::{self, ApiFault};
use super::lists::List;
use super::params::Params;
use super::world::World;

pub(super) async fn answer(world: &World, mut request: Request, next: Next) -> Response {
    let _busy = Busy::count(world);
    let latency = world.latency();
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    let uri = request.uri().clone();
    let list = if request.method() == Method::GET { List::at(uri.path()) } else { None };
    let scripted = world.api_script().take();
    let damage = match scripted.or_else(|| list.as_ref().and_then(|_| page_fault(world, &uri))) {
        None => None,
        Some(ApiFault::Hold(gate)) => {
            world.hold(&gate).await;
            None
        }
        Some(ApiFault::Endless) => {
            *request.uri_mut() = from_the_start(&uri);
            None
        }
        Some(fault) => match Damage::of(fault) {
            Ok(damage) => Some(damage),
            Err(fault) => return fail(&fault, &uri),
        },
    };
    let mut response = next.run(request).await;
    if let Some(damage) = damage {
        response.extensions_mut().insert(damage);
    }
    if let Some(list) = list.filter(|_| response.status() == StatusCode::OK) {
        world.page_answered(&list);
    }
    response
}

/// The requests that are being answered at this moment.
struct Busy<'a>(&'a World);

impl<'a> Busy<'a> {
    fn count(world: &'a World) -> Self {
        world.count(|counts| {
            counts.at_once += 1;
            counts.most_at_once = counts.most_at_once.max(counts.at_once);
        });
        Self(world)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.count(|counts| counts.at_once -= 1);
    }
}

fn page_fault(world: &World, uri: &Uri) -> Option<ApiFault> {
    let window = Params::of(uri).and_then(|params| params.window()).ok();
    world.pages().fault(window.map_or(0, |window| window.offset))
}

/// The same request, but for its offset.
fn from_the_start(uri: &Uri) -> Uri {
    let pairs = uri.query().unwrap_or_default().split('&').filter(|pair| !pair.starts_with("offset="));
    let query: Vec<_> = pairs.filter(|pair| !pair.is_empty()).collect();
    let target = format!("{}?{}", uri.path(), query.join("&"));
    target.parse().unwrap_or_else(|_| uri.clone())
}

fn fail(fault: &ApiFault, uri: &Uri) -> Response {
    let json = |text: String| ([(CONTENT_TYPE, "application/json")], text).into_response();
    match fault {
        ApiFault::Html(status) => gateway(*status),
        ApiFault::RetryAfter(status, after) => faults::retry_after(*status, after),
        ApiFault::ErrorId(status) => error_id(*status, uri),
        ApiFault::Shed => shed(),
        ApiFault::Forbidden => Failure::forbidden("WORKSPACE_READER").response(uri),
        ApiFault::Close => faults::closed(),
        ApiFault::Truncated => faults::truncated(),
        ApiFault::Text(text) => json(text.clone()),
        ApiFault::Oversized(len) => {
            let padding = "x".repeat(*len);
            json(format!(r#"{{"data":[{{"padding":"{padding}"}}],"previous":"","next":""}}"#))
        }
        // The others are done by the caller, on the way to a proper answer.
        _ => unauthorized(uri),
    }
}
