//! One page of a list, with links that lead back here and keep every filter.
//!
//! Upstream's own links name another host, and lose filters. Whether there is a next page is upstream's to say; where
//! it is, we say: at the caller's own query, further on.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use http::header::{self, HeaderMap, HeaderValue};
use http::{Response, StatusCode};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::asked::Page;
use super::decoded::{Decoded, Read, ReadError, no_longer_true};
use super::here::Here;
use super::rows::place;
use crate::airbyte::BaseUrl;
use crate::proxy::answer::Content;
use crate::proxy::upstream::Relay;

/// The answer to `page`, mended where it is a page of a list and untouched where it is anything else.
pub(super) async fn mend(
    response: Response<Relay>,
    page: &Page,
    here: &Here,
    public_url: Option<&BaseUrl>,
) -> Result<Response<Content>, ReadError> {
    let (mut head, relay) = response.into_parts();
    let is_page = head.status == StatusCode::OK && is_json(&head.headers) && !forbids(&head.headers);
    if page.head_only {
        if is_page {
            no_longer_true(&mut head.headers);
            head.headers.remove(header::CONTENT_ENCODING);
        }
        return Ok(Response::from_parts(head, Content::Relay(relay)));
    }
    // With the preference it would be a whole list.
    head.headers.append(header::VARY, HeaderValue::from_static("prefer"));
    let decoded = Decoded::new(relay, &mut head.headers);
    if !is_page || head.headers.contains_key(header::CONTENT_ENCODING) {
        return Ok(Response::from_parts(head, decoded.content().await?));
    }
    let bytes = match decoded.read().await? {
        Read::All(bytes) => bytes,
        part @ Read::Part(..) => return Ok(Response::from_parts(head, part.content())),
    };
    let Some(links) = Links::of(&bytes) else {
        return Ok(Response::from_parts(head, Content::Own(Some(bytes))));
    };
    let targets = Targets::of(page, here, public_url);
    no_longer_true(&mut head.headers);
    links.tell(&targets, &mut head.headers);
    let mended = links.mend(&bytes, &targets);
    Ok(Response::from_parts(head, Content::Own(Some(mended))))
}

fn is_json(headers: &HeaderMap) -> bool {
    let media = headers.get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let media = media.split(|&b| b == b';').next().unwrap_or_default().trim_ascii();
    media.eq_ignore_ascii_case(b"application/json")
}

/// RFC 9110 §7.7: content that must not be transformed.
pub(super) fn forbids(headers: &HeaderMap) -> bool {
    let directives = headers.get_all(header::CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    directives.flat_map(|value| value.split(',')).any(|one| one.trim().eq_ignore_ascii_case("no-transform"))
}

/// Where the pages around this one are.
struct Targets {
    next: String,
    previous: String,
}

impl Targets {
    fn of(page: &Page, here: &Here, public_url: Option<&BaseUrl>) -> Self {
        let at = |offset| here.with_query(&page.query.page(page.limit, offset), public_url);
        Self {
            next: at(page.offset.saturating_add(page.limit)),
            previous: at(page.offset.saturating_sub(page.limit)),
        }
    }
}

#[derive(Deserialize)]
struct Raw<'p> {
    #[serde(borrow)]
    data: &'p RawValue,
    #[serde(borrow, default)]
    next: Option<&'p RawValue>,
    #[serde(borrow, default)]
    previous: Option<&'p RawValue>,
}

/// Where in a page its links are. No link is null, absent or an empty text, and stays so.
#[derive(Debug, Default, PartialEq, Eq)]
struct Links {
    next: Option<Range<usize>>,
    previous: Option<Range<usize>>,
}

