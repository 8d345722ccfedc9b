//! Who gets what at which route.

use std::sync::LazyLock;
use std::time::Duration;

use http::Request;
use http_body_util::{BodyExt, Empty};

use super::*;

struct Told(Readiness, Option<BaseUrl>);

static ABOUT: LazyLock<About> = LazyLock::new(|| About {
    name: Some("prod & co".into()),
    upstream: "airbyte.example".into(),
    keys: false,
});

impl ControlState for Told {
    fn readiness(&self) -> Readiness {
        self.0.clone()
    }

    fn quit(&self) -> bool {
        false
    }

    fn public_url(&self) -> Option<&BaseUrl> {
        self.1.as_ref()
    }

    fn metrics(&self, format: Format) -> String {
        format!("{format:?}\n")
    }

    fn about(&self) -> &About {
        &ABOUT
    }

    fn denied(&self, client: Option<&str>) -> Vec<(&'static str, String)> {
        vec![("getJob", format!("rule 1 says \"no\" to {}", client.unwrap_or("all")))]
    }

    fn token(&self) -> TokenLife {
        TokenLife {
            now: 1_000,
            from_to: Some((400, 2_400)),
            history: vec![(400, "good", "token 1 obtained".into())],
        }
    }

    fn end(&self) -> End {
        Box::pin(std::future::pending())
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
        ("/-/explorer", BROWSER),
        ("/-/assets/status.js", "*/*"),
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
        assert_eq!(policy.contains("sandbox"), !matches!(path, "/-/" | "/-/explorer"), "{path}");
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
    assert!(page.contains("<title>prod &amp; co · airbyte-proxy</title>"), "{page}");
    for path in ["/", "/-/"] {
        let (head, text) = ask(well(), "GET", path, "*/*").await;
        assert_eq!(head.headers[CONTENT_TYPE], "text/plain; charset=utf-8");
        assert_eq!(text.lines().count(), 5);
        assert!(text.contains("http://localhost:9/v1\n"), "{text}");
    }
}

#[tokio::test]
async fn pages_have_nothing_that_their_policy_forbids_and_no_address_but_ours() {
    for path in ["/-/", "/-/explorer"] {
        let (_, page) = ask(well(), "GET", path, BROWSER).await;
        for forbidden in ["style=", "<style", "<form action", "<base", "javascript:", " onclick", "<iframe"] {
            assert!(!page.contains(forbidden), "{path}: the policy forbids {forbidden}");
        }
        for (at, _) in page.match_indices("<script") {
            assert!(page[at..].starts_with("<script type=\"module\" src=\"/-/assets/"), "{path}");
        }
        for attribute in ["src=\"", "href=\""] {
            for (at, _) in page.match_indices(attribute) {
                let target = page[at + attribute.len()..].split('"').next().unwrap_or_default();
                if target.starts_with('#') {
                    continue;
                }
                assert!(target.starts_with("/-/"), "{path}: {target}");
                let shown = if target == "/-/" { BROWSER } else { "*/*" };
                let (head, _) = ask(well(), "GET", target, shown).await;
                assert_eq!(head.status, StatusCode::OK, "{path}: {target}");
            }
        }
    }
}

#[tokio::test]
async fn the_explorer_knows_beforehand_what_is_denied() {
    let (_, page) = ask(well(), "GET", "/-/explorer", BROWSER).await;
    let told = "data-denied=\"{&quot;getJob&quot;:&quot;rule 1 says \\&quot;no\\&quot; to all&quot;}\"";
    assert!(page.contains(told), "{page}");
}

/// Of an answer: whether it is compressed, its length as told, its `Vary`, and its body as it was before.
async fn encoded(method: &str, path: &str, accepted: &'static str) -> (bool, Option<usize>, String, Vec<u8>) {
    let request =
        Request::builder().method(method).uri(path).header(HOST, "localhost:9").header(ACCEPT, BROWSER);
    let request = request.header("accept-encoding", accepted).body(Empty::<Bytes>::new()).expect("a request");
    let (head, body) = Control::new(Told(well(), None)).respond(request).await.into_parts();
    assert_eq!(head.status, StatusCode::OK, "{path}");
    let length = head.headers.get("content-length").map(|length| length.to_str().expect("text"));
    let length = length.map(|length| length.parse().expect("a number"));
    let vary: Vec<_> = head.headers.get_all(VARY).iter().map(|value| value.to_str().expect("text")).collect();
    let body = body.collect().await.expect("a body").to_bytes().to_vec();
    let Some(coding) = head.headers.get("content-encoding") else {
        return (false, length, vary.join(", "), body);
    };
    assert_eq!(coding, "gzip");
    let mut plain = Vec::new();
    if method == "GET" {
        std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&body[..]), &mut plain).expect("gzip");
        assert!(plain.len() > 2 * body.len(), "{path}: {} of {}", body.len(), plain.len());
    }
    (true, length, vary.join(", "), plain)
}

