//! The caller's query, apart from which rows of the list it asks for.

use std::fmt::Write;

use form_urlencoded::parse;

/// A query split in two: what selects and orders the rows, byte for byte as the caller wrote it, and which page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Query {
    filters: String,
    /// As decoded. Of several, upstream reads the first.
    pub(super) limit: Option<String>,
    pub(super) offset: Option<String>,
    /// A filter hides a `limit` or an `offset` behind a semicolon, which some servers take for an ampersand.
    pub(super) is_ambiguous: bool,
}

impl Query {
    pub(super) fn of(query: Option<&str>) -> Self {
        let mut split = Self { filters: String::new(), limit: None, offset: None, is_ambiguous: false };
        for part in query.unwrap_or_default().split('&') {
            // Upstream decodes names, so `%6cimit` is a limit too.
            match parse(part.as_bytes()).next() {
                Some((name, value)) if name == "limit" => {
                    split.limit.get_or_insert_with(|| value.into_owned());
                }
                Some((name, value)) if name == "offset" => {
                    split.offset.get_or_insert_with(|| value.into_owned());
                }
                Some(_) => {
                    split.is_ambiguous |= part.split(';').skip(1).any(says_which_page);
                    if !split.filters.is_empty() {
                        split.filters.push('&');
                    }
                    split.filters.push_str(part);
                }
                None => {}
            }
        }
        split
    }

    /// What `limit` says, unless that is nothing.
    pub(super) fn limit(&self) -> Option<&str> {
        self.limit.as_deref().filter(|limit| !limit.is_empty())
    }

    /// The same rows, this page of them.
    pub(super) fn page(&self, limit: u64, offset: u64) -> String {
        let mut query = self.filters.clone();
        let and = if query.is_empty() { "" } else { "&" };
        // Writing to a string cannot fail.
        let _ = write!(query, "{and}limit={limit}&offset={offset}");
        query
    }

    /// The row to begin with; `None` if what is written there is no number of rows.
    pub(super) fn first_row(&self) -> Option<u64> {
        self.offset
            .as_deref()
            .filter(|offset| !offset.is_empty())
            .map_or(Some(0), |offset| offset.parse().ok())
    }
}

fn says_which_page(part: &str) -> bool {
    parse(part.as_bytes()).next().is_some_and(|(name, _)| matches!(&*name, "limit" | "offset"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn filters_stay_as_they_were_written() {
        for (query, page) in [
            (None, "limit=20&offset=40"),
            (Some(""), "limit=20&offset=40"),
            (Some("limit=7&offset=3"), "limit=20&offset=40"),
            (Some("a=%2C&limit=7&b=c,d&&b=e%7C"), "a=%2C&b=c,d&b=e%7C&limit=20&offset=40"),
            (Some("%6cimit=7&o%66fset=1&limitx=2"), "limitx=2&limit=20&offset=40"),
            (Some("limit=1&limit=2&offset"), "limit=20&offset=40"),
        ] {
            assert_eq!(Query::of(query).page(20, 40), page, "{query:?}");
        }
    }

    #[test]
    fn the_first_of_several_counts() {
        let query = Query::of(Some("limit=all&limit=3&offset=5&offset=9"));
        assert_eq!((query.limit.as_deref(), query.first_row()), (Some("all"), Some(5)));
        assert_eq!(
            (Query::of(Some("offset=&limit=")).first_row(), Query::of(Some("limit=")).limit()),
            (Some(0), None)
        );
        assert_eq!(Query::of(Some("offset=-1")).first_row(), None);
        assert_eq!(Query::of(Some("limit=%61ll")).limit.as_deref(), Some("all"));
    }

    #[test]
    fn what_a_server_may_take_for_another_page_is_seen() {
        for query in ["a=b;limit=7", "a;x=1;%6fffset=7", "a=b&c;limit"] {
            assert!(Query::of(Some(query)).is_ambiguous, "{query}");
        }
        for query in ["a=b;c=d", "a=;&limit=7", "a=limit;xlimit=3"] {
            assert!(!Query::of(Some(query)).is_ambiguous, "{query}");
        }
    }

    proptest! {
        #[test]
        fn any_page_of_a_page_is_that_page(
            query in "(([a-z]{1,6}|limit|offset|%6c[a-z]{0,3})(=[A-Za-z0-9%7C,]{0,8})?&?){0,6}",
            limit in 1..=100_u64, offset in 0..100_000_u64,
        ) {
            let page = Query::of(Some(&query)).page(limit, offset);
            let again = Query::of(Some(&page));
            let said = again.limit.as_ref().and_then(|limit| limit.parse().ok());
            prop_assert_eq!(said, Some(limit));
            prop_assert_eq!(again.first_row(), Some(offset));
            prop_assert_eq!(again.page(limit, offset), page);
        }
    }
}
