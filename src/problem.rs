//! Our own answers when something is wrong: one table of kinds, one place that turns one into a response.
//!
//! RFC 9457 `application/problem+json` for programs, a page of words for a browser, and RFC 9209 `Proxy-Status` on
//! both, so that "the proxy said it" differs from "Airbyte said it". Every room that answers may name it; it knows none
//! of them.

use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use serde_json::json;

use crate::browser::{Html, protect};

/// What kind of thing is wrong. What it says is the same each time (RFC 9457 §3.1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// Last part of the `type`, and the label in logs. Stable: clients may rely on it.
    pub name: &'static str,
    /// In one sentence.
    pub title: &'static str,
    /// Of the response.
    pub status: StatusCode,
    /// The `error` of `Proxy-Status` (RFC 9209 §2.3).
    pub proxy_error: &'static str,
}

impl Kind {
    /// RFC 9209 §2: one member, our own. The details are the kind's name, which is short and safe.
    pub(crate) fn proxy_status(self) -> HeaderValue {
        let value = format!("airbyte-proxy; error={}; details=\"{}\"", self.proxy_error, self.name);
        HeaderValue::try_from(value).unwrap_or(HeaderValue::from_static("airbyte-proxy"))
    }
}

const fn kind(
    name: &'static str,
    title: &'static str,
    status: StatusCode,
    proxy_error: &'static str,
) -> Kind {
    Kind { name, title, status, proxy_error }
}

