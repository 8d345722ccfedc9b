//! The API described for other tools, with the address at which the caller reaches it.

use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};

use super::{Shared, base_url};
use crate::airbyte;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// `GET /-/openapi.json`
pub(super) async fn openapi(State(state): State<Shared>, headers: HeaderMap) -> Response {
    ([(CONTENT_TYPE, JSON)], airbyte::openapi(&base_url(&state, &headers))).into_response()
}

/// `GET /-/postman_collection.json`: to be saved, and then dragged into Postman.
pub(super) async fn postman(State(state): State<Shared>, headers: HeaderMap) -> Response {
    const SAVED: HeaderValue =
        HeaderValue::from_static("attachment; filename=\"airbyte-proxy.postman_collection.json\"");
    let head = [(CONTENT_TYPE, JSON), (CONTENT_DISPOSITION, SAVED)];
    (head, airbyte::postman(&base_url(&state, &headers))).into_response()
}
