//! The header fields the guard looks at, collected in one walk over the head.

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};

use super::refusal::Refusal;
use crate::problem;

/// The largest field value passed on: half of what Airbyte takes for all fields together.
pub(super) const MAX_VALUE: usize = 16 * 1024;

/// The largest sum of all fields as they are written, each with its colon, space and line end. The parser's own limit
/// is one of its buffer, which a head that comes in one piece may exceed almost twice.
pub(super) const MAX_FIELDS: usize = 64 * 1024;

/// How often a field occurs, and the value where that is once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Field<'h> {
    #[default]
    Absent,
    One(&'h HeaderValue),
    Many,
}

impl<'h> Field<'h> {
    fn add(&mut self, value: &'h HeaderValue) {
        *self = match self {
            Self::Absent => Self::One(value),
            _ => Self::Many,
        };
    }

    pub(super) fn is_absent(self) -> bool {
        self == Self::Absent
    }

    /// Whether the field occurs once with this value.
    pub(super) fn is(self, value: &str) -> bool {
        matches!(self, Self::One(v) if v == value)
    }
}

/// What the rules ask for.
#[derive(Debug, Default)]
pub(super) struct Fields<'h> {
    pub(super) host: Field<'h>,
    pub(super) origin: Field<'h>,
    pub(super) fetch_site: Field<'h>,
    pub(super) fetch_mode: Field<'h>,
    pub(super) fetch_dest: Field<'h>,
    pub(super) preflight_method: Field<'h>,
    pub(super) transfer_encoding: Field<'h>,
    pub(super) max_forwards: Field<'h>,
    /// Some `Expect` is something else than `100-continue`.
    pub(super) odd_expectation: bool,
    /// Some `Upgrade` offers a WebSocket.
    pub(super) websocket: bool,
}

impl<'h> Fields<'h> {
    /// One walk; refuses only what is too large to look at.
    pub(super) fn collect(headers: &'h HeaderMap) -> Result<Self, Refusal> {
        let mut fields = Self::default();
        let mut size = 0;
        for (name, value) in headers {
            size += name.as_str().len() + value.len() + ": \r\n".len();
            if value.len() > MAX_VALUE {
                return Err(too_large(name));
            }
            fields.sort_in(name, value);
        }
        if size > MAX_FIELDS {
            let detail = format!("the header fields are larger than {MAX_FIELDS} bytes together");
            return Err(Refusal::new(problem::HEADER_TOO_LARGE, "limit", detail).closing());
        }
        Ok(fields)
    }

    fn sort_in(&mut self, name: &HeaderName, value: &'h HeaderValue) {
        match name.as_str() {
            "host" => self.host.add(value),
            "origin" => self.origin.add(value),
            "sec-fetch-site" => self.fetch_site.add(value),
            "sec-fetch-mode" => self.fetch_mode.add(value),
            "sec-fetch-dest" => self.fetch_dest.add(value),
            "access-control-request-method" => self.preflight_method.add(value),
            "transfer-encoding" => self.transfer_encoding.add(value),
            "max-forwards" => self.max_forwards.add(value),
            "expect" => {
                self.odd_expectation |= !value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"100-continue");
            }
            "upgrade" => self.websocket |= offers_websocket(value),
            _ => {}
        }
    }
}

/// `Upgrade` is a list of protocols, each with an optional version after a slash (RFC 9110 §7.8).
fn offers_websocket(value: &HeaderValue) -> bool {
    value.as_bytes().split(|&b| b == b',').any(|protocol| {
        let name = protocol.split(|&b| b == b'/').next().unwrap_or_default();
        name.trim_ascii().eq_ignore_ascii_case(b"websocket")
    })
}

fn too_large(name: &HeaderName) -> Refusal {
    // A name may itself be long, so it is cut like everything else that is shown.
    let name = super::refusal::Shown(name.as_str().as_bytes());
    Refusal::new(
        problem::HEADER_TOO_LARGE,
        "limit",
        format!("the value of the header field {name} is larger than {MAX_VALUE} bytes"),
    )
    .closing()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn websocket_is_found_in_a_list_of_protocols() {
        for (value, websocket) in [
            ("websocket", true),
            ("h2c, WebSocket/13", true),
            ("h2c", false),
            ("websockets", false),
            ("", false),
        ] {
            assert_eq!(offers_websocket(&HeaderValue::from_static(value)), websocket, "{value}");
        }
    }
}
