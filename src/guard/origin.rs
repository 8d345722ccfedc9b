//! Which web page is asking: `Origin`, Fetch Metadata and CORS.
//!
//! Browsers send `Origin` on everything but plain GETs, and `Sec-Fetch-Site` on everything, to a loopback address
//! included. Both are checked on every method, because here reading is the harm. Clients that are no browsers send
//! neither.

use std::fmt;

use http::HeaderValue;

use super::fields::{Field, Fields};
use super::host::{Authority, HostError, HostName};
use super::refusal::{Refusal, Shown};
use crate::airbyte::BaseUrl;
use crate::problem;

/// A web origin: an entry of `guard.allowed_origins`. Kept as browsers write it, so that comparing is comparing bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(Box<str>);

/// Why a string is not an origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OriginError {
    /// `*` would hand the account to every page in the browser.
    #[error("origins are listed one by one, not by pattern")]
    Wildcard,
    /// `null` is what any sandboxed frame says.
    #[error("the origin null is anybody's")]
    Null,
    /// No `scheme://`, or no scheme.
    #[error("an origin looks like https://app.example or http://localhost:3000")]
    Scheme,
    /// Something after host and port.
    #[error("an origin has no path, not even a slash at its end")]
    Path,
    /// No host, or no port.
    #[error("the host of an origin is wrong")]
    Host(#[source] HostError),
}

impl Origin {
    /// Parses `scheme://host` or `scheme://host:port`. Schemes other than http and https are those of browser
    /// extensions and web views.
    pub fn parse(text: &str) -> Result<Self, OriginError> {
        let text = text.trim();
        if text.contains('*') {
            return Err(OriginError::Wildcard);
        }
        if text.eq_ignore_ascii_case("null") {
            return Err(OriginError::Null);
        }
        let (scheme, authority) = text.split_once("://").ok_or(OriginError::Scheme)?;
        let scheme = scheme.to_ascii_lowercase();
        let ok = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.');
        if !scheme.starts_with(|c: char| c.is_ascii_lowercase()) || !scheme.bytes().all(ok) {
            return Err(OriginError::Scheme);
        }
        if authority.contains(['/', '?', '#']) {
            return Err(OriginError::Path);
        }
        let Authority { host, port } = Authority::parse(authority.as_bytes()).map_err(OriginError::Host)?;
        let default = matches!((scheme.as_str(), port), ("http", Some(80)) | ("https", Some(443)));
        let host = HostName::from(host);
        Ok(Self(match port {
            Some(port) if !default => format!("{scheme}://{host}:{port}").into(),
            _ => format!("{scheme}://{host}").into(),
        }))
    }

    /// The origin of `url`, for `public_url`.
    pub fn of(url: &BaseUrl) -> Result<Self, OriginError> {
        Self::parse(&format!("{}://{}", url.scheme(), url.authority()))
    }

