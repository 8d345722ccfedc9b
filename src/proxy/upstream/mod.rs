//! Connections to Airbyte, and one request over them.

mod connection;
mod cork;
mod deadline;
mod dial;
mod error;
mod http1;
mod http2;
mod pool;
mod relay;
#[cfg(test)]
mod slow;
mod socket;

use std::future::poll_fn;
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri, Version, header};
use tokio::sync::watch;

use self::connection::{Connection, Failed, Received, Sending};
use self::deadline::{Deadline, Timers};
pub(crate) use self::error::{Kind, SendError};
use self::pool::Pool;
use self::relay::Upload;
pub(crate) use self::relay::{Relay, RelayError};
use super::replay::{Attempt, ClientBodyError, Source};
use crate::airbyte::BaseUrl;
use crate::clock::Now;
use crate::outbound::{Outbound, UnsupportedProxy};
pub use crate::outbound::{OutboundProxy, ProxyUrl};
use crate::token::{Lease, TokenHandle};

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
    /// Whether the first connection is made at start, so that the first request need not wait for it. Not a setting:
    /// only a test that counts connections has a reason to go without.
    pub warm: bool,
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
            warm: true,
        }
    }
}

/// Why an upstream cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// See [`UnsupportedProxy`].
    #[error(transparent)]
    Proxy(#[from] UnsupportedProxy),
    /// An https host that no certificate can name.
    #[error("\"{0}\" is no name that a certificate can be checked against")]
    ServerName(String),
}

/// One origin, as one worker sees it.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    pool: Arc<Pool>,
    timers: Arc<Timers>,
    url: BaseUrl,
    host: HeaderValue,
    response_timeout: Duration,
    body_idle_timeout: Duration,
    warm: bool,
}

/// A request without its token.
#[derive(Debug, Clone)]
pub(crate) struct Outgoing {
    pub(crate) method: Method,
    pub(crate) target: PathAndQuery,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Source,
}

/// How long an upload waits for upstream to take more of it.
const NO_ROOM: Duration = Duration::from_secs(600);
/// Attempts that may be made while nothing has been processed.
const MAX_ATTEMPTS: u32 = 3;

impl Origin {
    pub(crate) fn new(
        url: &BaseUrl,
        config: &Config,
        outbound: &Outbound,
        resumed: watch::Receiver<u64>,
    ) -> Result<Self, SetupError> {
        let alpn: &[&[u8]] = match config.http {
            HttpVersion::Auto => &[b"h2", b"http/1.1"],
            HttpVersion::Http1 => &[b"http/1.1"],
            HttpVersion::Http2 => &[b"h2"],
        };
        let dialer = dial::Dialer::new(url, outbound, alpn, config.connect_timeout)?;
        let prior_knowledge = config.http == HttpVersion::Http2;
        let host = HeaderValue::from_str(url.authority().as_str())
            .map_err(|_| SetupError::ServerName(url.host().to_owned()))?;
        Ok(Self {
            pool: Pool::new(dialer, prior_knowledge, config.idle_timeout, config.max_age, resumed),
            timers: Arc::default(),
            url: url.clone(),
            host,
            response_timeout: config.response_timeout,
            body_idle_timeout: config.body_idle_timeout,
            warm: config.warm,
        })
    }

    /// The same origin with connections of its own.
    pub(crate) fn with_own_pool(&self) -> Self {
        Self { pool: self.pool.another(), timers: Arc::default(), ..self.clone() }
    }

    pub(crate) fn url(&self) -> &BaseUrl {
        &self.url
    }

    /// Makes the first connection before anybody asks.
    pub(crate) fn warm(&self) {
        if self.warm {
            self.pool.warm();
        }
    }

