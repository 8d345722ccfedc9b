//! Path patterns of policy rules, and how they see a path.
//!
//! A pattern is compared with the path below the API's root, segment by segment, each percent-decoded once. Empty
//! segments do not count, since there are servers that merge slashes. Where servers may differ, a rule errs on the
//! side of refusing: see [`Care`].

use super::target::decode;

/// A pattern: `/jobs`, `/jobs/*` (one segment), `/workspaces/**` (the rest, which may be nothing).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    text: Box<str>,
    segments: Vec<Segment>,
    rest: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Literal(Box<[u8]>),
    Any,
}

/// Why a string is not a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatternError {
    /// Patterns are relative to the API's root.
    #[error("a path pattern starts with \"/\"")]
    Start,
    /// `/v1/jobs`.
    #[error("a path pattern is relative to the API, leave out the prefix (such as /v1)")]
    Prefix,
    /// `/jo*`, `/**/x`.
    #[error("\"*\" stands for one whole segment, \"**\" for the rest and only at the end")]
    Star,
    /// `/a/../b`.
    #[error("a path pattern has no \".\" and \"..\"")]
    Dots,
    /// Escapes, spaces, anything that would never match.
    #[error("a path pattern is written without escapes, query and spaces")]
    Character,
}

/// How closely to look, in cases where two servers may see two paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Care {
    /// To allow: as Airbyte does, case and all.
    Exact,
    /// To deny: whatever some server might take for the pattern. Case does not matter, nor do parameters (`;x=1`).
    Wide,
}

impl Pattern {
    pub(super) fn parse(text: &str) -> Result<Self, PatternError> {
        let below = text.strip_prefix('/').ok_or(PatternError::Start)?;
        if text == "/v1" || ["/v1/", "/api/v1", "/api/public"].iter().any(|prefix| text.starts_with(prefix)) {
            return Err(PatternError::Prefix);
        }
        let mut pattern = Self { text: text.into(), segments: Vec::new(), rest: false };
        for segment in below.split('/').filter(|segment| !segment.is_empty()) {
            if pattern.rest {
                return Err(PatternError::Star);
            }
            match segment {
                "**" => pattern.rest = true,
                "*" => pattern.segments.push(Segment::Any),
                "." | ".." => return Err(PatternError::Dots),
                _ if segment.contains('*') => return Err(PatternError::Star),
                _ if !segment.bytes().all(is_literal) => return Err(PatternError::Character),
                _ => pattern.segments.push(Segment::Literal(segment.as_bytes().into())),
            }
        }
        Ok(pattern)
    }

    pub(super) fn matches(&self, path: &str, care: Care) -> bool {
        let mut path = segments(path);
        for wanted in &self.segments {
            let fits = match (path.next(), wanted) {
                (None, _) => false,
                (Some(_), Segment::Any) => true,
                (Some(segment), Segment::Literal(literal)) => same(segment, literal, care),
            };
            if !fits {
                return false;
            }
        }
        self.rest || path.next().is_none()
    }

    /// Whether it starts with a star.
    pub(super) fn names_nothing(&self) -> bool {
        !matches!(self.segments.first(), Some(Segment::Literal(_)))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }
}

/// What may stand for itself in a pattern: `pchar` without escapes, and without `;`, which denials do not see.
fn is_literal(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()+,=:@".contains(&byte)
}

/// The segments of a path that count.
pub(super) fn segments(path: &str) -> impl Iterator<Item = &[u8]> {
    path.as_bytes().split(|&b| b == b'/').filter(|segment| !segment.is_empty())
}

/// Whether a raw segment is `literal`.
pub(super) fn same(segment: &[u8], literal: &[u8], care: Care) -> bool {
    // Nearly all segments: no escape, no parameter, nothing to decode.
    if segment == literal {
        return true;
    }
    let mut wanted = literal.iter();
    for byte in decode(segment) {
        let byte = match (byte, care) {
            (None, _) => return false,
            (Some(b';'), Care::Wide) => break,
            (Some(byte), _) => byte,
        };
        let fits = match (wanted.next(), care) {
            (None, _) => false,
            (Some(wanted), Care::Exact) => *wanted == byte,
            (Some(wanted), Care::Wide) => wanted.eq_ignore_ascii_case(&byte),
        };
        if !fits {
            return false;
        }
    }
    wanted.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, path: &str, care: Care) -> bool {
        Pattern::parse(pattern).expect(pattern).matches(path, care)
    }

    #[test]
    fn one_star_is_one_segment_and_two_are_the_rest() {
        for (pattern, path, fits) in [
            ("/jobs", "/jobs", true),
            ("/jobs", "/jobs/", true),
            ("/jobs", "//jobs", true),
            ("/jobs", "/jobs/1", false),
            ("/jobs", "", false),
            ("/jobs/*", "/jobs/1", true),
            ("/jobs/*", "/jobs", false),
            ("/jobs/*", "/jobs//", false),
            ("/jobs/*", "/jobs/1/2", false),
            ("/jobs/**", "/jobs", true),
            ("/jobs/**", "/jobs/1/2", true),
            ("/jobs/**", "/jobsx", false),
            ("/**", "", true),
            ("/**", "/a/b", true),
            ("/", "", true),
            ("/", "/", true),
            ("/", "/a", false),
            ("/*/x", "/y/x", true),
        ] {
            assert_eq!(matches(pattern, path, Care::Exact), fits, "{pattern} {path}");
            assert_eq!(matches(pattern, path, Care::Wide), fits, "{pattern} {path}");
        }
    }

    #[test]
    fn denials_see_what_some_server_might_see_and_allowances_do_not() {
        for (path, exact) in [
            ("/%61pplications", true),
            ("/applicatio%6E%73", true),
            ("/Applications", false),
            ("/%41pplications", false),
            ("/applications;x=1", false),
            ("/applications%3Bx", false),
        ] {
            assert_eq!(matches("/applications", path, Care::Exact), exact, "{path}");
            assert!(matches("/applications", path, Care::Wide), "{path}");
        }
        for path in ["/application", "/applicationss", "/%2561pplications", "/", "/applications%zz"] {
            assert!(!matches("/applications", path, Care::Wide), "{path}");
        }
    }

    #[test]
    fn wrong_patterns_say_what_is_wrong() {
        for (text, error) in [
            ("jobs", PatternError::Start),
            ("", PatternError::Start),
            ("/v1/jobs", PatternError::Prefix),
            ("/v1", PatternError::Prefix),
            ("/api/public/v1/jobs", PatternError::Prefix),
            ("/jo*", PatternError::Star),
            ("/**/x", PatternError::Star),
            ("/***", PatternError::Star),
            ("/a/../b", PatternError::Dots),
            ("/a%62", PatternError::Character),
            ("/a?b", PatternError::Character),
            ("/a b", PatternError::Character),
        ] {
            assert_eq!(Pattern::parse(text), Err(error), "{text}");
        }
    }
}