macro_rules! table {
    ($($(#[$doc:meta])* $name:ident = $suffix:literal, $title:literal, $status:ident, $error:literal;)*) => {
        $($(#[$doc])* pub const $name: Kind = kind($suffix, $title, StatusCode::$status, $error);)*
        /// Every kind.
        pub(crate) const ALL: &[Kind] = &[$($name),*];
    };
}

table! {
    /// Whoever is at the other end of the connection may not use it at all.
    PEER_NOT_ALLOWED = "peer-not-allowed", "This client may not use the proxy", FORBIDDEN, "http_request_denied";
    /// `Host` is missing, repeated, or no host.
    HOST_INVALID = "host-invalid", "The Host header is missing or malformed", BAD_REQUEST, "http_request_error";
    /// `Host` is well formed and not one of our names: DNS rebinding, or a name nobody has configured yet.
    HOST_NOT_ALLOWED = "host-not-allowed", "The proxy does not answer to this host name", FORBIDDEN, "http_request_denied";
    /// A web page of another origin is asking.
    ORIGIN_NOT_ALLOWED = "origin-not-allowed", "Requests from other web sites are refused", FORBIDDEN, "http_request_denied";
    /// Client keys are on, and the request carries none that is good.
    KEY_REQUIRED = "key-required", "A client key is required", UNAUTHORIZED, "http_request_denied";
    /// Not a request that RFC 9110, 9112 or 3986 would recognise, or one that two readers might read differently.
    INVALID_REQUEST = "invalid-request", "The request is malformed or ambiguous", BAD_REQUEST, "http_request_error";
    /// The request target is too long.
    URI_TOO_LONG = "uri-too-long", "The request target is too long", URI_TOO_LONG, "http_request_error";
    /// A header field is too large.
    HEADER_TOO_LARGE = "header-too-large", "A header field is too large", REQUEST_HEADER_FIELDS_TOO_LARGE, "http_request_error";
    /// The method is too long to be one.
    METHOD_TOO_LONG = "method-too-long", "The method is too long", NOT_IMPLEMENTED, "http_request_error";
    /// The method is refused, here or everywhere.
    METHOD_NOT_ALLOWED = "method-not-allowed", "The method is not allowed", METHOD_NOT_ALLOWED, "http_request_denied";
    /// The policy forbids this method on this path.
    PATH_NOT_ALLOWED = "path-not-allowed", "The policy does not allow this request", FORBIDDEN, "http_request_denied";
    /// No such path here, and Airbyte would answer it with a misleading 401.
    UNKNOWN_PATH = "unknown-path", "There is no such path", NOT_FOUND, "destination_not_found";
    /// A transfer coding other than chunked.
    UNSUPPORTED_TRANSFER_CODING = "unsupported-transfer-coding", "The transfer coding is not supported", NOT_IMPLEMENTED, "http_request_error";
    /// An expectation other than `100-continue`.
    EXPECTATION_FAILED = "expectation-failed", "The expectation cannot be met", EXPECTATION_FAILED, "http_request_error";
    /// Somebody asked for a WebSocket.
    UPGRADE_REFUSED = "upgrade-refused", "WebSockets are not supported", NOT_IMPLEMENTED, "http_request_denied";
    /// A body that stopped coming.
    REQUEST_TIMEOUT = "request-timeout", "The request body did not arrive in time", REQUEST_TIMEOUT, "http_request_error";
    /// No token, and none in time.
    TOKEN_UNAVAILABLE = "token-unavailable", "There is no access token at the moment", SERVICE_UNAVAILABLE, "destination_unavailable";
    /// No token, for the credentials are wrong.
    CREDENTIALS_REJECTED = "credentials-rejected", "Airbyte refuses the client id and secret", SERVICE_UNAVAILABLE, "proxy_configuration_error";
    /// No token, for its URL is wrong.
    TOKEN_ENDPOINT_WRONG = "token-endpoint-wrong", "The token endpoint is not one", SERVICE_UNAVAILABLE, "proxy_configuration_error";
    /// As many requests as allowed are in flight.
    OVERLOADED = "overloaded", "There are too many requests at the same time", SERVICE_UNAVAILABLE, "connection_limit_reached";
    /// More requests a second than the configuration allows.
    RATE_LIMITED = "rate-limited", "There are too many requests a second", TOO_MANY_REQUESTS, "http_request_denied";
    /// No address.
    UPSTREAM_DNS = "upstream-dns", "Airbyte's host name cannot be resolved", BAD_GATEWAY, "dns_error";
    /// No connection.
    UPSTREAM_REFUSED = "upstream-refused", "Airbyte cannot be reached", BAD_GATEWAY, "connection_refused";
    /// No trust.
    UPSTREAM_TLS = "upstream-tls", "There is no trusted connection to Airbyte", BAD_GATEWAY, "tls_certificate_error";
    /// No way through the outbound proxy.
    UPSTREAM_PROXY = "upstream-proxy", "The outbound proxy gives no way to Airbyte", BAD_GATEWAY, "destination_unavailable";
    /// No HTTP.
    UPSTREAM_PROTOCOL = "upstream-protocol", "Airbyte's answer is not well-formed HTTP", BAD_GATEWAY, "http_protocol_error";
    /// No answer.
    UPSTREAM_CLOSED = "upstream-closed", "Airbyte closed the connection without an answer", BAD_GATEWAY, "connection_terminated";
    /// No address in time.
    UPSTREAM_DNS_TIMEOUT = "upstream-dns-timeout", "Airbyte's host name was not resolved in time", GATEWAY_TIMEOUT, "dns_timeout";
    /// No connection in time.
    UPSTREAM_CONNECT_TIMEOUT = "upstream-connect-timeout", "There was no connection to Airbyte in time", GATEWAY_TIMEOUT, "connection_timeout";
    /// No answer in time.
    UPSTREAM_RESPONSE_TIMEOUT = "upstream-response-timeout", "There was no answer from Airbyte in time", GATEWAY_TIMEOUT, "http_response_timeout";
    /// Our own name in `Via`.
    LOOP = "loop", "The request has come back to this proxy", BAD_GATEWAY, "proxy_loop_detected";
    /// A panic.
    INTERNAL = "internal", "There is a bug in airbyte-proxy", INTERNAL_SERVER_ERROR, "proxy_internal_error";
}

/// One thing that is wrong, here and now.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    pub(crate) kind: Kind,
    /// What was asked, what is wrong with it, what to do. No secret, no query value.
    pub(crate) detail: String,
    pub(crate) retry_after: Option<Duration>,
    /// Further fields of the response (`Allow`, `WWW-Authenticate`).
    pub(crate) fields: Vec<(HeaderName, HeaderValue)>,
    /// The connection cannot be used any further.
    pub(crate) close: bool,
}

impl Problem {
    pub(crate) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), retry_after: None, fields: Vec::new(), close: false }
    }

    #[must_use]
    pub(crate) fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// The response. `page` for somebody who looks at it in a browser.
    pub(crate) fn response(&self, page: bool) -> Response<Bytes> {
        let (content_type, body) = if page {
            ("text/html; charset=utf-8", self.page())
        } else {
            ("application/problem+json", self.json())
        };
        let mut response = Response::new(Bytes::from(body));
        *response.status_mut() = self.kind.status;
        let headers = response.headers_mut();
        protect(headers);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(HeaderName::from_static("proxy-status"), self.kind.proxy_status());
        if let Some(after) = self.retry_after {
            // RFC 9110 §10.2.3: whole seconds; 0 would invite a busy loop.
            let seconds = after.as_secs_f64().ceil().max(1.0);
            headers.insert(header::RETRY_AFTER, number(seconds));
        }
        for (name, value) in &self.fields {
            headers.append(name, value.clone());
        }
        if self.close {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    fn json(&self) -> String {
        json!({
            "type": format!("urn:airbyte-proxy:problem:{}", self.kind.name),
            "title": self.kind.title,
            "status": self.kind.status.as_u16(),
            "detail": self.detail,
        })
        .to_string()
            + "\n"
    }

    fn page(&self) -> String {
        format!(
            "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title>\
             <h1>{title}</h1><p>{detail}</p><p><small>{status} from airbyte-proxy, not from Airbyte</small></p></html>\n",
            title = Html(self.kind.title),
            detail = Html(&self.detail),
            status = self.kind.status.as_u16(),
        )
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few seconds, rounded up")]
fn number(seconds: f64) -> HeaderValue {
    HeaderValue::from(seconds.min(86_400.0) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_titles_are_unique_and_every_answer_is_marked_as_ours() {
        for of in [|kind: &Kind| kind.name, |kind: &Kind| kind.title] {
            let mut all: Vec<_> = ALL.iter().map(of).collect();
            all.sort_unstable();
            all.dedup();
            assert_eq!(all.len(), ALL.len());
        }
        for kind in ALL {
            assert!(
                kind.title.starts_with(char::is_uppercase) && !kind.title.ends_with('.'),
                "{}",
                kind.title
            );
            let response = Problem::new(*kind, "d").response(false);
            let status = response.headers()["proxy-status"].to_str().expect("ascii");
            assert!(status.starts_with("airbyte-proxy; error="), "{status}");
            assert_eq!(response.headers()["content-type"], "application/problem+json");
            let body: serde_json::Value = serde_json::from_slice(response.body()).expect("JSON");
            assert_eq!(body["status"], kind.status.as_u16());
        }
    }

    #[test]
    fn every_kind_is_documented_with_its_status() {
        let page = include_str!("../docs/errors.md");
        for kind in ALL {
            let row = format!("| `{}` | {} |", kind.name, kind.status.as_u16());
            assert!(page.contains(&row), "docs/errors.md lacks {row}");
        }
        assert_eq!(page.lines().filter(|line| line.starts_with("| `")).count(), ALL.len(), "and no other");
    }

    #[test]
    fn retry_after_is_at_least_a_second() {
        let problem = Problem::new(OVERLOADED, "d").retry_after(Duration::from_millis(10));
        assert_eq!(problem.response(false).headers()["retry-after"], "1");
    }

    #[test]
    fn a_page_escapes_what_it_repeats() {
        let page = Problem::new(INTERNAL, "</p><script>alert(1)</script>").response(true);
        assert!(!String::from_utf8_lossy(page.body()).contains("<script"));
    }
}
