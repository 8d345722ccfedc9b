//! The upstream, in a process of its own: TLS, HTTP/2 and HTTP/1.1 by ALPN, a token endpoint, and answers of known bytes
//! for whoever shows a live token.

mod answers;
mod delay;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use self::answers::Answers;
use crate::child::Role;
use crate::words::{heard, tell};
use crate::{Result, authority};

pub(crate) const ROLE: &str = "role-upstream";
pub(crate) const CLIENT_ID: &str = "benchmark";
pub(crate) const CLIENT_SECRET: &str = "benchmark-secret";

/// As many streams as servers usually allow, so that 512 requests need more than one connection.
const STREAMS: u32 = 128;

/// How it is to be.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Plan {
    /// Where the certificate is.
    pub(crate) folder: PathBuf,
    /// Whether HTTP/2 is offered.
    pub(crate) h2: bool,
    /// How long tokens live.
    pub(crate) life: Duration,
    /// A token that is always good, for proxies that cannot ask for one.
    pub(crate) fixed: String,
    /// A pretended distance.
    pub(crate) round_trip: Duration,
}

/// What it has seen.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Seen {
    pub(crate) requests: u64,
    pub(crate) connections: u64,
    pub(crate) h2_connections: u64,
    /// When a token was given, in µs of Unix time.
    pub(crate) mints: Vec<u64>,
    /// Requests that a real upstream would have refused, and why the first.
    pub(crate) violations: u64,
    pub(crate) first_violation: Option<String>,
}

/// The upstream, as the one who started it sees it.
pub(crate) struct Upstream {
    role: Role,
    pub(crate) port: u16,
}

impl Upstream {
    pub(crate) async fn start(plan: &Plan, cores: &[u32]) -> Result<Self> {
        let mut role = Role::start(ROLE, plan, cores)?;
        let port = role.hear(Duration::from_secs(10)).await?;
        Ok(Self { role, port })
    }

    pub(crate) async fn seen(&mut self) -> Result<Seen> {
        self.role.say("seen").await?;
        self.role.hear(Duration::from_secs(10)).await
    }
}

/// Serves until standard input ends.
pub(crate) async fn run(plan: Plan) -> Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let port = listener.local_addr()?.port();
    // Names mean both families; a proxy that tries the other one first must not wait.
    let other = TcpListener::bind(SocketAddr::from(([0u16, 0, 0, 0, 0, 0, 0, 1], port))).await.ok();
    let alpn: &[&str] = if plan.h2 { &["h2", "http/1.1"] } else { &["http/1.1"] };
    let tls = TlsAcceptor::from(Arc::new(authority::server(&plan.folder, alpn)?));
    let distance = plan.round_trip / 2;
    let answers = Arc::new(Answers::new(plan, port));
    for listener in std::iter::once(listener).chain(other) {
        tokio::spawn(accept(listener, tls.clone(), Arc::clone(&answers), distance));
    }
    tell(&port)?;
    let mut words = heard();
    while words.recv().await.is_some() {
        tell(&answers.seen())?;
    }
    Ok(())
}

async fn accept(listener: TcpListener, tls: TlsAcceptor, answers: Arc<Answers>, distance: Duration) {
    loop {
        let Ok((tcp, _)) = listener.accept().await else { continue };
        let _ = tcp.set_nodelay(true);
        tokio::spawn(connection(tcp, tls.clone(), Arc::clone(&answers), distance));
    }
}

async fn connection(tcp: TcpStream, tls: TlsAcceptor, answers: Arc<Answers>, distance: Duration) {
    if distance.is_zero() {
        serve(tcp, tls, answers).await;
    } else {
        serve(delay::delayed(tcp, distance), tls, answers).await;
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    tls: TlsAcceptor,
    answers: Arc<Answers>,
) {
    let Ok(stream) = tls.accept(stream).await else { return };
    let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    answers.connections.fetch_add(1, Ordering::Relaxed);
    answers.h2_connections.fetch_add(u64::from(h2), Ordering::Relaxed);
    let service = service_fn(|request| {
        let answers = Arc::clone(&answers);
        async move { answers.answer(request).await }
    });
    // However a connection ends, whoever used it knows better why.
    if h2 {
        let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        builder.max_concurrent_streams(STREAMS);
        let _ = builder.serve_connection(TokioIo::new(stream), service).await;
    } else {
        let _ =
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
    }
}
