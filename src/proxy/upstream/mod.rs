//! Connections to Airbyte: dial, TLS, pool.

use std::path::PathBuf;
use std::time::Duration;

use crate::airbyte::BaseUrl;
pub use crate::outbound::{OutboundProxy, ProxyUrl};

/// Validated settings of the upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The public API.
    pub api_url: BaseUrl,
    /// The Configuration API, served at local `/api/v1`, where the user has opened it.
    pub config_api_url: Option<BaseUrl>,
    /// Certificates (PEM) trusted besides the platform's.
    pub ca_file: Option<PathBuf>,
    /// Which HTTP versions are offered.
    pub http: HttpVersion,
    /// How to get out of this network.
    pub proxy: OutboundProxy,
    /// DNS, TCP and TLS together.
    pub connect_timeout: Duration,
    /// From the last byte of a request to the head of its response.
    pub response_timeout: Duration,
    /// The longest pause within a response body.
    pub body_idle_timeout: Duration,
    /// How long a connection is kept without a request.
    pub idle_timeout: Duration,
    /// A connection older than this takes no new request.
    pub max_age: Duration,
}

/// Which HTTP versions are offered to upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HttpVersion {
    /// By ALPN; HTTP/1.1 without TLS.
    #[default]
    Auto,
    /// HTTP/1.1 only.
    Http1,
    /// HTTP/2 only; without TLS by prior knowledge (RFC 9113 §3.3).
    Http2,
}

impl Config {
    /// The defaults, for the API at `api_url`.
    pub fn new(api_url: BaseUrl) -> Self {
        Self {
            api_url,
            config_api_url: None,
            ca_file: None,
            http: HttpVersion::Auto,
            proxy: OutboundProxy::Environment,
            connect_timeout: Duration::from_secs(5),
            response_timeout: Duration::from_secs(600),
            body_idle_timeout: Duration::from_secs(300),
            idle_timeout: Duration::from_secs(30),
            max_age: Duration::from_secs(600),
        }
    }
}
