//! What a connection's task writes in one turn goes out together, when the turn is over.
//!
//! The HTTP/2 library writes after each frame with content, and TLS makes each write a record and a call of the kernel:
//! small uploads that are on their way at the same time would take one each.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// So much is collected at most.
const MOST: usize = 64 * 1024;
/// Writes of this size go through: to copy them would cost more than it saves.
const LARGE: usize = 8 * 1024;

/// An end for the library, and one for who gives it its turns. Clones are the same one.
#[derive(Debug)]
pub(super) struct Cork<I>(Arc<Mutex<Corked<I>>>);

#[derive(Debug)]
struct Corked<I> {
    io: I,
    collected: Vec<u8>,
    /// Of which so much is written.
    written: usize,
}

impl<I> Clone for Cork<I> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> Cork<I> {
    pub(super) fn new(io: I) -> Self {
        Self(Arc::new(Mutex::new(Corked { io, collected: Vec::new(), written: 0 })))
    }

    /// Nobody ever waits for it: both ends belong to the same task.
    fn lock(&self) -> MutexGuard<'_, Corked<I>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The turn is over. Ready when everything is out.
    pub(super) fn poll_out(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut corked = self.lock();
        ready!(corked.poll_write_out(cx))?;
        Pin::new(&mut corked.io).poll_flush(cx)
    }
}

impl<I: AsyncWrite + Unpin> Corked<I> {
    fn poll_write_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.collected.len() {
            match ready!(Pin::new(&mut self.io).poll_write(cx, &self.collected[self.written..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.written += written,
            }
        }
        self.collected.clear();
        self.written = 0;
        Poll::Ready(Ok(()))
    }

    fn poll_collect(&mut self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let all = bufs.iter().map(|buf| buf.len()).sum();
        if all >= LARGE || self.collected.len() + all > MOST {
            ready!(self.poll_write_out(cx))?;
        }
        if all >= LARGE {
            return Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        }
        for buf in bufs {
            self.collected.extend_from_slice(buf);
        }
        Poll::Ready(Ok(all))
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> AsyncRead for Cork<I> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.lock().io).poll_read(cx, buf)
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Cork<I> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.lock().poll_collect(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.lock().poll_collect(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.lock().io.is_write_vectored()
    }

    /// Done at the end of the turn.
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut corked = self.lock();
        ready!(corked.poll_write_out(cx))?;
        Pin::new(&mut corked.io).poll_shutdown(cx)
    }
}
