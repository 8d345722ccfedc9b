//! Paths and URLs of Airbyte that the proxy treats specially.

/// The paths under which known clients ask for a token, one of them below [`WHOLE_LISTS`]. Answered by the proxy
/// itself.
pub const TOKEN_PATHS: [&str; 5] = [
    "/v1/applications/token",
    "/applications/token",
    "/api/public/v1/applications/token",
    "/api/v1/applications/token",
    "/-/all/v1/applications/token",
];

/// The proxy's own base path, under which every list is whole.
pub const WHOLE_LISTS: &str = "/-/all/v1";

/// Where the token endpoint lives, below an API's base URL.
pub const TOKEN_ENDPOINT: &str = "/applications/token";

/// Where the Configuration API lives on a self-managed Airbyte, and here.
pub const CONFIG_API_PATH: &str = "/api/v1";

/// Airbyte Cloud's public API.
pub const CLOUD_API_URL: &str = "https://api.airbyte.com/v1";

/// Where a self-managed Airbyte has the public API.
pub const SELF_MANAGED_API: &str = "/api/public/v1";

/// Where Airbyte Cloud has it, on a host of its own.
pub const CLOUD_API: &str = "/v1";

/// Where the Configuration API lives, which has a token endpoint too: JSON only.
pub const CONFIG_API: &str = "/api/v1";

/// Whether `path` is one of the [`TOKEN_PATHS`].
pub fn is_token_path(path: &str) -> bool {
    path.ends_with(TOKEN_ENDPOINT) && TOKEN_PATHS.contains(&path)
}
