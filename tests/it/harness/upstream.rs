//! Upstreams that do as they are told, down to the byte. The simulated Airbyte is for behaviour; these are for HTTP.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::tls;

pub(crate) type Body = BoxBody<Bytes, std::io::Error>;

/// Which HTTP an upstream speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speaks {
    Http1,
    Http2Tls,
    Http1Tls,
}

/// An upstream with a token endpoint that always works, and a handler for everything else.
pub(crate) struct Upstream {
    pub(crate) addr: SocketAddr,
    pub(crate) speaks: Speaks,
    connections: Arc<AtomicUsize>,
    seen: Arc<Mutex<Vec<http::request::Parts>>>,
    task: JoinHandle<()>,
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A whole body.
pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never: Infallible| match never {}).boxed()
}

/// The token answers of [`Upstream`]: valid for a day, a new one each time.
pub(crate) fn token_answer(n: usize) -> Response<Body> {
    let body = format!(r#"{{"access_token":"upstream-token-{n}","token_type":"Bearer","expires_in":86400}}"#);
    Response::new(full(body))
}

impl Upstream {
    pub(crate) async fn start<F, R>(speaks: Speaks, handler: F) -> Self
    where
        F: Fn(Request<Incoming>) -> R + Clone + Send + Sync + 'static,
        R: Future<Output = Response<Body>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let addr = listener.local_addr().expect("bound");
        let connections = Arc::new(AtomicUsize::new(0));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let mints = Arc::new(AtomicUsize::new(0));
        let (count, heads) = (Arc::clone(&connections), Arc::clone(&seen));
        let task = tokio::spawn(async move {
            loop {
                let Ok((tcp, _)) = listener.accept().await else { return };
                let (handler, count, heads, mints) =
                    (handler.clone(), Arc::clone(&count), Arc::clone(&heads), Arc::clone(&mints));
                let service = service_fn(move |request: Request<Incoming>| {
                    let (handler, heads, mints) = (handler.clone(), Arc::clone(&heads), Arc::clone(&mints));
                    async move {
                        if request.uri().path().ends_with("/applications/token") {
                            return Ok::<_, Infallible>(token_answer(
                                mints.fetch_add(1, Ordering::SeqCst) + 1,
                            ));
                        }
                        let (head, body) = request.into_parts();
                        heads.lock().expect("lock").push(head.clone());
                        Ok(handler(Request::from_parts(head, body)).await)
                    }
                });
                tokio::spawn(async move {
                    count.fetch_add(1, Ordering::SeqCst);
                    serve(speaks, tcp, service).await;
                });
            }
        });
        Self { addr, speaks, connections, seen, task }
    }

    /// The base URL of its API.
    pub(crate) fn api_url(&self) -> String {
        let scheme = if self.speaks == Speaks::Http1 { "http" } else { "https" };
        format!("{scheme}://localhost:{}/v1", self.addr.port())
    }

    /// Heads of the requests so far, token requests aside.
    pub(crate) fn seen(&self) -> Vec<http::request::Parts> {
        self.seen.lock().expect("lock").clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

async fn serve<S>(speaks: Speaks, tcp: TcpStream, service: S)
where
    S: hyper::service::Service<Request<Incoming>, Response = Response<Body>, Error = Infallible>
        + Clone
        + 'static,
    S: Send,
    S::Future: Send,
{
    match speaks {
        Speaks::Http1 => {
            let _ =
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(tcp), service).await;
        }
        Speaks::Http1Tls | Speaks::Http2Tls => {
            let h2 = speaks == Speaks::Http2Tls;
            let acceptor = TlsAcceptor::from(tls::server(h2));
            let Ok(stream) = acceptor.accept(tcp).await else { return };
            if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                let _ = builder.serve_connection(TokioIo::new(stream), service).await;
            } else {
                let _ = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            }
        }
    }
}

/// An HTTP/1.1 upstream whose answers are given byte by byte. Token requests are answered properly.
pub(crate) struct RawUpstream {
    pub(crate) addr: SocketAddr,
    requests: Arc<AtomicUsize>,
    connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Drop for RawUpstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What a raw upstream does with the n-th request it gets (from 1).
#[derive(Debug, Clone)]
pub(crate) enum Then {
    /// Writes this and keeps the connection.
    Say(&'static [u8]),
    /// Writes this and closes.
    SayAndClose(&'static [u8]),
    /// Closes without a word.
    Close,
}

impl RawUpstream {
    /// `script` decides by the number of the request; token requests do not count.
    pub(crate) async fn start(script: impl Fn(usize) -> Then + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let addr = listener.local_addr().expect("bound");
        let (requests, connections) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (n, c, script) = (Arc::clone(&requests), Arc::clone(&connections), Arc::new(script));
        let task = tokio::spawn(async move {
            loop {
                let Ok((tcp, _)) = listener.accept().await else { return };
                c.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(converse(tcp, Arc::clone(&n), Arc::clone(&script)));
            }
        });
        Self { addr, requests, connections, task }
    }

    pub(crate) fn api_url(&self) -> String {
        format!("http://{}/v1", self.addr)
    }

    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

async fn converse(mut tcp: TcpStream, requests: Arc<AtomicUsize>, script: Arc<impl Fn(usize) -> Then>) {
    let mut buffer = Vec::new();
    loop {
        let end = loop {
            if let Some(at) = buffer.windows(4).position(|w| w == b"\r\n\r\n") {
                break at + 4;
            }
            let mut chunk = [0; 4096];
            match tcp.read(&mut chunk).await {
                Ok(0) | Err(_) => return,
                Ok(n) => buffer.extend_from_slice(&chunk[..n]),
            }
        };
        let head = String::from_utf8_lossy(&buffer[..end]).to_ascii_lowercase();
        buffer.drain(..end);
        if head.starts_with("post /v1/applications/token") {
            let length = head.split("content-length: ").nth(1).and_then(|r| r.split("\r\n").next());
            let length: usize = length.and_then(|l| l.parse().ok()).expect("a length");
            while buffer.len() < length {
                let mut chunk = [0; 4096];
                let n = tcp.read(&mut chunk).await.expect("body");
                buffer.extend_from_slice(&chunk[..n]);
            }
            buffer.drain(..length);
            let body = r#"{"access_token":"raw-upstream-token","token_type":"Bearer","expires_in":86400}"#;
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            if tcp.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
            continue;
        }
        match script(requests.fetch_add(1, Ordering::SeqCst) + 1) {
            Then::Say(bytes) => {
                if tcp.write_all(bytes).await.is_err() {
                    return;
                }
            }
            Then::SayAndClose(bytes) => {
                let _ = tcp.write_all(bytes).await;
                return;
            }
            Then::Close => return,
        }
    }
}
