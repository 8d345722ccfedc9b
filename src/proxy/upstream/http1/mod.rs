//! HTTP/1.1 to upstream (RFC 9112): one request at a time on a connection, by the task of the request itself.
//!
//! The HTTP library has a task for each connection, which is handed every request and hands back every piece of its
//! answer. Here the request writes and reads its connection on its own, and nobody else is woken; between requests
//! nobody has it in hand, and the pool hears from the socket when upstream says or closes something.
//!
//! The grammar of a head is the parsing library's ([`head`]). Where a message ends is decided here, strictly: what has
//! two readings is an error and the end of the connection (RFC 9112 §6.3, §11.2).

mod chunks;
mod content;
mod head;
#[cfg(test)]
mod tests;
mod upload;

use std::cell::RefCell;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Method, Response, StatusCode};
use tokio::io::{AsyncRead as _, AsyncWrite as _, AsyncWriteExt as _, ReadBuf};
use tokio::task::{AbortHandle, unconstrained};
use tokio::time::timeout;

pub(super) use self::content::Content;
use self::head::{Framing, Head};
use self::upload::Upload;
use super::Outgoing;
use super::connection::{Failed, MOST_HEAD};
use super::dial::Stream;
use super::error::{CLOSED, Kind, SendError};
use crate::clock::Stopwatch;

/// All interim answers (1xx) to one request together.
const MOST_INTERIM: usize = 1024 * 1024;
/// How long upstream may take to hear that no more of a broken upload comes.
const GOODBYE: Duration = Duration::from_secs(10);
/// What is read at once of a head and what comes with it: a full record of TLS.
const ROOM: usize = 16 * 1024;

thread_local! {
    /// A head is read in here first, and what has come is kept in as many bytes as it has. One a thread, so that it is
    /// always warm, and a connection that waits holds nothing.
    static READ: RefCell<Box<[u8]>> = RefCell::new(vec![0; ROOM].into());
}

/// A connection that waits for a request.
#[derive(Debug)]
pub(super) struct H1 {
    io: Stream,
    pub(super) born: Stopwatch,
    /// A request has been answered on it, so the peer may be about to close it.
    pub(super) reused: bool,
}

/// What goes wrong on a connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{0}")]
    Io(#[source] io::Error),
    #[error("it ended too early")]
    Incomplete,
    #[error("{0}")]
    Malformed(&'static str),
    /// What there is to say about it, the body knows.
    #[error("the request body broke off")]
    Upload,
    #[error("upstream takes no more of the request body")]
    NoRoom,
}

impl H1 {
    pub(super) fn new(io: Stream) -> Self {
        Self { io, born: Stopwatch::start(), reused: false }
    }

    /// Whether the peer has ended it or said something that nobody has asked for, either of which is the end of its use.
    /// If not, the waker of `cx` is told when that happens, unless somebody else reads from it before.
    pub(super) fn has_ended(&mut self, cx: &mut Context<'_>) -> bool {
        if self.io.is_deaf() {
            return true;
        }
        let mut byte = [0];
        let mut byte = ReadBuf::new(&mut byte);
        // Whether there is something to hear must not depend on how much this task has done in its turn.
        pin!(unconstrained(poll_fn(|cx| Pin::new(&mut self.io).poll_read(cx, &mut byte)))).poll(cx).is_ready()
    }

    /// Says goodbye, as far as that can be done without waiting.
    pub(super) fn close(&mut self) {
        // TLS is told of the end before TCP (RFC 8446 §6.1), or it would seem to be cut off.
        let goodbye = unconstrained(poll_fn(|cx| Pin::new(&mut self.io).poll_shutdown(cx)));
        let _ = pin!(goodbye).poll(&mut Context::from_waker(Waker::noop()));
    }

    /// Puts `request` on its way.
    pub(super) fn send(
        self: Box<Self>,
        request: &Outgoing,
        host: &HeaderValue,
        authorization: &HeaderValue,
    ) -> Sending {
        let reused = self.reused;
        let head = head::of(request, host, authorization);
        Sending {
            h1: Some(self),
            upload: Some(Upload::new(head, request.body.attempt(), request.body.length())),
            read: BytesMut::new(),
            interim: 0,
            method: request.method.clone(),
            reused,
        }
    }
}

/// A request on its way: ends with the head of its answer. Dropped before, it ends the connection.
pub(super) struct Sending {
    h1: Option<Box<H1>>,
    /// Until all of it is written.
    upload: Option<Upload>,
    read: BytesMut,
    /// Bytes of interim answers so far.
    interim: usize,
    method: Method,
    reused: bool,
}

impl fmt::Debug for Sending {
    /// Not what is written: the token is in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sending").field("h1", &self.h1).field("method", &self.method).finish_non_exhaustive()
    }
}

