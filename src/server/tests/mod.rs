//! The server with a handler that does as its path says, over real sockets (`drain`, `listen`) or in memory with
//! driven time (`deadlines`, `rest`).

mod deadlines;
mod drain;
mod listen;
mod rest;

use std::convert::Infallible;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::{Body, Frame, Incoming};
use hyper::{Request, Response, StatusCode};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};

use super::{Config, Handler, Listen, Peer};

/// Longer than anything here takes, so that a hung test fails.
const PATIENCE: Duration = Duration::from_secs(20);

type TestBody = UnsyncBoxBody<Bytes, Infallible>;

/// What a test sees of its handlers, and holds them back with.
struct Stage {
    arrived: mpsc::UnboundedReceiver<&'static str>,
    gate: watch::Sender<bool>,
}

#[derive(Clone)]
struct Actor {
    arrived: mpsc::UnboundedSender<&'static str>,
    gate: watch::Receiver<bool>,
}

impl Stage {
    fn new() -> (Self, Actor) {
        let (sender, arrived) = mpsc::unbounded_channel();
        let (gate, closed) = watch::channel(false);
        (Self { arrived, gate }, Actor { arrived: sender, gate: closed })
    }

    async fn arrivals(&mut self, event: &str, number: usize) {
        for _ in 0..number {
            let seen = tokio::time::timeout(PATIENCE, self.arrived.recv()).await.expect("in time");
            assert_eq!(seen, Some(event));
        }
    }

    fn open(&self) {
        self.gate.send_replace(true);
    }
}

/// Says so when it is dropped unfinished.
struct Cancelled(Option<mpsc::UnboundedSender<&'static str>>);

impl Drop for Cancelled {
    fn drop(&mut self) {
        if let Some(tell) = self.0.take() {
            let _ = tell.send("cancelled");
        }
    }
}

impl Actor {
    async fn opened(&self) {
        let mut cancelled = Cancelled(Some(self.arrived.clone()));
        let _ = self.gate.clone().wait_for(|open| *open).await;
        cancelled.0 = None;
    }

    /// Sends its first half at once and its second when the gate opens.
    fn halves(&self) -> TestBody {
        let actor = self.clone();
        let (sender, mut frames) = mpsc::channel(1);
        tokio::spawn(async move {
            let _ = sender.send(Ok(Frame::data(Bytes::from_static(b"first ")))).await;
            actor.opened().await;
            let _ = sender.send(Ok(Frame::data(Bytes::from_static(b"second")))).await;
        });
        Polled(move |cx: &mut Context<'_>| frames.poll_recv(cx)).boxed_unsync()
    }
}

/// A body from a poll function.
struct Polled<F>(F);

impl<F> Body for Polled<F>
where
    F: FnMut(&mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> + Unpin,
{
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        (self.get_mut().0)(cx)
    }
}

impl Handler for Actor {
    type Body = TestBody;

    fn handle(
        &self,
        peer: &Peer,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response<TestBody>> + Send {
        assert_ne!(request.uri().path(), "/panic/at-once", "as asked");
        self.answer(peer, request)
    }

    fn panicked(&self) -> Response<TestBody> {
        let mut response = Response::new(Full::from("sorry").boxed_unsync());
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        response
    }
}

impl Actor {
    async fn answer(&self, peer: &Peer, request: Request<Incoming>) -> Response<TestBody> {
        let body = match request.uri().path() {
            "/gate" => {
                let _ = self.arrived.send("gate");
                self.opened().await;
                Full::from("done").boxed_unsync()
            }
            "/halves" => self.halves(),
            "/big" => Full::from(vec![b'x'; 4 << 20]).boxed_unsync(),
            "/early" => {
                let told = self.arrived.clone();
                tokio::spawn(async move {
                    let whole = request.into_body().collect().await;
                    let _ = told.send(if whole.is_ok() { "whole" } else { "cut" });
                });
                Full::from("ok").boxed_unsync()
            }
            "/upload" => {
                let _ = self.arrived.send("upload");
                let whole = request.into_body().collect().await;
                let _ = self.arrived.send(if whole.is_ok() { "whole" } else { "cut" });
                Empty::new().boxed_unsync()
            }
            "/peer" => Full::from(format!("{peer:?}")).boxed_unsync(),
            "/panic" => panic!("as asked"),
            _ => Full::from("ok").boxed_unsync(),
        };
        Response::new(body)
    }
}

fn config() -> Config {
    Config {
        listen: vec![Listen::Tcp(([127, 0, 0, 1], 0).into())],
        workers: NonZeroUsize::new(2).expect("two"),
        drain_grace: PATIENCE,
        ..Config::default()
    }
}

/// A client that writes what it is told.
struct Client<S>(S);

impl Client<TcpStream> {
    async fn connect(address: &Listen) -> Self {
        let Listen::Tcp(address) = address else { panic!("not TCP") };
        Self(TcpStream::connect(address).await.expect("connects"))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    async fn send(&mut self, bytes: &str) {
        // A server that has closed is seen when reading.
        let _ = self.0.write_all(bytes.as_bytes()).await;
    }

    async fn get(&mut self, path: &str) {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")).await;
    }

    /// Until `end` has been read; everything so far.
    async fn until(&mut self, end: &str) -> String {
        let mut seen = Vec::new();
        let read = async {
            while !seen.ends_with(end.as_bytes()) {
                seen.push(self.0.read_u8().await.expect("more"));
            }
        };
        tokio::time::timeout(PATIENCE, read).await.expect("in time");
        String::from_utf8(seen).expect("text")
    }

    /// Whether anything comes before the end.
    async fn answered(&mut self) -> bool {
        matches!(self.0.read(&mut [0]).await, Ok(1))
    }

    /// Everything until the server closes.
    async fn rest(&mut self) -> String {
        let mut seen = Vec::new();
        // A reset is an end, too.
        let _ = tokio::time::timeout(PATIENCE * 20, self.0.read_to_end(&mut seen)).await.expect("in time");
        String::from_utf8(seen).expect("text")
    }
}
