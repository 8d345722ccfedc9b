//! Asks the token endpoint for one token, once.

use std::time::Duration;

use crate::airbyte::BaseUrl;

/// Validated settings of the token request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The token endpoint, whole.
    pub url: BaseUrl,
    /// How id and secret are sent.
    pub body: BodyFormat,
    /// TCP and TLS.
    pub connect_timeout: Duration,
    /// The whole attempt.
    pub timeout: Duration,
}

/// How id and secret are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BodyFormat {
    /// `{"client_id":…}`: what Airbyte documents, and what every version takes.
    #[default]
    Json,
    /// `application/x-www-form-urlencoded`: RFC 6749 §4.4.2.
    Form,
}

impl Config {
    /// The defaults, for the token endpoint at `url`.
    pub fn new(url: BaseUrl) -> Self {
        Self {
            url,
            body: BodyFormat::Json,
            connect_timeout: Duration::from_secs(3),
            timeout: Duration::from_secs(10),
        }
    }
}
