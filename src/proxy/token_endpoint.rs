//! Answers clients that mint their own token, so that an SDK works with nothing but its URL changed.
//!
//! Without client keys any id and secret are welcome: they are neither checked, nor kept, nor logged, and the token
//! given is a dummy. With client keys the secret must be one, and is the token given, so that the client shows it from
//! then on. Whatever token a client sends, Airbyte sees ours.

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::request::Parts;
use http::{Method, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::json;
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::access::Record;
use super::answer::Content;
use crate::browser::protect;
use crate::guard::{Admitted, Client, Guard};
use crate::problem::{self, Problem};

const DUMMY: &str = "airbyte-proxy-needs-no-token";
/// A day, in seconds, because it never expires.
const LIFETIME: u32 = 86_400;
/// The largest body that is looked at, in bytes.
const MOST: usize = 64 * 1024;

pub(super) async fn answer(
    head: &Parts,
    body: Incoming,
    admitted: &Admitted,
    guard: &Guard,
    record: &mut Record,
) -> Result<Response<Content>, Problem> {
    if head.method != Method::POST {
        let mut problem = Problem::new(
            problem::METHOD_NOT_ALLOWED,
            "a token is asked for with POST; but none is needed here",
        );
        problem.fields.push((header::ALLOW, HeaderValue::from_static("POST")));
        return Err(problem);
    }
    let body = read(body).await;
    let holder = || client_secret(&head.headers, &body?).and_then(|secret| guard.holder(secret.as_bytes()));
    let client = admitted.client.clone().or_else(holder);
    match client {
        None if admitted.key_in_body => {
            record.denied(problem::KEY_REQUIRED.name, "guard.keys_dir");
            Ok(refused())
        }
        client => {
            let token = granted(client.as_ref().map_or(DUMMY, Client::expose_key));
            if let Some(client) = client {
                record.client(client);
            }
            Ok(token)
        }
    }
}

/// Of the shape that clients expect (RFC 6749 §5.1).
fn granted(token: &str) -> Response<Content> {
    own(StatusCode::OK, &json!({ "access_token": token, "token_type": "Bearer", "expires_in": LIFETIME }))
}

/// Of the shape that clients expect (RFC 6749 §5.2).
fn refused() -> Response<Content> {
    let mut response = own(
        problem::KEY_REQUIRED.status,
        &json!({
            "error": "invalid_client",
            "error_description": "this proxy asks for a client key; give it as the client secret",
        }),
    );
    let headers = response.headers_mut();
    headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"airbyte-proxy\""));
    headers.insert("proxy-status", problem::KEY_REQUIRED.proxy_status());
    response
}

fn own(status: StatusCode, body: &serde_json::Value) -> Response<Content> {
    let mut response = Response::new(Content::Own(Some(Bytes::from(body.to_string()))));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    protect(headers);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The client secret in a form or, whatever the type says, in JSON: some clients name no type.
fn client_secret(headers: &HeaderMap, body: &[u8]) -> Option<Zeroizing<String>> {
    let content_type = headers.get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let form = b"application/x-www-form-urlencoded";
    if content_type.get(..form.len()).is_some_and(|start| start.eq_ignore_ascii_case(form)) {
        let mut pairs = form_urlencoded::parse(body);
        return pairs
            .find(|(name, _)| name == "client_secret")
            .map(|(_, secret)| Zeroizing::new(secret.into_owned()));
    }
    let body: Credentials = serde_json::from_slice(body).ok()?;
    Some(Zeroizing::new(body.client_secret))
}

#[derive(serde::Deserialize)]
struct Credentials {
    client_secret: String,
}

/// What a client of this kind sends, also where nobody looks at it, so that its connection stays usable. None where it
/// is larger or does not end; the rest is left to the server.
async fn read(body: Incoming) -> Option<Zeroizing<Vec<u8>>> {
    let mut body = pin!(body);
    let reading = async {
        let mut seen = Zeroizing::new(Vec::new());
        while let Some(frame) = body.frame().await {
            if let Some(data) = frame.ok()?.data_ref() {
                if seen.len() + data.len() > MOST {
                    return None;
                }
                seen.extend_from_slice(data);
            }
        }
        Some(seen)
    };
    timeout(Duration::from_secs(5), reading).await.ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(content_type: &'static str, body: &str) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        client_secret(&headers, body.as_bytes()).map(|secret| secret.to_string())
    }

    #[test]
    fn the_secret_is_found_in_json_and_in_a_form() {
        let (json, form) = ("application/json", "application/x-www-form-urlencoded; charset=utf-8");
        let key = Some("a+b/c=".to_owned());
        assert_eq!(found(json, r#"{"client_id":"x","client_secret":"a+b/c="}"#), key);
        assert_eq!(found("", r#"{"client_secret":"a+b/c=","grant-type":"client_credentials"}"#), key);
        assert_eq!(found(form, "grant_type=client_credentials&client_secret=a%2Bb%2Fc%3D"), key);
        assert_eq!(found("Application/X-WWW-Form-URLencoded", "client_secret=a%2Bb/c="), key);
        for (content_type, body) in [
            (json, ""),
            (json, "client_secret=x"),
            (json, r#"{"client_secret":7}"#),
            (json, r#""client_secret""#),
            (form, r#"{"client_secret":"x"}"#),
            (form, "client_secre=x"),
        ] {
            assert_eq!(found(content_type, body), None, "{body}");
        }
    }
}
