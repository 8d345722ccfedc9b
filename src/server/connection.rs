//! One client, from its first byte to its last.
//!
//! Most clients are silent most of the time. One that is rests: it has a socket that is watched and a timer, and no
//! HTTP connection, whose buffers alone are several times that. It gets one with the first bytes of its next request.

use std::convert::Infallible;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{CONNECTION, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::{HttpService, service_fn};
use hyper::{Request, Response, Version};
use hyper_util::rt::TokioIo;
use pin_project_lite::pin_project;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use super::io::{Deadlines, Progress, Watched};
use super::worker::{Entry, Roster};
use super::{Config, Handler, Peer};

/// The largest request head, and the most that is read ahead of a handler.
const MAX_BUFFER: usize = 64 * 1024;

/// How long a connection that seems idle is watched before it is closed: a request that is already in the kernel's
/// buffer is in flight, and takes a turn of the event loop to be seen.
const LAST_LOOK: Duration = Duration::from_millis(2);

/// How every connection is served.
#[derive(Debug, Clone)]
pub(super) struct Protocol {
    http: http1::Builder,
    deadlines: Deadlines,
}

impl Protocol {
    pub(super) fn new(config: &Config) -> Self {
        let mut http = http1::Builder::new();
        // All times are `Watched`'s business: hyper would set a timer anew for each request.
        http.header_read_timeout(None)
            .max_buf_size(MAX_BUFFER)
            // A client that finishes sending early is `Watched`'s business too.
            .half_close(false)
            .keep_alive(true);
        let idle = Some(config.idle_timeout).filter(|idle| *idle > Duration::ZERO);
        Self { http, deadlines: Deadlines { idle, head: config.head_timeout, write: config.write_timeout } }
    }
}

/// What all requests of one connection share.
struct Client<'a, H> {
    handler: &'a H,
    peer: &'a Peer,
    progress: Arc<Progress>,
}

/// Serves one client until it leaves, is too slow, or the server ends and its request in flight is answered.
pub(super) async fn serve<S, H>(stream: S, peer: &Peer, handler: &H, protocol: &Protocol, roster: &Roster)
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
    H: Handler,
{
    let client = Client { handler, peer, progress: Arc::new(Progress::default()) };
    let progress = &*client.progress;
    let mut socket = Watched::new(stream, Arc::clone(&client.progress), protocol.deadlines);
    let entry = roster.enter();
    while arrives(&mut socket, &entry).await {
        let service = service_fn(|request: Request<Incoming>| {
            // Not in the future: hyper looks for the end of the stream before it first polls that.
            progress.handling(!request.body().is_end_stream());
            answer(&client, request, roster)
        });
        let mut http = Box::new(protocol.http.serve_connection(TokioIo::new(socket), service));
        let turn = poll_fn(|cx| {
            // Cheaper than a future to select on, which would take a lock each time this task wakes.
            if entry.must_close(cx) { Poll::Ready(Turn::Close) } else { poll_turn(&mut *http, progress, cx) }
        });
        let ended = match turn.await {
            Turn::Rest => {
                let parts = http.into_parts();
                socket = parts.io.into_inner();
                socket.rest(parts.read_buf);
                continue;
            }
            Turn::Close => close(&mut *http, progress).await,
            Turn::End(ended) => ended,
        };
        if let Err(error) = ended {
            tracing::debug!(error = %reason(&error), "connection ended early");
        }
        return;
    }
}

/// Waits for something of the next request; false when there will be none, and then all is done.
async fn arrives<S: AsyncRead + AsyncWrite + Unpin>(socket: &mut Watched<S>, entry: &Entry<'_>) -> bool {
    let arrived = poll_fn(|cx| {
        let ends = entry.must_close(cx);
        if ends { Poll::Ready(None) } else { socket.poll_arrival(cx).map(Some) }
    });
    let arrived = match arrived.await {
        // Boxed, as all that a client that rests has no use for.
        None => Box::pin(timeout(LAST_LOOK, poll_fn(|cx| socket.poll_arrival(cx)))).await.ok(),
        arrived => arrived,
    };
    match arrived {
        Some(Ok(true)) => return true,
        // It is closed in either case.
        Some(Ok(false)) | None => drop(poll_fn(|cx| Pin::new(&mut *socket).poll_shutdown(cx)).await),
        Some(Err(_)) => tracing::debug!("connection ended early: the client left or was silent for too long"),
    }
    false
}

/// Why an HTTP connection is not driven any further as it was.
enum Turn {
    /// The server ends.
    Close,
    /// It is between two requests, with nothing more to do than to give its parts back.
    Rest,
    /// It is over.
    End(hyper::Result<()>),
}

