//! What the guard says when it says no: a stable type, a status, and one sentence that teaches.

use std::borrow::Cow;
use std::fmt;

use http::StatusCode;

use super::keys::Client;

/// The stable types of refusal. Their [suffixes](Kind::suffix) end the problem types of RFC 9457 and label metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// Whoever is at the other end of the connection may not use it at all.
    PeerNotAllowed,
    /// `Host` is missing, repeated, or no host.
    HostInvalid,
    /// `Host` is well formed and not one of our names: DNS rebinding, or a name nobody has configured yet.
    HostNotAllowed,
    /// A web page of another origin is asking.
    OriginNotAllowed,
    /// Client keys are on, and the request carries none that is good.
    KeyRequired,
    /// Not a request that RFC 9110, 9112 or 3986 would recognise, or one that two readers might read differently.
    InvalidRequest,
    /// The request target is too long.
    UriTooLong,
    /// A header field is too large.
    HeaderTooLarge,
    /// The method is too long to be one.
    MethodTooLong,
    /// The method is refused whatever the path.
    MethodNotAllowed,
    /// The policy forbids this method on this path.
    PathNotAllowed,
    /// No such path here, and Airbyte would answer it with a misleading 401.
    UnknownPath,
    /// A transfer coding other than chunked.
    UnsupportedTransferCoding,
    /// An expectation other than `100-continue`.
    ExpectationFailed,
    /// Somebody asked for a WebSocket.
    UpgradeRefused,
}

impl Kind {
    /// The last part of the problem type.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::PeerNotAllowed => "peer-not-allowed",
            Self::HostInvalid => "host-invalid",
            Self::HostNotAllowed => "host-not-allowed",
            Self::OriginNotAllowed => "origin-not-allowed",
            Self::KeyRequired => "key-required",
            Self::InvalidRequest => "invalid-request",
            Self::UriTooLong => "uri-too-long",
            Self::HeaderTooLarge => "header-too-large",
            Self::MethodTooLong => "method-too-long",
            Self::MethodNotAllowed => "method-not-allowed",
            Self::PathNotAllowed => "path-not-allowed",
            Self::UnknownPath => "unknown-path",
            Self::UnsupportedTransferCoding => "unsupported-transfer-coding",
            Self::ExpectationFailed => "expectation-failed",
            Self::UpgradeRefused => "upgrade-refused",
        }
    }

    /// The status of the response.
    pub fn status(self) -> StatusCode {
        match self {
            Self::PeerNotAllowed | Self::HostNotAllowed | Self::OriginNotAllowed | Self::PathNotAllowed => {
                StatusCode::FORBIDDEN
            }
            Self::KeyRequired => StatusCode::UNAUTHORIZED,
            Self::HostInvalid | Self::InvalidRequest => StatusCode::BAD_REQUEST,
            Self::UriTooLong => StatusCode::URI_TOO_LONG,
            Self::HeaderTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::UnknownPath => StatusCode::NOT_FOUND,
            Self::ExpectationFailed => StatusCode::EXPECTATION_FAILED,
            Self::MethodTooLong | Self::UnsupportedTransferCoding | Self::UpgradeRefused => {
                StatusCode::NOT_IMPLEMENTED
            }
        }
    }

    /// The `error` parameter of `Proxy-Status` (RFC 9209 §2.3).
    pub fn proxy_status(self) -> &'static str {
        match self {
            Self::PeerNotAllowed
            | Self::HostNotAllowed
            | Self::OriginNotAllowed
            | Self::KeyRequired
            | Self::PathNotAllowed
            | Self::MethodNotAllowed
            | Self::UpgradeRefused => "http_request_denied",
            Self::UnknownPath => "destination_not_found",
            Self::HostInvalid
            | Self::InvalidRequest
            | Self::UriTooLong
            | Self::HeaderTooLarge
            | Self::MethodTooLong
            | Self::UnsupportedTransferCoding
            | Self::ExpectationFailed => "http_request_error",
        }
    }

    /// The same for every refusal of this kind: the `title` of RFC 9457.
    pub fn title(self) -> &'static str {
        match self {
            Self::PeerNotAllowed => "this client may not use the proxy",
            Self::HostInvalid => "the Host header is missing or malformed",
            Self::HostNotAllowed => "the proxy does not answer to this host name",
            Self::OriginNotAllowed => "requests from other web sites are refused",
            Self::KeyRequired => "a client key is required",
            Self::InvalidRequest => "the request is malformed or ambiguous",
            Self::UriTooLong => "the request target is too long",
            Self::HeaderTooLarge => "a header field is too large",
            Self::MethodTooLong => "the method is too long",
            Self::MethodNotAllowed => "the method is not allowed",
            Self::PathNotAllowed => "the policy does not allow this request",
            Self::UnknownPath => "no such path",
            Self::UnsupportedTransferCoding => "the transfer coding is not supported",
            Self::ExpectationFailed => "the expectation cannot be met",
            Self::UpgradeRefused => "WebSockets are not supported",
        }
    }
}

