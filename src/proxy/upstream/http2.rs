//! HTTP/2 to upstream: streams of one connection (RFC 9113), by the protocol library itself.
//!
//! What the HTTP library would add costs a task for each request, two channels, and a turn of another task between every
//! frame and whoever waits for it. Here a request waits for its own stream, in its own task; one task a connection
//! reads and writes frames. An upload goes on in that of the request too, and only what is left of it when the answer
//! comes gets one of its own.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::client::{Builder, ResponseFuture, SendRequest};
use h2::{Ping, PingPong, Reason, RecvStream, SendStream};
use http::{HeaderValue, Request, Response, header};
use http_body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use super::connection::Failed;
use super::cork::Cork;
use super::socket::Heard;
use super::{NO_ROOM, says_its_length};
use crate::clock::Stopwatch;
use crate::proxy::idle::IdleTimer;
use crate::proxy::replay::Attempt;

/// Finds out that a NAT or VPN has dropped the connection. Seldom enough not to be taken for a flood.
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// Streams in use on one connection, if the peer allows as many.
const MAX_STREAMS: usize = 128;
/// What upstream may send on one stream, and on all of a connection, before somebody has read it. Callers that do not
/// read must not use up what their neighbours on the connection need, so the whole is enough for all of them.
const STREAM_WINDOW: u32 = 512 * 1024;
const CONNECTION_WINDOW: u32 = STREAM_WINDOW * 128;
/// Of one upload, until upstream takes more.
const MAX_SEND_BUFFER: usize = 1024 * 1024;
/// Of one upload, before it asks whether there is room: a stream has none until its connection has had a turn, and small
/// content should go out with the head. A request that is refused then can only be sent again if this much was kept.
const UNASKED: usize = 16 * 1024;

/// A connection: clones are the same one.
#[derive(Debug, Clone)]
pub(super) struct H2 {
    sender: SendRequest<Bytes>,
    pub(super) born: Stopwatch,
    streams: Arc<Streams>,
    /// It has served before.
    pub(super) reused: bool,
}

#[derive(Debug)]
struct Streams {
    /// In use, the response bodies included.
    load: AtomicUsize,
    /// What the peer allows (`SETTINGS_MAX_CONCURRENT_STREAMS`).
    allowed: AtomicUsize,
    /// Told of each stream that has ended.
    freed: Arc<Notify>,
}

/// A stream in use.
#[derive(Debug)]
pub(super) struct Share(Arc<Streams>);

impl Share {
    fn of(streams: &Arc<Streams>) -> Self {
        streams.load.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(streams))
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.0.load.fetch_sub(1, Ordering::Relaxed);
        self.0.freed.notify_one();
    }
}

impl H2 {
    /// Greets the peer, and spawns the task that drives the connection.
    pub(super) async fn open<I>(
        io: I,
        heard: Arc<Heard>,
        most_head: usize,
        freed: &Arc<Notify>,
    ) -> Result<Self, h2::Error>
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let born = Stopwatch::start();
        let io = Cork::new(io);
        let (sender, mut connection) = Builder::new()
            .enable_push(false)
            .max_header_list_size(u32::try_from(most_head).unwrap_or(u32::MAX))
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buffer_size(MAX_SEND_BUFFER)
            .handshake(io.clone())
            .await?;
        let allowed = AtomicUsize::new(connection.max_concurrent_send_streams());
        let streams = Arc::new(Streams { load: AtomicUsize::new(0), allowed, freed: Arc::clone(freed) });
        let told = Arc::clone(&streams);
        let pings = connection.ping_pong();
        tokio::spawn(async move {
            let driven = poll_fn(|cx| {
                let turn = Pin::new(&mut connection).poll(cx);
                told.allowed.store(connection.max_concurrent_send_streams(), Ordering::Relaxed);
                match io.poll_out(cx) {
                    Poll::Ready(Err(_)) => Poll::Ready(()),
                    _ => turn.map(drop),
                }
            });
            // Either way it ends the connection, and its streams learn of it themselves.
            tokio::select! {
                biased;
                () = driven => {}
                () = silent(pings, &heard) => {}
            }
        });
        Ok(Self { sender, born, streams, reused: false })
    }

    /// Takes a stream, before the request is on its way, so that a burst does not overbook.
    pub(super) fn share(&self) -> Share {
        Share::of(&self.streams)
    }

    pub(super) fn is_in_use(&self) -> bool {
        self.streams.load.load(Ordering::Relaxed) > 0
    }

    /// Streams that can still be opened without waiting.
    pub(super) fn room(&self) -> usize {
        let allowed = self.streams.allowed.load(Ordering::Relaxed).min(MAX_STREAMS);
        allowed.saturating_sub(self.streams.load.load(Ordering::Relaxed))
    }

    /// Whether it takes no more requests: it has ended, or upstream has said that it will (GOAWAY).
    pub(super) fn is_closed(&mut self) -> bool {
        // Never waits, and so needs no waker: this handle has not opened a stream.
        let ready = self.sender.poll_ready(&mut Context::from_waker(Waker::noop()));
        matches!(ready, Poll::Ready(Err(_)))
    }

    /// Opens a stream for `request`.
    pub(super) fn send(mut self, request: Request<Attempt>, share: Share) -> Result<Sending, Failed> {
        let (head, body) = request.into_parts();
        let mut head = Request::from_parts(head, ());
        let whole = body.is_end_stream();
        if whole && says_its_length(head.method()) && !head.headers().contains_key(header::CONTENT_LENGTH) {
            head.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        let failed = |unsent| move |error: h2::Error| Failed::of_h2(&error, unsent, self.reused);
        // Never waits, and so needs no waker: this handle has not opened a stream.
        if let Poll::Ready(ready) = self.sender.poll_ready(&mut Context::from_waker(Waker::noop())) {
            ready.map_err(failed(true))?;
        }
        let (answer, stream) = self.sender.send_request(head, whole).map_err(failed(false))?;
        let no_room = IdleTimer::new(NO_ROOM);
        let upload = (!whole).then(|| {
            Box::new(Upload { body, stream, chunk: Bytes::new(), last: false, unasked: UNASKED, no_room })
        });
        Ok(Sending { answer, upload, share: Some(share), reused: self.reused })
    }
}

