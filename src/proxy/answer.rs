//! The body of every response, and what happens when it has ended: the permit returns, the access event is written.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::access::Record;
use super::admit::Permit;
use super::lists::{Decoded, Rest};
use super::upstream::Relay;
use crate::control;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A response body.
///
/// Boxed, since a response goes through many hands before it is written, and each connection has room for one.
#[derive(Debug)]
pub struct Answer(Box<State>);

#[derive(Debug)]
struct State {
    content: Content,
    /// Both act when dropped: at the end of the body, or when the caller has left.
    record: Record,
    _permit: Option<Permit>,
}

#[derive(Debug)]
pub(super) enum Content {
    /// Our own words.
    Own(Option<Bytes>),
    /// Upstream's.
    Relay(Relay),
    /// Upstream's, without its coding: what has been read of it, and what has not.
    Decoded(Option<Bytes>, Box<Decoded>),
    /// A whole list.
    Whole(Box<Rest>),
    /// Of a `/-/` route.
    Control(control::Body),
}

impl Answer {
    pub(super) fn new(content: Content, record: Record, permit: Option<Permit>) -> Self {
        let mut state = Box::new(State { content, record, _permit: permit });
        if state.content.is_end_stream() {
            state.record.complete();
        }
        Self(state)
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self.0;
        let record = &mut this.record;
        let frame = match &mut this.content {
            Content::Own(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Content::Relay(relay) => Pin::new(relay).poll_frame(cx).map_err(|error| {
                record.broke_off(error.kind());
                error.into()
            }),
            Content::Decoded(front @ Some(_), _) => {
                Poll::Ready(front.take().map(|bytes| Ok(Frame::data(bytes))))
            }
            Content::Decoded(None, rest) => Pin::new(&mut **rest).poll_frame(cx).map_err(|error| {
                record.broke_off(error.kind());
                error.into()
            }),
            Content::Whole(rest) => {
                let frame = Pin::new(&mut **rest).poll_frame(cx);
                record.walked(rest.rows(), rest.pages());
                frame.map_err(|error| {
                    record.broke_off(error.kind());
                    error.into()
                })
            }
            Content::Control(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
        };
        match &frame {
            Poll::Pending | Poll::Ready(Some(Err(_))) => {}
            Poll::Ready(None) => this.record.complete(),
            Poll::Ready(Some(Ok(data))) => {
                this.record.sent(data.data_ref().map_or(0, Bytes::len));
                // The server does not ask again once a body of known length is whole.
                if this.content.is_end_stream() {
                    this.record.complete();
                }
            }
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.0.content.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.content.size_hint()
    }
}

impl Content {
    fn is_end_stream(&self) -> bool {
        match self {
            Self::Own(bytes) => bytes.as_ref().is_none_or(Bytes::is_empty),
            Self::Relay(relay) => relay.is_end_stream(),
            Self::Decoded(front, rest) => front.is_none() && rest.is_end_stream(),
            Self::Whole(rest) => rest.is_end_stream(),
            Self::Control(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Own(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            Self::Relay(relay) => relay.size_hint(),
            Self::Decoded(None, rest) => rest.size_hint(),
            // Longer than anybody wants to know beforehand.
            Self::Decoded(Some(_), _) | Self::Whole(_) => SizeHint::default(),
            Self::Control(body) => body.size_hint(),
        }
    }
}
