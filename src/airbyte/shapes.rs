//! Paths without their ids, for the log and the metrics: few different ones, and none that a caller made up.

use super::known::CONFIG_OPERATIONS;
use super::paths::CONFIG_API_PATH;

/// What all paths of the public API are below.
const BASE: &str = "/v1";

/// Paths of the public API that have the same first segment.
struct Family {
    first: &'static str,
    /// With the `/v1` that they are below. What stands in braces is any segment; of two that fit, the first counts.
    shapes: &'static [&'static str],
}

const fn family(first: &'static str, shapes: &'static [&'static str]) -> Family {
    Family { first, shapes }
}

static PUBLIC: [Family; 19] = [
    family("", &["/v1"]),
    family("jobs", &["/v1/jobs", "/v1/jobs/{id}"]),
    family("connections", &["/v1/connections", "/v1/connections/{id}"]),
    family("sources", &["/v1/sources", "/v1/sources/initiateOAuth", "/v1/sources/{id}"]),
    family("destinations", &["/v1/destinations", "/v1/destinations/{id}"]),
    family(
        "workspaces",
        &[
            "/v1/workspaces",
            "/v1/workspaces/{id}",
            "/v1/workspaces/{id}/definitions/declarative_sources",
            "/v1/workspaces/{id}/definitions/declarative_sources/{id}",
            "/v1/workspaces/{id}/definitions/destinations",
            "/v1/workspaces/{id}/definitions/destinations/{id}",
            "/v1/workspaces/{id}/definitions/sources",
            "/v1/workspaces/{id}/definitions/sources/{id}",
            "/v1/workspaces/{id}/oauthCredentials",
            "/v1/workspaces/{id}/oauthCredentials/{type}/{name}",
        ],
    ),
    family("streams", &["/v1/streams"]),
    family("health", &["/v1/health"]),
    family("applications", &["/v1/applications", "/v1/applications/{id}"]),
    family("connector_definitions", &["/v1/connector_definitions"]),
    family("dataplanes", &["/v1/dataplanes", "/v1/dataplanes/{id}"]),
    family(
        "embedded",
        &["/v1/embedded/organizations", "/v1/embedded/scoped_token", "/v1/embedded/widget_token"],
    ),
    family(
        "groups",
        &[
            "/v1/groups",
            "/v1/groups/{id}",
            "/v1/groups/{id}/members",
            "/v1/groups/{id}/members/{id}",
            "/v1/groups/{id}/permissions",
            "/v1/groups/{id}/permissions/{id}",
        ],
    ),
    family("oauth", &["/v1/oauth/callback"]),
    family(
        "organizations",
        &[
            "/v1/organizations",
            "/v1/organizations/{id}/oauthCredentials",
            "/v1/organizations/{id}/oauthCredentials/{type}/{name}",
        ],
    ),
    family("permissions", &["/v1/permissions", "/v1/permissions/{id}"]),
    family("regions", &["/v1/regions", "/v1/regions/{id}"]),
    family("tags", &["/v1/tags", "/v1/tags/{id}"]),
    family("users", &["/v1/users"]),
];

/// All there are, of both APIs. The functions below say which number a path has in it.
pub(crate) fn all() -> impl Iterator<Item = String> {
    let public = PUBLIC.iter().flat_map(|family| family.shapes).map(|shape| (*shape).to_owned());
    public.chain(CONFIG_OPERATIONS.iter().map(|operation| format!("{CONFIG_API_PATH}{}", operation.path)))
}

/// The number of a path of the public API, given without its prefix.
pub(crate) fn public(path: &str) -> Option<usize> {
    // As bytes: every request comes through here, and paths are short.
    let mut rest = path.strip_suffix('/').unwrap_or(path).as_bytes();
    let first = match next_segment(&mut rest) {
        Some([]) => return None,
        first => first.unwrap_or_default(),
    };
    let mut before = 0;
    for family in &PUBLIC {
        if family.first.as_bytes() == first {
            let known = BASE.len() + "/".len() + first.len();
            let fits = |shape: &&str| fits(shape.as_bytes().get(known..).unwrap_or_default(), rest);
            return family.shapes.iter().position(fits).map(|at| before + at);
        }
        before += family.shapes.len();
    }
    None
}

/// The number of a path of the Configuration API, given without its prefix.
pub(crate) fn config(path: &str) -> Option<usize> {
    let before = || PUBLIC.iter().map(|family| family.shapes.len()).sum::<usize>();
    let at = CONFIG_OPERATIONS.binary_search_by_key(&path, |operation| operation.path).ok()?;
    Some(before() + at)
}

/// What is between the slash that `rest` begins with and the next one; none where it is empty.
fn next_segment<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let behind = rest.get(1..)?;
    let end = behind.iter().position(|byte| *byte == b'/').unwrap_or(behind.len());
    let (segment, more) = behind.split_at(end);
    *rest = more;
    Some(segment)
}

fn fits(mut shape: &[u8], mut path: &[u8]) -> bool {
    loop {
        match (next_segment(&mut shape), next_segment(&mut path)) {
            (None, None) => return true,
            (Some(wanted), Some(found)) => {
                let any = wanted.starts_with(b"{") && !found.is_empty();
                if !any && wanted != found {
                    return false;
                }
            }
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_the_shape_that_is_known_or_none() {
        let all: Vec<_> = all().collect();
        for (path, expected) in [
            ("", Some("/v1")),
            ("/", Some("/v1")),
            ("/workspaces", Some("/v1/workspaces")),
            ("/workspaces/", Some("/v1/workspaces")),
            ("/jobs/17", Some("/v1/jobs/{id}")),
            ("/sources/initiateOAuth", Some("/v1/sources/initiateOAuth")),
            ("/sources/3f", Some("/v1/sources/{id}")),
            ("/groups/3f/members/x%20y", Some("/v1/groups/{id}/members/{id}")),
            (
                "/workspaces/1/oauthCredentials/a/b",
                Some("/v1/workspaces/{id}/oauthCredentials/{type}/{name}"),
            ),
            ("/jobs/17/18", None),
            ("/jobs//", None),
            ("//jobs", None),
            ("//", None),
            ("/job", None),
            ("/{id}", None),
            ("/a/b/c/d/e/f/g/h", None),
        ] {
            assert_eq!(public(path).map(|number| all[number].as_str()), expected, "{path}");
        }
        for (path, expected) in [
            ("/connections/get", Some("/api/v1/connections/get")),
            ("/workspaces/list_by_organization_id", Some("/api/v1/workspaces/list_by_organization_id")),
            ("/connections/made_up", None),
            ("", None),
        ] {
            assert_eq!(config(path).map(|number| all[number].as_str()), expected, "{path}");
        }
    }

    #[test]
    fn every_shape_is_found_under_its_own_number() {
        let mut seen = std::collections::HashSet::new();
        for (number, shape) in all().enumerate() {
            let found = match shape.strip_prefix(CONFIG_API_PATH) {
                Some(path) => config(path),
                None => public(shape.strip_prefix("/v1").expect("below the base")),
            };
            assert_eq!(found, Some(number), "{shape}");
            assert!(seen.insert(shape), "twice");
        }
    }
}
