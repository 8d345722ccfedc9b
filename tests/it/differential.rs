//! Every operation of the API, asked of one simulated Airbyte directly and of its twin through the proxy: what comes
//! back is the same.
//!
//! Not compared: the seven paged lists, whose links the proxy mends, and the token endpoint, which it answers itself.

use airbyte_proxy::clock::Clock;
use airbyte_proxy::demo::{Options, Simulator};
use airbyte_proxy::guard::{Policy, Rule};
use airbyte_proxy::secret::{ClientCredentials, Secret};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::{Value, json};

use crate::harness::daemon::{Daemon, Got, got, settings, start};
use crate::harness::trace;

/// Method, path below the base URL and status of success. In this order everything is still there when it is asked
/// for.
const OPERATIONS: [(&str, &str, u16); 92] = [
    ("GET", "/", 302),
    ("GET", "/health", 200),
    ("GET", "/oauth/callback", 302),
    ("POST", "/applications/token", 200),
    ("GET", "/applications", 200),
    ("POST", "/applications", 200),
    ("GET", "/applications/{applicationId}", 200),
    ("DELETE", "/applications/{applicationId}", 200),
    ("GET", "/jobs", 200),
    ("POST", "/jobs", 200),
    ("GET", "/jobs/{jobId}", 200),
    ("DELETE", "/jobs/{jobId}", 200),
    ("GET", "/regions?organizationId={organizationId}", 200),
    ("POST", "/regions", 200),
    ("GET", "/regions/{regionId}", 200),
    ("PATCH", "/regions/{regionId}", 200),
    ("GET", "/dataplanes", 200),
    ("POST", "/dataplanes", 200),
    ("GET", "/dataplanes/{dataplaneId}", 200),
    ("PATCH", "/dataplanes/{dataplaneId}", 200),
    ("DELETE", "/dataplanes/{dataplaneId}", 200),
    ("DELETE", "/regions/{regionId}", 200),
    ("GET", "/connector_definitions?type=source", 200),
    ("GET", "/workspaces/{workspaceId}/definitions/declarative_sources", 200),
    ("POST", "/workspaces/{workspaceId}/definitions/declarative_sources", 200),
    ("GET", "/workspaces/{workspaceId}/definitions/declarative_sources/{declarativeId}", 200),
    ("PUT", "/workspaces/{workspaceId}/definitions/declarative_sources/{declarativeId}", 200),
    ("DELETE", "/workspaces/{workspaceId}/definitions/declarative_sources/{declarativeId}", 200),
    ("GET", "/workspaces/{workspaceId}/definitions/sources", 200),
    ("POST", "/workspaces/{workspaceId}/definitions/sources", 200),
    ("GET", "/workspaces/{workspaceId}/definitions/sources/{sourceDefinitionId}", 200),
    ("PUT", "/workspaces/{workspaceId}/definitions/sources/{sourceDefinitionId}", 200),
    ("DELETE", "/workspaces/{workspaceId}/definitions/sources/{sourceDefinitionId}", 200),
    ("GET", "/workspaces/{workspaceId}/definitions/destinations", 200),
    ("POST", "/workspaces/{workspaceId}/definitions/destinations", 200),
    ("GET", "/workspaces/{workspaceId}/definitions/destinations/{destinationDefinitionId}", 200),
    ("PUT", "/workspaces/{workspaceId}/definitions/destinations/{destinationDefinitionId}", 200),
    ("DELETE", "/workspaces/{workspaceId}/definitions/destinations/{destinationDefinitionId}", 200),
    ("GET", "/sources", 200),
    ("POST", "/sources", 200),
    ("POST", "/sources/initiateOAuth", 200),
    ("GET", "/sources/{sourceId}", 200),
    ("PATCH", "/sources/{sourceId}", 200),
    ("PUT", "/sources/{sourceId}", 200),
    ("GET", "/streams?sourceId={sourceId}", 200),
    ("GET", "/destinations", 200),
    ("POST", "/destinations", 200),
    ("GET", "/destinations/{destinationId}", 200),
    ("PATCH", "/destinations/{destinationId}", 200),
    ("PUT", "/destinations/{destinationId}", 200),
    ("POST", "/connections", 200),
    ("GET", "/connections", 200),
    ("GET", "/connections/{connectionId}", 200),
    ("PATCH", "/connections/{connectionId}", 200),
    ("DELETE", "/connections/{connectionId}", 204),
    ("DELETE", "/sources/{sourceId}", 204),
    ("DELETE", "/destinations/{destinationId}", 204),
    ("GET", "/permissions", 200),
    ("POST", "/permissions", 200),
    ("GET", "/permissions/{permissionId}", 200),
    ("PATCH", "/permissions/{permissionId}", 200),
    ("DELETE", "/permissions/{permissionId}", 204),
    ("GET", "/organizations", 200),
    ("PUT", "/organizations/{organizationId}/oauthCredentials", 200),
    ("DELETE", "/organizations/{organizationId}/oauthCredentials/source/stripe", 204),
    ("GET", "/users?organizationId={organizationId}", 200),
    ("GET", "/groups?organizationId={organizationId}", 200),
    ("POST", "/groups", 200),
    ("GET", "/groups/{groupId}", 200),
    ("PATCH", "/groups/{groupId}", 200),
    ("GET", "/groups/{groupId}/members", 200),
    ("POST", "/groups/{groupId}/members", 201),
    ("DELETE", "/groups/{groupId}/members/{userId}", 204),
    ("GET", "/groups/{groupId}/permissions", 200),
    ("POST", "/groups/{groupId}/permissions", 201),
    ("DELETE", "/groups/{groupId}/permissions/{groupPermissionId}", 204),
    ("DELETE", "/groups/{groupId}", 204),
    ("GET", "/tags", 200),
    ("POST", "/tags", 200),
    ("GET", "/tags/{tagId}", 200),
    ("PATCH", "/tags/{tagId}", 200),
    ("DELETE", "/tags/{tagId}", 204),
    ("GET", "/workspaces", 200),
    ("POST", "/workspaces", 200),
    ("GET", "/workspaces/{workspaceId}", 200),
    ("PATCH", "/workspaces/{workspaceId}", 200),
    ("PUT", "/workspaces/{workspaceId}/oauthCredentials", 200),
    ("DELETE", "/workspaces/{workspaceId}/oauthCredentials/source/stripe", 204),
    ("DELETE", "/workspaces/{workspaceId}", 204),
    ("POST", "/embedded/widget_token", 200),
    ("POST", "/embedded/scoped_token", 200),
    ("GET", "/embedded/organizations", 200),
];

