//! One client, from its first byte to its last.

use std::convert::Infallible;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{CONNECTION, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, Version};
use hyper_util::rt::TokioIo;
use pin_project_lite::pin_project;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use super::io::{Deadlines, Progress, Watched};
use super::worker::Roster;
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
struct Client<H> {
    handler: H,
    peer: Peer,
    progress: Arc<Progress>,
}

/// Serves one client until it leaves, is too slow, or the server ends and its request in flight is answered.
pub(super) async fn serve<S, H>(stream: S, peer: Peer, handler: H, protocol: &Protocol, roster: &Roster)
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
    H: Handler,
{
    let progress = Arc::new(Progress::default());
    let socket = Watched::new(stream, Arc::clone(&progress), protocol.deadlines);
    let client = Arc::new(Client { handler, peer, progress: Arc::clone(&progress) });
    let service = service_fn(move |request: Request<Incoming>| {
        // Not in the future: hyper looks for the end of the stream before it first polls that.
        client.progress.handling(!request.body().is_end_stream());
        answer(Arc::clone(&client), request, roster)
    });
    let mut connection = pin!(protocol.http.serve_connection(TokioIo::new(socket), service));
    let entry = roster.enter();
    let ended = poll_fn(|cx| {
        // Cheaper than a future to select on, which would take a lock each time this task wakes.
        if entry.must_close(cx) { Poll::Ready(None) } else { connection.as_mut().poll(cx).map(Some) }
    })
    .await;
    let ended = match ended {
        None if !progress.is_busy() => timeout(LAST_LOOK, connection.as_mut()).await.ok(),
        ended => ended,
    };
    let ended = if let Some(ended) = ended {
        ended
    } else {
        connection.as_mut().graceful_shutdown();
        connection.await
    };
    if let Err(error) = ended {
        tracing::debug!(error = %reason(&error), "connection ended early");
    }
}

/// One request.
async fn answer<H: Handler>(
    client: Arc<Client<H>>,
    request: Request<Incoming>,
    roster: &Roster,
) -> Result<Response<Answering<H::Body>>, Infallible> {
    let (version, body) = (request.version(), !request.body().is_end_stream());
    // Boxed: handling is by far the largest part of a connection, which is idle most of the time; and each function that
    // it passes through on its way would move all of it.
    let handled = caught(Box::pin(client.handler.handle(&client.peer, request))).await;
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

/// Runs `future`; a panic in it is an error here, and what it says stays with the panic hook.
pub(crate) async fn caught<F: Future + Unpin>(mut future: F) -> Result<F::Output, Panicked> {
    poll_fn(|cx: &mut Context<'_>| {
        // Nothing that the future holds is looked at after a panic: it is only dropped.
        if let Ok(polled) = catch_unwind(AssertUnwindSafe(|| Pin::new(&mut future).poll(cx))) {
            return polled.map(Ok);
        }
        tracing::error!("handling a request panicked; it is answered with 500");
        Poll::Ready(Err(Panicked))
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
