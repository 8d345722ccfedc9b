//! The deadlines of one connection, kept where the bytes pass.
//!
//! A connection that is fast enough never arms a timer: each is armed only when the socket has nothing for us (or
//! takes nothing from us) in the middle of something, and is judged by progress when it fires, not moved on every
//! byte. So is the idle time between requests: its timer stays where it is while requests come.
//!
//! A client rests after its answer: nothing is kept for it but this socket, see `connection`. One that asks again soon
//! is spared that until it has been silent for a moment, which the same timer tells.

#![allow(clippy::disallowed_types, reason = "a timer is set by the clock that it runs by")]

use std::io;
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::unconstrained;
use tokio::time::{Instant, Sleep, sleep, sleep_until};

mod progress;

pub(super) use self::progress::Progress;
use self::progress::{DONE, HEAD, PARTING, WAITING};

/// How long a client that has sent its end of stream in the middle of an exchange may still be waiting for the answer.
///
/// TCP cannot tell a client that is gone from one that has merely finished sending (RFC 9293 §3.6). The second
/// (`printf … | nc -N`) must get its answer; for the first, the work upstream must end. So the end of stream is held
/// back this long, and longer while the client keeps taking bytes.
const HALF_CLOSE_GRACE: Duration = Duration::from_secs(2);

/// How long a client that is still sending, although it has its last answer, is listened to (RFC 9112 §9.6).
///
/// A socket that is closed with unread bytes in it resets the connection: most clients then report a broken pipe and
/// never look at the answer, which is the refusal that says what to change.
const LINGER: Duration = Duration::from_secs(2);

/// What remains of an upload after its answer must come at this rate at least, in bytes each time that a head might take.
const MOVED: usize = 4096;

/// What is written in one piece, however many it comes in.
const SHORT: usize = 2048;

/// A client that asks again within this time is busy, and does not rest before it has been silent as long.
const SETTLE: Duration = Duration::from_secs(1);

/// What is read of a client that rested, before there is anything that could parse it: as a rule all of the head, so
/// that it is read once. As much as hyper reads first: where a head ends that is too large depends on that.
const FRONT: usize = 8192;

/// The deadlines, from [`Config`](super::Config).
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadlines {
    /// Between two requests; none for ever.
    pub(super) idle: Option<Duration>,
    pub(super) head: Duration,
    pub(super) write: Duration,
}

/// A socket that fails with [`io::ErrorKind::TimedOut`] when its client is too slow.
#[derive(Debug)]
pub(super) struct Watched<S> {
    stream: S,
    progress: Arc<Progress>,
    deadlines: Deadlines,
    /// What has been read, and is given out before anything else.
    front: Bytes,
    /// Whether it has rested.
    rested: bool,
    /// Whether it asked soon after that, and is not to rest again before it is silent.
    busy: bool,
    /// Bytes the client has sent; wraps.
    read: usize,
    /// Bytes the client has taken; wraps.
    written: usize,
    /// Since when nothing of the next request has come.
    idle_since: Option<Instant>,
    idle: Option<Pin<Box<Sleep>>>,
    head: Option<Patience>,
    stall: Option<Patience>,
    half_closed: Option<Patience>,
    linger: Option<Pin<Box<Sleep>>>,
}

/// A timer that starts over when bytes have moved while it ran. So it fires after one to two periods of stillness.
#[derive(Debug)]
struct Patience {
    timer: Pin<Box<Sleep>>,
    moved: usize,
}

impl Patience {
    fn new(period: Duration, moved: usize) -> Self {
        Self { timer: Box::pin(sleep(period)), moved }
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>, period: Duration, moved: usize) -> Poll<()> {
        loop {
            ready!(self.timer.as_mut().poll(cx));
            if self.moved == moved {
                return Poll::Ready(());
            }
            self.moved = moved;
            self.timer.set(sleep(period));
        }
    }
}

impl<S> Watched<S> {
    pub(super) fn new(stream: S, progress: Arc<Progress>, deadlines: Deadlines) -> Self {
        Self {
            stream,
            progress,
            deadlines,
            front: Bytes::new(),
            rested: false,
            busy: false,
            read: 0,
            written: 0,
            idle_since: None,
            idle: None,
            head: None,
            stall: None,
            half_closed: None,
            linger: None,
        }
    }

