//! Which paths there are, and what a path that is none was probably meant to be.

/// The four paths under which known clients ask for a token. Answered by the proxy itself.
pub const TOKEN_PATHS: [&str; 4] = [
    "/v1/applications/token",
    "/applications/token",
    "/api/public/v1/applications/token",
    "/api/v1/applications/token",
];

/// Where the token endpoint lives, below an API's base URL.
pub const TOKEN_ENDPOINT: &str = "/applications/token";

/// Airbyte Cloud's public API.
pub const CLOUD_API_URL: &str = "https://api.airbyte.com/v1";

/// Airbyte Cloud's Configuration API, another origin.
pub const CLOUD_CONFIG_API_URL: &str = "https://cloud.airbyte.com/api/v1";

/// The public API, where the proxy serves it.
pub const API_PREFIX: &str = "/v1";

/// The same, under the name from which some clients derive the Configuration API's.
pub const API_ALIAS: &str = "/api/public/v1";

/// The Configuration API, where the proxy serves it once it is opened.
pub const CONFIG_API_PREFIX: &str = "/api/v1";

/// First segments of the public API.
const RESOURCES: [&str; 17] = [
    "applications",
    "connections",
    "connector_definitions",
    "dataplanes",
    "destinations",
    "embedded",
    "groups",
    "health",
    "jobs",
    "organizations",
    "permissions",
    "regions",
    "sources",
    "streams",
    "tags",
    "users",
    "workspaces",
];

/// Where a request belongs, by its path alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// `/`: a browser or a curious curl.
    Home,
    /// `/-/…`: the proxy's own.
    Own,
    /// One of the [`TOKEN_PATHS`].
    Token,
    /// The public API; so many bytes of the path are the local prefix.
    Api {
        /// Length of [`API_PREFIX`] or [`API_ALIAS`].
        prefix: usize,
    },
    /// The Configuration API.
    ConfigApi {
        /// Length of [`CONFIG_API_PREFIX`].
        prefix: usize,
    },
    /// None of Airbyte's.
    Unknown,
}

impl Route {
    /// Where `path` (undecoded) belongs.
    pub fn of(path: &str) -> Self {
        if path.ends_with(TOKEN_ENDPOINT) && TOKEN_PATHS.contains(&path) {
            return Self::Token;
        }
        if is_below(path, API_PREFIX) {
            return Self::Api { prefix: API_PREFIX.len() };
        }
        if is_below(path, API_ALIAS) {
            return Self::Api { prefix: API_ALIAS.len() };
        }
        if is_below(path, CONFIG_API_PREFIX) {
            return Self::ConfigApi { prefix: CONFIG_API_PREFIX.len() };
        }
        match path {
            "/" => Self::Home,
            "/-" => Self::Own,
            _ if path.starts_with("/-/") => Self::Own,
            _ => Self::Unknown,
        }
    }
}

fn is_below(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The path that somebody who wrote the unknown `path` probably meant.
pub fn suggestion(path: &str) -> Option<String> {
    let lower = path.to_ascii_lowercase();
    let squeezed = lower.trim_start_matches('/');
    // What follows the last thing that looks like a version or prefix must begin with a resource.
    let rest = ["api/public/v1/", "public/v1/", "api/v1/", "v1/", "api/", "v2/", ""]
        .iter()
        .find_map(|prefix| squeezed.strip_prefix(prefix))?;
    let resource = rest.split('/').next().unwrap_or_default();
    // Ids keep their case.
    let tail = path.get(path.len() - rest.len() + resource.len()..)?;
    RESOURCES.contains(&resource).then(|| format!("{API_PREFIX}/{resource}{tail}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_belong_where_their_prefix_says() {
        for (path, route) in [
            ("/", Route::Home),
            ("/-/", Route::Own),
            ("/-/ready", Route::Own),
            ("/v1", Route::Api { prefix: 3 }),
            ("/v1/workspaces", Route::Api { prefix: 3 }),
            ("/v1//x", Route::Api { prefix: 3 }),
            ("/api/public/v1/workspaces", Route::Api { prefix: 14 }),
            ("/api/v1/sources/list", Route::ConfigApi { prefix: 7 }),
            ("/v1/applications/token", Route::Token),
            ("/applications/token", Route::Token),
            ("/v1/applications/token/", Route::Api { prefix: 3 }),
            ("/v10/workspaces", Route::Unknown),
            ("/workspaces", Route::Unknown),
            ("/-x", Route::Unknown),
            ("*", Route::Unknown),
        ] {
            assert_eq!(Route::of(path), route, "{path}");
        }
    }

    #[test]
    fn an_unknown_path_suggests_the_likely_right_one() {
        for (path, meant) in [
            ("/workspaces", Some("/v1/workspaces")),
            ("/V1/Workspaces/AbC", Some("/v1/workspaces/AbC")),
            ("/api/workspaces", Some("/v1/workspaces")),
            ("/public/v1/groups/x/members", Some("/v1/groups/x/members")),
            ("//jobs", Some("/v1/jobs")),
            ("/nonsense", None),
            ("/workspacesx", None),
        ] {
            assert_eq!(suggestion(path).as_deref(), meant, "{path}");
        }
    }
}
