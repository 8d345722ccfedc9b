//! One new connection to an origin: DNS, TCP (happy eyeballs), a proxy's tunnel, TLS, ALPN.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tower::Service;

use super::error::{Kind, SendError, find_in, root_cause};
use super::socket::{Heard, Socket};
use crate::airbyte::BaseUrl;
use crate::outbound::{Hop, Outbound};

use super::SetupError;

/// How long Airbyte may leave what was sent unacknowledged, or have no room for more, before a connection counts as dead.
/// Time for six repetitions by TCP.
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED: Duration = Duration::from_secs(20);

/// Dials one origin, always the same way.
#[derive(Debug, Clone)]
pub(super) struct Dialer {
    origin: Uri,
    hop: Option<Hop>,
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    connector: HttpConnector<Resolver>,
    limit: Duration,
    host: String,
}

/// A connection that speaks nothing yet.
#[derive(Debug)]
pub(super) enum Stream {
    Plain(Socket<TcpStream>),
    Tls(Box<TlsStream<Socket<TcpStream>>>),
}

impl Stream {
    pub(super) fn heard(&self) -> Arc<Heard> {
        match self {
            Self::Plain(socket) => socket.heard(),
            Self::Tls(tls) => tls.get_ref().0.heard(),
        }
    }

    /// Whether a write has failed, so that nothing more can be said.
    pub(super) fn is_deaf(&self) -> bool {
        match self {
            Self::Plain(socket) => socket.is_deaf(),
            Self::Tls(tls) => tls.get_ref().0.is_deaf(),
        }
    }

    /// Whether the server chose HTTP/2 (RFC 7301 ALPN).
    pub(super) fn chose_h2(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(tls) => tls.get_ref().1.alpn_protocol() == Some(b"h2"),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_read(cx, buf),
            Self::Tls(tls) => Pin::new(tls).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_write(cx, buf),
            Self::Tls(tls) => Pin::new(tls).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_write_vectored(cx, bufs),
            Self::Tls(tls) => Pin::new(tls).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(socket) => socket.is_write_vectored(),
            Self::Tls(tls) => tls.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_flush(cx),
            Self::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_shutdown(cx),
            Self::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}

impl Dialer {
    pub(super) fn new(
        url: &BaseUrl,
        outbound: &Outbound,
        alpn: &[&[u8]],
        limit: Duration,
    ) -> Result<Self, SetupError> {
        let mut connector = HttpConnector::new_with_resolver(Resolver {
            inner: GaiResolver::new(),
            // Less than the whole, so that a slow resolver is told from a slow server.
            limit: limit * 4 / 5,
        });
        connector.enforce_http(false);
        connector.set_nodelay(true);
        connector.set_keepalive(Some(Duration::from_secs(30)));
        connector.set_keepalive_interval(Some(Duration::from_secs(10)));
        // A network that is gone answers nothing. HTTP/2 notices by its pings; over HTTP/1.1 a request on a kept connection
        // would wait for TCP to give up, which takes a quarter of an hour.
        #[cfg(target_os = "linux")]
        connector.set_tcp_user_timeout(Some(UNACKNOWLEDGED));
        let host = url.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let tls = if url.is_https() {
            let name =
                ServerName::try_from(host.clone()).map_err(|_| SetupError::ServerName(host.clone()))?;
            Some((outbound.tls(alpn), name))
        } else {
            None
        };
        let origin = format!("{}://{}:{}", url.scheme(), url.host(), url.port()).parse().unwrap_or_default();
        Ok(Self { origin, hop: outbound.hop(url)?, tls, connector, limit, host })
    }

    pub(super) async fn dial(&self) -> Result<Stream, SendError> {
        match timeout(self.limit, self.steps()).await {
            Ok(dialled) => dialled,
            Err(_) => Err(SendError::new(
                Kind::ConnectTimeout,
                format!("no connection to {} within {} s", self.host, self.limit.as_secs()),
            )),
        }
    }

    async fn steps(&self) -> Result<Stream, SendError> {
        let tcp = Socket::new(self.tcp().await?);
        let Some((config, name)) = &self.tls else { return Ok(Stream::Plain(tcp)) };
        let tls = TlsConnector::from(Arc::clone(config)).connect(name.clone(), tcp).await;
        let tls = tls.map_err(|error| {
            SendError::new(Kind::Tls, format!("TLS with {} failed: {}", self.host, root_cause(&error)))
        })?;
        Ok(Stream::Tls(Box::new(tls)))
    }

    async fn tcp(&self) -> Result<TcpStream, SendError> {
        let mut connector = self.connector.clone();
        let Some(hop) = &self.hop else {
            let connected = call(&mut connector, self.origin.clone()).await;
            return connected.map(TokioIo::into_inner).map_err(|error| self.explain(&error));
        };
        let mut tunnel = Tunnel::new(hop.uri.clone(), connector);
        if let Some(auth) = &hop.auth {
            tunnel = tunnel.with_auth(auth.clone());
        }
        call(&mut tunnel, self.origin.clone()).await.map(TokioIo::into_inner).map_err(|error| {
            let message =
                format!("the outbound proxy {hop} gave no way to {}: {}", self.host, root_cause(&error));
            SendError::new(Kind::OutboundProxy, message)
        })
    }

    fn explain(&self, error: &(dyn std::error::Error + Send + Sync + 'static)) -> SendError {
        let (host, cause) = (&self.host, root_cause(error));
        match find_in::<DnsError>(error) {
            Some(DnsError::Failed(_)) => {
                SendError::new(Kind::Dns, format!("the name {host} cannot be resolved ({cause})"))
            }
            Some(DnsError::Slow) => {
                SendError::new(Kind::DnsTimeout, format!("the name {host} was not resolved in time"))
            }
            None => SendError::new(Kind::Refused, format!("cannot connect to {host}: {cause}")),
        }
    }
}

async fn call<S: Service<Uri>>(service: &mut S, uri: Uri) -> Result<S::Response, S::Error> {
    poll_fn(|cx| service.poll_ready(cx)).await?;
    service.call(uri).await
}

/// The system's resolver with a limit of its own, and errors that can be told from those of TCP.
#[derive(Debug, Clone)]
struct Resolver {
    inner: GaiResolver,
    limit: Duration,
}

#[derive(Debug, thiserror::Error)]
enum DnsError {
    #[error("name resolution failed")]
    Failed(#[source] io::Error),
    #[error("name resolution took too long")]
    Slow,
}

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = DnsError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, DnsError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), DnsError>> {
        self.inner.poll_ready(cx).map_err(DnsError::Failed)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let resolving = timeout(self.limit, self.inner.call(name));
        Box::pin(async move {
            let addresses = resolving.await.map_err(|_| DnsError::Slow)?.map_err(DnsError::Failed)?;
            Ok(addresses.collect::<Vec<_>>().into_iter())
        })
    }
}
