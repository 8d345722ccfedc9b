//! Where the caller reached us, for links that lead back.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::uri::{Authority, PathAndQuery};

use crate::airbyte::BaseUrl;

/// The local counterpart of the API's base URL, as this caller knows it.
#[derive(Debug)]
pub(in crate::proxy) struct Here {
    /// The `Host` it used, unless all are told the same.
    host: Option<HeaderValue>,
    target: Option<PathAndQuery>,
    prefix: usize,
}

impl Here {
    /// `prefix` is the length of the local prefix.
    pub(in crate::proxy) fn of(head: &Parts, prefix: usize) -> Self {
        let host = head.headers.get(header::HOST).cloned();
        Self { host, target: head.uri.path_and_query().cloned(), prefix }
    }

    /// `http://localhost:8484/v1`; just `/v1` for a caller that named no host.
    fn base(&self, public_url: Option<&BaseUrl>) -> String {
        let prefix = self.path().get(..self.prefix).unwrap_or_default();
        match (public_url, self.host.as_ref().and_then(|host| host.to_str().ok())) {
            (Some(url), _) => format!("{url}{prefix}"),
            (None, Some(host)) => format!("http://{host}{prefix}"),
            (None, None) => prefix.to_owned(),
        }
    }

    fn path(&self) -> &str {
        self.target.as_ref().map_or("", PathAndQuery::path)
    }

    /// The same path with another query.
    pub(super) fn with_query(&self, query: &str, public_url: Option<&BaseUrl>) -> String {
        let rest = self.path().get(self.prefix..).unwrap_or_default();
        format!("{}{rest}?{query}", self.base(public_url))
    }

    /// `Location` and `Content-Location` that lead to `upstream`, past us, lead here instead.
    pub(in crate::proxy) fn mend_locations(
        &self,
        headers: &mut HeaderMap,
        upstream: &BaseUrl,
        public_url: Option<&BaseUrl>,
    ) {
        for name in [header::LOCATION, header::CONTENT_LOCATION] {
            self.mend_location(headers, &name, upstream, public_url);
        }
    }

    fn mend_location(
        &self,
        headers: &mut HeaderMap,
        name: &HeaderName,
        upstream: &BaseUrl,
        public_url: Option<&BaseUrl>,
    ) {
        let Some(value) = headers.get(name).and_then(|value| value.to_str().ok()) else { return };
        let Some(rest) = below(value, upstream) else { return };
        if let Ok(mended) = HeaderValue::try_from(format!("{}{rest}", self.base(public_url))) {
            headers.insert(name, mended);
        }
    }
}

/// What `link` says after `base`, if it is below it: a whole URL, or a path on its host.
fn below<'l>(link: &'l str, base: &BaseUrl) -> Option<&'l str> {
    let path = match link.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case(base.scheme().as_str()) => {
            let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
            let (authority, path) = rest.split_at(end);
            let authority: Authority = authority.parse().ok()?;
            let port =
                authority.port_u16().or_else(|| (!authority.as_str().contains(':')).then(|| implied(base)));
            let same = authority.host().eq_ignore_ascii_case(base.host()) && port == Some(base.port());
            same.then_some(path)?
        }
        Some(_) => return None,
        // A second slash would begin the name of a host (RFC 3986 §4.2).
        None => link.starts_with('/').then_some(link).filter(|link| !link.starts_with("//"))?,
    };
    let rest = path.strip_prefix(base.path())?;
    (rest.is_empty() || rest.starts_with(['/', '?', '#'])).then_some(rest)
}

fn implied(base: &BaseUrl) -> u16 {
    if base.is_https() { 443 } else { 80 }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn here(target: &str, host: Option<&str>, prefix: usize) -> Here {
        let mut request = Request::get(target);
        if let Some(host) = host {
            request = request.header("host", host);
        }
        Here::of(&request.body(()).expect("a request").into_parts().0, prefix)
    }

    #[test]
    fn links_lead_to_the_host_and_prefix_that_the_caller_used() {
        let public = BaseUrl::parse("https://airbyte.corp.example").expect("a URL");
        let list = here("/api/public/v1/jobs?x=1", Some("127.0.0.1:8484"), 14);
        assert_eq!(list.with_query("limit=5", None), "http://127.0.0.1:8484/api/public/v1/jobs?limit=5");
        let whole = here("/-/all/v1/jobs", Some("[::1]:1"), 9);
        assert_eq!(whole.with_query("limit=5", None), "http://[::1]:1/-/all/v1/jobs?limit=5");
        assert_eq!(
            whole.with_query("limit=5", Some(&public)),
            "https://airbyte.corp.example/-/all/v1/jobs?limit=5"
        );
        assert_eq!(here("/v1/jobs", None, 3).with_query("limit=5", None), "/v1/jobs?limit=5");
    }

    #[test]
    fn locations_at_upstream_lead_here_and_others_stay() {
        let upstream = BaseUrl::parse("https://airbyte.corp:8443/api/public/v1").expect("a URL");
        let mended = |location: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("location", location.parse().expect("a value"));
            here("/v1/x", Some("localhost:8484"), 3).mend_locations(&mut headers, &upstream, None);
            headers["location"].to_str().expect("text").to_owned()
        };
        for (location, expected) in [
            ("https://airbyte.corp:8443/api/public/v1/jobs/1?a=b", "http://localhost:8484/v1/jobs/1?a=b"),
            ("HTTPS://Airbyte.Corp:8443/api/public/v1", "http://localhost:8484/v1"),
            ("/api/public/v1/jobs", "http://localhost:8484/v1/jobs"),
        ] {
            assert_eq!(mended(location), expected);
        }
        for location in [
            "https://airbyte.corp/api/public/v1/jobs",
            "http://airbyte.corp:8443/api/public/v1/jobs",
            "https://airbyte.corp.evil:8443/api/public/v1/jobs",
            "https://airbyte.corp:8443@evil/api/public/v1/jobs",
            "https://airbyte.corp:8443/api/public/v12/jobs",
            "https://reference.airbyte.com/",
            "//airbyte.corp:8443/api/public/v1/jobs",
            "/login",
            "jobs",
            "",
        ] {
            assert_eq!(mended(location), location);
        }
        let cloud = BaseUrl::parse("https://api.airbyte.com/v1").expect("a URL");
        assert_eq!(below("https://api.airbyte.com/v1/jobs", &cloud), Some("/jobs"));
        assert_eq!(below("https://api.airbyte.com:443/v1/jobs", &cloud), Some("/jobs"));
    }
}
