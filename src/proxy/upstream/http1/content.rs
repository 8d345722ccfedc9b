//! The content of an answer over HTTP/1.1, as it comes.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use tokio::io::ReadHalf;
use tokio::task::AbortHandle;
use tokio_util::io::poll_read_buf;

use super::super::dial::Stream;
use super::chunks::Chunks;
use super::head::{End, Framing};
use super::{Error, H1, ROOM};

/// The most that is read at once of long content.
const MOST_ROOM: usize = 64 * 1024;
/// Rather than less than this, room is made.
const LEAST_ROOM: usize = 4096;

/// Dropped before its end, it ends the connection.
pub(in super::super) struct Content {
    io: Io,
    /// Read, and not yet given out.
    ahead: Bytes,
    room: BytesMut,
    left: Left,
    keeps: bool,
}

enum Io {
    Whole(Box<H1>),
    /// The other half is with what is left of the upload.
    Half(ReadHalf<Stream>, AbortHandle),
    /// Given back, or of no more use.
    Gone,
}

#[derive(Debug)]
enum Left {
    Length(u64),
    Chunks(Chunks),
    UntilClose,
    Nothing,
}

impl fmt::Debug for Content {
    /// Not what is read.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Content")
            .field("left", &self.left)
            .field("keeps", &self.keeps)
            .finish_non_exhaustive()
    }
}

impl Content {
    pub(super) fn whole(h1: Box<H1>, framing: Framing, ahead: Bytes) -> Self {
        Self::new(Io::Whole(h1), framing, ahead)
    }

    pub(super) fn half(reads: ReadHalf<Stream>, rest: AbortHandle, framing: Framing, ahead: Bytes) -> Self {
        Self::new(Io::Half(reads, rest), Framing { keeps: false, ..framing }, ahead)
    }

    fn new(io: Io, framing: Framing, ahead: Bytes) -> Self {
        let left = match framing.end {
            End::Length(0) => Left::Nothing,
            End::Length(length) => Left::Length(length),
            End::Chunked => Left::Chunks(Chunks::new()),
            End::Close => Left::UntilClose,
        };
        Self { io, ahead, room: BytesMut::new(), left, keeps: framing.keeps }
    }

    /// The connection, after the end, if it can be used again.
    pub(in super::super) fn release(&mut self) -> Option<Box<H1>> {
        // What has come behind the answer was not asked for.
        let clean = matches!(self.left, Left::Nothing) && self.keeps && self.ahead.is_empty();
        match std::mem::replace(&mut self.io, Io::Gone) {
            Io::Whole(h1) if clean => Some(h1),
            Io::Whole(mut h1) => {
                h1.close();
                None
            }
            Io::Half(..) | Io::Gone => None,
        }
    }

    /// Nobody needs what is left of the upload.
    pub(in super::super) fn end_upload(&self) {
        if let Io::Half(_, rest) = &self.io {
            rest.abort();
        }
    }

    /// Content that has been read.
    fn take(&mut self) -> Result<Option<Bytes>, Error> {
        if self.ahead.is_empty() {
            return Ok(None);
        }
        match &mut self.left {
            Left::Length(left) => {
                let length =
                    usize::try_from(*left).map_or(self.ahead.len(), |left| left.min(self.ahead.len()));
                *left -= length as u64;
                if *left == 0 {
                    self.left = Left::Nothing;
                }
                Ok(Some(self.ahead.split_to(length)))
            }
            Left::Chunks(chunks) => {
                let content = chunks.next(&mut self.ahead)?;
                if chunks.is_at_end() {
                    self.left = Left::Nothing;
                }
                Ok(content)
            }
            Left::UntilClose => Ok(Some(std::mem::take(&mut self.ahead))),
            Left::Nothing => Ok(None),
        }
    }

    /// Reads more. Whether there was more.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let expected = match self.left {
            Left::Length(left) => usize::try_from(left).map_or(MOST_ROOM, |left| left.min(MOST_ROOM)),
            _ => ROOM,
        };
        if self.room.capacity() < expected.min(LEAST_ROOM) {
            self.room.reserve(expected);
        }
        let read = match &mut self.io {
            Io::Whole(h1) => poll_read_buf(Pin::new(&mut h1.io), cx, &mut self.room),
            Io::Half(reads, _) => poll_read_buf(Pin::new(reads), cx, &mut self.room),
            Io::Gone => Poll::Ready(Ok(0)),
        };
        let read = ready!(read)?;
        self.ahead = self.room.split().freeze();
        Poll::Ready(Ok(read > 0))
    }
}

impl Drop for Content {
    fn drop(&mut self) {
        if !matches!(self.left, Left::Nothing) {
            self.end_upload();
        }
    }
}

impl Body for Content {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        loop {
            if let Some(content) = this.take()? {
                return Poll::Ready(Some(Ok(Frame::data(content))));
            }
            if let Left::Nothing = this.left {
                return Poll::Ready(None);
            }
            if !ready!(this.poll_more(cx))? {
                let Left::UntilClose = this.left else { return Poll::Ready(Some(Err(Error::Incomplete))) };
                this.left = Left::Nothing;
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.left, Left::Nothing)
    }

    fn size_hint(&self) -> SizeHint {
        match self.left {
            Left::Length(left) => SizeHint::with_exact(left),
            Left::Nothing => SizeHint::with_exact(0),
            Left::Chunks(_) | Left::UntilClose => SizeHint::default(),
        }
    }
}
