//! Which fields go through, in each direction.
//!
//! Declared deviation from RFC 9110 §5.1 (forward unknown fields): the fields listed here by name are dropped, because
//! they would tell upstream about the caller's browser, let it act on the caller's browser, or change what a request
//! means behind our back. Everything else passes, in order, `X-Airbyte-*` included.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::request_id::REQUEST_ID;
use crate::browser::protect;

/// Fields of one connection (RFC 9110 §7.6.1), in either direction.
fn is_hop_by_hop(name: &str) -> bool {
    matches!(
        name,
        "connection" | "keep-alive" | "te" | "trailer" | "transfer-encoding" | "upgrade" | "http2-settings"
    ) || name.starts_with("proxy-")
}

fn is_dropped_from_request(name: &str) -> bool {
    is_hop_by_hop(name)
        || matches!(
            name,
            // Ours to set.
            "authorization" | "host" | "airbyte-proxy-key"
            // Answered by us.
            | "expect"
            // Of the caller's browser.
            | "cookie" | "origin" | "referer"
            // Of proxies before us.
            | "forwarded" | "x-real-ip" | "x-client-ip"
            // Would make a request mean something else than the guard has judged.
            | "x-http-method-override" | "x-http-method" | "x-method-override" | "x-original-url"
            | "x-rewrite-url"
        )
        || name.starts_with("sec-fetch-")
        || name.starts_with("x-forwarded-")
        || name.starts_with("access-control-request-")
}

fn is_dropped_from_response(name: &str) -> bool {
    is_hop_by_hop(name)
        || matches!(name, "set-cookie" | "strict-transport-security" | "alt-svc" | "clear-site-data")
        || name.starts_with("access-control-")
}

/// `Transfer_Encoding` is a legal name and another field than `Transfer-Encoding`, but a server that hands its fields on
/// through CGI variables cannot tell the two apart. So a name with an underscore is judged by what it would become, and
/// is also dropped where it would become one that says how the message is to be read. Airbyte uses none.
fn judged(name: &HeaderName, is_dropped: fn(&str) -> bool) -> bool {
    let name = name.as_str();
    if !name.contains('_') {
        return is_dropped(name);
    }
    let plain = name.replace('_', "-");
    is_dropped(&plain)
        || matches!(plain.as_str(), "content-length" | "content-type" | "content-encoding" | "max-forwards")
}

/// Options of `Connection` name further fields of this connection (RFC 9110 §7.6.1). The usual ones name none.
fn nominated(headers: &HeaderMap) -> Vec<HeaderName> {
    headers
        .get_all(header::CONNECTION)
        .iter()
        // As bytes: one option that is no text must not hide the others.
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|option| {
            !option.is_empty()
                && !option.eq_ignore_ascii_case(b"close")
                && !option.eq_ignore_ascii_case(b"keep-alive")
        })
        .filter_map(|option| HeaderName::from_bytes(option).ok())
        // Naming these would change how the message is framed or what it is about; they are never of one hop.
        .filter(|name| *name != header::CONTENT_LENGTH && *name != header::CONTENT_TYPE)
        .collect()
}

/// Few are dropped, so these are taken out of the map: writing the others into a new one would cost more. Lines of one
/// name stay in order, which is all the order there is (RFC 9110 §5.3).
fn filtered(mut headers: HeaderMap, is_dropped: fn(&str) -> bool) -> HeaderMap {
    // One look at each name; what follows is asked only of those that are there.
    let (mut has_length, mut nominates) = (false, false);
    let mut dropped = Vec::new();
    for name in headers.keys() {
        if *name == header::CONTENT_LENGTH {
            has_length = true;
            continue;
        }
        nominates |= *name == header::CONNECTION;
        if judged(name, is_dropped) {
            dropped.push(name.clone());
        }
    }
    if has_length {
        say_length_once(&mut headers);
    }
    if nominates {
        dropped.extend(nominated(&headers));
    }
    for name in &dropped {
        headers.remove(name);
    }
    headers
}

/// Says the length of the content once, as a plain number, or not at all where chunks say it.
///
/// A length that was received twice, as a list or with leading zeros is sent on in its one valid form, and beside
/// `Transfer-Encoding` it must not be sent on (RFC 9112 §6.3): the next hop could believe the other one.
fn say_length_once(headers: &mut HeaderMap) {
    let values = headers.get_all(header::CONTENT_LENGTH);
    let chunked = headers.contains_key(header::TRANSFER_ENCODING);
    let mut lines = values.iter();
    let plain = |value: &HeaderValue| {
        let bytes = value.as_bytes();
        bytes.iter().all(u8::is_ascii_digit) && matches!(bytes, [b'1'..=b'9', ..] | b"0") && bytes.len() < 20
    };
    // As nearly everybody says it.
    if !chunked && lines.next().is_some_and(plain) && lines.next().is_none() {
        return;
    }
    let mut said = values.iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    let Some(first) = said.next() else { return };
    let number = |bytes: &[u8]| -> Option<u64> {
        let digits = std::str::from_utf8(bytes.trim_ascii()).ok()?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
    };
    let length = number(first).filter(|length| said.all(|other| number(other) == Some(*length)));
    match length.filter(|_| !chunked) {
        Some(length) => drop(headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length))),
        None => drop(headers.remove(header::CONTENT_LENGTH)),
    }
}

