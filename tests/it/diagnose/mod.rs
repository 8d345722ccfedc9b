//! `doctor` and `init`, through the built binary.
//!
//! * `broken`: set-ups that do not work, and the remedy that is named for each
//! * `report`: how it is told
//! * `init`: a conversation, and what it leaves behind

#![cfg(target_os = "linux")]

mod broken;
mod init;
mod keyring;
mod report;

use airbyte_proxy::demo::Simulator;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::harness::process::{Ended, Start, airbyte_proxy};
use crate::harness::tls;

/// `doctor` with the credentials of `airbyte` and a listener that is free, and nothing else.
fn doctor(arguments: &str, airbyte: &Simulator) -> Start {
    airbyte_proxy(&format!("doctor {arguments}"))
        .env("AIRBYTE_PROXY_LISTEN", "127.0.0.1:0")
        .env("AIRBYTE_PROXY_LOG_LEVEL", "info")
        .credentials(&airbyte.credentials())
}

/// The same, configured for `api_url`.
fn configured(api_url: &str, airbyte: &Simulator) -> Start {
    doctor(&format!("--upstream-api-url={api_url}"), airbyte)
}

/// What it said, as one line: how it is broken into lines is not what is looked for.
fn flowing(ended: &Ended) -> String {
    ended.stdout.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The last word begins so, and the settings to write are these.
fn told(ended: &Ended, wrong: &str, settings: &[&str]) {
    assert_eq!(ended.code, Some(1), "{}{}", ended.stdout, ended.stderr);
    let text = flowing(ended);
    assert!(text.contains(&format!("wrong: {wrong}")), "{wrong}\nis not in\n{}", ended.stdout);
    let named: Vec<_> = ended.stdout.lines().filter(|line| line.contains(" = ")).map(str::trim).collect();
    assert_eq!(named, settings, "{}", ended.stdout);
}

/// An Airbyte over TLS at `localhost`, by our own authority.
struct Encrypted {
    port: u16,
    task: JoinHandle<()>,
}

impl Encrypted {
    async fn of(airbyte: &Simulator) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let (acceptor, router) = (TlsAcceptor::from(tls::server(false)), airbyte.router());
        let task = tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let (acceptor, router) = (acceptor.clone(), router.clone());
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(tcp).await else { return };
                    let service = TowerToHyperService::new(router);
                    let http = hyper::server::conn::http1::Builder::new();
                    let _ = http.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { port, task }
    }
}

impl Drop for Encrypted {
    fn drop(&mut self) {
        self.task.abort();
    }
}
