//! The `/-/` routes: what this is, whether it lives, whether it is ready, what it has counted, documents for other tools,
//! and pages for people: `pages` and their `assets`, and `live`, which keeps them up to date.
//!
//! Built on axum, which is not on the path of a forwarded request. Nothing here acts on anything, but that a quit may
//! be asked for where the configuration says so; the guard has decided who may ask before a request gets here.

use std::sync::Arc;

pub use axum::body::Body;
use axum::extract::State;
use axum::http::header::{
    ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, LOCATION, SERVER, VARY,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use bytes::Bytes;
use tower::ServiceExt;

use crate::airbyte::BaseUrl;
use crate::browser::{self, wants_page};
use crate::guard::{Client, FAVICON};
use crate::problem::{METHOD_NOT_ALLOWED, PATH_NOT_ALLOWED, Problem, UNKNOWN_PATH};
use crate::telemetry::metrics::Format;

mod assets;
mod documents;
mod gzip;
mod live;
mod pages;
mod readiness;

pub use live::{End, TokenLife};
pub use readiness::{Readiness, Status, TokenReadiness};

/// What the control routes need to know of the rest.
pub trait ControlState: Send + Sync + 'static {
    /// Whether a request sent now would be forwarded.
    fn readiness(&self) -> Readiness;

    /// `public_url`: the address under which people know us, where it is another one than they used.
    fn public_url(&self) -> Option<&BaseUrl>;

    /// What has been counted so far.
    fn metrics(&self, format: Format) -> String;

    /// What does not change.
    fn about(&self) -> &About;

    /// Operations of the API that `client` may not use, each with the reason.
    fn denied(&self, client: Option<&str>) -> Vec<(&'static str, String)>;

    /// The token, for people: never the token itself.
    fn token(&self) -> TokenLife;

    /// Ends when streams that have no end of their own are to end.
    fn end(&self) -> End;

    /// Begins the end, and tells whether that is allowed at all.
    fn quit(&self) -> bool;
}

/// What does not change while it runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    /// What people call this proxy.
    pub name: Option<String>,
    /// The host of Airbyte.
    pub upstream: String,
    /// Whether clients must show a key.
    pub keys: bool,
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
        let audience = live::Audience::default();
        let shown = Router::new()
            .route("/-/", get(home))
            .route("/-/explorer", get(explorer))
            .route("/-/assets/{name}", get(assets::asset))
            .route("/-/openapi.json", get(documents::openapi))
            .route("/-/postman_collection.json", get(documents::postman))
            .layer(from_fn(gzip::compress));
        let router = probes()
            .merge(shown)
            .route("/", get(root))
            .route(
                "/-/events",
                get(async move |State(state): State<Shared>, headers: HeaderMap| {
                    live::events(state, audience, &headers)
                }),
            )
            .route("/-/quit", post(quit).fallback(only_post))
            // Nothing to show, and nothing that would have to be told as an error at each visit.
            .route(FAVICON, get(async || StatusCode::NO_CONTENT))
            .method_not_allowed_fallback(method_not_allowed)
            .fallback(unknown)
            .with_state(state);
        Self { router }
    }

    /// Only what orchestrators and Prometheus ask for, over `state`.
    pub fn probes(state: impl ControlState) -> Self {
        let state: Shared = Arc::new(state);
        let router = probes()
            .method_not_allowed_fallback(method_not_allowed)
            .fallback(async |headers: HeaderMap| {
                let detail = "this listener is for probes: it has /-/live, /-/ready and /-/metrics";
                Problem::new(UNKNOWN_PATH, detail).response(wants_page(&headers)).map(Body::from)
            })
            .with_state(state);
        Self { router }
    }

    /// Answers `request`, which the guard has found to be for [`Route::Root`](crate::guard::Route::Root) or
    /// [`Route::Control`](crate::guard::Route::Control), or which came to the listener for probes.
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

/// What both listeners have.
fn probes() -> Router<Shared> {
    Router::new().route("/-/live", get(live)).route("/-/ready", get(ready)).route("/-/metrics", get(metrics))
}

/// What a page may do: show itself, with its own style, in no frame.
const PAGE_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
     frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
);

/// By which another airbyte-proxy that finds its port taken knows us.
const WHO: HeaderValue = HeaderValue::from_static(concat!("airbyte-proxy/", env!("CARGO_PKG_VERSION")));