/// The fields of a request to upstream, but for `Authorization` and `Host`, which are added when it is written. `id` is
/// the caller's own, or stands for one that is none.
pub(super) fn for_upstream(mut headers: HeaderMap, via: &HeaderValue, mut id: HeaderValue) -> HeaderMap {
    // Every request has it: dropped without a note of its name.
    headers.remove(header::HOST);
    let mut kept = filtered(headers, is_dropped_from_request);
    // Three here at most, and two when it is written.
    kept.reserve(5);
    kept.append(header::VIA, via.clone());
    // It is another one each time: in HTTP/2's compression table it would only push out what repeats.
    id.set_sensitive(true);
    kept.insert(REQUEST_ID, id);
    // Airbyte has been reported to answer 403 where it is missing.
    if !kept.contains_key(header::USER_AGENT) {
        kept.insert(
            header::USER_AGENT,
            HeaderValue::from_static(concat!("airbyte-proxy/", env!("CARGO_PKG_VERSION"))),
        );
    }
    kept
}

/// The fields of a response to the caller. Those of its request are `spent`.
pub(super) fn for_caller(headers: HeaderMap, spent: HeaderMap) -> HeaderMap {
    let mut kept = with_room(filtered(headers, is_dropped_from_response), spent);
    protect(&mut kept);
    // The caller's request had no Authorization, so RFC 9111 §3.5 no longer keeps shared caches away.
    kept.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("private"));
    kept
}

/// `fields` with room for ours. Answers by HTTP/2 come in a map that has none, and a map that grows is copied to memory that
/// is in no cache. That of the request is large enough as a rule, and about to be thrown away. hyper keeps the map of an
/// answer for the next request of the connection.
fn with_room(fields: HeaderMap, spent: HeaderMap) -> HeaderMap {
    // Four of `for_caller`, the id of the request, and one of `Vary` or `Connection`.
    const OURS: usize = 6;
    if fields.capacity().saturating_sub(fields.keys_len()) >= OURS {
        return fields;
    }
    let mut roomy = spent;
    roomy.clear();
    roomy.reserve(fields.keys_len() + OURS);
    roomy.extend(fields);
    roomy
}