/// Lists that come in pages.
const PAGED: [&str; 7] = [
    "/jobs",
    "/sources",
    "/destinations",
    "/connections",
    "/workspaces",
    "/groups?organizationId={organizationId}",
    "/groups/{groupId}/members",
];

/// What the proxy adds where Airbyte says nothing of the kind; see `docs/architecture.md`.
const ADDED: [&str; 5] = [
    "cache-control",
    "content-security-policy",
    "cross-origin-resource-policy",
    "x-content-type-options",
    // By which the caller finds the request in the log.
    "x-request-id",
];

/// Two simulated Airbytes with the same rows at the same time, one of them behind the proxy.
struct Twins {
    direct: Simulator,
    bearer: String,
    proxy: Daemon,
    _hidden: Simulator,
    _tokens: [trace::Tokens; 2],
}

impl Twins {
    async fn new() -> Self {
        let (clock, _) = Clock::manual();
        let credentials = ClientCredentials {
            client_id: "00000000-0000-4000-8000-00000000000d".into(),
            client_secret: Secret::new("the-secret-that-both-twins-know".into()),
        };
        let options = Options {
            clock: clock.clone(),
            credentials: Some(credentials.clone()),
            link_base: Some("https://api.airbyte.com/v1".into()),
            ..Options::default()
        };
        let direct = Simulator::start(options.clone()).expect("a free port");
        let hidden = Simulator::start(options).expect("a free port");
        let mut settings = settings(&hidden.api_url());
        (settings.clock, settings.credentials) = (clock, credentials.clone());
        let everything = Rule::parse("allow * /**").expect("a rule");
        settings.guard.policy = Policy { rules: vec![everything], ..Policy::default() };
        let tokens = [direct.handle(), hidden.handle()].map(trace::Tokens::of);
        let proxy = start(settings).await;
        let application = json!({ "client_id": credentials.client_id, "client_secret": credentials.client_secret.expose() });
        let mut twins = Self { direct, bearer: String::new(), proxy, _hidden: hidden, _tokens: tokens };
        let token = twins.directly(Method::POST, "/applications/token");
        let token = got(with_json(token, &application)).await.json();
        token["access_token"].as_str().expect("a token").clone_into(&mut twins.bearer);
        twins
    }