impl Links {
    /// `None` if it is no page of a list.
    fn of(bytes: &[u8]) -> Option<Self> {
        let raw: Raw<'_> = serde_json::from_slice(bytes).ok()?;
        let link = |value: Option<&RawValue>| match value {
            None => Some(None),
            Some(value) if value.get() == "\"\"" => Some(None),
            Some(value) => value.get().starts_with('"').then(|| Some(place(value, bytes))),
        };
        raw.data.get().starts_with('[').then_some(())?;
        Some(Self { next: link(raw.next)?, previous: link(raw.previous)? })
    }

    /// RFC 8288, which HTTP clients know.
    fn tell(&self, targets: &Targets, headers: &mut HeaderMap) {
        let links = [(&self.previous, &targets.previous, "prev"), (&self.next, &targets.next, "next")];
        for (link, target, relation) in links {
            let value = HeaderValue::try_from(format!("<{target}>; rel=\"{relation}\""));
            if let (Some(_), Ok(value)) = (link, value) {
                headers.append(header::LINK, value);
            }
        }
    }

    fn mend(&self, bytes: &Bytes, targets: &Targets) -> Bytes {
        let mut places: Vec<_> = [(&self.next, &targets.next), (&self.previous, &targets.previous)]
            .into_iter()
            .filter_map(|(place, target)| place.clone().map(|place| (place, target)))
            .collect();
        if places.is_empty() {
            return bytes.clone();
        }
        places.sort_by_key(|(place, _)| place.start);
        let mut mended =
            BytesMut::with_capacity(bytes.len() + targets.next.len() + targets.previous.len() + 4);
        let mut from = 0;
        for (place, target) in places {
            mended.extend_from_slice(&bytes[from..place.start]);
            // Of the characters of a URL none is escaped in JSON.
            for part in ["\"", target, "\""] {
                mended.extend_from_slice(part.as_bytes());
            }
            from = place.end;
        }
        mended.extend_from_slice(&bytes[from..]);
        mended.freeze()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mended(page: &str) -> Option<String> {
        let targets = Targets { next: "N".into(), previous: "P".into() };
        let links = Links::of(page.as_bytes())?;
        let bytes = links.mend(&Bytes::copy_from_slice(page.as_bytes()), &targets);
        Some(String::from_utf8(bytes.to_vec()).expect("text"))
    }

    #[test]
    fn only_links_change() {
        for (page, expected) in [
            (
                r#"{"data":[{"next":"x"} ],"previous":"p","next":"n"}"#,
                r#"{"data":[{"next":"x"} ],"previous":"P","next":"N"}"#,
            ),
            (r#"{ "next" : "n" ,"data":[],"x":1.0}"#, r#"{ "next" : "N" ,"data":[],"x":1.0}"#),
            (r#"{"data":[],"previous":"","next":""}"#, r#"{"data":[],"previous":"","next":""}"#),
            (r#"{"data":[],"previous":null}"#, r#"{"data":[],"previous":null}"#),
        ] {
            assert_eq!(mended(page).expect("a page"), expected);
        }
        for page in [r#"{"data":{},"next":"n"}"#, r#"{"data":[],"next":5}"#, r#"{"next":"n"}"#, "[]", "{", ""]
        {
            assert_eq!(mended(page), None, "{page}");
        }
    }

    #[test]
    fn only_json_that_may_be_changed_is_looked_at() {
        let headers = |name: &'static str, value: &'static str| {
            HeaderMap::from_iter([(name.parse().expect("a name"), HeaderValue::from_static(value))])
        };
        assert!(is_json(&headers("content-type", "Application/JSON; charset=utf-8")));
        assert!(
            !is_json(&headers("content-type", "application/problem+json")) && !is_json(&HeaderMap::new())
        );
        assert!(forbids(&headers("cache-control", "private, No-Transform")) && !forbids(&HeaderMap::new()));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_fall(bytes in prop::collection::vec(any::<u8>(), 0..80), page in "[{}\\[\\]\":,a-z \\\\datnexprvious]{0,60}") {
            let _ = (Links::of(&bytes), Links::of(page.as_bytes()));
        }
    }
}
