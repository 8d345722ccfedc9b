//! Why a request got no answer from upstream.

use std::error::Error as StdError;
use std::{fmt, io};

use h2::Reason;

use crate::token::Unavailable;

/// What went wrong, for the problem that is shown and for the decision to try again.
#[derive(Debug, Clone)]
pub(crate) struct SendError {
    pub(crate) kind: Kind,
    /// One sentence for a person; no header, body or query is in it.
    pub(crate) message: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Dns,
    DnsTimeout,
    Refused,
    ConnectTimeout,
    Tls,
    OutboundProxy,
    ResponseTimeout,
    Protocol,
    /// Upstream closed the connection instead of answering.
    Closed,
    ClientBodyIdle,
    ClientBodyBroken,
    /// The token died while a connection was being made, and no other came.
    Token(Unavailable),
}

impl SendError {
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// What an error of HTTP/2 means, of a stream or of its connection.
    pub(super) fn from_h2(error: &h2::Error) -> Self {
        // We gave up because of what upstream sent, or it did because of something like that. Codes differ (RFC 9113 §7);
        // that it was us who noticed is what counts.
        if error.is_library() || error.reason() == Some(Reason::PROTOCOL_ERROR) {
            let cause = root_cause(error);
            return Self::new(Kind::Protocol, format!("the answer is not well-formed HTTP/2 ({cause})"));
        }
        Self::new(Kind::Closed, lost(error).unwrap_or_else(|| format!("{CLOSED} ({})", root_cause(error))))
    }
}

pub(super) const CLOSED: &str = "the connection was closed before an answer";

/// How an answer is usually lost, in our own words. `None` for what is not usual.
fn lost(error: &h2::Error) -> Option<String> {
    // How the library says that the connection has ended under its streams.
    if error.get_io().is_some_and(|io| io.kind() == io::ErrorKind::BrokenPipe) {
        return Some(CLOSED.to_owned());
    }
    // Shows as its name in RFC 9113 §7.
    let code = error.reason().filter(|_| error.is_remote())?;
    Some(match (error.is_go_away(), code) {
        (true, Reason::NO_ERROR) => {
            "upstream closes the connection and left the request unanswered (GOAWAY)".to_owned()
        }
        (true, _) => format!("upstream gave up the connection ({code:?})"),
        (false, _) => format!("upstream gave up the request ({code:?})"),
    })
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for SendError {}

/// The error inside of which there is no other.
pub(super) fn root_cause(error: &(dyn StdError + 'static)) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

pub(super) fn find_in<'a, E: StdError + 'static>(
    error: &'a (dyn StdError + Send + Sync + 'static),
) -> Option<&'a E> {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        cause = error.source();
    }
    None
}

/// Whether upstream says that it has not begun to process the request (RFC 9113 §8.7): `REFUSED_STREAM`, or a graceful
/// GOAWAY whose last stream is before ours. A GOAWAY with an error code also ends streams that were being processed.
pub(super) fn is_unprocessed(error: &h2::Error) -> bool {
    let refused = error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM);
    let graceful = error.is_go_away() && error.reason() == Some(Reason::NO_ERROR);
    error.is_remote() && (refused || graceful)
}
