//! Which proxy stands between us and a target: the user's setting, else the conventional environment variables.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use http::{HeaderValue, Uri};
use hyper_util::client::proxy::matcher::Matcher;

use crate::airbyte::BaseUrl;
use crate::secret::Secret;

/// How to get out of this network.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum OutboundProxy {
    /// `HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`, for https targets.
    #[default]
    Environment,
    /// Directly.
    None,
    /// Through this proxy, whatever the target (loopback excepted). By CONNECT; a token request over plain http is sent
    /// to the proxy in absolute form instead (RFC 9112 §3.2.2).
    Url(ProxyUrl),
}

/// An http proxy, with credentials that are not printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyUrl {
    /// Where it listens.
    pub url: BaseUrl,
    /// `user:password` for Basic, where given.
    pub userinfo: Option<Secret>,
}

/// The proxy on the way, resolved.
#[derive(Clone)]
pub struct Hop {
    /// `http://host:port`.
    pub uri: Uri,
    /// `Proxy-Authorization`, marked sensitive.
    pub auth: Option<HeaderValue>,
}

impl fmt::Debug for Hop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hop({self})")
    }
}

impl fmt::Display for Hop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}:{}", self.uri.host().unwrap_or("?"), self.uri.port_u16().unwrap_or(80))
    }
}

/// A proxy that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the outbound proxy uses the scheme \"{0}\"; only http proxies are supported (set upstream.proxy)")]
pub struct UnsupportedProxy(String);

#[derive(Debug, Clone)]
pub(super) enum Proxies {
    Environment(Arc<Matcher>),
    None,
    Fixed(Hop),
}

impl Proxies {
    pub(super) fn new(setting: &OutboundProxy) -> Self {
        match setting {
            OutboundProxy::Environment => Self::Environment(Arc::new(Matcher::from_env())),
            OutboundProxy::None => Self::None,
            OutboundProxy::Url(proxy) => match proxy.url.to_string().parse() {
                Ok(uri) => Self::Fixed(Hop { uri, auth: proxy.userinfo.as_ref().and_then(basic) }),
                Err(_) => Self::None,
            },
        }
    }

    pub(super) fn hop(&self, target: &BaseUrl) -> Result<Option<Hop>, UnsupportedProxy> {
        if target.is_loopback() {
            return Ok(None);
        }
        match self {
            Self::None => Ok(None),
            Self::Fixed(hop) => Ok(Some(hop.clone())),
            Self::Environment(_) if !target.is_https() => Ok(None),
            Self::Environment(matcher) => {
                let intercept = target.to_string().parse().ok().and_then(|uri: Uri| matcher.intercept(&uri));
                let Some(intercept) = intercept else { return Ok(None) };
                if intercept.uri().scheme_str() != Some("http") {
                    return Err(UnsupportedProxy(intercept.uri().scheme_str().unwrap_or("").to_owned()));
                }
                Ok(Some(Hop {
                    uri: intercept.uri().clone(),
                    auth: intercept.basic_auth().cloned().map(sensitive),
                }))
            }
        }
    }
}

fn basic(userinfo: &Secret) -> Option<HeaderValue> {
    let encoded = base64::engine::general_purpose::STANDARD.encode(userinfo.expose());
    HeaderValue::try_from(format!("Basic {encoded}")).ok().map(sensitive)
}

fn sensitive(mut value: HeaderValue) -> HeaderValue {
    value.set_sensitive(true);
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(s: &str) -> BaseUrl {
        BaseUrl::parse(s).expect("valid")
    }

    fn environment(https_proxy: &str, no_proxy: &str) -> Proxies {
        Proxies::Environment(Arc::new(Matcher::builder().all(https_proxy).no(no_proxy).build()))
    }

    #[test]
    fn loopback_is_never_proxied() {
        let fixed =
            Proxies::new(&OutboundProxy::Url(ProxyUrl { url: url("http://proxy:3128"), userinfo: None }));
        for target in ["http://localhost:8000/api", "https://127.0.0.1", "https://[::1]"] {
            assert!(fixed.hop(&url(target)).expect("supported").is_none(), "{target}");
            assert!(
                environment("http://p:1", "").hop(&url(target)).expect("supported").is_none(),
                "{target}"
            );
        }
    }

    #[test]
    fn the_environment_applies_to_https_only() {
        let proxies = environment("http://user:secret@proxy:3128", "internal.corp");
        assert!(proxies.hop(&url("http://airbyte.corp")).expect("supported").is_none());
        assert!(proxies.hop(&url("https://internal.corp")).expect("supported").is_none(), "NO_PROXY");
        let hop = proxies.hop(&url("https://api.airbyte.com/v1")).expect("supported").expect("proxied");
        assert_eq!(hop.to_string(), "http://proxy:3128");
        assert!(hop.auth.as_ref().is_some_and(HeaderValue::is_sensitive));
        assert!(!format!("{hop:?}").contains("secret"));
    }

    #[test]
    fn a_fixed_proxy_applies_to_plain_http_too() {
        let proxy = ProxyUrl { url: url("http://proxy:3128"), userinfo: Some(Secret::new("u:p".into())) };
        let hop = Proxies::new(&OutboundProxy::Url(proxy)).hop(&url("http://airbyte.corp"));
        let hop = hop.expect("supported").expect("proxied");
        assert_eq!(hop.auth.expect("auth").as_bytes(), b"Basic dTpw");
    }

    #[test]
    fn a_socks_proxy_is_refused_by_name() {
        let error = environment("socks5://p:1080", "").hop(&url("https://x")).expect_err("unsupported");
        assert!(error.to_string().contains("socks5"), "{error}");
    }
}
