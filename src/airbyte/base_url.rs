//! The URL under which an Airbyte API lives, split once so that no request has to.

use std::fmt;

use http::uri::{Authority, Scheme};

/// `https://api.airbyte.com/v1`: scheme, authority and a path without trailing slash. No query, no userinfo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl {
    scheme: Scheme,
    authority: Authority,
    path: String,
}

/// What is wrong with a base URL, as its author should read it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BaseUrlError {
    /// Not a URL at all.
    #[error("not a URL: expected something like https://api.airbyte.com/v1")]
    Malformed,
    /// `ftp://…`, or none.
    #[error("scheme must be http or https, found \"{0}\"")]
    Scheme(String),
    /// `https://user:password@host`: it would be sent nowhere and printed everywhere.
    #[error("must not contain a user or password")]
    Userinfo,
    /// `https:///v1`.
    #[error("has no host")]
    NoHost,
    /// Port 0 or above 65535.
    #[error("port must be between 1 and 65535")]
    Port,
    /// `?…` or `#…`.
    #[error("must not contain a query or fragment")]
    Query,
    /// `..`, `//` and the like, which upstream would resolve to another place.
    #[error("path must not contain empty or dot segments")]
    Path,
}

impl BaseUrl {
    /// Parses and checks; the error never repeats a password.
    pub fn parse(url: &str) -> Result<Self, BaseUrlError> {
        let url = url.trim();
        let (scheme, rest) = url.split_once("://").ok_or_else(|| match url.split_once(':') {
            Some((scheme, _)) if !scheme.contains(['.', '/']) && scheme != "localhost" => {
                BaseUrlError::Scheme(scheme.to_owned())
            }
            _ => BaseUrlError::Malformed,
        })?;
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "https" => Scheme::HTTPS,
            "http" => Scheme::HTTP,
            other => return Err(BaseUrlError::Scheme(other.to_owned())),
        };
        if rest.contains(['?', '#']) {
            return Err(BaseUrlError::Query);
        }
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        if authority.contains('@') {
            return Err(BaseUrlError::Userinfo);
        }
        if authority.is_empty() || authority.starts_with(':') {
            return Err(BaseUrlError::NoHost);
        }
        let authority: Authority = authority.parse().map_err(|_| BaseUrlError::Malformed)?;
        // `Authority::port` is None for a port that is no u16, so it cannot be asked.
        let after_host = &authority.as_str()[authority.host().len()..];
        if after_host.strip_prefix(':').is_some_and(|port| port.parse::<u16>().map_or(true, |port| port == 0))
        {
            return Err(BaseUrlError::Port);
        }
        Ok(Self { scheme, authority, path: checked_path(path)? })
    }

    /// `http` or `https`.
    pub fn scheme(&self) -> &Scheme {
        &self.scheme
    }

    /// Whether requests to it are encrypted.
    pub fn is_https(&self) -> bool {
        self.scheme == Scheme::HTTPS
    }

    /// Host and, where given, port.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Host without port; an IPv6 address keeps its brackets.
    pub fn host(&self) -> &str {
        self.authority.host()
    }

    /// The port, given or implied.
    pub fn port(&self) -> u16 {
        self.authority.port_u16().unwrap_or(if self.is_https() { 443 } else { 80 })
    }

    /// The path prefix, starting with `/`, or empty. Never ends with `/`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// This URL with `path`, which starts with `/`, appended.
    #[must_use]
    pub fn join(&self, path: &str) -> Self {
        Self { path: format!("{}{path}", self.path), ..self.clone() }
    }

    /// The same origin with `path`, which starts with `/` or is empty, instead.
    #[must_use]
    pub fn with_path(&self, path: &str) -> Self {
        Self { path: path.to_owned(), ..self.clone() }
    }

    /// The same place by the other scheme. A port that stands there stays.
    #[must_use]
    pub fn other_scheme(&self) -> Self {
        let scheme = if self.is_https() { Scheme::HTTP } else { Scheme::HTTPS };
        Self { scheme, ..self.clone() }
    }

    /// Whether the host is this machine by name or address, so that plain http stays inside it.
    pub fn is_loopback(&self) -> bool {
        let host = self.host().trim_start_matches('[').trim_end_matches(']');
        host.eq_ignore_ascii_case("localhost")
            || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme, self.authority, self.path)
    }
}

fn checked_path(path: &str) -> Result<String, BaseUrlError> {
    let path = path.trim_end_matches('/');
    if path.is_empty() {
        return Ok(String::new());
    }
    if path.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
        return Err(BaseUrlError::Path);
    }
    if !path.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@%/".contains(&b)) {
        return Err(BaseUrlError::Malformed);
    }
    Ok(format!("/{path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trailing_slashes_are_dropped() {
        let url = BaseUrl::parse("https://api.airbyte.com/v1/").expect("valid");
        assert_eq!(url.to_string(), "https://api.airbyte.com/v1");
        assert_eq!((url.host(), url.port(), url.path()), ("api.airbyte.com", 443, "/v1"));
        assert_eq!(
            url.join("/applications/token").to_string(),
            "https://api.airbyte.com/v1/applications/token"
        );
    }

    #[test]
    fn loopback_is_known_by_name_and_address() {
        for yes in ["http://localhost:8000", "http://127.0.0.1", "http://[::1]:3/x", "http://127.9.9.9"] {
            assert!(BaseUrl::parse(yes).expect(yes).is_loopback(), "{yes}");
        }
        for no in ["http://localhost.evil.example", "http://10.0.0.1", "https://airbyte.corp/api/public/v1"] {
            assert!(!BaseUrl::parse(no).expect(no).is_loopback(), "{no}");
        }
    }

    #[test]
    fn wrong_urls_say_what_is_wrong() {
        let cases = [
            ("api.airbyte.com/v1", BaseUrlError::Malformed),
            ("localhost:8000", BaseUrlError::Malformed),
            ("ftp://x/", BaseUrlError::Scheme("ftp".into())),
            ("mailto:x", BaseUrlError::Scheme("mailto".into())),
            ("https://u:p@x/", BaseUrlError::Userinfo),
            ("https:///v1", BaseUrlError::NoHost),
            ("https://:443/v1", BaseUrlError::NoHost),
            ("https://x:0/", BaseUrlError::Port),
            ("https://x:99999/", BaseUrlError::Port),
            ("https://x/v1?a=b", BaseUrlError::Query),
            ("https://x/v1#f", BaseUrlError::Query),
            ("https://x/a/../v1", BaseUrlError::Path),
            ("https://x/a//v1", BaseUrlError::Path),
            ("https://x/a b", BaseUrlError::Malformed),
        ];
        for (url, error) in cases {
            assert_eq!(BaseUrl::parse(url), Err(error), "{url}");
        }
    }
}