impl Future for Sending {
    type Output = Result<Response<Content>, Failed>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let reused = self.reused;
        let answered = ready!(self.poll_answer(cx));
        Poll::Ready(answered.map_err(|error| Failed { error: error.into(), unprocessed: false, reused }))
    }
}

impl Sending {
    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Result<Response<Content>, Error>> {
        if let (Some(h1), Some(upload)) = (&mut self.h1, &mut self.upload)
            && upload.poll(&mut h1.io, cx)?.is_ready()
        {
            self.upload = None;
        }
        // It is not polled again after its end.
        while let Some(h1) = &mut self.h1 {
            let begun = self.read.len();
            if !ready!(poll_more(&mut h1.io, &mut self.read, cx))? {
                return Poll::Ready(Err(Error::Incomplete));
            }
            // A head is read again from its beginning, so only when there is another line of it.
            if begun == 0 || self.read[begun..].contains(&b'\n') {
                let mut read = std::mem::take(&mut self.read).freeze();
                while let Some(head) = head::parse(&mut read)? {
                    if !head.status.is_informational() {
                        return Poll::Ready(self.answer(head, read));
                    }
                    self.interim(&head)?;
                }
                // Nobody else has a part of it.
                self.read = read.try_into_mut().unwrap_or_else(|read| BytesMut::from(&read[..]));
            }
            if self.read.len() >= MOST_HEAD {
                return Poll::Ready(Err(Error::Malformed("the head is larger than 64 KiB")));
            }
        }
        Poll::Pending
    }

    fn interim(&mut self, head: &Head) -> Result<(), Error> {
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            // RFC 9110 §7.8: only after a request to. Whatever follows is not HTTP.
            return Err(Error::Malformed("it switches protocols, which was not asked for"));
        }
        self.interim += head.length;
        let endless = self.interim > MOST_INTERIM;
        if endless { Err(Error::Malformed("there is no end of interim answers")) } else { Ok(()) }
    }

    /// What comes after `head`.
    fn answer(&mut self, head: Head, ahead: Bytes) -> Result<Response<Content>, Error> {
        let framing = Framing::of(&head, &self.method)?;
        let Some(mut h1) = self.h1.take() else { return Err(Error::Incomplete) };
        h1.reused = true;
        let content = match self.upload.take() {
            None => Content::whole(h1, framing, ahead),
            Some(upload) => {
                let (reads, rest) = go_on(upload, h1.io);
                Content::half(reads, rest, framing, ahead)
            }
        };
        let mut response = Response::new(content);
        *response.status_mut() = head.status;
        *response.headers_mut() = head.headers;
        if let Some(reason) = head.reason {
            response.extensions_mut().insert(reason);
        }
        Ok(response)
    }
}

/// What is left of an upload when the answer comes, in a task of its own: the caller may read the answer only when it
/// has sent everything. The connection is not used again.
fn go_on(mut upload: Upload, io: Stream) -> (tokio::io::ReadHalf<Stream>, AbortHandle) {
    let (reads, mut writes) = tokio::io::split(io);
    let rest = tokio::spawn(async move {
        // What becomes of it, the answer tells. Upstream must not wait for what does not come.
        if poll_fn(|cx| upload.poll(&mut writes, cx)).await.is_err() {
            let _ = timeout(GOODBYE, writes.shutdown()).await;
        }
    });
    (reads, rest.abort_handle())
}

/// Reads more of a head. Whether there was more.
fn poll_more(io: &mut Stream, read: &mut BytesMut, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
    READ.with_borrow_mut(|room| {
        let mut more = ReadBuf::new(room);
        ready!(Pin::new(io).poll_read(cx, &mut more))?;
        read.extend_from_slice(more.filled());
        Poll::Ready(Ok(!more.filled().is_empty()))
    })
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        // TLS was cut off: nobody said that this is the end.
        if error.kind() == io::ErrorKind::UnexpectedEof { Self::Incomplete } else { Self::Io(error) }
    }
}

impl From<Error> for SendError {
    fn from(error: Error) -> Self {
        match error {
            Error::Malformed(_) => {
                Self::new(Kind::Protocol, format!("the answer is not well-formed HTTP ({error})"))
            }
            Error::Incomplete => Self::new(Kind::Closed, CLOSED),
            Error::Io(_) | Error::Upload => Self::new(Kind::Closed, format!("{CLOSED} ({error})")),
            Error::NoRoom => Self::new(Kind::ResponseTimeout, error.to_string()),
        }
    }
}
