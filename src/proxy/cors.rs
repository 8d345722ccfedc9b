//! What a web page of another origin is told, if `guard.allowed_origins` lists it. Nobody else is told anything.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};

use super::answer::Content;
use crate::browser::protect;
use crate::guard::Guard;

/// The Fetch standard counts HEAD, GET and POST as allowed anyway; some browsers' messages do not.
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
/// Ten minutes, in seconds; browsers go no further than two hours.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");
const ASKS_PRIVATE_NETWORK: HeaderName = HeaderName::from_static("access-control-request-private-network");
const ALLOW_PRIVATE_NETWORK: HeaderName = HeaderName::from_static("access-control-allow-private-network");

/// What every answer to a request tells, refusals included.
pub(super) struct Cors {
    origin: Option<HeaderValue>,
    varies: bool,
}

impl Cors {
    pub(super) fn of(guard: &Guard, request: &HeaderMap) -> Self {
        Self { origin: guard.allowed_origin(request), varies: guard.varies_by_origin() }
    }

    pub(super) fn tell(self, headers: &mut HeaderMap) {
        if self.varies {
            headers.append(header::VARY, HeaderValue::from_static("origin"));
        }
        if let Some(origin) = self.origin {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            // Without credentials, which we never allow, the star stands for all.
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("*"));
        }
    }
}

/// The answer to the preflight of a listed page; [`Cors::tell`] adds the origin.
pub(super) fn preflight(request: &HeaderMap) -> Response<Content> {
    let mut response = Response::new(Content::Own(None));
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    protect(headers);
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
    headers.append(
        header::VARY,
        HeaderValue::from_static("access-control-request-headers, access-control-request-private-network"),
    );
    // A star would not cover Authorization, which carries a client key.
    if let Some(asked) = request.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
    }
    if request.get(ASKS_PRIVATE_NETWORK).is_some_and(|asks| asks == "true") {
        headers.insert(ALLOW_PRIVATE_NETWORK, HeaderValue::from_static("true"));
    }
    response
}
