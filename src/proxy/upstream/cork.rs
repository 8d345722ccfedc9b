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

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use proptest::prelude::*;
    use tokio::time::timeout;

    use super::super::slow::Slow;
    use super::*;

    /// One write after another, whole. How the library writes.
    struct Writes {
        bytes: Vec<u8>,
        at: usize,
        vectored: bool,
    }

    impl Writes {
        fn poll(&mut self, cork: &mut Cork<Slow>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            while self.at < self.bytes.len() {
                let left = &self.bytes[self.at..];
                let (one, two) = left.split_at(left.len() / 3);
                self.at += if self.vectored {
                    let bufs = [IoSlice::new(one), IoSlice::new(two)];
                    ready!(Pin::new(&mut *cork).poll_write_vectored(cx, &bufs))?
                } else {
                    ready!(Pin::new(&mut *cork).poll_write(cx, left))?
                };
            }
            Poll::Ready(Ok(()))
        }
    }

    /// Turns with such writes each, until everything is out.
    async fn turns(cork: &Cork<Slow>, turns: Vec<Vec<Writes>>) -> io::Result<()> {
        let mut end = cork.clone();
        let mut turns: Vec<_> = turns
            .into_iter()
            .rev()
            .map(|mut turn| {
                turn.reverse();
                turn
            })
            .collect();
        let all = poll_fn(|cx| {
            while let Some(write) = turns.last_mut().and_then(|turn| turn.last_mut()) {
                match write.poll(&mut end, cx)? {
                    Poll::Ready(()) => turns.last_mut().map(Vec::pop),
                    Poll::Pending => break,
                };
            }
            turns.pop_if(|turn| turn.is_empty());
            let out = cork.poll_out(cx)?;
            if turns.is_empty() {
                return out.map(Ok);
            }
            // The library has something to do again.
            cx.waker().wake_by_ref();
            Poll::Pending
        });
        timeout(Duration::from_secs(60), all).await.expect("everything is out")
    }

    fn run<T>(what: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime").block_on(what)
    }

    /// Writes of these lengths. No two bytes that are near each other are alike.
    fn writes(lengths: &[usize], all: &mut Vec<u8>, vectored: bool) -> Vec<Writes> {
        let write = |length: &usize| {
            let bytes: Vec<u8> = (0..251).cycle().skip(all.len() % 251).take(*length).collect();
            all.extend_from_slice(&bytes);
            Writes { bytes, at: 0, vectored }
        };
        lengths.iter().map(write).collect()
    }

    proptest! {
        #[test]
        fn everything_comes_out_in_order(
            lengths in prop::collection::vec(prop::collection::vec(
                prop_oneof![1_usize..100, 8000_usize..8400, Just(8191_usize), Just(8192), 1_usize..40_000], 0..8), 1..5),
            mut steps in prop::collection::vec(prop_oneof![Just(0_usize), 0_usize..4, 0_usize..20_000], 0..5),
            some in prop_oneof![1000_usize..9000, 1_usize..200_000],
            vectored in any::<bool>(),
        ) {
            steps.push(some);
            let cork = Cork::new(Slow::new(&steps, vectored));
            let mut all = Vec::new();
            let lengths = lengths.iter().map(|turn| writes(turn, &mut all, vectored)).collect();
            run(turns(&cork, lengths)).expect("written");
            let inner = cork.lock();
            prop_assert!(inner.io.written == all, "{} of {} bytes", inner.io.written.len(), all.len());
            prop_assert_eq!(inner.io.flushed, all.len());
        }
    }

    #[test]
    fn small_writes_of_one_turn_become_one() {
        let cork = Cork::new(Slow::new(&[usize::MAX], true));
        let mut all = Vec::new();
        let two = vec![writes(&[100; 50], &mut all, true), writes(&[9; 3], &mut all, false)];
        run(turns(&cork, two)).expect("written");
        let inner = cork.lock();
        assert_eq!((inner.io.writes, &inner.io.written), (2, &all), "one a turn");
    }

    #[test]
    fn nothing_more_is_collected_than_64_kib_while_nothing_can_be_written() {
        let cork = Cork::new(Slow::new(&[0], true));
        let mut end = cork.clone();
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let mut taken = 0;
        while let Poll::Ready(Ok(some)) = Pin::new(&mut end).poll_write(&mut cx, &[0; 1000]) {
            taken += some;
        }
        assert_eq!(taken, 65_000);
    }

    #[test]
    fn whoever_gives_the_turns_hears_that_writing_failed() {
        for steps in [[usize::MAX, usize::MAX], [10, 0]] {
            let mut io = Slow::new(&steps, true);
            io.breaks_after = 10;
            let cork = Cork::new(io);
            let two = vec![writes(&[100], &mut Vec::new(), true), writes(&[100], &mut Vec::new(), true)];
            let failed = run(turns(&cork, two)).expect_err("broken");
            assert_eq!(failed.kind(), io::ErrorKind::ConnectionReset);
        }
    }
}
