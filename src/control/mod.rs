//! The `/-/` routes: what this is, whether it lives, whether it is ready.
//!
//! Built on axum, which is not on the path of a forwarded request. Nothing here acts on anything; the guard has
//! decided who may ask before a request gets here.

use std::sync::Arc;

use axum::Router;
pub use axum::body::Body;
use axum::extract::State;
use axum::http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, LOCATION, SERVER, VARY,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use tower::ServiceExt;

mod pages;
mod readiness;

pub use readiness::{Readiness, Status, TokenReadiness};

/// What the control routes need to know of the rest.
pub trait ControlState: Send + Sync + 'static {
    /// Whether a request sent now would be forwarded.
    fn readiness(&self) -> Readiness;

    /// One of our own errors, in the format of all others. `kind` is the last part of its type.
    fn problem(&self, status: StatusCode, kind: &'static str, detail: &str) -> Response;
}

/// Answers the control routes. Cloning is a reference count.
#[derive(Debug, Clone)]
pub struct Control {
    router: Router,
}

type Shared = Arc<dyn ControlState>;

impl Control {
    /// The routes over `state`.
    pub fn new(state: impl ControlState) -> Self {
        let state: Shared = Arc::new(state);
        let router = Router::new()
            .route("/", get(root))
            .route("/-/", get(home))
            .route("/-/live", get(live))
            .route("/-/ready", get(ready))
            .method_not_allowed_fallback(method_not_allowed)
            .fallback(unknown)
            .with_state(state);
        Self { router }
    }

    /// Answers `request`, whose path is `/` or begins with `/-`.
    pub async fn respond<B>(&self, request: http::Request<B>) -> http::Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let Ok(mut response) = self.router.clone().oneshot(request.map(Body::new)).await;
        protect(response.headers_mut());
        response
    }
}

const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
const X_CONTENT_TYPE_OPTIONS: HeaderName = HeaderName::from_static("x-content-type-options");

/// What a page may do: show itself, with its own style, in no frame.
const PAGE_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
     frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
);
/// What anything else may do in a browser.
const DATA_POLICY: HeaderValue = HeaderValue::from_static("default-src 'none'; sandbox");

/// By which another airbyte-proxy that finds its port taken knows us.
const WHO: HeaderValue = HeaderValue::from_static(concat!("airbyte-proxy/", env!("CARGO_PKG_VERSION")));

/// Headers of every control answer.
fn protect(headers: &mut HeaderMap) {
    headers.insert(SERVER, WHO);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CROSS_ORIGIN_RESOURCE_POLICY, HeaderValue::from_static("same-origin"));
    headers.entry(CONTENT_SECURITY_POLICY).or_insert(DATA_POLICY);
}

async fn live() -> Response {
    ([(CONTENT_TYPE, "application/json")], "{\"status\":\"live\"}\n").into_response()
}

async fn ready(State(state): State<Shared>) -> Response {
    let readiness = state.readiness();
    (readiness.status_code(), [(CONTENT_TYPE, "application/json")], readiness.to_json()).into_response()
}

async fn root(headers: HeaderMap) -> Response {
    if wants_html(&headers) {
        let mut response = StatusCode::SEE_OTHER.into_response();
        response.headers_mut().insert(LOCATION, HeaderValue::from_static("/-/"));
        response.headers_mut().insert(VARY, HeaderValue::from_static("accept"));
        return response;
    }
    plain(&headers)
}

async fn home(State(state): State<Shared>, headers: HeaderMap) -> Response {
    if !wants_html(&headers) {
        return plain(&headers);
    }
    let page = pages::home(&base_url(&headers), &state.readiness());
    let head = [
        (CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (CONTENT_SECURITY_POLICY, PAGE_POLICY),
        (VARY, HeaderValue::from_static("accept")),
    ];
    (head, page).into_response()
}

fn plain(headers: &HeaderMap) -> Response {
    let head = [(CONTENT_TYPE, "text/plain; charset=utf-8"), (VARY, "accept")];
    (head, pages::help(&base_url(headers))).into_response()
}

async fn unknown(State(state): State<Shared>, uri: Uri) -> Response {
    // `/-` without its end is what people type.
    let detail = if uri.path() == "/-" {
        "the control routes begin with /-/"
    } else {
        "there is no such control route; GET /-/ says what there is"
    };
    state.problem(StatusCode::NOT_FOUND, "unknown-path", detail)
}

async fn method_not_allowed(State(state): State<Shared>) -> Response {
    let detail = "control routes only tell: they take GET and HEAD";
    let mut response = state.problem(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", detail);
    response.headers_mut().insert(http::header::ALLOW, HeaderValue::from_static("GET, HEAD"));
    response
}

/// Whether a browser asks. Only they name the type; curl takes anything.
fn wants_html(headers: &HeaderMap) -> bool {
    headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|range| {
            let media = range.split(';').next().unwrap_or_default();
            media.trim().eq_ignore_ascii_case("text/html")
        })
}

/// The address the caller used, so that what it is told to call is what works for it.
fn base_url(headers: &HeaderMap) -> String {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    format!("http://{}", host.unwrap_or("localhost:8484"))
}

#[cfg(test)]
mod tests;
