//! What the HTTP parser lets through though it has two readings, and the limits of a head.

use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, header};

use super::fields::{Field, Fields};
use super::refusal::{Refusal, Shown};
use crate::problem;

/// The longest method passed on, in bytes.
pub(super) const MAX_METHOD: usize = 32;

/// The longest path and query, in bytes.
pub(super) const MAX_TARGET: usize = 16 * 1024;

/// The methods that `Allow` lists where CONNECT or TRACE was asked for.
const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// Where the request ends must not be in doubt, so this comes before everything that answers on a connection which
/// then stays open (RFC 9112 §6.1).
pub(super) fn check_transfer_encoding(field: Field<'_>, headers: &HeaderMap) -> Result<(), Refusal> {
    match field {
        Field::Absent => Ok(()),
        Field::One(value) if value.as_bytes().eq_ignore_ascii_case(b"chunked") => Ok(()),
        _ => judge_codings(headers),
    }
}

/// The slow half: one coding, `chunked`, in any dress is fine; another one cannot be decoded; the rest is ambiguous.
fn judge_codings(headers: &HeaderMap) -> Result<(), Refusal> {
    let lines = || headers.get_all(header::TRANSFER_ENCODING).iter().map(HeaderValue::as_bytes);
    let codings = || lines().flat_map(|line| line.split(|&b| b == b',')).map(<[u8]>::trim_ascii);
    if let Some(coding) = codings().find(|c| !c.is_empty() && !c.eq_ignore_ascii_case(b"chunked")) {
        let coding = Shown(coding);
        return Err(Refusal::new(
            problem::UNSUPPORTED_TRANSFER_CODING,
            "rfc9112",
            format!("the transfer coding \"{coding}\" is not supported; only chunked is"),
        )
        .closing());
    }
    if codings().count() == 1 && codings().all(|c| !c.is_empty()) {
        return Ok(());
    }
    Err(Refusal::new(
        problem::INVALID_REQUEST,
        "rfc9112",
        "Transfer-Encoding must be given once and name chunked once, or where the body ends is in doubt",
    )
    .closing())
}

/// Method and target fit.
pub(super) fn check_sizes(head: &Parts) -> Result<(), Refusal> {
    let method = head.method.as_str();
    if method.len() > MAX_METHOD {
        let len = method.len();
        return Err(Refusal::new(
            problem::METHOD_TOO_LONG,
            "limit",
            format!("the method has {len} bytes; at most {MAX_METHOD} are passed on"),
        ));
    }
    let len = head.uri.path_and_query().map_or(0, |target| target.as_str().len());
    if len > MAX_TARGET {
        return Err(Refusal::new(
            problem::URI_TOO_LONG,
            "limit",
            format!("path and query have {len} bytes; at most {MAX_TARGET} are passed on"),
        ));
    }
    Ok(())
}

/// CONNECT would make us a tunnel, TRACE would answer with the token (RFC 9110 §9.3.6, §9.3.8).
pub(super) fn check_method(method: &Method) -> Result<(), Refusal> {
    match *method {
        // Whatever follows a CONNECT is not meant as HTTP.
        Method::CONNECT => Err(refused_method("CONNECT: this is not a tunnel").closing()),
        Method::TRACE => Err(refused_method("TRACE would show the credentials added to a request")),
        _ => Ok(()),
    }
}

fn refused_method(detail: &str) -> Refusal {
    Refusal::new(problem::METHOD_NOT_ALLOWED, "method", detail).allowing(METHODS)
}

/// An `Upgrade` is an offer that may be ignored, but whoever offers a WebSocket can use nothing else.
pub(super) fn check_upgrade(fields: &Fields<'_>) -> Result<(), Refusal> {
    if !fields.websocket {
        return Ok(());
    }
    Err(Refusal::new(
        problem::UPGRADE_REFUSED,
        "upgrade",
        "Upgrade: websocket: the Airbyte API has no WebSockets, and the proxy passes none on",
    ))
}

/// RFC 9110 §10.1.1 knows one expectation.
pub(super) fn check_expect(fields: &Fields<'_>) -> Result<(), Refusal> {
    if !fields.odd_expectation {
        return Ok(());
    }
    Err(Refusal::new(
        problem::EXPECTATION_FAILED,
        "rfc9110",
        "the only expectation known here is 100-continue",
    ))
}

/// `Max-Forwards` of an OPTIONS request (RFC 9110 §7.6.2); of any other it means nothing.
pub(super) fn max_forwards(method: &Method, field: Field<'_>) -> Result<Option<u64>, Refusal> {
    if *method != Method::OPTIONS {
        return Ok(None);
    }
    let value = match field {
        Field::Absent => return Ok(None),
        Field::One(value) => value.as_bytes(),
        Field::Many => b"",
    };
    // The grammar is 1*DIGIT, which `u64::from_str` is not: it takes a sign.
    let digits = value.iter().all(u8::is_ascii_digit);
    let number = std::str::from_utf8(value).ok().filter(|_| digits).and_then(|text| text.parse().ok());
    number.map(Some).ok_or_else(|| {
        Refusal::new(
            problem::INVALID_REQUEST,
            "rfc9110",
            "Max-Forwards must be given once and be a decimal number",
        )
    })
}
