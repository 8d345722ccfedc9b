//! Heads of HTTP/1.1: a request's is written, an answer's is read.

use std::mem::MaybeUninit;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use httparse::{Header, ParserConfig, Status};
use hyper::ext::ReasonPhrase;

use super::super::{Outgoing, says_its_length};
use super::Error;

/// Fields of an answer.
const MOST_FIELDS: usize = 100;

/// The head of `request`. What it says about its content is what is written behind it, not what its fields say.
pub(super) fn of(request: &Outgoing, host: &HeaderValue, authorization: &HeaderValue) -> BytesMut {
    // Most heads fit, and so does the content of most requests that have any.
    let mut head = BytesMut::with_capacity(1024 + authorization.len());
    head.put_slice(request.method.as_str().as_bytes());
    head.put_u8(b' ');
    head.put_slice(request.target.as_str().as_bytes());
    head.put_slice(b" HTTP/1.1\r\n");
    put(&mut head, &header::HOST, host);
    put(&mut head, &header::AUTHORIZATION, authorization);
    let mut said = false;
    for (name, value) in &request.headers {
        if name == header::CONTENT_LENGTH {
            said = true;
        } else {
            put(&mut head, name, value);
        }
    }
    match request.body.length() {
        Some(0) if !said && !says_its_length(&request.method) => {}
        Some(length) => {
            head.put_slice(b"content-length: ");
            head.put_slice(itoa::Buffer::new().format(length).as_bytes());
            head.put_slice(b"\r\n");
        }
        None => head.put_slice(b"transfer-encoding: chunked\r\n"),
    }
    head.put_slice(b"\r\n");
    head
}

fn put(head: &mut BytesMut, name: &HeaderName, value: &HeaderValue) {
    head.put_slice(name.as_str().as_bytes());
    head.put_slice(b": ");
    head.put_slice(value.as_bytes());
    head.put_slice(b"\r\n");
}

/// The head of an answer.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) status: StatusCode,
    /// Where it is not the usual one of this status.
    pub(super) reason: Option<ReasonPhrase>,
    pub(super) headers: HeaderMap,
    /// HTTP/1.0, not 1.1.
    old: bool,
    /// Whether there is a `Transfer-Encoding`, and a `Connection`.
    says: Says,
    /// In bytes.
    pub(super) length: usize,
}

/// Takes a head from the front of `read`, if all of it is there.
pub(super) fn parse(read: &mut Bytes) -> Result<Option<Head>, Error> {
    if let Some(b'\r' | b'\n') = read.first() {
        return Err(Error::Malformed("there is no status line"));
    }
    let mut fields = [const { MaybeUninit::uninit() }; MOST_FIELDS];
    let mut parsed = httparse::Response::new(&mut []);
    let status = ParserConfig::default().parse_response_with_uninit_headers(&mut parsed, read, &mut fields);
    let (Status::Complete(length), Some(code), Some(version)) =
        (status.map_err(|error| Error::Malformed(explained(error)))?, parsed.code, parsed.version)
    else {
        return Ok(None);
    };
    let (headers, says) = fields_of(read, parsed.headers)?;
    let status = StatusCode::from_u16(code).map_err(|_| Error::Malformed("invalid status"))?;
    let unusual = parsed.reason.filter(|reason| status.canonical_reason() != Some(reason));
    let reason = unusual.and_then(|reason| read.slice_ref(reason.as_bytes()).try_into().ok());
    read.advance(length);
    Ok(Some(Head { status, reason, headers, old: version == 0, says, length }))
}

fn explained(error: httparse::Error) -> &'static str {
    match error {
        httparse::Error::HeaderName => "invalid field name",
        httparse::Error::HeaderValue => "invalid field value",
        httparse::Error::NewLine => "invalid line break",
        httparse::Error::Status => "invalid status",
        httparse::Error::Token => "invalid character",
        httparse::Error::TooManyHeaders => "more than 100 fields",
        httparse::Error::Version => "invalid version",
    }
}