/// Headers of every control answer. A policy that it has already stays.
fn protect(headers: &mut HeaderMap) {
    let policy = headers.remove(CONTENT_SECURITY_POLICY);
    browser::protect(headers);
    if let Some(policy) = policy {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    headers.insert(SERVER, WHO);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
}

async fn live() -> Response {
    ([(CONTENT_TYPE, "application/json")], "{\"status\":\"live\"}\n").into_response()
}

async fn ready(State(state): State<Shared>) -> Response {
    let readiness = state.readiness();
    (readiness.status_code(), [(CONTENT_TYPE, "application/json")], readiness.to_json()).into_response()
}

async fn metrics(State(state): State<Shared>, headers: HeaderMap) -> Response {
    let accept = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let format = Format::preferred(accept);
    ([(CONTENT_TYPE, format.content_type()), (VARY, "accept")], state.metrics(format)).into_response()
}

async fn root(State(state): State<Shared>, headers: HeaderMap) -> Response {
    if wants_page(&headers) {
        let mut response = StatusCode::SEE_OTHER.into_response();
        response.headers_mut().insert(LOCATION, HeaderValue::from_static("/-/"));
        response.headers_mut().insert(VARY, HeaderValue::from_static("accept"));
        return response;
    }
    plain(&state, &headers)
}

async fn home(State(state): State<Shared>, headers: HeaderMap) -> Response {
    if !wants_page(&headers) {
        return plain(&state, &headers);
    }
    page(pages::home(&base_url(&state, &headers), state.about(), &state.readiness()))
}

/// What is denied is so for whom the request is, which the guard has found out.
async fn explorer(
    State(state): State<Shared>,
    client: Option<Extension<Client>>,
    headers: HeaderMap,
) -> Response {
    let denied = state.denied(client.as_deref().map(Client::name));
    page(pages::explorer(&base_url(&state, &headers), state.about(), denied))
}

fn page(page: String) -> Response {
    let head = [
        (CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (CONTENT_SECURITY_POLICY, PAGE_POLICY),
        (VARY, HeaderValue::from_static("accept")),
    ];
    (head, page).into_response()
}

fn plain(state: &Shared, headers: &HeaderMap) -> Response {
    let head = [(CONTENT_TYPE, "text/plain; charset=utf-8"), (VARY, "accept")];
    (head, pages::help(&base_url(state, headers), state.about())).into_response()
}

async fn unknown(uri: Uri, headers: HeaderMap) -> Response {
    // `/-` without its end is what people type.
    if uri.path() == "/-" {
        let problem = Problem::new(UNKNOWN_PATH, "the control routes begin with /-/");
        return problem.response(wants_page(&headers)).map(Body::from);
    }
    nothing_here(&headers)
}

fn nothing_here(headers: &HeaderMap) -> Response {
    let detail = "there is no such control route; GET /-/ says what there is";
    Problem::new(UNKNOWN_PATH, detail).response(wants_page(headers)).map(Body::from)
}

async fn method_not_allowed(headers: HeaderMap) -> Response {
    let mut problem = Problem::new(METHOD_NOT_ALLOWED, "control routes only tell: they take GET and HEAD");
    problem.fields.push((ALLOW, HeaderValue::from_static("GET, HEAD")));
    problem.response(wants_page(&headers)).map(Body::from)
}

/// By POST alone, which no link and no image sends.
async fn quit(State(state): State<Shared>, headers: HeaderMap) -> Response {
    if state.quit() {
        let body = "{\"status\":\"draining\"}\n";
        return (StatusCode::ACCEPTED, [(CONTENT_TYPE, "application/json")], body).into_response();
    }
    let detail = "the proxy ends by signals alone; to let POST /-/quit end it, set control.allow_quit = true";
    Problem::new(PATH_NOT_ALLOWED, detail).response(wants_page(&headers)).map(Body::from)
}

async fn only_post(headers: HeaderMap) -> Response {
    let mut problem = Problem::new(METHOD_NOT_ALLOWED, "to quit is asked for with POST");
    problem.fields.push((ALLOW, HeaderValue::from_static("POST")));
    problem.response(wants_page(&headers)).map(Body::from)
}

/// The address the caller used, so that what it is told to call is what works for it; unless all are told the same.
fn base_url(state: &Shared, headers: &HeaderMap) -> String {
    if let Some(url) = state.public_url() {
        return url.to_string();
    }
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    format!("http://{}", host.unwrap_or("localhost:8484"))
}

#[cfg(test)]
mod tests;