    /// The same request to both, but for the token.
    fn both(&self, method: &Method, path: &str) -> [reqwest::RequestBuilder; 2] {
        let proxied = self.proxy.request(method.clone(), &format!("/v1{path}"));
        [self.directly(method.clone(), path).bearer_auth(&self.bearer), proxied]
    }

    fn directly(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let (client, request) = self.proxy.request(method, "/").build_split();
        let mut request = request.expect("a request");
        *request.url_mut() = format!("{}{path}", self.direct.api_url()).parse().expect("a URL");
        reqwest::RequestBuilder::from_parts(client, request)
    }

    /// What stands for the names in braces.
    async fn ids(&self) -> Value {
        let paged = |list: &str| self.direct.handle().reference(list).expect("a list").swap_remove(0);
        let whole = async |list: &str, at: usize| {
            let list = self.directly(Method::GET, list).bearer_auth(&self.bearer);
            let mut list = got(list).await.json();
            let rows = if list["data"].is_array() { "data" } else { "applications" };
            list[rows][at].take()
        };
        let workspace = paged("/workspaces")["workspaceId"].take();
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        let mut ids = paged(&format!("/connections?workspaceIds={}", text(&workspace)));
        let organization = whole("/organizations", 0).await["organizationId"].take();
        let group = paged(&format!("/groups?organizationId={}", text(&organization)))["groupId"].take();
        let definitions = format!("/workspaces/{}/definitions", text(&workspace));
        for (name, list, at, key) in [
            ("applicationId", "/applications", 1, "id"),
            ("regionId", &format!("/regions?organizationId={}", text(&organization)), 0, "regionId"),
            ("dataplaneId", "/dataplanes", 0, "dataplaneId"),
            ("permissionId", "/permissions", 0, "permissionId"),
            ("userId", &format!("/users?organizationId={}", text(&organization)), 44, "id"),
            ("tagId", "/tags", 0, "tagId"),
            ("groupPermissionId", &format!("/groups/{}/permissions", text(&group)), 0, "permissionId"),
            ("declarativeId", &format!("{definitions}/declarative_sources"), 0, "id"),
            ("sourceDefinitionId", &format!("{definitions}/sources"), 0, "id"),
            ("destinationDefinitionId", &format!("{definitions}/destinations"), 0, "id"),
        ] {
            ids[name] = whole(list, at).await[key].take();
        }
        ids["jobId"] = paged("/jobs")["jobId"].to_string().into();
        (ids["workspaceId"], ids["organizationId"], ids["groupId"]) = (workspace, organization, group);
        ids
    }
}

