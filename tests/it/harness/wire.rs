//! An upstream whose every byte the test itself says and hears. Its token endpoint is elsewhere and always works.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use airbyte_proxy::airbyte::BaseUrl;
use airbyte_proxy::proxy::upstream::HttpVersion;
use http::Response;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::daemon::{Daemon, Settings, settings, start};
use super::frames::Frames;
use super::talk::{Talk, soon};
use super::tls;
use super::upstream::{Speaks, Upstream, full};

pub(crate) struct Wire {
    listener: TcpListener,
    pub(crate) addr: SocketAddr,
    scheme: &'static str,
    pub(crate) tokens: Upstream,
}

impl Wire {
    pub(crate) async fn listen() -> Self {
        Self::of("http").await
    }

    /// TLS with the test's authority, for [`accept_tls`](Self::accept_tls).
    pub(crate) async fn listen_tls() -> Self {
        Self::of("https").await
    }

    async fn of(scheme: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let addr = listener.local_addr().expect("bound");
        let tokens = Upstream::start(Speaks::Http1, |_| async { Response::new(full("not an API")) }).await;
        Self { listener, addr, scheme, tokens }
    }

    pub(crate) fn settings(&self) -> Settings {
        let mut settings = settings(&format!("{}://localhost:{}/v1", self.scheme, self.addr.port()));
        settings.mint.url = BaseUrl::parse(&self.tokens.token_url()).expect("a URL");
        settings
    }

    /// Like [`settings`](Self::settings), with tokens from an endpoint that is in the test's hands as well.
    pub(crate) fn settings_minting_at(&self, endpoint: &Self) -> Settings {
        let mut settings = self.settings();
        settings.mint.url = endpoint.settings().upstream.api_url;
        settings
    }

    /// Like [`settings`](Self::settings), speaking HTTP/2 by prior knowledge.
    pub(crate) fn h2_settings(&self) -> Settings {
        let mut settings = self.settings();
        settings.upstream.http = HttpVersion::Http2;
        settings
    }

    pub(crate) async fn daemon(&self) -> Daemon {
        start(self.settings()).await
    }

    pub(crate) async fn accept(&self) -> Talk {
        Talk::over(self.accept_tcp().await)
    }

    /// A connection that waits for its TLS handshake.
    pub(crate) async fn accept_tcp(&self) -> TcpStream {
        let (tcp, _) = soon(self.listener.accept()).await.expect("accepted");
        tcp.set_nodelay(true).expect("nodelay");
        tcp
    }

    /// The server's part of it.
    pub(crate) async fn handshake(tcp: TcpStream, config: &Arc<ServerConfig>) -> io::Result<Talk> {
        soon(TlsAcceptor::from(Arc::clone(config)).accept(tcp)).await.map(Talk::over)
    }

    pub(crate) async fn accept_tls(&self) -> Talk {
        Self::handshake(self.accept_tcp().await, &tls::server(false)).await.expect("a handshake")
    }

    /// The next connection, in HTTP/2 with default settings.
    pub(crate) async fn accept_h2(&self) -> Frames {
        Frames::start(self.accept().await, &[]).await
    }

    /// Refuses connections from now on. Tokens can still be had from what is returned.
    pub(crate) fn refuse(self) -> Upstream {
        self.tokens
    }

    /// Whether somebody has connected who was not accepted yet.
    pub(crate) async fn somebody_waits(&self) -> bool {
        tokio::select! {
            biased;
            _ = self.listener.accept() => true,
            () = std::future::ready(()) => false,
        }
    }
}
