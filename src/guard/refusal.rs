//! What the guard says when it says no: a kind of problem, and one sentence that teaches.

use std::borrow::Cow;
use std::fmt;

use http::header::{self, HeaderValue};

use super::keys::Client;
use super::target::Route;
use crate::problem::{KEY_REQUIRED, Kind, Problem};

/// Every rule that can refuse, but for those of the policy, which are numbered.
pub(super) static RULES: [&str; 16] = [
    "peer",
    "limit",
    "method",
    "rfc9110",
    "rfc9112",
    "target",
    "upgrade",
    "unknown path",
    "default denial",
    "policy ceiling",
    "read_only",
    "policy.preset",
    "guard.allowed_hosts",
    "guard.allowed_origins",
    "guard.keys_dir",
    "upstream.config_api_url",
];

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
    route: Option<Route>,
}

impl Refusal {
    /// A refusal by `rule`, which is a setting's name or a short fixed label: it ends up in logs and metrics.
    pub(super) fn new(kind: Kind, rule: impl Into<Cow<'static, str>>, detail: impl Into<String>) -> Self {
        Self {
            kind,
            rule: rule.into(),
            detail: detail.into(),
            allow: None,
            close: false,
            client: None,
            route: None,
        }
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

    /// Of a request that may be here, but not go to `route`.
    pub(super) fn to(self, route: Route) -> Self {
        Self { route: Some(route), ..self }
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

    /// Where the request may not go, if that is what was refused.
    pub fn route(&self) -> Option<Route> {
        self.route
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

/// The values of `WWW-Authenticate`, which a 401 must have (RFC 9110 §15.5.2). One line each: not every client reads a
/// list.
static CHALLENGES: [&str; 2] = ["Basic realm=\"airbyte-proxy\"", "Bearer realm=\"airbyte-proxy\""];

impl From<&Refusal> for Problem {
    fn from(refusal: &Refusal) -> Self {
        let challenges = if refusal.kind == KEY_REQUIRED { &CHALLENGES[..] } else { &[] };
        let challenges = challenges.iter().map(|scheme| (header::WWW_AUTHENTICATE, *scheme));
        let allow = refusal.allow.map(|methods| (header::ALLOW, methods));
        let fields = allow.into_iter().chain(challenges);
        let fields = fields.map(|(name, value)| (name, HeaderValue::from_static(value))).collect();
        Self { fields, close: refusal.close, ..Self::new(refusal.kind, refusal.detail.as_str()) }
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
