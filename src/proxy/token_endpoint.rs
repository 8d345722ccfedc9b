//! Answers clients that mint their own token, so that an SDK works with nothing but its URL changed.
//!
//! Any id and secret are welcome: they are neither checked, nor kept, nor logged. The token given is a dummy; whatever
//! token a client sends is replaced anyway.

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::request::Parts;
use http::{Method, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::timeout;

use super::answer::Content;
use super::headers::protect;
use super::problem::{self, Problem};

/// Of the shape that clients expect (RFC 6749 §5.1); a day, because it never expires.
const ANSWER: &str =
    "{\"access_token\":\"airbyte-proxy-needs-no-token\",\"token_type\":\"Bearer\",\"expires_in\":86400}";

pub(super) async fn answer(head: &Parts, body: Incoming) -> Result<Response<Content>, Problem> {
    if head.method != Method::POST {
        let mut problem = Problem::new(
            problem::METHOD_NOT_ALLOWED,
            "a token is asked for with POST; but none is needed here",
        );
        problem.fields.push((header::ALLOW, HeaderValue::from_static("POST")));
        return Err(problem);
    }
    discard(body).await;
    let mut response = Response::new(Content::Own(Some(Bytes::from_static(ANSWER.as_bytes()))));
    let headers = response.headers_mut();
    protect(headers);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// Reads what a client of this kind sends, so that its connection stays usable; more than that is left to the server.
async fn discard(body: Incoming) {
    const MOST: usize = 64 * 1024;
    let mut body = pin!(body);
    let reading = async {
        let mut seen = 0;
        while let Some(Ok(frame)) = body.frame().await {
            seen += frame.data_ref().map_or(0, Bytes::len);
            if seen > MOST {
                return;
            }
        }
    };
    let _ = timeout(Duration::from_secs(5), reading).await;
}
