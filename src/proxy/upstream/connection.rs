//! One connection that speaks HTTP/1.1 or HTTP/2.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1};
use hyper::rt::{Read, Write};
use hyper_util::rt::TokioIo;
use pin_project_lite::pin_project;
use tokio::sync::Notify;

use super::dial::Stream;
use super::error::{Kind, SendError, is_unprocessed};
use super::http2::{self, H2, Share, Streamed};
use super::socket::Allowance;
use crate::clock::Stopwatch;
use crate::proxy::replay::Attempt;

const MAX_RESPONSE_HEAD: u32 = 64 * 1024;

#[derive(Debug)]
pub(super) enum Connection {
    H1(H1),
    H2(H2, Share),
}

#[derive(Debug)]
pub(super) struct H1 {
    pub(super) sender: http1::SendRequest<Attempt>,
    allowance: Arc<Allowance>,
    pub(super) born: Stopwatch,
    /// A request has been answered on it, so the peer may be about to close it.
    pub(super) reused: bool,
}

/// What has to be given back when the response body has ended.
#[derive(Debug)]
pub(super) enum Held {
    H1(H1),
    // Held for its drop.
    H2(#[expect(dead_code, reason = "its drop is its purpose")] Share),
}

/// Why there was no answer, and what may be done about it.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) error: SendError,
    /// Not a byte was written, or upstream says that it did not begin: any method may be sent again.
    pub(super) unprocessed: bool,
    /// The connection had served before: it may have been closed under our hands.
    pub(super) reused: bool,
}

impl Connection {
    /// Speaks the protocol that was negotiated, or `h2` by prior knowledge. Spawns the task that drives it.
    pub(super) async fn open(
        stream: Stream,
        prior_knowledge_h2: bool,
        freed: &Arc<Notify>,
    ) -> Result<Self, SendError> {
        let h2 = prior_knowledge_h2 || stream.chose_h2();
        let allowance = stream.allowance();
        if h2 {
            let opened = match stream {
                Stream::Plain(io) => H2::open(io, allowance, MAX_RESPONSE_HEAD, freed).await,
                Stream::Tls(io) => H2::open(*io, allowance, MAX_RESPONSE_HEAD, freed).await,
            };
            let h2 = opened.map_err(|error| SendError::from_h2(&error))?;
            let share = h2.share();
            return Ok(Self::H2(h2, share));
        }
        match stream {
            Stream::Plain(io) => H1::open(TokioIo::new(io), allowance).await,
            Stream::Tls(io) => H1::open(TokioIo::new(*io), allowance).await,
        }
        .map(Self::H1)
        .map_err(|error| SendError::from_hyper(&error))
    }

    pub(super) fn is_h2(&self) -> bool {
        matches!(self, Self::H2(..))
    }

    /// Puts `request` on its way, and says what is to be given back after the body of its answer.
    pub(super) fn send(
        self,
        request: Request<Attempt>,
    ) -> Result<(Sending<impl Future<Output = Answered>>, Held), Failed> {
        Ok(match self {
            Self::H1(mut h1) => {
                let reused = std::mem::replace(&mut h1.reused, true);
                h1.allowance.begin();
                let allowance = Arc::clone(&h1.allowance);
                let answer = h1.sender.try_send_request(request);
                (Sending::H1 { answer, allowance, reused }, Held::H1(h1))
            }
            Self::H2(h2, share) => (Sending::H2 { answer: h2.send(request)? }, Held::H2(share)),
        })
    }
}

/// What the HTTP library says of a request over HTTP/1.1.
type Answered = Result<Response<Incoming>, TrySendError<Request<Attempt>>>;

pin_project! {
    /// A request on its way: ends with the head of its answer.
    ///
    /// Written out, since a function that waits would hold the request besides what has become of it.
    #[project = Way]
    pub(super) enum Sending<A> {
        H1 { #[pin] answer: A, allowance: Arc<Allowance>, reused: bool },
        H2 { answer: http2::Sending },
    }
}

impl<A: Future<Output = Answered>> Future for Sending<A> {
    type Output = Result<Response<Received>, Failed>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (answered, allowance, reused) = match self.project() {
            Way::H1 { answer, allowance, reused } => (ready!(answer.poll(cx)), allowance, *reused),
            Way::H2 { answer } => {
                return Pin::new(answer).poll(cx).map_ok(|response| response.map(Received::H2));
            }
        };
        if allowance.is_used_up() {
            return Poll::Ready(Err(Failed::endless()));
        }
        allowance.end();
        Poll::Ready(answered.map(|response| response.map(Received::H1)).map_err(|mut failed| {
            let unsent = failed.take_message().is_some();
            Failed::of_h1(failed.error(), unsent, reused)
        }))
    }
}

impl H1 {
    /// Spawns the task that drives the connection.
    async fn open<I>(io: I, allowance: Arc<Allowance>) -> hyper::Result<Self>
    where
        I: Read + Write + Unpin + Send + 'static,
    {
        let born = Stopwatch::start();
        let (sender, driver) = http1::Builder::new()
            // Also the most that is read ahead of a caller who does not read.
            .max_buf_size(MAX_RESPONSE_HEAD as usize)
            .handshake(io)
            .await?;
        tokio::spawn(async move { drop(driver.await) });
        Ok(Self { sender, allowance, born, reused: false })
    }
}

/// The body of an answer.
#[derive(Debug)]
pub(super) enum Received {
    H1(Incoming),
    H2(Streamed),
}

impl Received {
    /// Nobody needs what is left of the upload.
    pub(super) fn end_upload(&self) {
        if let Self::H2(streamed) = self {
            streamed.end_upload();
        }
    }
}

impl Body for Received {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match self.get_mut() {
            Self::H1(incoming) => Pin::new(incoming).poll_frame(cx).map_err(Into::into),
            Self::H2(streamed) => Pin::new(streamed).poll_frame(cx).map_err(Into::into),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::H1(incoming) => incoming.is_end_stream(),
            Self::H2(streamed) => streamed.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::H1(incoming) => incoming.size_hint(),
            Self::H2(streamed) => streamed.size_hint(),
        }
    }
}

impl Failed {
    fn endless() -> Self {
        let error = SendError::new(Kind::Protocol, "there is no end of interim answers");
        Self { error, unprocessed: false, reused: false }
    }

    fn of_h1(error: &hyper::Error, unsent: bool, reused: bool) -> Self {
        Self { error: SendError::from_hyper(error), unprocessed: unsent, reused }
    }

    pub(super) fn of_h2(error: &h2::Error, unsent: bool, reused: bool) -> Self {
        Self { error: SendError::from_h2(error), unprocessed: unsent || is_unprocessed(error), reused }
    }
}
