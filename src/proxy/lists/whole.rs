//! A whole list as one answer: rows as they arrive, and either all of them or an answer that is visibly broken off.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use http_body::{Body, Frame};

use super::asked::{Format, Whole};
use super::decoded::no_longer_true;
use super::pages::{PageError, Pages};
use super::walk::{New, Walk};
use crate::problem::Problem;
use crate::proxy::access::Record;
use crate::proxy::answer::Content;
use crate::proxy::upstream::Relay;
use crate::proxy::{authorize, headers};

/// Rows of the list, in the trailers (RFC 9110 §6.5).
const ROWS: HeaderName = HeaderName::from_static("airbyte-proxy-rows");
/// Rows that came more than once and were sent once.
const DUPLICATES: HeaderName = HeaderName::from_static("airbyte-proxy-duplicates");
const TRAILERS: HeaderValue = HeaderValue::from_static("airbyte-proxy-rows, airbyte-proxy-duplicates");
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// Asks for the first page, and answers once it is there.
pub(super) async fn begin(
    pages: Pages,
    asked: &Whole,
    pages_ahead: usize,
    record: &mut Record,
) -> Result<Begun, Problem> {
    let request = pages.request(asked.offset)?;
    let slot = pages.slot().await;
    let answered = authorize::send(&pages.origin, &pages.tokens, &request).await?;
    record.answered_by_upstream(&answered, &request.body);
    if answered.response.status() != StatusCode::OK {
        return Ok(Begun::Refused(answered.response));
    }
    let (head, relay) = answered.response.into_parts();
    let mut told = headers::for_caller(head.headers.clone(), HeaderMap::new());
    let first = pages.read(head, relay).await.map_err(PageError::into_problem)?;
    drop(slot);
    describe(&mut told, asked);
    let content = if asked.head_only {
        Content::Own(None)
    } else {
        let walk = Walk::new(Arc::new(pages), first, asked.offset, pages_ahead);
        Content::Whole(Box::new(Rest::of(walk, asked.format)))
    };
    let mut response = Response::new(content);
    *response.headers_mut() = told;
    Ok(Begun::Whole(response))
}

/// What came of asking for the first page.
pub(in crate::proxy) enum Begun {
    Whole(Response<Content>),
    /// Upstream's own words.
    Refused(Response<Relay>),
}

fn describe(headers: &mut HeaderMap, asked: &Whole) {
    no_longer_true(headers);
    headers.remove(header::CONTENT_ENCODING);
    headers.insert(header::CONTENT_TYPE, asked.format.content_type());
    headers.append(header::VARY, HeaderValue::from_static("accept, prefer"));
    headers.insert(header::TRAILER, TRAILERS);
    if asked.preferred {
        headers.insert(PREFERENCE_APPLIED, HeaderValue::from_static("pagination=all"));
    }
}

/// The answer to a request for what follows a whole list: no rows.
pub(in crate::proxy) fn nothing(format: Format) -> Response<Content> {
    let content = match format {
        Format::Json => Some(Bytes::from_static(b"{\"data\":[],\"previous\":\"\",\"next\":\"\"}")),
        Format::Lines => None,
    };
    let mut response = Response::new(Content::Own(content));
    let headers = response.headers_mut();
    crate::browser::protect(headers);
    headers.insert(header::CONTENT_TYPE, format.content_type());
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private"));
    headers.insert(header::VARY, HeaderValue::from_static("accept, prefer"));
    response
}

/// What is yet to be sent of a whole list.
pub(in crate::proxy) struct Rest {
    step: Step,
    format: Format,
    rows: u64,
    pages: u64,
}

enum Step {
    /// Waits for the next rows; at the end, tells of duplicates.
    Walking(Pin<Box<dyn Future<Output = Walked> + Send>>),
    Counting {
        duplicates: u64,
    },
    Over,
}

type Walked = (Walk, Result<Option<New>, PageError>);

fn on(mut walk: Walk) -> Step {
    Step::Walking(Box::pin(async move {
        let next = walk.next().await;
        (walk, next)
    }))
}

impl Rest {
    fn of(walk: Walk, format: Format) -> Self {
        Self { step: on(walk), format, rows: 0, pages: 0 }
    }

    /// Sent so far.
    pub(in crate::proxy) fn rows(&self) -> u64 {
        self.rows
    }

    /// Read of upstream so far.
    pub(in crate::proxy) fn pages(&self) -> u64 {
        self.pages
    }

    fn write(&mut self, new: &New) -> Bytes {
        let length: usize = new.rows().map(|row| row.len() + 1).sum();
        let mut bytes = BytesMut::with_capacity(length + 16);
        for row in new.rows() {
            match self.format {
                Format::Json => {
                    bytes.extend_from_slice(if self.rows == 0 { b"{\"data\":[" } else { b"," });
                    bytes.extend_from_slice(row);
                }
                Format::Lines => {
                    // Between the parts of a row a line break means nothing, and within a text it cannot be.
                    if row.iter().any(|b| is_break(*b)) {
                        bytes.extend(row.iter().filter(|b| !is_break(**b)));
                    } else {
                        bytes.extend_from_slice(row);
                    }
                    bytes.extend_from_slice(b"\n");
                }
            }
            self.rows += 1;
        }
        bytes.freeze()
    }

    fn end(&self) -> Bytes {
        Bytes::from_static(match (self.format, self.rows) {
            (Format::Json, 0) => b"{\"data\":[],\"previous\":\"\",\"next\":\"\"}",
            (Format::Json, _) => b"],\"previous\":\"\",\"next\":\"\"}",
            (Format::Lines, _) => b"",
        })
    }

    fn walked(&mut self, walk: Walk, next: Result<Option<New>, PageError>) -> Result<Bytes, PageError> {
        self.pages = walk.read;
        match next {
            Ok(Some(new)) => {
                self.step = on(walk);
                Ok(self.write(&new))
            }
            Ok(None) => {
                let duplicates = walk.duplicates;
                if duplicates > 0 {
                    tracing::warn!(rows = self.rows, duplicates, "the list changed while it was read");
                }
                self.step = Step::Counting { duplicates };
                Ok(self.end())
            }
            Err(error) => {
                self.step = Step::Over;
                tracing::warn!(rows = self.rows, %error, "a whole list is broken off");
                Err(error)
            }
        }
    }
}

fn is_break(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

impl Body for Rest {
    type Data = Bytes;
    type Error = PageError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, PageError>>> {
        loop {
            match &mut self.step {
                Step::Walking(walking) => {
                    let (walk, next) = ready!(walking.as_mut().poll(cx));
                    match self.walked(walk, next) {
                        // After lines there is nothing to add.
                        Ok(bytes) if bytes.is_empty() => {}
                        sent => return Poll::Ready(Some(sent.map(Frame::data))),
                    }
                }
                Step::Counting { duplicates } => {
                    let mut trailers = HeaderMap::from_iter([(DUPLICATES, HeaderValue::from(*duplicates))]);
                    trailers.insert(ROWS, HeaderValue::from(self.rows));
                    self.step = Step::Over;
                    return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
                }
                Step::Over => return Poll::Ready(None),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.step, Step::Over)
    }
}

impl fmt::Debug for Rest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rest").field("format", &self.format).field("rows", &self.rows).finish_non_exhaustive()
    }
}