/// A request that goes no further, and why.
///
/// Nothing in it comes from a query, a body or a credential, and all text from the client in it is visible ASCII.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Refusal {
    kind: Kind,
    rule: Cow<'static, str>,
    detail: String,
    allow: Option<&'static str>,
    close: bool,
    client: Option<Client>,
}

impl Refusal {
    /// A refusal by `rule`, which is a setting's name or a short fixed label: it ends up in logs and metrics.
    pub(super) fn new(kind: Kind, rule: impl Into<Cow<'static, str>>, detail: impl Into<String>) -> Self {
        Self { kind, rule: rule.into(), detail: detail.into(), allow: None, close: false, client: None }
    }

    /// With the methods that `Allow` lists, which a 405 must (RFC 9110 §15.5.6).
    pub(super) fn allowing(self, methods: &'static str) -> Self {
        Self { allow: Some(methods), ..self }
    }

    /// And nothing more is to be read from this connection.
    pub(super) fn closing(self) -> Self {
        Self { close: true, ..self }
    }

    /// Of a request that carried the key of `client`.
    pub(super) fn of(self, client: Option<Client>) -> Self {
        Self { client, ..self }
    }

    /// What kind of refusal.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Which rule refused: `guard.allowed_hosts`, `policy.rules[2]`, `default denial`, `rfc9112`.
    pub fn rule(&self) -> &str {
        &self.rule
    }

    /// One or two sentences for a person: what was asked, what refused it, which setting would allow it.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// Who was refused, where a client key told.
    pub fn client(&self) -> Option<&Client> {
        self.client.as_ref()
    }

    /// The values of `WWW-Authenticate`, which a 401 must have (RFC 9110 §15.5.2). One line each: not every client
    /// reads a list.
    pub fn challenges(&self) -> &'static [&'static str] {
        match self.kind {
            Kind::KeyRequired => &["Basic realm=\"airbyte-proxy\"", "Bearer realm=\"airbyte-proxy\""],
            _ => &[],
        }
    }

    /// The value of `Allow`, on a 405.
    pub fn allow(&self) -> Option<&'static str> {
        self.allow
    }

    /// Whether the connection must be closed after the response, because where this request ends is in doubt.
    pub fn must_close(&self) -> bool {
        self.close
    }
}

/// Shows text of the client: visible ASCII only, and not too much of it.
pub(super) struct Shown<'a>(pub(super) &'a [u8]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MOST: usize = 100;
        let cut = self.0.get(..MOST);
        write!(f, "{}", cut.unwrap_or(self.0).escape_ascii())?;
        if cut.is_some() && self.0.len() > MOST { f.write_str("...") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_text_is_short_visible_ascii() {
        let shown = Shown(&[b"\r\n\x1b[31m\xff\"".as_slice(), &[b'a'; 300]].concat()).to_string();
        assert!(shown.bytes().all(|b| b.is_ascii_graphic()), "{shown}");
        assert!(shown.starts_with(r#"\r\n\x1b[31m\xff\""#), "{shown}");
        assert!(shown.ends_with("a...") && shown.len() < 150, "{shown}");
        assert_eq!(Shown(&[b'a'; 100]).to_string(), "a".repeat(100));
    }
}
