//! Airbyte's five shapes of an error body, all `application/json` but the gateway's.

use axum::Json;
use axum::response::{Html, IntoResponse, Response};
use http::{StatusCode, Uri};
use serde_json::{Value, json};

/// Why a request to the API is not answered with what it asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// Validation, as the web framework words it.
    Invalid(String),
    /// An id that nobody has, in the main resources: an `errorId` and no more.
    NotFound,
    /// An id that nobody has, where newer controllers say so in a problem.
    ResourceNotFound {
        /// `group`, `user`.
        kind: &'static str,
        /// As asked for.
        id: String,
    },
    /// An exception that nobody caught.
    Internal,
    /// A problem of this status.
    Problem(StatusCode, String),
}

impl Failure {
    /// 403: the role is missing, or the workspace is somebody else's.
    pub(super) fn forbidden(role: &str) -> Self {
        Self::Problem(StatusCode::FORBIDDEN, format!("role {role} is missing for what was asked for"))
    }

    /// 422: understood, and not possible.
    pub(super) fn unprocessable(message: impl Into<String>) -> Self {
        Self::Problem(StatusCode::UNPROCESSABLE_ENTITY, message.into())
    }

    /// 409: not now.
    pub(super) fn conflict(message: impl Into<String>) -> Self {
        Self::Problem(StatusCode::CONFLICT, message.into())
    }

    /// The answer to a request for `uri`.
    pub(super) fn response(&self, uri: &Uri) -> Response {
        match self {
            Self::Invalid(message) => framework(StatusCode::BAD_REQUEST, "Bad Request", message, uri),
            Self::NotFound => error_id(StatusCode::NOT_FOUND, uri),
            Self::Internal => error_id(StatusCode::INTERNAL_SERVER_ERROR, uri),
            Self::ResourceNotFound { kind, id } => {
                problem(StatusCode::NOT_FOUND, &json!({ "resourceType": kind, "resourceId": id }))
            }
            Self::Problem(status, message) => problem(*status, &json!({ "message": message })),
        }
    }
}

/// Shape 1: the members of RFC 9457, null ones included, under an ordinary media type.
fn problem(status: StatusCode, data: &Value) -> Response {
    let title = match status {
        StatusCode::FORBIDDEN => "forbidden",
        StatusCode::NOT_FOUND => "resource-not-found",
        StatusCode::CONFLICT => "try-again-later",
        StatusCode::UNPROCESSABLE_ENTITY => "unprocessable-entity",
        _ => "bad-request",
    };
    let body = json!({
        "status": status.as_u16(),
        "type": format!("https://reference.airbyte.com/reference/errors#{title}"),
        "title": title,
        "detail": format!("simulated: {title}"),
        "documentationUrl": null,
        "data": data,
    });
    (status, Json(body)).into_response()
}

/// Shape 2: Micronaut's, for security and validation. `href` is the path inside the server, which Airbyte Cloud maps
/// `api.airbyte.com/…` to; a wrong base URL is recognised by it.
pub(super) fn framework(status: StatusCode, message: &str, error: &str, uri: &Uri) -> Response {
    let path = uri.path();
    let href = if path.starts_with("/api/") { path.to_owned() } else { format!("/api/public{path}") };
    let body = json!({
        "message": message,
        "_links": { "self": { "href": href, "templated": false } },
        "_embedded": { "errors": [{ "message": error, "_links": {}, "_embedded": {} }] },
    });
    (status, Json(body)).into_response()
}

/// 401 for missing, expired and garbage tokens and for every unknown path: they cannot be told apart.
pub(super) fn unauthorized(uri: &Uri) -> Response {
    framework(StatusCode::UNAUTHORIZED, "Unauthorized", "Unauthorized", uri)
}

/// Shape 3: an id to look up in a log that the caller cannot see. The same request gets the same one, so that answers
/// can be compared.
pub(super) fn error_id(status: StatusCode, uri: &Uri) -> Response {
    let id = super::data::definition_id(&format!("{status} {uri}"));
    (status, Json(json!({ "errorId": id }))).into_response()
}

/// Shape 4: load shedding, which deliberately has no `Retry-After`.
pub(super) fn shed() -> Response {
    let body = json!({ "message": "simulated: too many requests" });
    (StatusCode::TOO_MANY_REQUESTS, Json(body)).into_response()
}

/// Shape 5: a page by whatever stands in front of the server.
pub(super) fn gateway(status: StatusCode) -> Response {
    (status, Html(format!("<html><head><title>{status}</title></head><body><h1>{status}</h1></body></html>")))
        .into_response()
}
