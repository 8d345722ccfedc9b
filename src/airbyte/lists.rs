//! The seven lists that Airbyte's public API hands out page by page, and how.

/// The largest `limit`, in rows.
pub(crate) const MOST_ROWS: u64 = 100;
/// The `limit` of a request that names none.
pub(crate) const DEFAULT_ROWS: u64 = 20;
/// The largest `offset`: Airbyte reads it as a 32-bit number.
pub(crate) const MOST_OFFSET: u64 = i32::MAX as u64;

/// One of the lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct List {
    /// The member of a row that tells it from others.
    pub(crate) id: &'static str,
}

impl List {
    /// The list at `path`, which is below the base URL. A slash at its end, which Airbyte does not mind, is its own.
    pub(crate) fn at(path: &str) -> Option<Self> {
        let path = path.strip_suffix('/').unwrap_or(path);
        let id = match path.strip_prefix('/')? {
            "workspaces" => "workspaceId",
            "sources" => "sourceId",
            "destinations" => "destinationId",
            "connections" => "connectionId",
            "jobs" => "jobId",
            "groups" => "groupId",
            other => {
                let group = other.strip_prefix("groups/")?.strip_suffix("/members")?;
                if group.is_empty() || group.contains('/') {
                    return None;
                }
                "userId"
            }
        };
        Some(Self { id })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seven_paths_are_lists_and_no_others() {
        let lists = ["/workspaces", "/sources", "/destinations", "/connections", "/jobs", "/groups"];
        for path in lists {
            assert!(List::at(path).is_some() && List::at(&format!("{path}/")).is_some(), "{path}");
            for other in [format!("{path}//"), format!("{path}/x"), format!("/x{path}"), path[1..].to_owned()]
            {
                assert_eq!(List::at(&other), None, "{other}");
            }
        }
        assert_eq!(List::at("/groups/7d1/members").map(|list| list.id), Some("userId"));
        for path in
            ["/groups//members", "/groups/a/b/members", "/groups/members", "/members", "/tags", "", "/"]
        {
            assert_eq!(List::at(path), None, "{path}");
        }
    }
}
