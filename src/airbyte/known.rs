//! What the guard has to know of Airbyte's two APIs: what hands out credentials, what only reads, what clients call.

/// Methods that only read, by definition (RFC 9110 §9.2.1) and in Airbyte's public API in fact.
pub(crate) fn only_reads(method: &http::Method) -> bool {
    matches!(*method, http::Method::GET | http::Method::HEAD | http::Method::OPTIONS)
}

/// A part of the public API that answers with credentials.
pub(crate) struct Credentials {
    /// Its pattern, as a rule would write it.
    pub(crate) pattern: &'static str,
    /// The first segment of its paths.
    pub(crate) segment: &'static [u8],
    /// Reading it is harmless.
    pub(crate) reads_are_fine: bool,
    /// What one would get.
    pub(crate) returns: &'static str,
}

/// Denied unless a rule allows them.
pub(crate) static CREDENTIALS: [Credentials; 3] = [
    Credentials {
        pattern: "/applications/**",
        segment: b"applications",
        reads_are_fine: false,
        returns: "the client secrets of applications",
    },
    Credentials {
        pattern: "/embedded/**",
        segment: b"embedded",
        reads_are_fine: false,
        returns: "tokens for embedding",
    },
    Credentials {
        pattern: "/dataplanes/**",
        segment: b"dataplanes",
        reads_are_fine: true,
        returns: "the client secrets of data planes",
    },
];

/// An operation of the Configuration API, which speaks POST whatever it does.
pub(crate) struct Operation {
    pub(crate) path: &'static str,
    pub(crate) effect: Effect,
}

/// What an operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    Reads,
    /// Starts or cancels a sync.
    Syncs,
    Writes,
}

const fn op(path: &'static str, effect: Effect) -> Operation {
    Operation { path, effect }
}

/// What `PyAirbyte` (0.71) and Dagster (dagster-airbyte 0.29) call, sorted. The Terraform provider (1.x) calls the
/// public API alone.
pub(crate) static CONFIG_OPERATIONS: [Operation; 43] = {
    use Effect::{Reads, Syncs, Writes};
    [
        op("/connections/create", Writes),
        op("/connections/delete", Writes),
        op("/connections/get", Reads),
        op("/connections/list", Reads),
        op("/connections/sync", Syncs),
        op("/connections/update", Writes),
        op("/connector_builder_projects/get_for_definition_id", Reads),
        op("/connector_builder_projects/get_with_manifest", Reads),
        op("/connector_builder_projects/update_testing_values", Writes),
        op("/destination_definition_specifications/get", Reads),
        op("/destination_definitions/get", Reads),
        op("/destination_definitions/list", Reads),
        op("/destinations/check_connection", Writes),
        op("/destinations/create", Writes),
        op("/destinations/delete", Writes),
        op("/destinations/get", Reads),
        op("/destinations/list", Reads),
        op("/destinations/update", Writes),
        op("/jobs/cancel", Syncs),
        op("/jobs/get", Reads),
        op("/jobs/list", Reads),
        op("/operations/create", Writes),
        op("/operations/list", Reads),
        op("/organizations/get_organization_info", Reads),
        op("/organizations/list_by_user_id", Reads),
        op("/permissions/list_by_user", Reads),
        op("/source_definitions/list", Reads),
        op("/sources/check_connection", Writes),
        op("/sources/create", Writes),
        op("/sources/delete", Writes),
        op("/sources/discover_schema", Writes),
        op("/sources/list", Reads),
        op("/sources/update", Writes),
        op("/state/create_or_update_safe", Writes),
        op("/state/get", Reads),
        op("/users/get_by_auth_id", Reads),
        op("/users/update", Writes),
        op("/web_backend/connections/get", Reads),
        op("/web_backend/connections/update", Writes),
        op("/workspaces/get", Reads),
        op("/workspaces/get_organization_info", Reads),
        op("/workspaces/list", Reads),
        op("/workspaces/list_by_organization_id", Reads),
    ]
};

/// What `path`, which is not ours, was probably meant to be.
pub(crate) fn likely_path(path: &str) -> Option<String> {
    // `/v1` doubled or left out, or the names under which Airbyte's own servers know the API.
    let rest = ["/api/public", "/public/v1", "/public", "/api"]
        .iter()
        .find_map(|prefix| path.strip_prefix(prefix).filter(|rest| rest.starts_with('/')))
        .unwrap_or(path);
    let first = rest.split('/').nth(1)?;
    RESOURCES.contains(&first).then(|| format!("/v1{rest}"))
}

/// First segments of the public API.
static RESOURCES: [&str; 18] = [
    "applications",
    "connections",
    "connector_definitions",
    "dataplanes",
    "destinations",
    "embedded",
    "groups",
    "health",
    "jobs",
    "oauth",
    "organizations",
    "permissions",
    "regions",
    "sources",
    "streams",
    "tags",
    "users",
    "workspaces",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_sorted_and_their_reads_are_named_so() {
        assert!(CONFIG_OPERATIONS.is_sorted_by_key(|op| op.path));
        for Operation { path, effect } in &CONFIG_OPERATIONS {
            let verb = path.rsplit('/').next().expect("a verb");
            let named_so = verb.starts_with("get") || verb.starts_with("list");
            assert_eq!(named_so, *effect == Effect::Reads, "{path}");
        }
    }

    #[test]
    fn wrong_paths_name_the_likely_right_one() {
        for (path, likely) in [
            ("/workspaces", Some("/v1/workspaces")),
            ("/jobs/1", Some("/v1/jobs/1")),
            ("/public/v1/jobs", Some("/v1/jobs")),
            ("/api/public/jobs", Some("/v1/jobs")),
            ("/api/jobs", Some("/v1/jobs")),
            ("/apijobs", None),
            ("/index.html", None),
            ("//", None),
        ] {
            assert_eq!(likely_path(path).as_deref(), likely, "{path}");
        }
    }
}
