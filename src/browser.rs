//! What is different where a browser may be at the other end: for whoever answers. Knows no other room.

use std::fmt;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

/// Whether a browser asks for something to look at. Only they name the type; curl takes anything.
pub(crate) fn wants_page(headers: &HeaderMap) -> bool {
    headers.get_all(header::ACCEPT).iter().any(names_page)
}

/// The same of one line of `Accept`: browsers send no second one.
pub(crate) fn names_page(accept: &HeaderValue) -> bool {
    accept.to_str().unwrap_or_default().split(',').any(|range| {
        let media = range.split(';').next().unwrap_or_default();
        media.trim().eq_ignore_ascii_case("text/html")
    })
}

/// A browser that gets hold of an answer must neither sniff it, nor embed it, nor run it.
pub(crate) fn protect(headers: &mut HeaderMap) {
    const CORP: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CORP, HeaderValue::from_static("same-origin"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox"));
}

/// Text within a page.
pub(crate) struct Html<'a>(pub(crate) &'a str);

impl fmt::Display for Html<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some(at) = rest.find(['<', '>', '&', '"', '\'']) {
            let (plain, tail) = rest.split_at(at);
            let (special, after) = tail.split_at(1);
            f.write_str(plain)?;
            f.write_str(match special {
                "<" => "&lt;",
                ">" => "&gt;",
                "&" => "&amp;",
                "\"" => "&quot;",
                _ => "&#39;",
            })?;
            rest = after;
        }
        f.write_str(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_client_that_names_html_is_a_browser() {
        let wants = |accept: &'static str| {
            wants_page(&HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]))
        };
        assert!(wants("text/html,application/xhtml+xml,*/*;q=0.8"));
        assert!(wants("application/json, Text/HTML;q=0.1"));
        assert!(!wants("*/*") && !wants("text/*") && !wants("application/json") && !wants("text/html2"));
        assert!(!wants_page(&HeaderMap::new()));
    }

    #[test]
    fn markup_is_shown_as_text() {
        assert_eq!(Html("a<b>&'\"é").to_string(), "a&lt;b&gt;&amp;&#39;&quot;é");
    }
}
