//! Asks the token endpoint for one token, once. `inquiry` asks for whoever looks for a fault, and tells more.
//!
//! The only room that names reqwest. The answer is distrusted: size, type and alphabet are checked before a token
//! becomes a header, and redirects are refused, because a 307 would carry the secret to wherever it points.

mod answer;
mod inquiry;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap};
use reqwest::{RequestBuilder, StatusCode};
use serde_json::json;

pub use inquiry::{Answer, Body, Heard, Inquirer, Silence, Why};

use crate::airbyte::BaseUrl;
use crate::outbound::{Hop, Outbound, UnsupportedProxy};
use crate::secret::ClientCredentials;
use crate::token::{Failure, FailureKind, Minter, Outcome};

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

/// Why no token request can be made at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// See [`UnsupportedProxy`].
    #[error(transparent)]
    Proxy(#[from] UnsupportedProxy),
    /// The HTTP client could not be set up.
    #[error("the client for the token endpoint could not be set up")]
    Client(#[from] reqwest::Error),
}

/// Mints over HTTP.
#[derive(Debug, Clone)]
pub struct HttpMinter {
    client: reqwest::Client,
    config: Config,
    /// The outbound proxy on the way, for whoever looks for a fault.
    via: Option<Hop>,
}

/// Airbyte's answer is some hundred bytes; anything near this is something else.
const MAX_ANSWER: usize = 64 * 1024;

impl HttpMinter {
    /// A client of its own: the token endpoint must be reachable when the data path is saturated.
    pub fn new(config: Config, outbound: &Outbound) -> Result<Self, BuildError> {
        let mut client = reqwest::Client::builder()
            .user_agent(concat!("airbyte-proxy/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .connect_timeout(config.connect_timeout)
            .timeout(config.timeout)
            // Minutes pass between two requests; a kept connection would mostly be a dead one.
            .pool_max_idle_per_host(0)
            .tls_backend_preconfigured(Arc::unwrap_or_clone(outbound.tls(&[b"http/1.1"])))
            .no_proxy();
        let via = outbound.hop(&config.url)?;
        if let Some(hop) = &via {
            let mut proxy = reqwest::Proxy::all(hop.uri.to_string())?;
            if let Some(auth) = &hop.auth {
                proxy = proxy.custom_http_auth(auth.clone());
            }
            client = client.proxy(proxy);
        }
        Ok(Self { client: client.build()?, config, via })
    }

    async fn attempt(&self, credentials: &ClientCredentials) -> Outcome {
        let request = token_request(&self.client, &self.config.url, self.config.body, credentials);
        let (status, headers, body) = exchange(request).await.map_err(|error| self.transport(&error))?;
        let endpoint = &self.config.url;
        answer::read(endpoint, status, &headers, &body, MAX_ANSWER, credentials)
    }

    fn transport(&self, error: &reqwest::Error) -> Failure {
        let endpoint = &self.config.url;
        let message = if error.is_timeout() {
            format!("{endpoint} did not answer within {} s", self.config.timeout.as_secs())
        } else if error.is_connect() {
            let via =
                self.via.as_ref().map_or(String::new(), |hop| format!(" through the outbound proxy {hop}"));
            format!("cannot connect to {endpoint}{via}: {}", root_cause(error))
        } else {
            format!("the answer of {endpoint} broke off: {}", root_cause(error))
        };
        Failure { kind: FailureKind::Transient, retry_after: None, message }
    }
}

impl Minter for HttpMinter {
    fn mint(&self, credentials: Arc<ClientCredentials>) -> Pin<Box<dyn Future<Output = Outcome> + Send>> {
        let minter = self.clone();
        Box::pin(async move { minter.attempt(&credentials).await })
    }
}

fn token_request(
    client: &reqwest::Client,
    url: &BaseUrl,
    format: BodyFormat,
    credentials: &ClientCredentials,
) -> RequestBuilder {
    let (content_type, body) = encode(format, credentials);
    client
        .post(url.to_string())
        .header(ACCEPT, "application/json")
        .header(CONTENT_TYPE, content_type)
        .body(body)
}

/// One request, and its answer up to a little more than [`MAX_ANSWER`].
async fn exchange(request: RequestBuilder) -> Result<(StatusCode, HeaderMap, Vec<u8>), reqwest::Error> {
    let mut response = request.send().await?;
    let (status, headers) = (response.status(), response.headers().clone());
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_ANSWER {
            break;
        }
    }
    Ok((status, headers, body))
}

fn encode(format: BodyFormat, credentials: &ClientCredentials) -> (&'static str, String) {
    let (id, secret) = (&credentials.client_id, credentials.client_secret.expose());
    match format {
        // `grant-type` with a hyphen is how Airbyte documents it; its server does not read it.
        BodyFormat::Json => (
            "application/json",
            json!({"client_id": id, "client_secret": secret, "grant-type": "client_credentials"}).to_string(),
        ),
        BodyFormat::Form => (
            "application/x-www-form-urlencoded",
            form_urlencoded::Serializer::new(String::new())
                .append_pair("grant_type", "client_credentials")
                .append_pair("client_id", id)
                .append_pair("client_secret", secret)
                .finish(),
        ),
    }
}

/// The innermost error is the one that says something ("connection refused"); the outer ones name layers.
fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    #[test]
    fn both_bodies_carry_id_and_secret_whatever_they_contain() {
        let credentials =
            ClientCredentials { client_id: "i d".into(), client_secret: Secret::new("s&\"ü".into()) };
        let (_, json) = encode(BodyFormat::Json, &credentials);
        let parsed: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        assert_eq!(
            (parsed["client_id"].as_str(), parsed["client_secret"].as_str()),
            (Some("i d"), Some("s&\"ü"))
        );
        let (_, form) = encode(BodyFormat::Form, &credentials);
        assert_eq!(form, "grant_type=client_credentials&client_id=i+d&client_secret=s%26%22%C3%BC");
    }
}