#[tokio::test]
async fn pages_and_documents_are_compressed_for_whoever_takes_that() {
    for path in ["/-/", "/-/explorer", "/-/assets/style.css", "/-/openapi.json", "/-/postman_collection.json"]
    {
        let (compressed, _, vary, plain) = encoded("GET", path, "identity").await;
        assert!(!compressed && vary.ends_with("accept-encoding"), "{path}: {vary}");
        let (compressed, long, same, unpacked) = encoded("GET", path, "br, gzip").await;
        assert_eq!((compressed, same), (true, vary), "{path}");
        assert!(unpacked == plain, "{path}: another body");
        let (_, length, _, none) = encoded("HEAD", path, "gzip").await;
        assert!(long.is_some() && length == long && none.is_empty(), "{path}: {length:?} of {long:?}");
    }
    for path in ["/-/live", "/-/ready", "/-/metrics"] {
        let (compressed, _, vary, _) = encoded("GET", path, "gzip").await;
        assert!(!compressed && !vary.contains("encoding"), "{path}");
    }
}

#[tokio::test]
async fn where_keys_are_asked_for_the_pages_say_how_to_show_one() {
    let keyed = About { keys: true, ..ABOUT.clone() };
    let page = pages::home("http://localhost:9", &keyed, &well());
    for line in [
        "curl -u any:KEY 'http://localhost:9/v1/workspaces'",
        "server_url=\"http://any:KEY@localhost:9/v1\"",
        "KEY is your client key",
    ] {
        assert!(page.contains(line), "{line}: {page}");
    }
    assert!(
        pages::help("http://localhost:9", &keyed)
            .contains("curl -u any:KEY 'http://localhost:9/v1/workspaces'")
    );
    assert!(pages::explorer("http://localhost:9", &keyed, Vec::new()).contains("data-keys=\"yes\""));
    let page = pages::home("http://localhost:9", &ABOUT, &well());
    assert!(page.contains("No token, id or secret is needed") && !page.contains("KEY"), "{page}");
}

#[tokio::test]
async fn assets_are_small_and_typed_and_name_each_other_rightly() {
    let mut size = 0;
    for (name, kind, content) in assets::ALL {
        let (head, body) = ask(well(), "GET", &format!("/-/assets/{name}"), "*/*").await;
        assert_eq!(
            (head.status, &head.headers[CONTENT_TYPE]),
            (StatusCode::OK, &HeaderValue::from_static(kind)),
            "{name}"
        );
        assert_eq!(body, *content, "{name}");
        size += content.len();
        assert!(content.lines().count() <= 450, "{name}");
        for (at, word) in content.match_indices(" from \"./") {
            let other = content[at + word.len()..].split('"').next().unwrap_or_default();
            assert!(assets::ALL.iter().any(|(known, ..)| *known == other), "{name}: {other}");
        }
        assert!(!content.contains("http://") && !content.contains("https://"), "{name} names another site");
    }
    assert!(size < 200 * 1024, "{size}");
    for path in ["/-/assets/nothing.js", "/-/assets/", "/-/assets/a/b"] {
        assert_eq!(ask(well(), "GET", path, "*/*").await.0.status, StatusCode::NOT_FOUND, "{path}");
    }
}

/// The first events of the stream, each with its name.
async fn first_events(number: usize) -> Vec<(String, serde_json::Value)> {
    let request = Request::get("/-/events").header(HOST, "localhost:9").body(Empty::<Bytes>::new());
    let told = Told(well(), None);
    let response = Control::new(told).respond(request.expect("a request")).await;
    assert_eq!(response.headers()[CONTENT_TYPE], "text/event-stream");
    let (mut body, mut text) = (response.into_body(), String::new());
    while text.matches("event: ").count() < number || !text.ends_with("\n\n") {
        let frame = body.frame().await.expect("no end").expect("no error");
        text.push_str(std::str::from_utf8(frame.data_ref().expect("data")).expect("text"));
    }
    let events = text.split("\n\n").filter_map(|event| event.strip_prefix("event: "));
    let event = |event: &str| {
        let (name, data) = event.split_once("\ndata: ").expect("one line of data");
        (name.to_owned(), serde_json::from_str(data).expect("JSON"))
    };
    events.map(event).collect()
}

#[tokio::test]
async fn events_begin_with_all_there_is() {
    let events = first_events(2).await;
    let state = serde_json::json!({
        "now": 1_000, "status": "ready", "reason": null, "generation": null, "obtained": 400, "expires": 2_400,
        "next_attempt": null, "history": [{ "at": 400, "mood": "good", "what": "token 1 obtained" }],
    });
    assert_eq!(events[0], ("state".to_owned(), state));
    assert_eq!(events[1].0, "requests");
    assert!(events[1].1["requests"].is_array() && events[1].1["totals"]["requests"].is_u64());
}

#[tokio::test]
async fn only_so_many_pages_may_listen_and_a_closed_one_makes_room() {
    let control = Control::new(Told(well(), None));
    let ask = async || {
        let request = Request::get("/-/events").body(Empty::<Bytes>::new()).expect("a request");
        control.respond(request).await
    };
    let mut open = Vec::new();
    for _ in 0..32 {
        open.push(ask().await);
    }
    let refused = ask().await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.headers()["retry-after"], "5");
    drop(open.pop());
    let room = async {
        while ask().await.status() != StatusCode::OK {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), room).await.expect("room");
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
    assert!(page.contains(">ready: &lt;b&gt;&amp;&#39;&quot;<"), "{page}");
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