/// Whether the request has already been through this process (RFC 9110 §7.6.3).
pub(super) fn is_loop(headers: &HeaderMap, pseudonym: &str) -> bool {
    headers.get_all(header::VIA).iter().any(|value| {
        value
            .to_str()
            .is_ok_and(|value| value.split(|c: char| c == ',' || c.is_whitespace()).any(|w| w == pseudonym))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn map(lines: &[(&str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in lines {
            map.append(name.parse::<HeaderName>().expect("name"), value.parse().expect("value"));
        }
        map
    }

    fn sent(lines: &[(&str, &str)]) -> HeaderMap {
        for_upstream(map(lines), &HeaderValue::from_static("1.1 me"), HeaderValue::from_static("id"))
    }

    /// The fields of the request are of no consequence.
    fn answered(lines: &[(&str, &str)]) -> HeaderMap {
        for_caller(map(lines), sent(&[("x-of-the-request", "1"), ("x-1", "2"), ("x-1", "3")]))
    }

    #[test]
    fn fields_named_by_connection_are_dropped_in_both_directions() {
        let lines = [
            ("connection", "close, X-Foo"),
            ("connection", ",, x-bar"),
            ("x-foo", "1"),
            ("x-bar", "2"),
            ("x-baz", "3"),
        ];
        for kept in [sent(&lines), answered(&lines)] {
            assert!(
                !kept.contains_key("x-foo")
                    && !kept.contains_key("x-bar")
                    && !kept.contains_key("connection")
            );
            assert_eq!(kept["x-baz"], "3");
        }
    }

    #[test]
    fn connection_cannot_take_away_the_framing() {
        let kept = sent(&[
            ("connection", "content-length, content-type"),
            ("content-length", "3"),
            ("content-type", "a/b"),
        ]);
        assert_eq!(
            (&kept["content-length"], &kept["content-type"]),
            (&"3".parse().expect("v"), &"a/b".parse().expect("v"))
        );
    }

    #[test]
    fn request_fields_of_the_caller_stay_with_the_caller() {
        for name in [
            "authorization",
            "cookie",
            "origin",
            "referer",
            "sec-fetch-site",
            "sec-fetch-mode",
            "forwarded",
            "x-forwarded-for",
            "x-forwarded-host",
            "x-real-ip",
            "x-client-ip",
            "x-http-method-override",
            "x-http-method",
            "x-method-override",
            "x-original-url",
            "x-rewrite-url",
            "expect",
            "upgrade",
            "http2-settings",
            "te",
            "trailer",
            "proxy-authorization",
            "proxy-connection",
            "keep-alive",
            "airbyte-proxy-key",
            "access-control-request-method",
            "host",
            "transfer-encoding",
            "transfer_encoding",
            "content_length",
            "content_type",
            "content_encoding",
            "max_forwards",
            "x_http_method-override",
            "proxy_authorization",
            "x_forwarded_for",
            "x_http_method_override",
            "authorization_",
            "x_request_id",
            "content_lengths",
        ] {
            let kept = sent(&[(name, "x")]);
            let expected = matches!(name, "authorization_" | "x_request_id" | "content_lengths");
            assert_eq!(kept.contains_key(name), expected, "{name}");
        }
    }

    #[test]
    fn airbytes_own_fields_and_unknown_ones_pass_in_order() {
        let kept = sent(&[
            ("x-airbyte-analytic-source", "s"),
            ("x-a", "1"),
            ("x-a", "2"),
            ("x-a", "3"),
            ("user-agent", "u"),
        ]);
        let values: Vec<_> = kept.get_all("x-a").iter().collect();
        assert_eq!(values, ["1", "2", "3"]);
        assert_eq!(
            (&kept["x-airbyte-analytic-source"], &kept["user-agent"]),
            (&"s".parse().expect("v"), &"u".parse().expect("v"))
        );
    }

    #[test]
    fn via_is_appended_and_a_missing_user_agent_added() {
        let kept = sent(&[("via", "1.0 other")]);
        let via: Vec<_> = kept.get_all("via").iter().collect();
        assert_eq!(via, ["1.0 other", "1.1 me"]);
        assert!(kept.contains_key("user-agent"));
    }

    #[test]
    fn the_request_has_one_id_whatever_the_caller_sent() {
        for lines in
            [&[][..], &[("x-request-id", "a"), ("x-request-id", "b")], &[("connection", "x-request-id")]]
        {
            let kept = sent(lines);
            assert_eq!(kept.get_all("x-request-id").iter().collect::<Vec<_>>(), ["id"], "{lines:?}");
        }
    }

    #[test]
    fn a_loop_is_our_own_pseudonym_only() {
        assert!(is_loop(&map(&[("via", "1.1 a, 1.1 me")]), "me"));
        assert!(!is_loop(&map(&[("via", "1.1 meme, 1.1 a")]), "me"));
    }

    #[test]
    fn nothing_of_the_request_gets_into_its_answer_and_nothing_of_the_answer_is_lost() {
        let protection: Vec<_> = answered(&[]).keys().map(ToString::to_string).collect();
        for (fields, names) in (0..30).flat_map(|fields| [(fields, 1), (fields, 4), (fields, 20)]) {
            let lines: Vec<_> = (0..fields).map(|n| (format!("x-{}", n % names), n.to_string())).collect();
            let lines: Vec<_> = lines.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            let expected = map(&lines);
            let kept = answered(&lines);
            for name in expected.keys() {
                assert!(kept.get_all(name).iter().eq(expected.get_all(name)), "{name} of {fields}");
            }
            let ours = kept.keys().filter(|name| !expected.contains_key(*name));
            let ours: Vec<_> = ours.map(HeaderName::as_str).collect();
            assert_eq!(ours, protection, "{fields}");
        }
    }

    #[test]
    fn responses_cannot_act_on_the_callers_browser() {
        for name in [
            "set-cookie",
            "access-control-allow-origin",
            "strict-transport-security",
            "alt-svc",
            "clear-site-data",
            "proxy-authenticate",
            "keep-alive",
        ] {
            assert!(!answered(&[(name, "x")]).contains_key(name), "{name}");
        }
        let kept =
            answered(&[("www-authenticate", "Bearer"), ("etag", "\"x\""), ("cache-control", "max-age=1")]);
        assert_eq!(
            (&kept["www-authenticate"], &kept["cache-control"]),
            (&"Bearer".parse().expect("v"), &"max-age=1".parse().expect("v"))
        );
        assert_eq!(answered(&[])["cache-control"], "private");
    }

    proptest! {
        #[test]
        fn nothing_of_one_hop_and_no_credential_ever_reaches_upstream(
            lines in prop::collection::vec(("[a-z_-]{1,24}|connection|authorization|te|upgrade|cookie", "[ -~]{0,20}"), 0..20)
        ) {
            let mut headers = HeaderMap::new();
            for (name, value) in &lines {
                if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse()) {
                    headers.append(name, value);
                }
            }
            let id = HeaderValue::from_static("id");
            let kept = for_upstream(headers, &HeaderValue::from_static("1.1 me"), id);
            for name in kept.keys() {
                prop_assert!(!is_dropped_from_request(name.as_str()), "{name}");
            }
        }
    }
}