/// `path` with ids for the names in braces.
fn filled(path: &str, ids: &Value) -> String {
    let mut parts = path.split(['{', '}']);
    let mut filled = parts.next().unwrap_or_default().to_owned();
    while let (Some(name), Some(rest)) = (parts.next(), parts.next()) {
        filled.push_str(ids[name].as_str().unwrap_or_else(|| panic!("no {name} for {path}")));
        filled.push_str(rest);
    }
    filled
}

fn with_json(request: reqwest::RequestBuilder, body: &Value) -> reqwest::RequestBuilder {
    request.header("content-type", "application/json").body(body.to_string())
}

/// A body that has what any operation asks for.
fn body(ids: &Value) -> Value {
    let mut body = json!({
        "name": "made by the test", "jobType": "sync", "permissionType": "workspace_reader",
        "configuration": { "sourceType": "faker", "destinationType": "duckdb", "count": 7, "password": "hush" },
        "dockerRepository": "example/own", "dockerImageTag": "2.0", "manifest": { "version": "1" },
    });
    for name in
        ["workspaceId", "organizationId", "regionId", "userId", "sourceId", "destinationId", "connectionId"]
    {
        body[name] = ids[name].clone();
    }
    body
}

fn assert_same(direct: &Got, proxied: &Got, what: &str) {
    assert_eq!(direct.status, proxied.status, "{what}");
    assert!(direct.body == proxied.body, "{what}: {} is not {}", proxied.text(), direct.text());
    // Of one connection, and nobody else's business.
    let of_the_message = |name: &&HeaderName| !matches!(name.as_str(), "connection" | "transfer-encoding");
    let values = |headers: &HeaderMap, name: &HeaderName| {
        headers.get_all(name).iter().cloned().collect::<Vec<HeaderValue>>()
    };
    for name in direct.headers.keys().filter(of_the_message) {
        assert_eq!(values(&direct.headers, name), values(&proxied.headers, name), "{what}: {name}");
    }
    let more = proxied.headers.keys().filter(|name| !direct.headers.contains_key(*name));
    let more: Vec<_> = more.filter(|name| !ADDED.contains(&name.as_str())).collect();
    assert!(more.is_empty(), "{what}: {more:?}");
}

/// How many answers were compared, and how many of them were gzip.
async fn compare(accept_encoding: Option<&str>) -> (usize, usize) {
    let twins = Twins::new().await;
    let ids = twins.ids().await;
    let (mut compared, mut gzip) = (0, 0);
    for (method, path, status) in OPERATIONS {
        let is_list = method == "GET" && PAGED.contains(&path);
        if is_list || path == "/applications/token" {
            continue;
        }
        let what = format!("{method} {path} {accept_encoding:?}");
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let mut answers = Vec::new();
        for mut request in twins.both(&method, &filled(path, &ids)) {
            if let Some(accept_encoding) = accept_encoding {
                request = request.header("accept-encoding", accept_encoding);
            }
            if !matches!(method, Method::GET | Method::DELETE) {
                request = with_json(request, &body(&ids));
            }
            answers.push(got(request).await);
        }
        assert_eq!(answers[0].status, status, "{what}: {}", answers[0].text());
        assert_same(&answers[0], &answers[1], &what);
        compared += 1;
        gzip += usize::from(answers[1].header("content-encoding") == Some("gzip"));
    }
    let counted = twins.proxy.get("/-/metrics").await.text();
    assert!(counted.contains("route=\"/v1/jobs/{id}\""), "{counted}");
    assert!(!counted.contains("route=\"other\""), "every operation has a route of its own: {counted}");
    (compared, gzip)
}

#[tokio::test]
async fn every_operation_answers_the_same_with_the_proxy_and_without() {
    let compared = OPERATIONS.len() - PAGED.len() - 1;
    assert_eq!(compare(None).await, (compared, 0));
    let (with_gzip, gzip) = compare(Some("gzip")).await;
    assert_eq!(with_gzip, compared);
    assert!(gzip > 50, "{gzip}");
}
