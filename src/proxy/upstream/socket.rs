//! A connection that hears out a peer that has stopped to listen.
//!
//! A server that refuses an upload may answer and close without reading the rest. Our next write then fails, while its
//! answer lies unread in our receive buffer (RFC 9112 §9.5 and §9.6). Taken for what it is, the failed write would be the
//! end of everything; so writes seem to succeed from then on, and what upstream has said decides.
//!
//! It also reads ahead, and counts what the peer says. The TLS library asks for 4 KiB at a time, so that a full record
//! takes five calls of the kernel.

use std::cell::RefCell;
use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What is read at once for a reader who asks for less: two full records of TLS, or the answers to many small requests.
const AHEAD: usize = 2 * (16 * 1024 + 512);
/// A reader who has more room than this is left to itself.
const LITTLE: usize = 4096;

thread_local! {
    /// What is read ends up here first. One a thread, since nearly always all of it is taken at once: a connection that
    /// waits holds nothing.
    static READ: RefCell<Box<[u8]>> = RefCell::new(vec![0; AHEAD].into());
}

/// How much the peer has said, in bytes. Wraps.
#[derive(Debug, Default)]
pub(super) struct Heard(AtomicUsize);

impl Heard {
    /// Changes whenever the peer has said something.
    pub(super) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    fn add(&self, bytes: usize) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }
}

pub(super) struct Socket<I> {
    io: I,
    /// Read, and not yet asked for.
    ahead: Option<Bytes>,
    heard: Arc<Heard>,
    /// What the first failed write failed with.
    deaf: Option<io::ErrorKind>,
}

impl<I> fmt::Debug for Socket<I> {
    /// Not what is read.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket").field("deaf", &self.deaf).finish_non_exhaustive()
    }
}

impl<I> Socket<I> {
    pub(super) fn new(io: I) -> Self {
        Self { io, ahead: None, heard: Arc::default(), deaf: None }
    }

    pub(super) fn heard(&self) -> Arc<Heard> {
        Arc::clone(&self.heard)
    }

    /// Whether a write has failed.
    pub(super) fn is_deaf(&self) -> bool {
        self.deaf.is_some()
    }

    fn wrote(&mut self, result: io::Result<usize>, all: usize) -> io::Result<usize> {
        match result {
            Err(error) if is_gone(&error) => {
                self.deaf = Some(error.kind());
                Ok(all)
            }
            result => result,
        }
    }
}

fn is_gone(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
    matches!(error.kind(), BrokenPipe | ConnectionReset | ConnectionAborted)
}

impl<I: AsyncRead + Unpin> Socket<I> {
    fn poll_read_ahead(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        READ.with_borrow_mut(|room| {
            let mut read = ReadBuf::new(room);
            ready!(Pin::new(&mut self.io).poll_read(cx, &mut read))?;
            let read = read.filled();
            self.heard.add(read.len());
            let (wanted, ahead) = read.split_at(read.len().min(buf.remaining()));
            buf.put_slice(wanted);
            if !ahead.is_empty() {
                self.ahead = Some(Bytes::copy_from_slice(ahead));
            }
            Poll::Ready(Ok(()))
        })
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Socket<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let (before, room) = (buf.filled().len(), buf.remaining());
        if let Some(ahead) = &mut self.ahead {
            buf.put_slice(&ahead.split_to(ahead.len().min(room)));
            if ahead.is_empty() {
                // It would hold what it was a part of for as long as the connection lives.
                self.ahead = None;
            }
            return Poll::Ready(Ok(()));
        }
        if (1..=LITTLE).contains(&room) {
            ready!(self.poll_read_ahead(cx, buf))?;
        } else {
            ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
            self.heard.add(buf.filled().len() - before);
        }
        match self.deaf {
            // The failed write has used up the error. Without it, a body that was cut off would seem to be whole.
            Some(kind) if room > 0 && buf.filled().len() == before => Poll::Ready(Err(kind.into())),
            _ => Poll::Ready(Ok(())),
        }
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Socket<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.deaf.is_some() {
            return Poll::Ready(Ok(buf.len()));
        }
        let result = ready!(Pin::new(&mut self.io).poll_write(cx, buf));
        Poll::Ready(self.wrote(result, buf.len()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let all = bufs.iter().map(|buf| buf.len()).sum();
        if self.deaf.is_some() {
            return Poll::Ready(Ok(all));
        }
        let result = ready!(Pin::new(&mut self.io).poll_write_vectored(cx, bufs));
        Poll::Ready(self.wrote(result, all))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.deaf.is_some() {
            return Poll::Ready(Ok(()));
        }
        let result = ready!(Pin::new(&mut self.io).poll_flush(cx)).map(|()| 0);
        Poll::Ready(self.wrote(result, 0).map(drop))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn after_a_failed_write_what_was_said_is_heard_and_the_end_is_an_error() {
        let (ours, mut theirs) = tokio::io::duplex(64);
        theirs.write_all(b"said").await.expect("room");
        drop(theirs);
        let mut socket = Socket::new(ours);
        // A duplex stream fails writes with `BrokenPipe` once its other end is gone.
        assert_eq!(socket.write(b"unheard").await.expect("seems to succeed"), 7);
        socket.flush().await.expect("nothing to do");
        let mut heard = Vec::new();
        let end = socket.read_to_end(&mut heard).await;
        assert_eq!(
            (heard.as_slice(), end.map_err(|e| e.kind())),
            (&b"said"[..], Err(io::ErrorKind::BrokenPipe))
        );
    }

    proptest! {
        #[test]
        fn what_is_read_ahead_is_given_out_in_order_and_to_the_end(
            said in prop::collection::vec(any::<u8>(), 0..100_000),
            rooms in prop::collection::vec(1_usize..6000, 1..10),
            pipe in 1_usize..80_000,
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
            let heard = runtime.block_on(async {
                let (ours, mut theirs) = tokio::io::duplex(pipe);
                let words = said.clone();
                tokio::spawn(async move { theirs.write_all(&words).await });
                let mut socket = Socket::new(ours);
                let mut heard = Vec::new();
                for room in rooms.iter().cycle() {
                    let mut buffer = vec![0; *room];
                    match socket.read(&mut buffer).await.expect("no error") {
                        0 => break,
                        length => heard.extend_from_slice(&buffer[..length]),
                    }
                }
                heard
            });
            prop_assert_eq!(heard, said);
        }
    }

    #[tokio::test]
    async fn a_reader_of_little_takes_one_read_for_a_whole_record() {
        let (ours, mut theirs) = tokio::io::duplex(AHEAD);
        theirs.write_all(&vec![7; 16_406]).await.expect("room");
        let mut socket = Socket::new(ours);
        let mut little = [0; LITTLE];
        assert_eq!(socket.read(&mut little).await.expect("said"), LITTLE);
        assert_eq!(socket.ahead.as_ref().map(Bytes::len), Some(16_406 - LITTLE));
        drop(theirs);
        let mut heard = Vec::new();
        socket.read_to_end(&mut heard).await.expect("a proper end");
        assert_eq!(heard.len(), 16_406 - LITTLE);
        assert!(socket.ahead.is_none(), "a connection that waits holds nothing");
    }

    #[tokio::test]
    async fn without_a_failed_write_the_end_is_the_end() {
        let (ours, mut theirs) = tokio::io::duplex(64);
        theirs.write_all(b"said").await.expect("room");
        drop(theirs);
        let mut heard = Vec::new();
        Socket::new(ours).read_to_end(&mut heard).await.expect("a proper end");
        assert_eq!(heard, b"said");
    }
}