    /// Sends `request` with the token of `lease`, or of a later one, which is then in `lease`, if a connection took so
    /// long that it has died. It is `now`.
    ///
    /// Sent again only while upstream provably has not begun to process it, or once if it is idempotent, has no body,
    /// and was lost on a connection that had served before (RFC 9110 §9.2.2).
    pub(crate) async fn send(
        &self,
        request: &Outgoing,
        lease: &mut Lease,
        mut now: Now,
        tokens: &TokenHandle,
    ) -> Result<Response<Relay>, SendError> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            let mut connection;
            (connection, now) = self.pool.checkout(now, tokens.clock()).await?;
            if !lease.is_live(now) {
                *lease = tokens.acquire().await.map_err(|error| {
                    let message = error.to_string();
                    SendError::new(Kind::Token(error), message)
                })?;
                // That may have taken long.
                if attempts < MAX_ATTEMPTS && self.pool.has_ended(&mut connection) {
                    now = tokens.now();
                    continue;
                }
            }
            // In a statement of its own, or what is moved out of it would be kept while the answer is awaited.
            let sending = match self.begin(request, connection, lease) {
                Ok(sent) => sent,
                Err(failed) => {
                    begin_again(request, failed, attempts)?;
                    now = tokens.now();
                    continue;
                }
            };
            match self.await_head(pin!(sending), &request.body).await? {
                Ok(response) => return Ok(self.relay(response, &request.body)),
                Err(failed) => begin_again(request, failed, attempts)?,
            }
            now = tokens.now();
        }
    }

    /// Puts `request` on its way.
    fn begin(&self, request: &Outgoing, connection: Connection, lease: &Lease) -> Result<Sending, Failed> {
        match connection {
            Connection::H1(h1) => Ok(Sending::H1(h1.send(request, &self.host, lease.authorization()))),
            Connection::H2(h2, share) => h2.send(self.stream(request, lease), share).map(Sending::H2),
        }
    }

    /// A request as a stream of HTTP/2 has it.
    fn stream(&self, request: &Outgoing, lease: &Lease) -> Request<Attempt> {
        let mut built = Request::new(request.body.attempt());
        *built.method_mut() = request.method.clone();
        *built.headers_mut() = request.headers.clone();
        built.headers_mut().insert(header::AUTHORIZATION, lease.authorization().clone());
        let mut uri = http::uri::Parts::default();
        uri.path_and_query = Some(request.target.clone());
        // Becomes :scheme and :authority (RFC 9113 §8.3.1); a Host field beside them could only contradict.
        uri.scheme = Some(self.url.scheme().clone());
        uri.authority = Some(self.url.authority().clone());
        *built.version_mut() = Version::HTTP_2;
        // All three parts were parsed before, and together they are complete.
        *built.uri_mut() = Uri::from_parts(uri).unwrap_or_default();
        built
    }

    /// Waits for the head of the response. The clock runs while nothing moves: an upload may take any time.
    ///
    /// By reference: it is the largest part of a request, and would be in here twice.
    async fn await_head<T>(
        &self,
        mut sending: Pin<&mut impl Future<Output = T>>,
        body: &Source,
    ) -> Result<T, SendError> {
        let mut seen = body.progress();
        let mut deadline = Deadline::new(&self.timers, self.response_timeout);
        poll_fn(|cx| {
            if let Poll::Ready(head) = sending.as_mut().poll(cx) {
                return Poll::Ready(Ok(head));
            }
            loop {
                ready!(deadline.poll(cx));
                let moved = body.progress();
                if moved == seen {
                    let seconds = self.response_timeout.as_secs();
                    let message = format!("{} did not answer within {seconds} s", self.url.host());
                    return Poll::Ready(Err(SendError::new(Kind::ResponseTimeout, message)));
                }
                seen = moved;
            }
        })
        .await
    }

    fn relay(&self, response: Response<Received>, sent: &Source) -> Response<Relay> {
        let failed = response.status().is_client_error() || response.status().is_server_error();
        let upload = (!sent.is_empty()).then(|| Upload { rest: sent.clone(), wanted: !failed });
        response.map(|body| Relay::new(body, Arc::clone(&self.pool), upload, self.body_idle_timeout))
    }
}

/// As RFC 9110 §8.6 asks of methods whose content means something.
fn says_its_length(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::DELETE | Method::CONNECT)
}

/// Gives back the error, unless the request may be sent again.
fn begin_again(request: &Outgoing, failed: Failed, attempts: u32) -> Result<(), SendError> {
    match request.body.failure() {
        Some(error @ ClientBodyError::Idle) => {
            return Err(SendError::new(Kind::ClientBodyIdle, error.to_string()));
        }
        Some(error) => return Err(SendError::new(Kind::ClientBodyBroken, error.to_string())),
        None => {}
    }
    request.body.withdraw();
    if may_send_again(request, &failed, attempts) { Ok(()) } else { Err(failed.error) }
}

fn may_send_again(request: &Outgoing, failed: &Failed, attempts: u32) -> bool {
    if failed.unprocessed {
        return attempts < MAX_ATTEMPTS && request.body.can_replay();
    }
    failed.reused
        && attempts == 1
        && failed.error.kind == Kind::Closed
        && request.method.is_idempotent()
        && request.body.is_empty()
}
