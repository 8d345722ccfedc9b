//! Where a token may be asked for, and how, given what somebody calls "the URL of Airbyte". Pure.

use crate::airbyte::BaseUrl;
use crate::airbyte::paths::{CLOUD_API, CLOUD_API_URL, CONFIG_API, SELF_MANAGED_API, TOKEN_ENDPOINT};
use crate::mint::BodyFormat;

/// Ends of URLs that people take for the whole. Of those that end alike, the longest comes first.
const ENDS: [&str; 5] = [SELF_MANAGED_API, "/api/public", CONFIG_API, CLOUD_API, "/api"];
/// With these the addresses of pages begin, which people copy from the browser.
const PAGES: [&str; 5] = ["/workspaces", "/organization", "/login", "/auth", "/settings"];
const CLOUD: &str = "airbyte.com";
/// Takes JSON only, and is on another host than the API.
const CLOUD_WEB: &str = "https://cloud.airbyte.com";

/// One way to an Airbyte: where its API is, and how its token endpoint is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    /// For `upstream.api_url`.
    pub api_url: BaseUrl,
    /// For `token.url`.
    pub token_url: BaseUrl,
    /// For `token.body`.
    pub body: BodyFormat,
}

/// All that is worth trying, the likeliest first, and JSON before forms: some servers answer a form with a 401 that
/// looks like wrong credentials. `configured` is what the proxy does today, and comes before all.
pub(super) fn ways(url: &BaseUrl, configured: Option<&(BaseUrl, BodyFormat)>) -> Vec<Way> {
    let bases = bases(url);
    let today = |body| {
        let way = |token_url: &BaseUrl| Way { api_url: url.clone(), token_url: token_url.clone(), body };
        configured.map(|(token_url, _)| way(token_url))
    };
    let public = |body| {
        let way =
            move |base: &BaseUrl| Way { api_url: base.clone(), token_url: base.join(TOKEN_ENDPOINT), body };
        bases.iter().map(way)
    };
    let first = configured.and_then(|(_, body)| today(*body));
    let json = today(BodyFormat::Json).into_iter().chain(public(BodyFormat::Json)).chain(older(url));
    let form = today(BodyFormat::Form).into_iter().chain(public(BodyFormat::Form));
    let mut once: Vec<Way> = Vec::new();
    for way in first.into_iter().chain(json).chain(form) {
        if !once.iter().any(|seen| seen.token_url == way.token_url && seen.body == way.body) {
            once.push(way);
        }
    }
    once
}

/// Where the public API may be.
pub(super) fn bases(url: &BaseUrl) -> Vec<BaseUrl> {
    if is_cloud(url) {
        return BaseUrl::parse(CLOUD_API_URL).into_iter().collect();
    }
    let root = root(url.path());
    let mut paths = vec![format!("{root}{SELF_MANAGED_API}"), format!("{root}{CLOUD_API}")];
    if !root.is_empty() {
        paths.push(SELF_MANAGED_API.to_owned());
    }
    // If it is a likely one already, it is the likeliest.
    paths.sort_by_key(|path| path != url.path());
    paths.iter().map(|path| url.with_path(path)).collect()
}

/// The token endpoint of the Configuration API, for a server whose public one does not answer.
fn older(url: &BaseUrl) -> Option<Way> {
    let base = bases(url).into_iter().next()?;
    let origin =
        if is_cloud(url) { BaseUrl::parse(CLOUD_WEB).ok()? } else { url.with_path(root(url.path())) };
    let token_url = origin.join(CONFIG_API).join(TOKEN_ENDPOINT);
    Some(Way { api_url: base, token_url, body: BodyFormat::Json })
}

fn is_cloud(url: &BaseUrl) -> bool {
    let host = url.host().to_ascii_lowercase();
    host == CLOUD || host.strip_suffix(CLOUD).is_some_and(|sub| sub.ends_with('.'))
}

/// What stands before Airbyte's own paths: nothing, or where an ingress has put it.
fn root(path: &str) -> &str {
    let path = path.strip_suffix(TOKEN_ENDPOINT).unwrap_or(path);
    let page = PAGES.iter().filter_map(|page| path.find(page)).min();
    let path = page.map_or(path, |at| &path[..at]);
    ENDS.iter().find_map(|end| path.strip_suffix(end)).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(url: &str) -> Vec<String> {
        let ways = ways(&BaseUrl::parse(url).expect(url), None);
        ways.iter().map(|way| format!("{} {:?}", way.token_url, way.body)).collect()
    }

    #[test]
    fn whatever_people_call_the_url_leads_to_the_same_paths() {
        let all = [
            "https://a.corp/api/public/v1/applications/token Json",
            "https://a.corp/v1/applications/token Json",
            "https://a.corp/api/v1/applications/token Json",
            "https://a.corp/api/public/v1/applications/token Form",
            "https://a.corp/v1/applications/token Form",
        ];
        for path in [
            "",
            "/",
            "/api",
            "/api/v1",
            "/api/public",
            "/api/public/v1/",
            "/api/public/v1/applications/token",
            "/applications/token",
            "/workspaces/5b2f/connections",
            "/login",
        ] {
            assert_eq!(tried(&format!("https://a.corp{path}")), all, "{path}");
        }
    }

    #[test]
    fn a_likely_path_is_tried_before_another() {
        assert_eq!(tried("https://a.corp/v1")[0], "https://a.corp/v1/applications/token Json");
    }

    #[test]
    fn a_folder_of_an_ingress_stays_in_front() {
        let tried = tried("https://a.corp/airbyte/api/v1");
        assert_eq!(tried[0], "https://a.corp/airbyte/api/public/v1/applications/token Json");
        assert!(tried.iter().any(|way| way == "https://a.corp/api/public/v1/applications/token Json"));
    }

    #[test]
    fn cloud_is_asked_where_its_api_is() {
        for url in
            ["https://cloud.airbyte.com/workspaces/1", "https://airbyte.com", "https://api.airbyte.com"]
        {
            assert_eq!(
                tried(url),
                [
                    "https://api.airbyte.com/v1/applications/token Json",
                    "https://cloud.airbyte.com/api/v1/applications/token Json",
                    "https://api.airbyte.com/v1/applications/token Form",
                ]
            );
        }
        assert!(tried("https://notairbyte.com").iter().all(|way| way.contains("//notairbyte.com/")));
    }

    #[test]
    fn what_is_configured_comes_first_and_once() {
        let url = BaseUrl::parse("https://a.corp/api/public/v1").expect("valid");
        let configured = (url.join(TOKEN_ENDPOINT), BodyFormat::Form);
        let all = ways(&url, Some(&configured));
        assert_eq!((all.len(), all[0].body), (5, BodyFormat::Form));
        let elsewhere = (url.with_path("/oauth/token"), BodyFormat::Json);
        let all = ways(&url, Some(&elsewhere));
        let oauth = all.iter().filter(|way| way.token_url == elsewhere.0);
        assert_eq!(oauth.map(|way| way.body).collect::<Vec<_>>(), [BodyFormat::Json, BodyFormat::Form]);
    }
}