/// Of fields that few answers have, whether they are there: it is seen when they are read, and a map takes long to tell.
#[derive(Debug, Clone, Copy, Default)]
struct Says {
    coding: bool,
    connection: bool,
}

/// Values are parts of `whole`, not copies.
fn fields_of(whole: &Bytes, parsed: &[Header<'_>]) -> Result<(HeaderMap, Says), Error> {
    let mut says = Says::default();
    // Some are added on the way to the caller.
    let mut headers = HeaderMap::with_capacity(parsed.len() + 8);
    for field in parsed {
        let name = HeaderName::from_bytes(field.name.as_bytes())
            .map_err(|_| Error::Malformed("invalid field name"))?;
        let value = HeaderValue::from_maybe_shared(whole.slice_ref(field.value))
            .map_err(|_| Error::Malformed("invalid field value"))?;
        says.coding |= name == header::TRANSFER_ENCODING;
        says.connection |= name == header::CONNECTION;
        headers.append(name, value);
    }
    Ok((headers, says))
}

/// How the end of the content is found (RFC 9112 §6.3), and whether another answer may come behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Framing {
    pub(super) end: End,
    pub(super) keeps: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Length(u64),
    Chunked,
    /// With the connection.
    Close,
}

impl Framing {
    /// Of the answer with `head` to a request with `method`.
    pub(super) fn of(head: &Head, method: &Method) -> Result<Self, Error> {
        let headers = &head.headers;
        let chunked = head.says.coding && is_chunked(headers)?;
        if chunked && head.old {
            // RFC 9112 §6.1: such framing is faulty.
            return Err(Error::Malformed("HTTP/1.0 knows no chunks"));
        }
        let keeps = keeps(head);
        let none = *method == Method::HEAD
            || matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        if none {
            return Ok(Self { end: End::Length(0), keeps });
        }
        Ok(match (chunked, length(headers)?) {
            (true, None) => Self { end: End::Chunked, keeps },
            // Chunks count, and whoever says both is not to be trusted with what comes behind (RFC 9112 §6.3).
            (true, Some(_)) => Self { end: End::Chunked, keeps: false },
            (false, Some(length)) => Self { end: End::Length(length), keeps },
            (false, None) => Self { end: End::Close, keeps: false },
        })
    }
}

fn is_chunked(headers: &HeaderMap) -> Result<bool, Error> {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let Some(first) = codings.next() else { return Ok(false) };
    if codings.next().is_some() || !first.as_bytes().eq_ignore_ascii_case(b"chunked") {
        // We ask for none (RFC 9112 §7.4), and the caller could not tell that one was left on.
        return Err(Error::Malformed("there is a transfer coding besides chunked"));
    }
    Ok(true)
}

/// All that `Content-Length` says, in one line or in many, must be the same number.
fn length(headers: &HeaderMap) -> Result<Option<u64>, Error> {
    let mut length = None;
    for value in headers.get_all(header::CONTENT_LENGTH) {
        for number in value.as_bytes().split(|byte| *byte == b',') {
            let said = digits(number.trim_ascii()).ok_or(Error::Malformed("invalid Content-Length"))?;
            if length.replace(said).is_some_and(|before| before != said) {
                return Err(Error::Malformed("different Content-Lengths"));
            }
        }
    }
    Ok(length)
}

fn digits(number: &[u8]) -> Option<u64> {
    let digit = |byte: &u8| byte.is_ascii_digit().then(|| u64::from(byte - b'0'));
    let (first, rest) = number.split_first()?;
    rest.iter().try_fold(digit(first)?, |sum, byte| sum.checked_mul(10)?.checked_add(digit(byte)?))
}

/// Whether the peer keeps the connection after the answer (RFC 9112 §9.3).
fn keeps(head: &Head) -> bool {
    if !head.says.connection {
        return !head.old;
    }
    let (mut close, mut keep_alive) = (false, false);
    for value in head.headers.get_all(header::CONNECTION) {
        for option in value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            close |= option.eq_ignore_ascii_case(b"close");
            keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
        }
    }
    !close && (keep_alive || !head.old)
}
