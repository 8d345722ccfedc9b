//! The proxy in this process, in front of some upstream.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;

use airbyte_proxy::airbyte::BaseUrl;
use airbyte_proxy::airbyte::paths::TOKEN_ENDPOINT;
use airbyte_proxy::app::App;
use airbyte_proxy::clock::Clock;
use airbyte_proxy::config::Config;
use airbyte_proxy::outbound::Outbound;
use airbyte_proxy::proxy::{self, upstream};
use airbyte_proxy::secret::{ClientCredentials, Half, Origin, Secret, Source, Trusted};
use airbyte_proxy::server::{self, Listen, Stop};
use airbyte_proxy::token::{self, TokenHandle};
use airbyte_proxy::{guard, mint, telemetry};
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use tokio::task::{JoinHandle, JoinSet};

use super::talk::{Talk, soon};
use super::{tls, trace};

/// A running proxy. Dropping it ends it.
pub(crate) struct Daemon {
    pub(crate) addr: SocketAddr,
    /// Where it answers probes alone.
    pub(crate) probes: Option<SocketAddr>,
    pub(crate) tokens: TokenHandle,
    stop: Stop,
    client: reqwest::Client,
    _task: JoinSet<()>,
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
    pub(crate) guard: guard::Config,
    pub(crate) clock: Clock,
    pub(crate) credentials: ClientCredentials,
    pub(crate) mint: mint::Config,
    pub(crate) workers: NonZeroUsize,
    pub(crate) probes: Vec<Listen>,
}

pub(crate) fn settings(api_url: &str) -> Settings {
    let mut upstream = upstream::Config::new(BaseUrl::parse(api_url).expect("a URL"));
    upstream.ca_file = Some(tls::ca_file());
    upstream.proxy = upstream::OutboundProxy::None;
    // Tests count connections.
    upstream.warm = false;
    let mint = mint::Config::new(upstream.api_url.join(TOKEN_ENDPOINT));
    Settings {
        upstream,
        mint,
        workers: NonZeroUsize::MIN,
        probes: Vec::new(),
        proxy: proxy::Config::default(),
        guard: guard::Config::default(),
        clock: Clock::system(),
        credentials: ClientCredentials {
            client_id: "id".into(),
            client_secret: Secret::new("the-client-secret-of-the-harness".into()),
        },
    }
}

/// The proxy with its defaults in front of `api_url`.
pub(crate) async fn daemon(api_url: &str) -> Daemon {
    start(settings(api_url)).await
}

pub(crate) async fn start(settings: Settings) -> Daemon {
    trace::install();
    trace::secret(settings.credentials.client_secret.expose());
    let config = Config {
        name: None,
        server: server::Config {
            listen: vec![Listen::Tcp(([127, 0, 0, 1], 0).into())],
            workers: settings.workers,
            ..server::Config::default()
        },
        probes: settings.probes,
        proxy: settings.proxy,
        guard: settings.guard,
        allow_quit: false,
        keys: None,
        mint: settings.mint,
        upstream: settings.upstream,
        token: token::Config::default(),
        log: telemetry::Config::default(),
    };
    let half = |value| Half { place: "test".to_owned(), origin: Origin::Value(value) };
    let ClientCredentials { client_id, client_secret } = settings.credentials;
    let source = Source::new(half(Secret::new(client_id)), half(client_secret), Trusted::default());
    let stop = Stop::new();
    let app = App::bind(&config, source, settings.clock, stop.clone()).await.expect("started");
    let Some(Listen::Tcp(addr)) = app.addresses().pop() else { panic!("a TCP address") };
    let probes = app.probe_addresses().into_iter().find_map(|one| match one {
        Listen::Tcp(address) => Some(address),
        Listen::Unix(_) => None,
    });
    let tokens = app.tokens().clone();
    let nobody = Outbound::new(&[], None, &upstream::OutboundProxy::None).expect("outbound");
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(Arc::unwrap_or_clone(nobody.tls(&[])))
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .expect("client");
    let mut task = JoinSet::new();
    task.spawn(async move {
        let _ = app.run(Arc::default()).await;
    });
    Daemon { addr, probes, tokens, stop, client, _task: task }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.stop.abort();
    }
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

    /// Asks the listener for probes.
    pub(crate) async fn probe(&self, method: Method, path: &str) -> Got {
        let probes = self.probes.expect("a listener for probes");
        got(self.client.request(method, format!("http://{probes}{path}"))).await
    }

    /// Begins the end; requests in flight are finished.
    pub(crate) fn drain(&self) {
        self.stop.drain();
    }

    /// Returns once the keeper has dealt with everything it was told so far. Before a test moves the clock: what the
    /// keeper hears after that happened later.
    pub(crate) async fn heard(&self) {
        // It takes one message after the other, and refuses this one at once.
        assert!(soon(self.tokens.renewed(u64::MAX)).await.is_err());
    }

    /// A connection of its own, in the test's hands.
    pub(crate) async fn talk(&self) -> Talk {
        Talk::with(self.addr).await
    }

    /// Asks on a connection of its own, and does not wait for the answer.
    pub(crate) async fn ask(&self, head: &str) -> Talk {
        let mut talk = self.talk().await;
        talk.say(format!("{head}\r\nhost: localhost\r\n\r\n")).await;
        talk
    }

    /// The request in a task of its own.
    pub(crate) fn begin(&self, method: Method, path: &str) -> JoinHandle<Got> {
        tokio::spawn(got(self.request(method, path)))
    }
}

/// Sends and reads the answer whole.
pub(crate) async fn got(request: reqwest::RequestBuilder) -> Got {
    soon(try_got(request)).await.expect("a whole answer")
}

pub(crate) async fn try_got(request: reqwest::RequestBuilder) -> reqwest::Result<Got> {
    let response = request.send().await?;
    let (status, headers) = (response.status(), response.headers().clone());
    Ok(Got { status, headers, body: response.bytes().await? })
}
