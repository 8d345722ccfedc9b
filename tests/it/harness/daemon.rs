//! The proxy in this process, in front of some upstream.

use std::net::SocketAddr;
use std::sync::Arc;

use airbyte_proxy::airbyte::BaseUrl;
use airbyte_proxy::airbyte::paths::TOKEN_ENDPOINT;
use airbyte_proxy::clock::{Clock, Jitter};
use airbyte_proxy::control::Control;
use airbyte_proxy::mint::{self, HttpMinter};
use airbyte_proxy::outbound::Outbound;
use airbyte_proxy::proxy::{self, Proxy, Shared, upstream};
use airbyte_proxy::secret::{ClientCredentials, Secret};
use airbyte_proxy::server::{Handler, Peer};
use airbyte_proxy::token::{self, Keeper, TokenHandle};
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::tls;

/// A running proxy. Dropping it ends it.
pub(crate) struct Daemon {
    pub(crate) addr: SocketAddr,
    pub(crate) tokens: TokenHandle,
    client: reqwest::Client,
    _tasks: JoinSet<()>,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Got {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|v| v.to_str().ok())
    }

    /// The last part of a problem's `type`.
    pub(crate) fn problem(&self) -> String {
        let json = self.json();
        let kind = json["type"].as_str().unwrap_or_default();
        kind.rsplit(':').next().unwrap_or_default().to_owned()
    }
}

/// How the proxy is to be.
pub(crate) struct Settings {
    pub(crate) upstream: upstream::Config,
    pub(crate) proxy: proxy::Config,
    pub(crate) clock: Clock,
    pub(crate) credentials: ClientCredentials,
}

pub(crate) fn settings(api_url: &str) -> Settings {
    let mut upstream = upstream::Config::new(BaseUrl::parse(api_url).expect("a URL"));
    upstream.ca_file = Some(tls::ca_file());
    upstream.proxy = upstream::OutboundProxy::None;
    Settings {
        upstream,
        proxy: proxy::Config::default(),
        clock: Clock::system(),
        credentials: ClientCredentials {
            client_id: "id".into(),
            client_secret: Secret::new("secret".into()),
        },
    }
}

/// The proxy with its defaults in front of `api_url`.
pub(crate) async fn daemon(api_url: &str) -> Daemon {
    start(settings(api_url)).await
}

pub(crate) async fn start(settings: Settings) -> Daemon {
    let url = &settings.upstream.api_url;
    let outbound = Outbound::new(&[url], settings.upstream.ca_file.as_deref(), &settings.upstream.proxy);
    let outbound = outbound.expect("outbound");
    let minter = HttpMinter::new(mint::Config::new(url.join(TOKEN_ENDPOINT)), &outbound).expect("minter");
    let (keeper, tokens) =
        Keeper::new(token::Config::default(), settings.clock, Jitter::seeded(1), Arc::new(minter));
    tokens.credentials(settings.credentials);
    let resumed = keeper.resumed();
    let shared = Arc::new(Shared::new(&settings.proxy, tokens.clone(), Control));
    let proxy = Proxy::new(shared, &settings.upstream, &outbound, &resumed).expect("proxy");
    let mut tasks = JoinSet::new();
    tasks.spawn(keeper.run());
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addr = listener.local_addr().expect("bound");
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((tcp, remote)) = listener.accept().await {
            let proxy = proxy.clone();
            connections.spawn(async move {
                let peer = Peer::Tcp { remote, local: remote };
                let service = hyper::service::service_fn(move |request| {
                    let (proxy, peer) = (proxy.clone(), peer.clone());
                    async move { Ok::<_, std::convert::Infallible>(proxy.handle(&peer, request).await) }
                });
                let _ = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(tcp), service)
                    .await;
            });
        }
    });
    let nobody = Outbound::new(&[], None, &upstream::OutboundProxy::None).expect("outbound");
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(Arc::unwrap_or_clone(nobody.tls(&[])))
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .expect("client");
    Daemon { addr, tokens, client, _tasks: tasks }
}

impl Daemon {
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, self.url(path))
    }

    pub(crate) async fn get(&self, path: &str) -> Got {
        got(self.request(Method::GET, path)).await
    }

    /// Writes `bytes` on a new connection and reads until it is closed.
    pub(crate) async fn raw(&self, bytes: &[u8]) -> String {
        let mut tcp = TcpStream::connect(self.addr).await.expect("connected");
        tcp.write_all(bytes).await.expect("written");
        let mut answer = Vec::new();
        // A reset after the answer is an answer too.
        let _ = tcp.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    }
}

/// Sends and reads the answer whole.
pub(crate) async fn got(request: reqwest::RequestBuilder) -> Got {
    try_got(request).await.expect("a whole answer")
}

pub(crate) async fn try_got(request: reqwest::RequestBuilder) -> reqwest::Result<Got> {
    let response = request.send().await?;
    let (status, headers) = (response.status(), response.headers().clone());
    Ok(Got { status, headers, body: response.bytes().await? })
}
