//! For tests: a writer that takes what it is told to take, and a body that comes when it is told to come.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What it is written, and when it takes more.
#[derive(Debug)]
pub(super) struct Slow {
    /// One a write, over and over: so many bytes, or with 0 none yet.
    steps: Vec<usize>,
    step: usize,
    vectored: bool,
    /// It breaks after so many bytes.
    pub(super) breaks_after: usize,
    pub(super) written: Vec<u8>,
    /// Whether the last flush did nothing, as every other one does if some writes do nothing.
    held: bool,
    /// So much of it has been flushed.
    pub(super) flushed: usize,
    /// Writes that took something.
    pub(super) writes: usize,
}

impl Slow {
    pub(super) fn new(steps: &[usize], vectored: bool) -> Self {
        Self {
            steps: steps.to_vec(),
            step: 0,
            vectored,
            breaks_after: usize::MAX,
            written: Vec::new(),
            held: false,
            flushed: 0,
            writes: 0,
        }
    }

    fn next(&mut self, cx: &mut Context<'_>) -> Poll<usize> {
        let step = self.steps[self.step % self.steps.len()];
        self.step += 1;
        if step > 0 {
            return Poll::Ready(step);
        }
        // One that never takes anything wakes nobody.
        if self.steps.iter().any(|step| *step > 0) {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    fn take(&mut self, mut most: usize, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let before = self.written.len();
        if before >= self.breaks_after {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        for buf in bufs {
            let some = most.min(buf.len());
            self.written.extend_from_slice(&buf[..some]);
            most -= some;
        }
        self.writes += 1;
        Ok(self.written.len() - before)
    }
}

impl AsyncWrite for Slow {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.next(cx).map(|most| self.take(most, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        self.vectored
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.held = !self.held && self.steps.contains(&0);
        if self.held {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.flushed = self.written.len();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}

impl AsyncRead for Slow {
    fn poll_read(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        _buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

/// The frames of a body; where there is none, the next one is not there yet.
#[derive(Debug)]
pub(super) struct Frames(pub(super) VecDeque<Option<Bytes>>);

impl Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.0.pop_front() {
            None => Poll::Ready(None),
            Some(Some(data)) => Poll::Ready(Some(Ok(Frame::data(data)))),
            Some(None) => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }
}
