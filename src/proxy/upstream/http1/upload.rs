//! A request on its way out: its head, and its body in the frames it comes in.

use std::fmt::{self, Write as _};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http_body::Body;
use tokio::io::AsyncWrite;
use tokio_util::io::poll_write_buf;

use super::super::NO_ROOM;
use super::Error;
use crate::proxy::idle::IdleTimer;
use crate::proxy::replay::Attempt;

/// Frames up to this size are written together with what is before them, and copied for that.
const COPIED: usize = 8 * 1024;
/// So much is collected before it is written.
const MOST_COLLECTED: usize = 16 * 1024;

/// What is yet to be written of a request.
pub(super) struct Upload<B = Attempt> {
    /// Written first: a head, small frames, and what is around chunks.
    out: BytesMut,
    /// Boxed, since most requests have none and all would be larger by it.
    body: Option<Box<Frames<B>>>,
}

struct Frames<B> {
    body: B,
    /// As `Content-Length` says; without one, each frame becomes a chunk.
    left: Option<u64>,
    /// Written after `out`.
    frame: Bytes,
    /// Written after `frame`: the end of its chunk.
    tail: &'static [u8],
    ended: bool,
    no_room: IdleTimer,
}

impl<B> fmt::Debug for Upload<B> {
    /// Not what is written: the token is in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload").finish_non_exhaustive()
    }
}

impl<B: Body<Data = Bytes> + Unpin> Upload<B> {
    /// Of a request with `head` and `body`, which has `left` bytes if that is known.
    pub(super) fn new(head: BytesMut, body: B, left: Option<u64>) -> Self {
        let frames = || {
            let no_room = IdleTimer::new(NO_ROOM);
            Box::new(Frames { body, left, frame: Bytes::new(), tail: b"", ended: false, no_room })
        };
        Self { out: head, body: (left != Some(0)).then(frames) }
    }

    /// Ready when everything is written.
    pub(super) fn poll(
        &mut self,
        io: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        loop {
            let waits = match &mut self.body {
                Some(frames) => frames.collect(&mut self.out, cx)?.is_pending(),
                None => false,
            };
            let wrote = self.poll_write(io, cx)?;
            let Some(frames) = &mut self.body else { return wrote.map(Ok) };
            if wrote.is_pending() {
                return frames.no_room.poll(cx).map(|()| Err(Error::NoRoom));
            }
            if frames.ended {
                self.body = None;
                return Poll::Ready(Ok(()));
            }
            if waits {
                return Poll::Pending;
            }
        }
    }

    fn poll_write(
        &mut self,
        io: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let Some(frames) = &mut self.body else {
            while self.out.has_remaining() {
                ready!(poll_some(io, &mut self.out, cx))?;
            }
            return Pin::new(io).poll_flush(cx);
        };
        while self.out.has_remaining() || !frames.is_written() {
            let mut all = (&mut self.out).chain(&mut frames.frame).chain(&mut frames.tail);
            ready!(poll_some(io, &mut all, cx))?;
            frames.no_room.progress();
        }
        Pin::new(io).poll_flush(cx)
    }
}

fn poll_some(
    io: &mut (impl AsyncWrite + Unpin),
    bytes: &mut impl Buf,
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    match ready!(poll_write_buf(Pin::new(io), cx, bytes))? {
        0 => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
        _ => Poll::Ready(Ok(())),
    }
}

impl<B: Body<Data = Bytes> + Unpin> Frames<B> {
    fn is_written(&self) -> bool {
        self.frame.is_empty() && self.tail.is_empty()
    }

    /// Takes what there is of the body, as far as it is to be written at once. Pending while the client has to send more.
    fn collect(&mut self, out: &mut BytesMut, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        while !self.ended && self.is_written() && out.len() < MOST_COLLECTED {
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                // Trailers do not come: the attempt has dropped them.
                Some(frame) => self.put(frame.ok().and_then(|frame| frame.into_data().ok()), out)?,
                None => self.end(out)?,
            }
        }
        Poll::Ready(Ok(()))
    }

    fn put(&mut self, data: Option<Bytes>, out: &mut BytesMut) -> Result<(), Error> {
        let data = data.ok_or(Error::Upload)?;
        // An empty chunk would be the last one.
        if data.is_empty() {
            return Ok(());
        }
        if let Some(left) = &mut self.left {
            *left = left.checked_sub(data.len() as u64).ok_or(Error::Upload)?;
        } else {
            let _ = write!(out, "{:x}\r\n", data.len());
        }
        let tail: &[u8] = if self.left.is_none() { b"\r\n" } else { b"" };
        if data.len() <= COPIED {
            out.put_slice(&data);
            out.put_slice(tail);
        } else {
            (self.frame, self.tail) = (data, tail);
        }
        self.ended = self.left == Some(0);
        Ok(())
    }

    fn end(&mut self, out: &mut BytesMut) -> Result<(), Error> {
        if self.left.is_some_and(|left| left > 0) {
            return Err(Error::Upload);
        }
        if self.left.is_none() {
            out.put_slice(b"0\r\n\r\n");
        }
        self.ended = true;
        Ok(())
    }
}
