//! One connection that speaks HTTP/1.1 or HTTP/2.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::Notify;

use super::dial::Stream;
use super::error::{SendError, is_unprocessed};
use super::http1::{self, H1};
use super::http2::{self, H2, Share, Streamed};

/// The largest head of an answer.
pub(super) const MOST_HEAD: usize = 64 * 1024;

#[derive(Debug)]
pub(super) enum Connection {
    H1(Box<H1>),
    H2(H2, Share),
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
    /// Speaks the protocol that was negotiated, or `h2` by prior knowledge.
    pub(super) async fn open(
        stream: Stream,
        prior_knowledge_h2: bool,
        freed: &Arc<Notify>,
    ) -> Result<Self, SendError> {
        if !prior_knowledge_h2 && !stream.chose_h2() {
            return Ok(Self::H1(Box::new(H1::new(stream))));
        }
        let heard = stream.heard();
        let opened = match stream {
            Stream::Plain(io) => H2::open(io, heard, MOST_HEAD, freed).await,
            Stream::Tls(io) => H2::open(*io, heard, MOST_HEAD, freed).await,
        };
        let h2 = opened.map_err(|error| SendError::from_h2(&error))?;
        let share = h2.share();
        Ok(Self::H2(h2, share))
    }
}

/// A request on its way: ends with the head of its answer.
#[derive(Debug)]
pub(super) enum Sending {
    H1(http1::Sending),
    H2(http2::Sending),
}

impl Future for Sending {
    type Output = Result<Response<Received>, Failed>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::H1(sending) => Pin::new(sending).poll(cx).map_ok(|response| response.map(Received::H1)),
            Self::H2(sending) => Pin::new(sending).poll(cx).map_ok(|response| response.map(Received::H2)),
        }
    }
}

/// The body of an answer.
#[derive(Debug)]
pub(super) enum Received {
    H1(http1::Content),
    H2(Streamed),
}

impl Received {
    /// Nobody needs what is left of the upload.
    pub(super) fn end_upload(&self) {
        match self {
            Self::H1(content) => content.end_upload(),
            Self::H2(streamed) => streamed.end_upload(),
        }
    }

    /// The body has ended. What it was received on, if that has to be given back.
    pub(super) fn release(&mut self) -> Option<Box<H1>> {
        match self {
            Self::H1(content) => content.release(),
            Self::H2(streamed) => {
                streamed.release();
                None
            }
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
            Self::H1(content) => Pin::new(content).poll_frame(cx).map_err(Into::into),
            Self::H2(streamed) => Pin::new(streamed).poll_frame(cx).map_err(Into::into),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::H1(content) => content.is_end_stream(),
            Self::H2(streamed) => streamed.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::H1(content) => content.size_hint(),
            Self::H2(streamed) => streamed.size_hint(),
        }
    }
}

impl Failed {
    pub(super) fn of_h2(error: &h2::Error, unsent: bool, reused: bool) -> Self {
        Self { error: SendError::from_h2(error), unprocessed: unsent || is_unprocessed(error), reused }
    }
}
