//! One connection that speaks HTTP/1.1 or HTTP/2.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::rt::{Read, Write};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::sync::Notify;

use super::dial::Stream;
use super::error::{Kind, SendError, is_unprocessed};
use crate::clock::Stopwatch;
use crate::proxy::replay::Attempt;

/// Finds out that a NAT or VPN has dropped the connection. Seldom enough not to be taken for a flood.
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(10);
const MAX_RESPONSE_HEAD: u32 = 64 * 1024;
/// Streams in use on one HTTP/2 connection, if the peer allows as many.
const MAX_STREAMS: usize = 128;
/// What upstream may send on one stream, and on all of a connection, before somebody has read it. Callers that do not
/// read must not use up what their neighbours on the connection need, so the whole is enough for all of them.
const STREAM_WINDOW: u32 = 512 * 1024;
const CONNECTION_WINDOW: u32 = STREAM_WINDOW * 128;
/// 1xx answers before the real one, in HTTP/1.1. In HTTP/2 hyper skips them without telling, so that only the response
/// timeout ends a flood of them; what they take is no more than the flow of one connection.
const MAX_INTERIM: usize = 20;

#[derive(Debug)]
pub(super) enum Connection {
    H1(H1),
    H2(H2, Share),
}

#[derive(Debug)]
pub(super) struct H1 {
    pub(super) sender: http1::SendRequest<Attempt>,
    pub(super) born: Stopwatch,
    /// A request has been answered on it, so the peer may be about to close it.
    pub(super) reused: bool,
}

/// A share of an HTTP/2 connection: clones are streams of the same one.
#[derive(Debug, Clone)]
pub(super) struct H2 {
    pub(super) sender: http2::SendRequest<Attempt>,
    pub(super) born: Stopwatch,
    streams: Arc<Streams>,
    pub(super) reused: bool,
}

#[derive(Debug)]
struct Streams {
    /// In use, the response bodies included.
    load: AtomicUsize,
    /// What the peer allows (`SETTINGS_MAX_CONCURRENT_STREAMS`); only the driver of the connection is told.
    allowed: AtomicUsize,
    /// Told of each stream that has ended.
    freed: Arc<Notify>,
}

/// A stream in use.
#[derive(Debug)]
pub(super) struct Share(Arc<Streams>);

impl Drop for Share {
    fn drop(&mut self) {
        self.0.load.fetch_sub(1, Ordering::Relaxed);
        self.0.freed.notify_one();
    }
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
        match stream {
            Stream::Plain(io) => Self::handshake(TokioIo::new(io), h2, freed).await,
            Stream::Tls(io) => Self::handshake(TokioIo::new(*io), h2, freed).await,
        }
        .map_err(|error| SendError::from_hyper(&error))
    }

    async fn handshake<I>(io: I, h2: bool, freed: &Arc<Notify>) -> hyper::Result<Self>
    where
        I: Read + Write + Unpin + Send + 'static,
    {
        let born = Stopwatch::start();
        if h2 {
            let (sender, mut driver) = http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .keep_alive_interval(PING_INTERVAL)
                .keep_alive_timeout(PING_TIMEOUT)
                .keep_alive_while_idle(true)
                .max_header_list_size(MAX_RESPONSE_HEAD)
                .initial_stream_window_size(STREAM_WINDOW)
                .initial_connection_window_size(CONNECTION_WINDOW)
                .handshake(io)
                .await?;
            let allowed = AtomicUsize::new(driver.current_max_send_streams());
            let streams = Arc::new(Streams { load: AtomicUsize::new(0), allowed, freed: Arc::clone(freed) });
            let told = Arc::clone(&streams);
            // An error ends the connection, and its streams learn of it themselves.
            tokio::spawn(poll_fn(move |cx| {
                let turn = Pin::new(&mut driver).poll(cx).map(drop);
                told.allowed.store(driver.current_max_send_streams(), Ordering::Relaxed);
                turn
            }));
            let h2 = H2 { sender, born, streams, reused: false };
            let share = h2.share();
            return Ok(Self::H2(h2, share));
        }
        let (sender, driver) = http1::Builder::new()
            // Also the most that is read ahead of a caller who does not read.
            .max_buf_size(MAX_RESPONSE_HEAD as usize)
            .handshake(io)
            .await?;
        tokio::spawn(async move { drop(driver.await) });
        Ok(Self::H1(H1 { sender, born, reused: false }))
    }

    pub(super) fn is_h2(&self) -> bool {
        matches!(self, Self::H2(..))
    }

    pub(super) async fn send(
        self,
        mut request: Request<Attempt>,
    ) -> Result<(Response<Incoming>, Held), Failed> {
        match self {
            Self::H1(mut h1) => {
                let reused = std::mem::replace(&mut h1.reused, true);
                let too_many = limit_interim(&mut request);
                let answered = tokio::select! {
                    biased;
                    answered = h1.sender.try_send_request(request) => answered,
                    () = too_many.notified() => return Err(Failed::endless()),
                };
                match answered {
                    Ok(response) => Ok((response, Held::H1(h1))),
                    Err(mut failed) => {
                        let unsent = failed.take_message().is_some();
                        Err(Failed::new(failed.error(), unsent, reused))
                    }
                }
            }
            Self::H2(mut h2, share) => match h2.sender.try_send_request(request).await {
                Ok(response) => Ok((response, Held::H2(share))),
                Err(mut failed) => {
                    let unsent = failed.take_message().is_some();
                    Err(Failed::new(failed.error(), unsent, h2.reused))
                }
            },
        }
    }
}

impl H2 {
    /// Takes a stream, before the request is on its way, so that a burst does not overbook.
    pub(super) fn share(&self) -> Share {
        self.streams.load.fetch_add(1, Ordering::Relaxed);
        Share(Arc::clone(&self.streams))
    }

    pub(super) fn is_in_use(&self) -> bool {
        self.streams.load.load(Ordering::Relaxed) > 0
    }

    /// Streams that can still be opened without waiting.
    pub(super) fn room(&self) -> usize {
        let allowed = self.streams.allowed.load(Ordering::Relaxed).min(MAX_STREAMS);
        allowed.saturating_sub(self.streams.load.load(Ordering::Relaxed))
    }
}

/// Interim answers (1xx) are skipped, and this tells when there were too many to go on.
fn limit_interim(request: &mut Request<Attempt>) -> Arc<Notify> {
    let (seen, too_many) = (AtomicUsize::new(0), Arc::new(Notify::new()));
    let enough = Arc::clone(&too_many);
    hyper::ext::on_informational(request, move |_| {
        if seen.fetch_add(1, Ordering::Relaxed) >= MAX_INTERIM {
            enough.notify_one();
        }
    });
    too_many
}

impl Failed {
    fn endless() -> Self {
        let error = SendError::new(Kind::Protocol, "there is no end of interim answers");
        Self { error, unprocessed: false, reused: false }
    }

    fn new(error: &hyper::Error, unsent: bool, reused: bool) -> Self {
        Self { error: SendError::from_hyper(error), unprocessed: unsent || is_unprocessed(error), reused }
    }
}
