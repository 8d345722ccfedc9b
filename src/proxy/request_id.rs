//! What a request is known by, here, at the caller's and at Airbyte's: `X-Request-Id`, and the trace of
//! `traceparent` (W3C Trace Context), which is passed on and not ours to change.

use http::header::{HeaderMap, HeaderName, HeaderValue};

pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Nobody's ids are longer, and each goes into a line of the log.
const MOST: usize = 128;

/// The caller's id if there is one that is good, else a new one.
pub(super) fn request_id(headers: &HeaderMap) -> HeaderValue {
    let mut lines = headers.get_all(REQUEST_ID).iter();
    match (lines.next(), lines.next()) {
        (Some(id), None) if is_good(id.as_bytes()) => id.clone(),
        _ => new_id(),
    }
}

/// Visible ASCII, and not too much of it.
fn is_good(id: &[u8]) -> bool {
    (1..=MOST).contains(&id.len()) && id.iter().all(u8::is_ascii_graphic)
}

/// Random, and no secret.
fn new_id() -> HeaderValue {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let random = fastrand::u64(..).to_be_bytes();
    let id: [u8; 16] = std::array::from_fn(|at| {
        let byte = random[at / 2];
        DIGITS[usize::from(if at % 2 == 0 { byte >> 4 } else { byte & 15 })]
    });
    HeaderValue::from_bytes(&id).unwrap_or(HeaderValue::from_static("0"))
}

/// The trace that a request is a part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TraceId([u8; 32]);

impl TraceId {
    /// None where the field is missing, repeated or not well-formed; then it says nothing (Trace Context §4.3).
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let mut lines = headers.get_all(TRACEPARENT).iter();
        match (lines.next(), lines.next()) {
            (Some(one), None) => Self::parse(one.as_bytes()),
            _ => None,
        }
    }

    /// `version-trace-parent-flags` in lower-case hex; later versions may say more behind it (§3.2).
    fn parse(value: &[u8]) -> Option<Self> {
        let (known, more) = value.split_at_checked(55)?;
        let mut parts = known.split(|byte| *byte == b'-');
        let mut part = |length| {
            let part = parts.next().filter(|part| part.len() == length)?;
            part.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')).then_some(part)
        };
        let (version, trace, parent, _) = (part(2)?, part(32)?, part(16)?, part(2)?);
        let length_fits = if version == b"00" { more.is_empty() } else { matches!(more, [] | [b'-', ..]) };
        let something = |part: &[u8]| part.iter().any(|digit| *digit != b'0');
        let well_formed = version != b"ff" && length_fits && something(trace) && something(parent);
        well_formed.then(|| trace.try_into().ok().map(Self))?
    }

    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn kept(ids: &[&[u8]]) -> bool {
        let mut headers = HeaderMap::new();
        for id in ids {
            headers.append(REQUEST_ID, HeaderValue::from_bytes(id).expect("a value"));
        }
        let id = request_id(&headers);
        let same = ids.first().is_some_and(|first| id.as_bytes() == *first);
        assert!(same || (id.len() == 16 && id.as_bytes().iter().all(u8::is_ascii_hexdigit)), "{id:?}");
        same
    }

    #[test]
    fn an_id_that_is_good_is_kept_and_anything_else_replaced() {
        assert!(kept(&[b"a"]) && kept(&[b"{4bf9-x_Y!~}"]) && kept(&[&[b'x'; 128]]));
        assert!(!kept(&[]) && !kept(&[b""]) && !kept(&[&[b'x'; 129]]));
        assert!(!kept(&[b"a b"]) && !kept(&[b"a\tb"]) && !kept(&["caf\u{e9}".as_bytes()]));
        assert!(!kept(&[b"a", b"b"]) && !kept(&[b"a", b"a"]), "which of them?");
    }

    #[test]
    fn new_ids_differ() {
        let ids: std::collections::HashSet<_> = (0..1000).map(|_| new_id()).collect();
        assert_eq!(ids.len(), 1000);
    }

    #[test]
    fn a_trace_is_known_by_a_traceparent_that_is_well_formed() {
        const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
        let parsed = |value: &str| TraceId::parse(value.as_bytes()).map(|trace| trace.as_str().to_owned());
        for good in
            ["00-{}-00f067aa0ba902b7-01", "cc-{}-00f067aa0ba902b7-01", "cc-{}-00f067aa0ba902b7-01-more"]
        {
            assert_eq!(parsed(&good.replace("{}", TRACE)).as_deref(), Some(TRACE), "{good}");
        }
        for bad in [
            "",
            "00-{}",
            "00-{}-00f067aa0ba902b7",
            "00-{}-00f067aa0ba902b7-01-more",
            "00-{}-00f067aa0ba902b7-01 ",
            "cc-{}-00f067aa0ba902b7-01more",
            "ff-{}-00f067aa0ba902b7-01",
            "00-{}-0000000000000000-01",
            "00-{}-00F067AA0BA902B7-01",
            "00_{}-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-600f067aa0ba902b7-01",
        ] {
            assert_eq!(parsed(&bad.replace("{}", TRACE)), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_what_is_logged_is_short_and_visible(value in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut headers = HeaderMap::new();
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                headers.insert(REQUEST_ID, value.clone());
                headers.insert(TRACEPARENT, value);
            }
            prop_assert!(is_good(request_id(&headers).as_bytes()));
            prop_assert!(TraceId::of(&headers).is_none_or(|trace| trace.as_str().len() == 32));
        }
    }
}
