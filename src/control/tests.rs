//! Who gets what at which route.

use std::time::Duration;

use http::Request;
use http_body_util::{BodyExt, Empty};

use super::*;

struct Told(Readiness, Option<BaseUrl>);

impl ControlState for Told {
    fn readiness(&self) -> Readiness {
        self.0.clone()
    }

    fn public_url(&self) -> Option<&BaseUrl> {
        self.1.as_ref()
    }

    fn metrics(&self, format: Format) -> String {
        format!("{format:?}\n")
    }
}

const BROWSER: &str = "text/html,application/xhtml+xml,*/*;q=0.8";

fn well() -> Readiness {
    Readiness { status: Status::Ready, reason: None, token: TokenReadiness::default() }
}

async fn ask(
    readiness: Readiness,
    method: &str,
    path: &str,
    accept: &str,
) -> (http::response::Parts, String) {
    ask_of(Told(readiness, None), method, path, accept).await
}

async fn ask_of(told: Told, method: &str, path: &str, accept: &str) -> (http::response::Parts, String) {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(HOST, "localhost:9")
        .header(ACCEPT, accept)
        .body(Empty::<Bytes>::new())
        .expect("a request");
    let (head, body) = Control::new(told).respond(request).await.into_parts();
    let body = body.collect().await.expect("a body").to_bytes();
    (head, String::from_utf8(body.to_vec()).expect("text"))
}

#[tokio::test]
async fn every_answer_is_kept_from_caches_and_other_sites() {
    for (path, accept) in [
        ("/", "*/*"),
        ("/", BROWSER),
        ("/-/", BROWSER),
        ("/-/live", "*/*"),
        ("/-/ready", "*/*"),
        ("/-/openapi.json", "*/*"),
        ("/-/postman_collection.json", BROWSER),
        ("/-/metrics", "*/*"),
        ("/-/x", "*/*"),
    ] {
        let (head, _) = ask(well(), "GET", path, accept).await;
        for (name, value) in [
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(head.headers[name], value, "{path}");
        }
        let policy = head.headers["content-security-policy"].to_str().expect("text");
        assert!(policy.starts_with("default-src 'none'"), "{path}");
        assert_eq!(policy.contains("sandbox"), path != "/-/", "{path}");
        assert!(head.headers["server"].to_str().expect("text").starts_with("airbyte-proxy/"), "{path}");
    }
}

#[tokio::test]
async fn a_browser_is_led_to_the_page_and_curl_gets_five_lines() {
    let (head, _) = ask(well(), "GET", "/", BROWSER).await;
    assert_eq!(
        (head.status, &head.headers[LOCATION]),
        (StatusCode::SEE_OTHER, &HeaderValue::from_static("/-/"))
    );
    let (head, page) = ask(well(), "GET", "/-/", BROWSER).await;
    assert_eq!(head.headers[CONTENT_TYPE], "text/html; charset=utf-8");
    assert!(page.contains("curl 'http://localhost:9/v1/workspaces'"), "{page}");
    for active in ["<script", "src=", "<form", "style=", "<style"] {
        assert!(!page.contains(active), "the policy forbids {active}");
    }
    for path in ["/", "/-/"] {
        let (head, text) = ask(well(), "GET", path, "*/*").await;
        assert_eq!(head.headers[CONTENT_TYPE], "text/plain; charset=utf-8");
        assert_eq!(text.lines().count(), 5);
        assert!(text.contains("http://localhost:9/v1\n"), "{text}");
    }
}

#[tokio::test]
async fn live_is_live_whatever_the_token_does() {
    let broken = Readiness { status: Status::Broken, ..well() };
    let (head, body) = ask(broken, "GET", "/-/live", "*/*").await;
    assert_eq!((head.status, body.as_str()), (StatusCode::OK, "{\"status\":\"live\"}\n"));
}

#[tokio::test]
async fn ready_means_that_requests_are_forwarded() {
    for (status, word, code) in [
        (Status::Starting, "starting", 503),
        (Status::Ready, "ready", 200),
        (Status::Degraded, "degraded", 200),
        (Status::Broken, "broken", 503),
        (Status::Draining, "draining", 503),
    ] {
        let (head, body) = ask(Readiness { status, ..well() }, "GET", "/-/ready", "*/*").await;
        assert_eq!(head.status, code);
        assert_eq!(body, format!("{{\"status\":\"{word}\",\"token\":{{}}}}\n"));
    }
}

