//! Local paths onto upstream's: the prefix is exchanged, every byte after it stays (RFC 9110 §7.7).

use bytes::Bytes;
use http::Uri;
use http::uri::PathAndQuery;

use super::problem::{self, Problem};

/// The target at upstream: `base` and everything after the first `prefix` bytes of the path.
pub(super) fn mapped(uri: &Uri, prefix: usize, base: &str) -> Result<PathAndQuery, Problem> {
    let invalid = || Problem::new(problem::INVALID_REQUEST, "the request has no usable path");
    let local = uri.path_and_query().ok_or_else(invalid)?;
    let (local_prefix, rest) = local.as_str().split_at_checked(prefix).ok_or_else(invalid)?;
    if local_prefix == base {
        return Ok(local.clone());
    }
    let slash = if base.is_empty() && !rest.starts_with('/') { "/" } else { "" };
    PathAndQuery::from_maybe_shared(Bytes::from(format!("{base}{slash}{rest}"))).map_err(|_| invalid())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn map(target: &str, prefix: usize, base: &str) -> String {
        mapped(&target.parse().expect("a target"), prefix, base).expect("mapped").to_string()
    }

    #[test]
    fn only_the_prefix_changes() {
        assert_eq!(map("/v1/sources?a=b", 3, "/v1"), "/v1/sources?a=b");
        assert_eq!(map("/v1/sources?a=b%2C&c", 3, "/api/public/v1"), "/api/public/v1/sources?a=b%2C&c");
        assert_eq!(map("/api/public/v1/x%2Fy", 14, "/v1"), "/v1/x%2Fy");
        assert_eq!(map("/v1", 3, ""), "/");
        assert_eq!(map("/v1?q", 3, ""), "/?q");
        assert_eq!(map("/v1//x/", 3, ""), "//x/");
        assert_eq!(map("/v1?", 3, "/v1"), "/v1?");
    }

    proptest! {
        #[test]
        fn bytes_after_the_prefix_are_unchanged(
            rest in "(/([A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9a-fA-F]{2})*){0,4}(\\?([A-Za-z0-9/?._~|=&-]|%[0-9a-fA-F]{2})*)?"
        ) {
            prop_assert_eq!(map(&format!("/v1{rest}"), 3, "/api/public/v1"), format!("/api/public/v1{rest}"));
        }
    }
}