/// A request on its way: ends with the head of its answer. Dropped before, it resets the stream.
#[derive(Debug)]
pub(super) struct Sending {
    answer: ResponseFuture,
    /// Boxed, since most requests have no body and all would be larger by it.
    upload: Option<Box<Upload>>,
    /// Until there is an answer, which then has it.
    share: Option<Share>,
    reused: bool,
}

impl Future for Sending {
    type Output = Result<Response<Streamed>, Failed>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if this.upload.as_mut().is_some_and(|upload| Pin::new(upload).poll(cx).is_ready()) {
            this.upload = None;
        }
        let response = ready!(Pin::new(&mut this.answer).poll(cx));
        let response = response.map_err(|error| Failed::of_h2(&error, false, this.reused))?;
        let rest = this.upload.take().map(|rest| {
            // It takes the stream as long as it lasts, also after the answer.
            let share = this.share.as_ref().map(|Share(streams)| Share::of(streams));
            let going_on = async move {
                rest.await;
                drop(share);
            };
            tokio::spawn(going_on).abort_handle()
        });
        Poll::Ready(Ok(Streamed::of(response, rest, this.share.take())))
    }
}

/// Ends when the peer says nothing any more. It is asked (PING) when it has said nothing for a while; until it answers,
/// whatever else it says will do: the answer may be in line behind much that is on its way.
async fn silent(pings: Option<PingPong>, peer: &Heard) {
    let Some(mut pings) = pings else { return std::future::pending().await };
    loop {
        let before = peer.count();
        sleep(PING_INTERVAL).await;
        if peer.count() != before {
            continue;
        }
        let mut answer = pin!(pings.ping(Ping::opaque()));
        loop {
            let before = peer.count();
            match timeout(PING_TIMEOUT, answer.as_mut()).await {
                Ok(Ok(_)) => break,
                Err(_) if peer.count() != before => {}
                Ok(Err(_)) | Err(_) => return,
            }
        }
    }
}

/// A request body on its way. Dropped before its end, it resets the stream.
#[derive(Debug)]
struct Upload {
    body: Attempt,
    stream: SendStream<Bytes>,
    /// Read, and not yet sent.
    chunk: Bytes,
    last: bool,
    /// May still be sent without asking for room.
    unasked: usize,
    no_room: IdleTimer,
}

impl Future for Upload {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        loop {
            // Upstream wants no more of it, or nobody is there any more: what the answer is, the stream knows.
            if this.stream.poll_reset(cx).is_ready() {
                return Poll::Ready(());
            }
            if this.chunk.is_empty() && !this.last {
                match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                    Some(Ok(frame)) => {
                        // Trailers do not come: the attempt has dropped them.
                        this.chunk = frame.into_data().unwrap_or_default();
                        this.last = this.body.is_end_stream();
                        continue;
                    }
                    Some(Err(_)) => {
                        this.stream.send_reset(Reason::CANCEL);
                        return Poll::Ready(());
                    }
                    None => this.last = true,
                }
            }
            this.unasked = this.unasked.saturating_sub(this.chunk.len());
            if this.unasked == 0 && !this.chunk.is_empty() {
                // A claim of one byte, since what is claimed and not used is missing to the other streams.
                this.stream.reserve_capacity(1);
                while this.stream.capacity() == 0 {
                    match this.stream.poll_capacity(cx) {
                        Poll::Ready(Some(Ok(_))) => {}
                        Poll::Ready(_) => return Poll::Ready(()),
                        Poll::Pending => {
                            ready!(this.no_room.poll(cx));
                            this.stream.send_reset(Reason::CANCEL);
                            return Poll::Ready(());
                        }
                    }
                }
            }
            this.no_room.progress();
            let sent = this.stream.send_data(std::mem::take(&mut this.chunk), this.last);
            if sent.is_err() || this.last {
                return Poll::Ready(());
            }
        }
    }
}

