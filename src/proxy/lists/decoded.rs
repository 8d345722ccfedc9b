//! The content of an answer about a list, without its coding.

use std::io::{self, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use flate2::write::MultiGzDecoder;
use http::HeaderMap;
use http::header::{self, HeaderValue};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;

use crate::problem::{self, Problem};
use crate::proxy::answer::Content;
use crate::proxy::upstream::{Relay, RelayError};

/// The largest page that is held, in bytes.
const MOST: usize = 64 * 1024 * 1024;

/// A body on its way through, decompressed.
#[derive(Debug)]
pub(in crate::proxy) struct Decoded {
    relay: Relay,
    /// None for content that was not compressed.
    decoder: Option<Box<MultiGzDecoder<Vec<u8>>>>,
    /// Some content has come. None at all is no gzip, and no fault either.
    begun: bool,
}

/// Why content could not be read to its end.
#[derive(Debug, thiserror::Error)]
pub(in crate::proxy) enum ReadError {
    #[error(transparent)]
    Relay(#[from] RelayError),
    #[error("upstream sent content that is not gzip, as it says it is")]
    Coding(#[source] io::Error),
}

impl ReadError {
    /// As in the log.
    pub(in crate::proxy) fn kind(&self) -> &'static str {
        match self {
            Self::Relay(error) => error.kind(),
            Self::Coding(_) => "upstream-protocol",
        }
    }

    /// For a caller who has not been answered yet.
    pub(super) fn into_problem(self) -> Problem {
        let kind = match &self {
            Self::Relay(_) => problem::UPSTREAM_CLOSED,
            Self::Coding(_) => problem::UPSTREAM_PROTOCOL,
        };
        Problem::new(kind, self.to_string())
    }
}

/// What reading came to.
pub(super) enum Read {
    All(Bytes),
    /// More than we hold: what has been read, and the rest.
    Part(Bytes, Box<Decoded>),
}

impl Read {
    /// As content of an answer.
    pub(super) fn content(self) -> Content {
        match self {
            Self::All(bytes) => Content::Own(Some(bytes)),
            Self::Part(bytes, rest) => Content::Decoded(Some(bytes), rest),
        }
    }
}

impl Decoded {
    /// Takes gzip off, and says so in `headers`. Any other coding stays on: we did not ask for it.
    pub(super) fn new(relay: Relay, headers: &mut HeaderMap) -> Self {
        let mut codings = headers.get_all(header::CONTENT_ENCODING).iter();
        let is_gzip = |coding: &HeaderValue| coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"gzip");
        let gzip = codings.next().is_some_and(is_gzip) && codings.next().is_none();
        // A 304 names the coding of what it does not send.
        let gzip = gzip && !relay.is_end_stream();
        if gzip {
            headers.remove(header::CONTENT_ENCODING);
            no_longer_true(headers);
        }
        let decoder = gzip.then(|| Box::new(MultiGzDecoder::new(Vec::new())));
        Self { relay, decoder, begun: false }
    }

    /// All of it, if it is not too much.
    pub(super) async fn read(mut self) -> Result<Read, ReadError> {
        let mut first: Option<Bytes> = None;
        let mut all = BytesMut::new();
        while let Some(frame) = self.frame().await {
            let Ok(data) = frame?.into_data() else { continue };
            // Most pages come in one piece.
            match first.take() {
                None if all.is_empty() => first = Some(data),
                None => all.extend_from_slice(&data),
                Some(start) => {
                    all.extend_from_slice(&start);
                    all.extend_from_slice(&data);
                }
            }
            if all.len() + first.as_ref().map_or(0, Bytes::len) > MOST {
                return Ok(Read::Part(first.unwrap_or_else(|| all.freeze()), Box::new(self)));
            }
        }
        Ok(Read::All(first.unwrap_or_else(|| all.freeze())))
    }

    /// As content of an answer: with its length, if it had to be taken from its coding anyway.
    pub(super) async fn content(self) -> Result<Content, ReadError> {
        if self.decoder.is_none() {
            return Ok(Content::Relay(self.relay));
        }
        self.read().await.map(Read::content)
    }

    fn decode(&mut self, data: Option<&Bytes>) -> Result<Bytes, ReadError> {
        let Some(decoder) = &mut self.decoder else { return Ok(data.cloned().unwrap_or_default()) };
        let done = match data {
            Some(data) => {
                self.begun |= !data.is_empty();
                decoder.write_all(data)
            }
            None if self.begun => decoder.try_finish(),
            None => Ok(()),
        };
        done.map_err(ReadError::Coding)?;
        Ok(Bytes::from(std::mem::take(decoder.get_mut())))
    }
}

/// Drops what was said of the content as upstream sent it.
pub(super) fn no_longer_true(headers: &mut HeaderMap) {
    for name in
        ["content-length", "etag", "content-md5", "digest", "content-digest", "repr-digest", "accept-ranges"]
    {
        headers.remove(name);
    }
}

impl Body for Decoded {
    type Data = Bytes;
    type Error = ReadError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ReadError>>> {
        loop {
            let Poll::Ready(frame) = Pin::new(&mut self.relay).poll_frame(cx) else { return Poll::Pending };
            let last = frame.is_none();
            let data = match frame {
                Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
                Some(Ok(frame)) => self.decode(frame.data_ref()),
                None => self.decode(None),
            };
            match data {
                Ok(data) if data.is_empty() && last => return Poll::Ready(None),
                // So far only a part of what one piece says.
                Ok(data) if data.is_empty() => {}
                other => return Poll::Ready(Some(other.map(Frame::data))),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.decoder.is_none() && self.relay.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.decoder.is_none() { self.relay.size_hint() } else { SizeHint::default() }
    }
}