#[tokio::test]
async fn ready_tells_how_the_token_does() {
    let token = TokenReadiness {
        generation: Some(4),
        expires_in: Some(Duration::from_millis(61_900)),
        next_attempt_in: Some(Duration::ZERO),
    };
    let readiness = Readiness { status: Status::Degraded, reason: Some("a \"reason\"".into()), token };
    let (_, body) = ask(readiness, "GET", "/-/ready", "*/*").await;
    let told: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    let expected = serde_json::json!({
        "status": "degraded", "reason": "a \"reason\"",
        "token": {"generation": 4, "expires_in_seconds": 61, "next_attempt_in_seconds": 0},
    });
    assert_eq!(told, expected);
}

#[tokio::test]
async fn unknown_routes_and_methods_are_problems_in_the_common_format() {
    let problem = |head: &http::response::Parts, body: &str| -> String {
        assert_eq!(head.headers[CONTENT_TYPE], "application/problem+json");
        assert!(head.headers["proxy-status"].to_str().expect("text").starts_with("airbyte-proxy; error="));
        let told: serde_json::Value = serde_json::from_str(body).expect("JSON");
        told["type"].as_str().expect("a type").to_owned()
    };
    for path in ["/-/nothing", "/-", "/-/live/"] {
        let (head, body) = ask(well(), "GET", path, "*/*").await;
        assert_eq!(head.status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(problem(&head, &body), "urn:airbyte-proxy:problem:unknown-path");
    }
    let (head, body) = ask(well(), "POST", "/-/ready", "*/*").await;
    assert_eq!(head.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(head.headers["allow"], "GET, HEAD");
    assert_eq!(problem(&head, &body), "urn:airbyte-proxy:problem:method-not-allowed");
    let (head, body) = ask(well(), "HEAD", "/-/ready", "*/*").await;
    assert_eq!((head.status, body.as_str()), (StatusCode::OK, ""));
}

#[tokio::test]
async fn a_browser_at_an_unknown_route_gets_words() {
    for (method, path, status) in [("GET", "/-/nothing", 404), ("GET", "/-", 404), ("POST", "/-/", 405)] {
        let (head, body) = ask(well(), method, path, BROWSER).await;
        assert_eq!(head.status, status, "{path}");
        assert_eq!(head.headers[CONTENT_TYPE], "text/html; charset=utf-8", "{path}");
        assert!(body.contains("<h1>") && head.headers.contains_key("proxy-status"), "{body}");
    }
}

#[tokio::test]
async fn there_is_no_icon_and_that_is_no_error() {
    let (head, body) = ask(well(), "GET", "/favicon.ico", "image/avif,*/*;q=0.8").await;
    assert_eq!((head.status, body.as_str()), (StatusCode::NO_CONTENT, ""));
    assert!(!head.headers.contains_key("proxy-status"));
}

#[tokio::test]
async fn a_page_shows_markup_as_text() {
    let readiness = Readiness { reason: Some("<b>&'\"".into()), ..well() };
    let (_, page) = ask(readiness, "GET", "/-/", BROWSER).await;
    assert!(page.contains(": &lt;b&gt;&amp;&#39;&quot; ("), "{page}");
}

#[tokio::test]
async fn documents_name_the_address_that_was_used_or_the_public_one() {
    let public = || Some(BaseUrl::parse("https://airbyte.corp.example").expect("a URL"));
    for (public_url, base) in [(None, "http://localhost:9"), (public(), "https://airbyte.corp.example")] {
        let ask = |path| ask_of(Told(well(), public_url.clone()), "GET", path, "*/*");
        let (head, body) = ask("/-/openapi.json").await;
        assert_eq!(head.status, StatusCode::OK);
        assert_eq!(head.headers[CONTENT_TYPE], "application/json");
        let document: serde_json::Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!(document["servers"][0]["url"], format!("{base}/v1"));
        assert_eq!(document["servers"][1]["url"], format!("{base}/-/all/v1"));
        let (head, body) = ask("/-/postman_collection.json").await;
        let saved = "attachment; filename=\"airbyte-proxy.postman_collection.json\"";
        assert_eq!(head.headers["content-disposition"], saved);
        let collection: serde_json::Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!(collection["variable"][0]["value"], format!("{base}/v1"));
        let (_, text) = ask("/-/").await;
        assert!(text.contains(&format!("{base}/v1\n")), "{text}");
    }
}
