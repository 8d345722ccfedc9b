//! Upstreams that speak proper HTTP and do as they are told. The simulated Airbyte is for behaviour; bytes are said in
//! `wire` and frames in `frames`.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::{tls, trace};

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
    mints: Arc<AtomicUsize>,
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

/// A body that is sent piece by piece: an error breaks it off, dropping the sender ends it.
pub(crate) fn piecemeal() -> (mpsc::UnboundedSender<std::io::Result<Bytes>>, Body) {
    let (pieces, body) = mpsc::unbounded_channel();
    (pieces, Piecemeal(body).boxed())
}

struct Piecemeal(mpsc::UnboundedReceiver<std::io::Result<Bytes>>);

impl hyper::body::Body for Piecemeal {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<std::io::Result<Frame<Bytes>>>> {
        self.0.poll_recv(cx).map(|piece| piece.map(|bytes| bytes.map(Frame::data)))
    }
}

/// The token answers of [`Upstream`]: valid for a day, a new one each time.
pub(crate) fn token_answer(n: usize) -> Response<Body> {
    trace::secret(&format!("upstream-token-{n}"));
    let body = format!(r#"{{"access_token":"upstream-token-{n}","token_type":"Bearer","expires_in":86400}}"#);
    Response::new(full(body))
}

impl Upstream {
    pub(crate) async fn start<F, R>(speaks: Speaks, handler: F) -> Self
    where
        F: Fn(Request<Incoming>) -> R + Clone + Send + Sync + 'static,
        R: Future<Output = Response<Body>> + Send + 'static,
    {
        let listener = listener().await;
        let addr = listener.local_addr().expect("bound");
        let connections = Arc::new(AtomicUsize::new(0));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let mints = Arc::new(AtomicUsize::new(0));
        let (count, heads, minted) = (Arc::clone(&connections), Arc::clone(&seen), Arc::clone(&mints));
        let task = tokio::spawn(async move {
            loop {
                let Ok((tcp, _)) = listener.accept().await else { return };
                let (handler, count, heads, mints) =
                    (handler.clone(), Arc::clone(&count), Arc::clone(&heads), Arc::clone(&minted));
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
        Self { addr, speaks, connections, mints, seen, task }
    }

    /// The base URL of its API.
    pub(crate) fn api_url(&self) -> String {
        let scheme = if self.speaks == Speaks::Http1 { "http" } else { "https" };
        format!("{scheme}://localhost:{}/v1", self.addr.port())
    }

    /// Its token endpoint.
    pub(crate) fn token_url(&self) -> String {
        format!("{}/applications/token", self.api_url())
    }

    /// Heads of the requests so far, token requests aside.
    pub(crate) fn seen(&self) -> Vec<http::request::Parts> {
        self.seen.lock().expect("lock").clone()
    }

    /// Tokens given out; the n-th is `upstream-token-n`.
    pub(crate) fn mints(&self) -> usize {
        self.mints.load(Ordering::SeqCst)
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// The kernel holds 128 connections that nobody has accepted yet where nothing is said, and refuses to notice the next
/// ones for seconds. An upstream that shares a thread with hundreds of clients needs more.
async fn listener() -> TcpListener {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    rustix::net::listen(&listener, 4096).expect("listening");
    listener
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