/// hyper's connection, whatever its types.
trait Http: Future<Output = hyper::Result<()>> + Unpin {
    fn finish(&mut self);
}

impl<S, V, B> Http for http1::Connection<TokioIo<Watched<S>>, V>
where
    S: AsyncRead + AsyncWrite + Unpin,
    V: HttpService<Incoming, ResBody = B, Error = Infallible>,
    B: Body<Error: Into<Box<dyn std::error::Error + Send + Sync>>> + 'static,
{
    fn finish(&mut self) {
        Pin::new(self).graceful_shutdown();
    }
}

/// Drives a connection until it ends, or its client has been silent for a moment.
fn poll_turn<C: Http>(http: &mut C, progress: &Progress, cx: &mut Context<'_>) -> Poll<Turn> {
    if let Poll::Ready(ended) = Pin::new(&mut *http).poll(cx) {
        return Poll::Ready(Turn::End(ended));
    }
    if !progress.is_settled() {
        return Poll::Pending;
    }
    // That nothing is half-read or half-written hyper knows best. Told to finish, a connection between two requests ends
    // at once and does nothing but to shut down its socket, which is held back. Any other goes on to its end.
    progress.part();
    http.finish();
    match Pin::new(http).poll(cx) {
        Poll::Ready(Ok(())) => Poll::Ready(Turn::Rest),
        Poll::Ready(ended) => Poll::Ready(Turn::End(ended)),
        Poll::Pending => {
            progress.stay();
            Poll::Pending
        }
    }
}

/// Ends a connection, with the answer to the request that it has or is about to have.
async fn close<C: Http>(http: &mut C, progress: &Progress) -> hyper::Result<()> {
    if !progress.is_busy()
        && let Ok(ended) = Box::pin(timeout(LAST_LOOK, &mut *http)).await
    {
        return ended;
    }
    http.finish();
    http.await
}

/// One request.
async fn answer<H: Handler>(
    client: &Client<'_, H>,
    request: Request<Incoming>,
    roster: &Roster,
) -> Result<Response<Answering<H::Body>>, Infallible> {
    let (version, body) = (request.version(), !request.body().is_end_stream());
    // Boxed: handling is by far the largest part of a connection, which is idle most of the time; and each function that
    // it passes through on its way would move all of it.
    let handled =
        match catch_unwind(AssertUnwindSafe(|| Box::pin(client.handler.handle(client.peer, request)))) {
            Ok(handling) => caught(handling).await,
            Err(_) => Err(Panicked::noted()),
        };
    let mut response = handled.unwrap_or_else(|Panicked| client.handler.panicked());
    if version < Version::HTTP_11 || roster.is_draining() {
        // RFC 9112 §9.3: nothing between us and a client of 1.0 need know what `keep-alive` means.
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    if body && response.headers().contains_key(CONNECTION) {
        client.progress.cut();
    }
    let answered = Answered(Arc::clone(&client.progress));
    Ok(response.map(|body| Answering { body, _answered: answered }))
}

/// There is no answer, and somebody has to give one.
pub(crate) struct Panicked;

impl Panicked {
    fn noted() -> Self {
        tracing::error!("handling a request panicked; it is answered with 500");
        Self
    }
}

/// Runs `future`; a panic in it is an error here, and what it says stays with the panic hook.
pub(crate) async fn caught<F: Future + Unpin>(mut future: F) -> Result<F::Output, Panicked> {
    poll_fn(|cx: &mut Context<'_>| {
        // Nothing that the future holds is looked at after a panic: it is only dropped.
        if let Ok(polled) = catch_unwind(AssertUnwindSafe(|| Pin::new(&mut future).poll(cx))) {
            return polled.map(Ok);
        }
        Poll::Ready(Err(Panicked::noted()))
    })
    .await
}

/// Notes the end of a response when hyper lets go of its body.
#[derive(Debug)]
struct Answered(Arc<Progress>);

impl Drop for Answered {
    fn drop(&mut self) {
        self.0.answered();
    }
}

pin_project! {
    /// The body of a response, and the note of its end.
    struct Answering<B> {
        #[pin]
        body: B,
        _answered: Answered,
    }
}

impl<B: Body> Body for Answering<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        self.project().body.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Which end is to blame, without hyper's or the peer's words.
fn reason(error: &hyper::Error) -> &'static str {
    if error.is_timeout() {
        "idle for too long"
    } else if error.is_parse_too_large() {
        "request head too large"
    } else if error.is_parse() {
        "not an HTTP request"
    } else if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
        "the client left"
    } else if error.is_user() {
        "the response broke off"
    } else {
        "the client left or was too slow"
    }
}