    /// The client has nothing for us just now.
    fn poll_quiet(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.progress.get() {
            HEAD => {}
            WAITING => return self.poll_idle(cx),
            _ => return Poll::Pending,
        }
        // A head has one deadline for all of it. What may be the rest of an upload has one for each so many bytes: by
        // less, a head that follows one could be kept open for days.
        let moved = if self.progress.has_upload() { self.read / MOVED } else { 0 };
        let period = self.deadlines.head;
        let patience = self.head.get_or_insert_with(|| Patience::new(period, moved));
        ready!(patience.poll_gone(cx, period, moved));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    /// Nothing of the next request has come.
    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.head = None;
        let limit = self.deadlines.idle;
        let since = *self.idle_since.get_or_insert_with(Instant::now);
        let settles = self.progress.rest() == DONE && limit.is_none_or(|limit| limit > SETTLE);
        let Some(period) = (if settles { Some(SETTLE) } else { limit }) else { return Poll::Pending };
        let ends = since + period;
        let set = self.idle.is_some();
        let timer = self.idle.get_or_insert_with(|| Box::pin(sleep_until(ends)));
        // One that is set will wake this task, which is the only one that comes here.
        if set && timer.deadline() <= ends && !timer.is_elapsed() {
            return Poll::Pending;
        }
        if timer.deadline() != ends {
            timer.as_mut().reset(ends);
        }
        // Unconstrained: a task that has done much in this turn would be told to wait for a timer that is not set yet.
        ready!(pin!(unconstrained(timer.as_mut())).poll(cx));
        if settles {
            // Whoever drives the connection looks for this each time that it has nothing to do.
            self.progress.settled();
            return Poll::Pending;
        }
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    /// Lets go of all that only a connection at work needs; `front` was read and not used.
    pub(super) fn rest(&mut self, front: Bytes) {
        self.progress.rested();
        // An empty one may still hold all of the buffer that it came from.
        self.front = if front.is_empty() { Bytes::new() } else { front };
        self.rested = true;
        self.head = None;
        self.stall = None;
        self.half_closed = None;
    }

    /// Something has come from the client.
    fn arrived(&mut self, length: usize) {
        self.read = self.read.wrapping_add(length);
        if self.progress.get() == WAITING {
            self.progress.began();
            self.idle_since = None;
            self.head = None;
        }
    }

    /// The client will send nothing more.
    fn poll_ended(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.progress.is_busy() {
            let written = self.written;
            self.progress.hold_back(cx);
            let patience = self.half_closed.get_or_insert_with(|| Patience::new(HALF_CLOSE_GRACE, written));
            ready!(patience.poll_gone(cx, HALF_CLOSE_GRACE, written));
        }
        Poll::Ready(Ok(()))
    }

    /// Counts what the client took, or waits for it to take something.
    fn poll_taken(
        &mut self,
        cx: &mut Context<'_>,
        taken: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        match taken {
            Poll::Ready(Ok(n)) => {
                self.written = self.written.wrapping_add(n);
                self.idle_since = None;
                Poll::Ready(Ok(n))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                self.progress.stirred();
                let (period, written) = (self.deadlines.write, self.written);
                let patience = self.stall.get_or_insert_with(|| Patience::new(period, written));
                ready!(patience.poll_gone(cx, period, written));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

impl<S: AsyncRead + Unpin> Watched<S> {
    /// Waits for something of the next request, with no buffer before there is any; false is the end of the stream.
    pub(super) fn poll_arrival(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let since = self.idle_since.filter(|_| self.rested);
        if self.front.is_empty() {
            let mut room = [const { MaybeUninit::uninit() }; FRONT];
            let mut buffer = ReadBuf::uninit(&mut room);
            ready!(Pin::new(&mut *self).poll_read(cx, &mut buffer))?;
            self.front = Bytes::copy_from_slice(buffer.filled());
        }
        self.busy = since.is_some_and(|since| since.elapsed() < SETTLE);
        Poll::Ready(Ok(!self.front.is_empty()))
    }

    /// Nothing more is sent. Reads what still comes, and forgets it, until the client has seen that.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut waste = [0; 4096];
        // Between two requests nothing is on its way, and nobody should wait for a client that keeps its end open.
        let mut sending = self.progress.get() == HEAD || self.progress.is_cut();
        loop {
            let mut buffer = ReadBuf::new(&mut waste);
            match Pin::new(&mut self.stream).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => sending = true,
                Poll::Pending if sending => break,
                _ => return Poll::Ready(()),
            }
            if self.linger.as_ref().is_some_and(|linger| linger.is_elapsed()) {
                return Poll::Ready(());
            }
        }
        self.progress.cut();
        self.linger.as_mut().map_or(Poll::Ready(()), |linger| linger.as_mut().poll(cx))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.front.is_empty() {
            let length = this.front.len().min(buffer.remaining());
            buffer.put_slice(&this.front.split_to(length));
            if this.front.is_empty() {
                this.front = Bytes::new();
            }
            this.arrived(length);
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        match Pin::new(&mut this.stream).poll_read(cx, buffer) {
            Poll::Ready(Ok(())) if buffer.filled().len() > before => {
                this.arrived(buffer.filled().len() - before);
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Ok(())) if buffer.remaining() > 0 => this.poll_ended(cx),
            Poll::Pending => this.poll_quiet(cx),
            ready @ Poll::Ready(_) => ready,
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let taken = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.poll_taken(cx, taken)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let stream = Pin::new(&mut this.stream);
        let taken = if bytes.iter().map(|part| part.len()).sum::<usize>() > SHORT {
            stream.poll_write_vectored(cx, bytes)
        } else {
            // A head and a short body: to copy them costs less than to tell the kernel of two pieces.
            let mut flat = [0; SHORT];
            let mut free = &mut flat[..];
            for part in bytes {
                // There is room for all of them.
                let _ = io::Write::write(&mut free, part);
            }
            let length = SHORT - free.len();
            stream.poll_write(cx, flat.get(..length).unwrap_or_default())
        };
        this.poll_taken(cx, taken)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(Pin::new(&mut this.stream).poll_flush(cx))?;
        if this.progress.get() == WAITING {
            // The answer is out. Nobody may read until something comes, so that it is idle begins to count here. When
            // its time is over, whoever reads next learns it.
            this.progress.flushed(this.busy);
            let _ = this.poll_idle(cx);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.progress.rest() == PARTING {
            return Poll::Ready(Ok(()));
        }
        // What still comes is read and forgotten: it is no request.
        this.progress.stay();
        if this.linger.is_none() {
            ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
            this.linger = Some(Box::pin(sleep(LINGER)));
        }
        this.poll_linger(cx).map(Ok)
    }
}
