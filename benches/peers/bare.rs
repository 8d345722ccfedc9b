//! A relay that is hyper and nothing else: what any proxy costs that is built on it. No guard, no limits, no log, no
//! renewal, no way to recover; one thread, one HTTP/2 connection for every 100 requests at the same time.

use std::cell::RefCell;
use std::path::PathBuf;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, Uri, header};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{Result, authority};

pub(crate) const ROLE: &str = "role-relay";

const STREAMS: usize = 100;

/// Where it listens and whom it asks.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) folder: PathBuf,
    pub(crate) port: u16,
    pub(crate) upstream: u16,
    pub(crate) h2: bool,
    pub(crate) token: String,
}

type Idle = Rc<RefCell<Vec<http1::SendRequest<Incoming>>>>;

struct Relay {
    plan: Plan,
    tls: TlsConnector,
    authorization: HeaderValue,
    host: HeaderValue,
    idle: Idle,
    streams: RefCell<Vec<(http2::SendRequest<Incoming>, Rc<()>)>>,
}

/// Serves until it is ended.
pub(crate) async fn run(plan: Plan) -> Result<()> {
    let mut config = authority::client(&plan.folder)?;
    config.alpn_protocols = vec![if plan.h2 { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
    let listener = TcpListener::bind(("127.0.0.1", plan.port)).await?;
    let relay = Rc::new(Relay {
        tls: TlsConnector::from(Arc::new(config)),
        authorization: HeaderValue::try_from(format!("Bearer {}", plan.token))?,
        host: HeaderValue::try_from(format!("localhost:{}", plan.upstream))?,
        idle: Idle::default(),
        streams: RefCell::default(),
        plan,
    });
    LocalSet::new()
        .run_until(async move {
            loop {
                let Ok((tcp, _)) = listener.accept().await else { continue };
                let _ = tcp.set_nodelay(true);
                let relay = Rc::clone(&relay);
                tokio::task::spawn_local(async move {
                    let service = service_fn(|request| relay.answer(request));
                    // Whoever has left, has left.
                    let _ = http1_server().serve_connection(TokioIo::new(tcp), service).await;
                });
            }
        })
        .await
}

fn http1_server() -> hyper::server::conn::http1::Builder {
    hyper::server::conn::http1::Builder::new()
}

impl Relay {
    async fn dial(&self) -> Result<TokioIo<TlsStream<TcpStream>>> {
        let tcp = TcpStream::connect(("127.0.0.1", self.plan.upstream)).await?;
        tcp.set_nodelay(true)?;
        Ok(TokioIo::new(self.tls.connect(ServerName::try_from("localhost")?, tcp).await?))
    }

    async fn answer(&self, mut request: Request<Incoming>) -> Result<Response<Back>> {
        let headers = request.headers_mut();
        headers.remove(header::CONNECTION);
        headers.remove(header::HOST);
        headers.insert(header::AUTHORIZATION, self.authorization.clone());
        if self.plan.h2 { self.by_stream(request).await } else { self.by_connection(request).await }
    }

    async fn by_connection(&self, mut request: Request<Incoming>) -> Result<Response<Back>> {
        request.headers_mut().insert(header::HOST, self.host.clone());
        let idle = self.idle.borrow_mut().pop();
        let mut sender = if let Some(sender) = idle {
            sender
        } else {
            let (sender, connection) = http1::handshake(self.dial().await?).await?;
            tokio::task::spawn_local(connection);
            sender
        };
        sender.ready().await?;
        let (head, incoming) = sender.send_request(request).await?.into_parts();
        let connection = Some((sender, Rc::clone(&self.idle)));
        Ok(Response::from_parts(head, Back { incoming, connection, _stream: None }))
    }

    async fn by_stream(&self, mut request: Request<Incoming>) -> Result<Response<Back>> {
        let mut parts = std::mem::take(request.uri_mut()).into_parts();
        parts.scheme = Some(http::uri::Scheme::HTTPS);
        parts.authority = Some(self.host.to_str()?.parse()?);
        *request.uri_mut() = Uri::from_parts(parts)?;
        *request.version_mut() = http::Version::HTTP_2;
        let (mut sender, stream) = self.stream().await?;
        let (head, incoming) = sender.send_request(request).await?.into_parts();
        Ok(Response::from_parts(head, Back { incoming, connection: None, _stream: Some(stream) }))
    }

    async fn stream(&self) -> Result<(http2::SendRequest<Incoming>, Rc<()>)> {
        loop {
            let free = |(_, used): &&(_, Rc<()>)| Rc::strong_count(used) <= STREAMS;
            if let Some((sender, used)) = self.streams.borrow().iter().find(free) {
                return Ok((sender.clone(), Rc::clone(used)));
            }
            let (sender, connection) = http2::handshake(TokioExecutor::new(), self.dial().await?).await?;
            tokio::spawn(connection);
            self.streams.borrow_mut().push((sender, Rc::new(())));
        }
    }
}

/// A body on its way back, and the connection or the stream that it takes.
struct Back {
    incoming: Incoming,
    connection: Option<(http1::SendRequest<Incoming>, Idle)>,
    _stream: Option<Rc<()>>,
}

impl Drop for Back {
    fn drop(&mut self) {
        if let Some((sender, idle)) = self.connection.take() {
            idle.borrow_mut().push(sender);
        }
    }
}

impl Body for Back {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        Pin::new(&mut self.incoming).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