    fn is(&self, value: &HeaderValue) -> bool {
        value == &*self.0
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where pages may come from, besides where this request went.
#[derive(Debug)]
pub(super) struct Origins {
    /// Entries of `guard.allowed_origins`: these, and only these, are told so by CORS.
    pub(super) allowed: Vec<Origin>,
    /// That of `public_url`: ours under another name.
    pub(super) public: Option<Origin>,
}

/// A page of another origin that the user allows. It must be told so, or its browser hides the answer from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cors {
    /// For `Access-Control-Allow-Origin`, as the browser sent it.
    pub origin: HeaderValue,
    /// This is a preflight: to be answered here, without Airbyte.
    pub preflight: bool,
}

impl Origins {
    /// The entry of `guard.allowed_origins` that is asking.
    pub(super) fn listed<'h>(&self, origin: Field<'h>) -> Option<&'h HeaderValue> {
        match origin {
            Field::One(value) if self.allowed.iter().any(|allowed| allowed.is(value)) => Some(value),
            _ => None,
        }
    }

    /// Refuses pages of other origins. `page`: one of our static pages is asked for, see [`is_navigation`].
    pub(super) fn check(
        &self,
        fields: &Fields<'_>,
        used: &Authority<'_>,
        page: bool,
        preflight: bool,
    ) -> Result<Option<Cors>, Refusal> {
        if let Some(origin) = self.listed(fields.origin) {
            return Ok(Some(Cors { origin: origin.clone(), preflight }));
        }
        // A link from a chat or a wiki. What it opens acts on nothing in the URL and cannot be framed.
        if page && is_navigation(fields) {
            return Ok(None);
        }
        match fields.origin {
            Field::Absent => {}
            Field::One(origin) if self.is_own(origin, used) => {}
            other => return Err(foreign_origin(other)),
        }
        if !(fields.fetch_site.is_absent()
            || fields.fetch_site.is("same-origin")
            || fields.fetch_site.is("none"))
        {
            return Err(foreign_site());
        }
        if !fields.preflight_method.is_absent() {
            return Err(Refusal::new(
                problem::ORIGIN_NOT_ALLOWED,
                "guard.allowed_origins",
                "a browser asks on behalf of a web page of another origin (Access-Control-Request-Method); no page \
                 may, except those of guard.allowed_origins",
            ));
        }
        Ok(None)
    }

    /// Whether `origin` is the address this request was sent to, or `public_url`.
    fn is_own(&self, origin: &HeaderValue, used: &Authority<'_>) -> bool {
        if self.public.as_ref().is_some_and(|public| public.is(origin)) {
            return true;
        }
        let authority = origin.as_bytes().strip_prefix(b"http://".as_slice());
        authority.and_then(|a| Authority::parse(a).ok()).is_some_and(|a| a.same_http(used))
    }
}

/// A person follows a link or types an address, and the result is a page of its own.
fn is_navigation(fields: &Fields<'_>) -> bool {
    fields.fetch_mode.is("navigate") && fields.fetch_dest.is("document")
}

fn foreign_origin(origin: Field<'_>) -> Refusal {
    let detail = match origin {
        Field::One(value) => match std::str::from_utf8(value.as_bytes()).ok().map(Origin::parse) {
            Some(Ok(origin)) => format!(
                "a web page at {} wants to use the proxy; if it may, set guard.allowed_origins = [\"{}\"]",
                Shown(origin.0.as_bytes()),
                Shown(origin.0.as_bytes()),
            ),
            _ => "the Origin header names no web page that could be allowed".to_owned(),
        },
        _ => "there is more than one Origin header".to_owned(),
    };
    Refusal::new(problem::ORIGIN_NOT_ALLOWED, "guard.allowed_origins", detail)
}

fn foreign_site() -> Refusal {
    Refusal::new(
        problem::ORIGIN_NOT_ALLOWED,
        "guard.allowed_origins",
        "a web page of another origin wants to use the proxy (Sec-Fetch-Site); no page may, except those of \
         guard.allowed_origins, and those only by fetch with CORS. To open an API address from a link, paste it into \
         the address bar",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_kept_as_browsers_write_them() {
        for (text, kept) in [
            ("HTTP://LocalHost:3000", "http://localhost:3000"),
            ("https://app.example:443", "https://app.example"),
            ("http://app.example:80", "http://app.example"),
            ("http://[0::1]:80", "http://[::1]"),
            ("https://app.example:80", "https://app.example:80"),
            ("chrome-extension://abcdef", "chrome-extension://abcdef"),
        ] {
            assert_eq!(Origin::parse(text).map(|o| o.to_string()), Ok(kept.to_owned()), "{text}");
        }
        for (text, error) in [
            ("*", OriginError::Wildcard),
            ("https://*.example", OriginError::Wildcard),
            ("null", OriginError::Null),
            ("app.example", OriginError::Scheme),
            ("://app.example", OriginError::Scheme),
            ("https://app.example/", OriginError::Path),
            ("https://u@app.example", OriginError::Host(HostError::Character { at: 1 })),
            ("https://", OriginError::Host(HostError::Empty)),
        ] {
            assert_eq!(Origin::parse(text), Err(error), "{text}");
        }
    }
}