/// The body of an answer. Dropped before its end, it resets the stream.
#[derive(Debug)]
pub(super) struct Streamed {
    stream: RecvStream,
    /// Stays so, whatever becomes of the stream afterwards.
    ended: bool,
    /// What was left of the upload when the answer came. It would keep the stream open.
    rest: Option<AbortHandle>,
    /// As `Content-Length` says, less what has come.
    left: Option<u64>,
    /// Until it has been read to its end.
    share: Option<Share>,
}

impl Streamed {
    fn of(response: Response<RecvStream>, rest: Option<AbortHandle>, share: Option<Share>) -> Response<Self> {
        let length = response.headers().get(header::CONTENT_LENGTH);
        let said = length.and_then(|value| value.to_str().ok()?.parse().ok());
        response.map(|stream| {
            let ended = stream.is_end_stream() || said == Some(0);
            Self { stream, ended, rest, left: said.or(ended.then_some(0)), share }
        })
    }

    /// Nobody needs what is left of the upload.
    pub(super) fn end_upload(&self) {
        if let Some(rest) = &self.rest {
            rest.abort();
        }
    }

    /// Its place is free for another.
    pub(super) fn release(&mut self) {
        self.share = None;
    }
}

impl Drop for Streamed {
    fn drop(&mut self) {
        if !self.ended {
            self.end_upload();
        }
    }
}

impl Body for Streamed {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        // A reset is an error whatever its code: RFC 9113 §8.1 allows NO_ERROR only after a whole answer.
        let Some(data) = ready!(self.stream.poll_data(cx)).transpose()? else {
            self.ended = true;
            return Poll::Ready(None);
        };
        let length = data.len();
        // It fails only for more than was received.
        let _ = self.stream.flow_control().release_capacity(length);
        self.left = self.left.map(|left| left.saturating_sub(length as u64));
        // Whoever has all of what was announced asks for no more, also if the end is said in a frame of its own.
        self.ended = self.stream.is_end_stream() || self.left == Some(0);
        Poll::Ready(Some(Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncWriteExt, duplex};

    use super::super::socket::Socket;
    use super::*;

    /// A connection whose peer answers, for as long as that is wanted of it.
    async fn opened(answers: bool) -> H2 {
        let (ours, theirs) = duplex(64 * 1024);
        tokio::spawn(async move {
            let mut peer = h2::server::handshake(theirs).await.expect("a client");
            if answers {
                while peer.accept().await.is_some() {}
            }
            std::future::pending::<()>().await;
        });
        let ours = Socket::new(ours);
        let heard = ours.heard();
        H2::open(ours, heard, 64 * 1024, &Arc::default()).await.expect("a server")
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_answers_no_ping_is_given_up_and_one_that_does_is_kept() {
        let (mut dead, mut alive) = (opened(false).await, opened(true).await);
        assert!(!dead.is_closed() && !alive.is_closed());
        sleep(PING_INTERVAL + PING_TIMEOUT + Duration::from_secs(1)).await;
        assert!(dead.is_closed());
        sleep(PING_INTERVAL * 20).await;
        assert!(!alive.is_closed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_is_slow_to_answer_a_ping_is_kept_while_it_says_anything() {
        let (ours, theirs) = duplex(64 * 1024);
        let (mut reads, mut writes) = tokio::io::split(theirs);
        tokio::spawn(async move { tokio::io::copy(&mut reads, &mut tokio::io::sink()).await });
        let busy = Duration::from_secs(300);
        tokio::spawn(async move {
            let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
            writes.write_all(&settings).await.expect("room");
            let window_update = [0, 0, 4, 8, 0, 0, 0, 0, 0, 0, 0, 0, 1];
            // It is asked, and does not answer.
            sleep(PING_INTERVAL).await;
            for _ in 0..busy.as_secs() / 5 {
                sleep(Duration::from_secs(5)).await;
                writes.write_all(&window_update).await.expect("room");
            }
            std::future::pending::<()>().await;
        });
        let ours = Socket::new(ours);
        let heard = ours.heard();
        let mut h2 = H2::open(ours, heard, 64 * 1024, &Arc::default()).await.expect("greeted");
        sleep(PING_INTERVAL + busy).await;
        assert!(!h2.is_closed());
        sleep(3 * PING_TIMEOUT).await;
        assert!(h2.is_closed());
    }

    #[tokio::test]
    async fn a_connection_that_nobody_holds_ends() {
        let (ours, mut theirs) = duplex(64 * 1024);
        let ours = Socket::new(ours);
        let heard = ours.heard();
        let h2 = H2::open(ours, heard, 64 * 1024, &Arc::default()).await.expect("greeted");
        drop(h2);
        let mut said = Vec::new();
        tokio::io::AsyncReadExt::read_to_end(&mut theirs, &mut said).await.expect("an end");
        assert!(said.starts_with(b"PRI * HTTP/2.0"));
    }
}
