//! A response body on its way through: frame by frame, and truncation looks like truncation.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::connection::Received;
use super::pool::Pool;
use crate::proxy::idle::IdleTimer;
use crate::proxy::replay::Source;

/// The body of an upstream response. Gives the connection back when it has ended.
#[derive(Debug)]
pub(crate) struct Relay {
    incoming: Received,
    /// Until the connection is given back.
    pool: Option<Arc<Pool>>,
    upload: Option<Upload>,
    idle: IdleTimer,
    limit: Duration,
}

/// A request body, some of which may be on its way when the answer has come.
#[derive(Debug)]
pub(super) struct Upload {
    pub(super) rest: Source,
    /// Whether upstream may still want it: not after an answer that says that it failed (RFC 9112 §9.5).
    pub(super) wanted: bool,
}

/// Why a response body did not end properly.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RelayError {
    #[error("upstream broke off within a response body")]
    BrokeOff(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("upstream sent nothing for {} s within a response body", .0.as_secs())]
    Idle(Duration),
}

impl RelayError {
    /// As in the log.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::BrokeOff(_) => "upstream-truncated",
            Self::Idle(_) => "upstream-body-timeout",
        }
    }
}

impl Relay {
    pub(super) fn new(incoming: Received, pool: Arc<Pool>, upload: Option<Upload>, limit: Duration) -> Self {
        let idle = IdleTimer::new(limit);
        let mut relay = Self { incoming, pool: Some(pool), upload, idle, limit };
        relay.release_at_end();
        relay
    }

    fn release_at_end(&mut self) {
        if self.incoming.is_end_stream() {
            self.release();
        }
    }

    fn release(&mut self) {
        let Some(pool) = self.pool.take() else { return };
        if let Some(upload) = self.upload.take().filter(|upload| !upload.wanted) {
            upload.rest.withdraw();
            self.incoming.end_upload();
        }
        if let Some(h1) = self.incoming.release() {
            pool.put_back(h1);
        }
    }
}

impl Body for Relay {
    type Data = Bytes;
    type Error = RelayError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RelayError>>> {
        loop {
            let Poll::Ready(frame) = Pin::new(&mut self.incoming).poll_frame(cx) else {
                let limit = self.limit;
                return self.idle.poll(cx).map(|()| Some(Err(RelayError::Idle(limit))));
            };
            self.idle.progress();
            match frame {
                None => {
                    self.release();
                    return Poll::Ready(None);
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(RelayError::BrokeOff(error)))),
                Some(Ok(frame)) => {
                    // Trailers are dropped: what they may say is for the hop that sent them to know.
                    let Ok(data) = frame.into_data() else { continue };
                    self.release_at_end();
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
