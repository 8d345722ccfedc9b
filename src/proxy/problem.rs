//! Our own answers when something is wrong: one registry, one place that turns it into a response.
//!
//! RFC 9457 `application/problem+json` for programs, a page of words for a browser, and RFC 9209 `Proxy-Status` on
//! both, so that "the proxy said it" differs from "Airbyte said it".

use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Response, StatusCode};
use serde_json::json;

use super::headers::protect;
use crate::guard::Refusal;

/// What is wrong. The names are stable: clients may rely on the `type` they become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kind {
    /// Last part of the `type`.
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) status: StatusCode,
    /// RFC 9209 §2.3 error type.
    pub(crate) proxy_error: &'static str,
}

const fn kind(
    name: &'static str,
    title: &'static str,
    status: StatusCode,
    proxy_error: &'static str,
) -> Kind {
    Kind { name, title, status, proxy_error }
}

macro_rules! registry {
    ($($name:ident = $suffix:literal, $title:literal, $status:ident, $error:literal;)*) => {
        $(pub(crate) const $name: Kind = kind($suffix, $title, StatusCode::$status, $error);)*
        /// Every kind, for the tests that hold the documentation against it.
        #[cfg(test)]
        pub(crate) const ALL: &[Kind] = &[$($name),*];
    };
}

registry! {
    METHOD_NOT_ALLOWED = "method-not-allowed", "The method is not allowed here", METHOD_NOT_ALLOWED, "http_request_denied";
    INVALID_REQUEST = "invalid-request", "The request cannot be understood", BAD_REQUEST, "http_request_error";
    REQUEST_TIMEOUT = "request-timeout", "The request body did not arrive in time", REQUEST_TIMEOUT, "http_request_error";
    TOKEN_UNAVAILABLE = "token-unavailable", "No access token at the moment", SERVICE_UNAVAILABLE, "destination_unavailable";
    CREDENTIALS_REJECTED = "credentials-rejected", "Airbyte refuses the client id and secret", SERVICE_UNAVAILABLE, "proxy_configuration_error";
    TOKEN_ENDPOINT_WRONG = "token-endpoint-wrong", "The token endpoint is not one", SERVICE_UNAVAILABLE, "proxy_configuration_error";
    OVERLOADED = "overloaded", "Too many requests at the same time", SERVICE_UNAVAILABLE, "connection_limit_reached";
    UPSTREAM_DNS = "upstream-dns", "Airbyte's host name cannot be resolved", BAD_GATEWAY, "dns_error";
    UPSTREAM_REFUSED = "upstream-refused", "Airbyte cannot be reached", BAD_GATEWAY, "connection_refused";
    UPSTREAM_TLS = "upstream-tls", "No trusted connection to Airbyte", BAD_GATEWAY, "tls_certificate_error";
    UPSTREAM_PROXY = "upstream-proxy", "The outbound proxy gives no way to Airbyte", BAD_GATEWAY, "destination_unavailable";
    UPSTREAM_PROTOCOL = "upstream-protocol", "Airbyte's answer is not well-formed HTTP", BAD_GATEWAY, "http_protocol_error";
    UPSTREAM_CLOSED = "upstream-closed", "Airbyte closed the connection without an answer", BAD_GATEWAY, "connection_terminated";
    UPSTREAM_DNS_TIMEOUT = "upstream-dns-timeout", "Airbyte's host name was not resolved in time", GATEWAY_TIMEOUT, "dns_timeout";
    UPSTREAM_CONNECT_TIMEOUT = "upstream-connect-timeout", "No connection to Airbyte in time", GATEWAY_TIMEOUT, "connection_timeout";
    UPSTREAM_RESPONSE_TIMEOUT = "upstream-response-timeout", "No answer from Airbyte in time", GATEWAY_TIMEOUT, "http_response_timeout";
    LOOP = "loop", "The request has come back to this proxy", BAD_GATEWAY, "proxy_loop_detected";
    INTERNAL = "internal", "A bug in airbyte-proxy", INTERNAL_SERVER_ERROR, "proxy_internal_error";
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
        headers.insert(HeaderName::from_static("proxy-status"), self.proxy_status());
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
            title = escaped(self.kind.title),
            detail = escaped(&self.detail),
            status = self.kind.status.as_u16(),
        )
    }

    /// RFC 9209 §2: one member, our own. The details are the kind's name, which is short and safe.
    fn proxy_status(&self) -> HeaderValue {
        let value = format!("airbyte-proxy; error={}; details=\"{}\"", self.kind.proxy_error, self.kind.name);
        HeaderValue::try_from(value).unwrap_or(HeaderValue::from_static("airbyte-proxy"))
    }
}

impl From<&Refusal> for Problem {
    fn from(refusal: &Refusal) -> Self {
        let kind = refusal.kind();
        let (name, title, status) = (kind.suffix(), kind.title(), kind.status());
        let kind = Kind { name, title, status, proxy_error: kind.proxy_status() };
        let allow = refusal.allow().map(|methods| (header::ALLOW, HeaderValue::from_static(methods)));
        let challenges = refusal
            .challenges()
            .iter()
            .map(|scheme| (header::WWW_AUTHENTICATE, HeaderValue::from_static(scheme)));
        let (fields, close) = (allow.into_iter().chain(challenges).collect(), refusal.must_close());
        Self { fields, close, ..Self::new(kind, refusal.detail()) }
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few seconds, rounded up")]
fn number(seconds: f64) -> HeaderValue {
    HeaderValue::from(seconds.min(86_400.0) as u64)
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' | '>' | '&' | '"' | '\'' => {
                let _ = write!(out, "&#{};", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

/// Whether a person looks at the answer in a browser.
pub(crate) fn wants_page(headers: &HeaderMap) -> bool {
    headers.get(header::ACCEPT).and_then(|v| v.to_str().ok()).is_some_and(|v| v.contains("text/html"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_every_answer_is_marked_as_ours() {
        let mut names: Vec<_> = ALL.iter().map(|k| k.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL.len());
        for kind in ALL {
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
        let page = include_str!("../../docs/errors.md");
        for kind in ALL {
            let row = format!("| `{}` | {} |", kind.name, kind.status.as_u16());
            assert!(page.contains(&row), "docs/errors.md lacks {row}");
        }
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
