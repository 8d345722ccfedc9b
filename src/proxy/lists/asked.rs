//! What a request asks of a list.

use http::header::{self, HeaderMap, HeaderName};
use http::request::Parts;
use http::{HeaderValue, Method, Version};

use super::query::Query;
use crate::airbyte::lists::{DEFAULT_ROWS, List, MOST_ROWS};
use crate::problem::{self, Problem};

const PREFER: HeaderName = HeaderName::from_static("prefer");

/// What is to be done about a request.
#[derive(Debug)]
pub(in crate::proxy) enum Asked {
    /// Nothing: it is not about one of the lists.
    Other,
    /// One page, with links that lead back here.
    Page(Page),
    /// Every row there is.
    Whole(Whole),
    /// What follows a list that was whole already.
    Nothing(Format),
}

/// One page of a list.
#[derive(Debug)]
pub(in crate::proxy) struct Page {
    pub(super) query: Query,
    /// In rows.
    pub(super) limit: u64,
    pub(super) offset: u64,
    /// Only the head is wanted.
    pub(super) head_only: bool,
}

/// A whole list.
#[derive(Debug)]
pub(in crate::proxy) struct Whole {
    pub(super) list: List,
    pub(super) query: Query,
    pub(super) format: Format,
    /// The row it begins with.
    pub(super) offset: u64,
    /// Asked for by `Prefer`, which is to be confirmed (RFC 7240 §3).
    pub(super) preferred: bool,
    pub(super) head_only: bool,
}

/// How a whole list is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::proxy) enum Format {
    /// As Airbyte writes a page.
    Json,
    /// One row a line.
    Lines,
}

impl Asked {
    /// `path` is below the API's base URL; `whole_lists` says that the base URL alone asks for whole lists.
    pub(in crate::proxy) fn of(head: &Parts, path: &str, whole_lists: bool) -> Result<Self, Problem> {
        let head_only = head.method == Method::HEAD;
        let Some(list) = List::at(path).filter(|_| head_only || head.method == Method::GET) else {
            return Ok(Self::Other);
        };
        let query = Query::of(head.uri.query());
        let all = query.limit() == Some("all");
        let preferred = prefers_all(&head.headers);
        let number = query.limit().map_or(Some(DEFAULT_ROWS), |limit| limit.parse().ok());
        // Clients that always send a limit send one of these, and have not thought about it.
        let by_base = whole_lists && matches!(number, Some(DEFAULT_ROWS | MOST_ROWS));
        if !(all || preferred || by_base) {
            let rows = number.zip(query.first_row()).filter(|_| !query.is_ambiguous);
            let Some((limit, offset)) = rows else { return Ok(Self::Other) };
            return Ok(Self::Page(Page { query, limit, offset, head_only }));
        }
        if query.is_ambiguous {
            let detail = "a semicolon in the query hides a limit or an offset from us, and Airbyte may see it; write it %3B";
            return Err(Problem::new(problem::INVALID_REQUEST, detail));
        }
        let format = format(head)?;
        let offset = query.first_row().ok_or_else(|| {
            Problem::new(problem::INVALID_REQUEST, "offset must be a number of rows, such as offset=40")
        })?;
        if by_base && !all && !preferred && offset > 0 {
            return Ok(Self::Nothing(format));
        }
        Ok(Self::Whole(Whole { list, query, format, offset, preferred, head_only }))
    }
}

/// `Prefer: pagination=all`, wherever it stands among others.
fn prefers_all(headers: &HeaderMap) -> bool {
    let texts = headers.get_all(PREFER).iter().filter_map(|value| value.to_str().ok());
    texts.flat_map(|text| text.split(',')).any(|preference| {
        let word = preference.split(';').next().unwrap_or_default();
        word.split_once('=').is_some_and(|(name, value)| {
            let value = value.trim().trim_matches('"');
            name.trim().eq_ignore_ascii_case("pagination") && value.eq_ignore_ascii_case("all")
        })
    })
}

/// Lines for those who name them and do not like JSON better.
fn format(head: &Parts) -> Result<Format, Problem> {
    let (mut lines, mut json) = (0.0, 0.0);
    for value in head.headers.get_all(header::ACCEPT) {
        for range in value.to_str().unwrap_or_default().split(',') {
            let mut parts = range.split(';').map(str::trim);
            let media = parts.next().unwrap_or_default().to_ascii_lowercase();
            let quality = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
            let quality: f32 = quality.map_or(1.0, |quality| quality.parse().unwrap_or(1.0));
            match media.as_str() {
                "application/x-ndjson" | "application/ndjson" | "application/jsonl" => lines = quality,
                "application/json" => json = quality,
                _ => {}
            }
        }
    }
    if lines <= 0.0 || lines < json {
        return Ok(Format::Json);
    }
    if head.version == Version::HTTP_10 {
        let detail = "a list of lines needs HTTP/1.1: over HTTP/1.0 one that broke off would look like a whole one; \
                      ask for application/json";
        return Err(Problem::new(problem::INVALID_REQUEST, detail));
    }
    Ok(Format::Lines)
}

