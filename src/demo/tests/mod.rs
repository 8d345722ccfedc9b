//! The simulated Airbyte is what it says. Verbs for its tests; the facts are in the files beside.

mod config_api;
mod controls;
mod faults;
mod lesson;
mod lists;
mod pages;
mod small;
mod token;

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::{Handle, Options, detached};
use crate::clock::{Clock, Hand};

/// A simulated Airbyte on a clock that stands still, and a client with a token.
struct Airbyte {
    router: Router,
    handle: Handle,
    hand: Hand,
    bearer: String,
}

/// Status and body of an answer; null if the body is not JSON.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    body: Value,
}

impl Airbyte {
    /// With the options as `change` leaves them.
    async fn with(change: impl FnOnce(&mut Options)) -> Self {
        let (clock, hand) = Clock::manual();
        let mut options = Options { clock, ..Options::default() };
        change(&mut options);
        let (router, handle) = detached(options);
        let mut airbyte = Self { router, handle, hand, bearer: String::new() };
        airbyte.bearer = airbyte.mint().await;
        airbyte
    }

    async fn new() -> Self {
        Self::with(|_| ()).await
    }

    fn advance(&self, seconds: u64) {
        self.hand.advance(Duration::from_secs(seconds));
    }

    async fn send(&self, request: Request<Body>) -> Response<Body> {
        self.router.clone().oneshot(request).await.expect("infallible")
    }

    async fn answer(&self, request: Request<Body>) -> Answer {
        let response = self.send(request).await;
        let status = response.status();
        let body = response.into_body().collect().await.expect("a whole body").to_bytes();
        Answer { status, body: serde_json::from_slice(&body).unwrap_or_default() }
    }

    fn request(&self, method: Method, path: &str, body: Body) -> Request<Body> {
        Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {}", self.bearer))
            .header("content-type", "application/json")
            .body(body)
            .expect("a request")
    }

    /// `GET /v1…`
    async fn get(&self, path: &str) -> Answer {
        self.answer(self.request(Method::GET, &format!("/v1{path}"), Body::empty())).await
    }

    /// The body of a `GET /v1…` that has to work.
    async fn got(&self, path: &str) -> Value {
        let answer = self.get(path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.body);
        answer.body
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        self.answer(self.request(Method::POST, &format!("/v1{path}"), Body::from(body.to_string()))).await
    }

    async fn delete(&self, path: &str) -> Answer {
        self.answer(self.request(Method::DELETE, &format!("/v1{path}"), Body::empty())).await
    }

    /// A token request with `body`, to the usual place.
    async fn token(&self, media_type: &str, body: String) -> Answer {
        self.token_at("/v1/applications/token", media_type, body).await
    }

    async fn token_at(&self, path: &str, media_type: &str, body: String) -> Answer {
        let request = Request::post(path).header("content-type", media_type);
        self.answer(request.body(Body::from(body)).expect("a request")).await
    }

    /// The body that buys a token.
    fn credentials(&self) -> Value {
        let credentials = self.handle.credentials();
        json!({
            "client_id": credentials.client_id,
            "client_secret": credentials.client_secret.expose(),
            "grant-type": "client_credentials",
        })
    }

    async fn mint(&self) -> String {
        let answer = self.token("application/json", self.credentials().to_string()).await;
        assert_eq!(answer.status, StatusCode::OK);
        answer.body["access_token"].as_str().expect("a token").to_owned()
    }
}

/// The values under `key` in a page's rows.
fn column<'a>(page: &'a Value, key: &str) -> Vec<&'a str> {
    page["data"].as_array().expect("rows").iter().filter_map(|row| row[key].as_str()).collect()
}