impl Format {
    pub(super) fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Json => "application/json",
            Self::Lines => "application/x-ndjson",
        })
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn asked(target: &str, fields: &[(&str, &str)], whole_lists: bool) -> Asked {
        let mut request = Request::get(target);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let (head, ()) = request.body(()).expect("a request").into_parts();
        Asked::of(&head, head.uri.path(), whole_lists).expect("no problem")
    }

    fn is_whole(target: &str, fields: &[(&str, &str)]) -> bool {
        matches!(asked(target, fields, false), Asked::Whole(_))
    }

    #[test]
    fn only_limit_all_and_the_preference_ask_for_a_whole_list() {
        assert!(is_whole("/jobs?limit=all", &[]));
        assert!(is_whole("/jobs?status=failed&limit=all&offset=3", &[]));
        assert!(is_whole("/jobs", &[("prefer", "pagination=all")]));
        assert!(is_whole("/jobs?limit=5", &[("prefer", "respond-async; x=1, Pagination=\"all\"; y")]));
        for target in ["/jobs", "/jobs?limit=ALL", "/jobs?limit=100", "/jobs?all", "/jobs?limit=20&limit=all"]
        {
            assert!(!is_whole(target, &[("prefer", "pagination=none, all")]), "{target}");
        }
        assert!(matches!(asked("/tags?limit=all", &[("prefer", "pagination=all")], true), Asked::Other));
        assert!(matches!(asked("/jobs/1?limit=all", &[], true), Asked::Other));
    }

    #[test]
    fn below_their_base_url_lists_are_whole_unless_a_limit_was_chosen() {
        for target in
            ["/jobs", "/jobs?limit=20", "/jobs?limit=100&offset=0", "/jobs?limit=all", "/jobs/?limit="]
        {
            assert!(matches!(asked(target, &[], true), Asked::Whole(_)), "{target}");
        }
        for target in ["/jobs?offset=20", "/jobs?limit=100&offset=1"] {
            assert!(matches!(asked(target, &[], true), Asked::Nothing(Format::Json)), "{target}");
        }
        assert!(matches!(
            asked("/jobs?limit=7&offset=7", &[], true),
            Asked::Page(Page { limit: 7, offset: 7, .. })
        ));
        assert!(matches!(
            asked("/jobs?limit=all&offset=7", &[], true),
            Asked::Whole(Whole { offset: 7, .. })
        ));
        assert!(matches!(asked("/jobs?limit=x", &[], true), Asked::Other), "upstream explains it");
    }

    #[test]
    fn lines_are_for_those_who_name_them() {
        let format = |accept| match asked("/jobs?limit=all", &[("accept", accept)], false) {
            Asked::Whole(whole) => whole.format,
            other => panic!("{other:?}"),
        };
        for accept in
            ["application/x-ndjson", "application/json;q=0.5, application/X-NDJSON", "application/jsonl, */*"]
        {
            assert_eq!(format(accept), Format::Lines, "{accept}");
        }
        for accept in ["*/*", "application/json, application/x-ndjson;q=0.9", "application/x-ndjson;q=0", ""]
        {
            assert_eq!(format(accept), Format::Json, "{accept}");
        }
    }

    #[test]
    fn what_cannot_be_granted_is_told() {
        let (mut head, ()) = Request::get("/jobs?limit=all").body(()).expect("a request").into_parts();
        head.headers.insert(header::ACCEPT, HeaderValue::from_static("application/x-ndjson"));
        head.version = Version::HTTP_10;
        assert!(Asked::of(&head, "/jobs", false).is_err());
        head.version = Version::HTTP_11;
        assert!(Asked::of(&head, "/jobs", false).is_ok());
        head.uri = "/jobs?limit=all&offset=-1".parse().expect("a target");
        assert!(Asked::of(&head, "/jobs", false).is_err());
        head.method = Method::POST;
        assert!(matches!(Asked::of(&head, "/jobs", true), Ok(Asked::Other)));
    }
}
