//! Paths, prefixes, origins, redirects, loops.

use airbyte_proxy::airbyte::BaseUrl;
use http::{Method, Response, StatusCode};

use super::echo;
use crate::harness::daemon::{daemon, got, settings, start};
use crate::harness::upstream::{Speaks, Upstream, full};
use crate::harness::wire::Wire;

#[tokio::test]
async fn a_request_without_a_token_goes_in_and_one_with_exactly_one_token_goes_out() {
    for speaks in [Speaks::Http1, Speaks::Http1Tls, Speaks::Http2Tls] {
        let upstream = Upstream::start(speaks, echo).await;
        let proxy = daemon(&upstream.api_url()).await;
        let request =
            proxy.request(Method::POST, "/v1/sources?a=%2F%7c&b").header("authorization", "Bearer mine");
        let answer = got(request.header("authorization", "Basic dTpw").body("hello")).await;
        assert_eq!((answer.status, answer.text().as_str()), (StatusCode::OK, "hello"), "{speaks:?}");
        let seen = upstream.seen();
        assert_eq!(seen.len(), 1);
        let authorization: Vec<_> = seen[0].headers.get_all("authorization").iter().collect();
        assert_eq!(authorization, ["Bearer upstream-token-1"], "{speaks:?}");
        assert_eq!(seen[0].uri.path_and_query().expect("target").as_str(), "/v1/sources?a=%2F%7c&b");
        let port = upstream.addr.port();
        match speaks {
            Speaks::Http2Tls => {
                assert_eq!(seen[0].uri.authority().expect("authority").as_str(), format!("localhost:{port}"));
            }
            _ => assert_eq!(seen[0].headers["host"], format!("localhost:{port}")),
        }
    }
}

#[tokio::test]
async fn bytes_of_path_and_query_are_unchanged() {
    let wire = Wire::listen().await;
    let proxy = wire.daemon().await;
    let mut upstream = None;
    for rest in [
        "/sources/a%3Fb?c=%2F%2f",
        "/sources/a%7C%7c",
        "/sources/a;v=1/b;c",
        "//double//slashes/",
        "/trailing?",
        "/plus+and%20space?q=a+b%2B&q=&=&&",
        "/x?next=https://api.airbyte.com/v1/jobs?limit=20&offset=20",
        "/%E2%82%AC/%25zz?%",
        "/a:b@c!$&'()*+,;=-._~",
        "",
        "?only=query",
    ] {
        let mut caller = proxy.ask(&format!("GET /v1{rest} HTTP/1.1")).await;
        if upstream.is_none() {
            upstream = Some(wire.accept().await);
        }
        let upstream = upstream.as_mut().expect("connected");
        assert_eq!(upstream.head().await.first_line(), format!("GET /v1{rest} HTTP/1.1"));
        upstream.say("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        assert_eq!(caller.head().await.first_line(), "HTTP/1.1 200 OK", "{rest}");
    }
}

#[tokio::test]
async fn both_prefixes_are_the_same_api_whatever_its_base_path_is() {
    for base in ["/v1", "/api/public/v1", "/airbyte/api/public/v1", ""] {
        let wire = Wire::listen().await;
        let mut settings = wire.settings();
        settings.upstream.api_url = settings.upstream.api_url.with_path(base);
        let proxy = start(settings).await;
        let mut upstream = None;
        for prefix in ["/v1", "/api/public/v1"] {
            let mut caller = proxy.ask(&format!("GET {prefix}/jobs/7?a%2Fb HTTP/1.1")).await;
            if upstream.is_none() {
                upstream = Some(wire.accept().await);
            }
            let upstream = upstream.as_mut().expect("connected");
            assert_eq!(upstream.head().await.first_line(), format!("GET {base}/jobs/7?a%2Fb HTTP/1.1"));
            upstream.say("HTTP/1.1 204 No Content\r\n\r\n").await;
            assert_eq!(caller.head().await.first_line(), "HTTP/1.1 204 No Content");
        }
    }
}

#[tokio::test]
async fn an_absolute_target_is_a_path_of_the_configured_upstream() {
    let wire = Wire::listen().await;
    let proxy = wire.daemon().await;
    let mut caller = proxy.talk().await;
    caller.say("GET http://localhost/v1/jobs?a HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    let mut upstream = wire.accept().await;
    let head = upstream.head().await;
    assert_eq!(head.first_line(), "GET /v1/jobs?a HTTP/1.1");
    assert_eq!(head.all("host"), [format!("localhost:{}", wire.addr.port())]);
}

#[tokio::test]
async fn the_token_goes_to_the_two_configured_origins_and_each_gets_its_own_paths() {
    let api = Upstream::start(Speaks::Http1, echo).await;
    let config_api = Upstream::start(Speaks::Http1, echo).await;
    let mut settings = settings(&api.api_url());
    let url = format!("http://localhost:{}/api/v1", config_api.addr.port());
    settings.upstream.config_api_url = Some(BaseUrl::parse(&url).expect("a URL"));
    let proxy = start(settings).await;
    assert_eq!(proxy.get("/v1/workspaces").await.status, StatusCode::OK);
    // On the list of operations that known clients call.
    let listed = proxy.request(Method::POST, "/api/v1/sources/list").body("{}");
    assert_eq!(got(listed).await.status, StatusCode::OK);
    let (api, config_api) = (api.seen(), config_api.seen());
    assert_eq!((api.len(), config_api.len()), (1, 1));
    assert_eq!(api[0].uri.path(), "/v1/workspaces");
    assert_eq!(config_api[0].uri.path(), "/api/v1/sources/list");
    for seen in [&api[0], &config_api[0]] {
        assert_eq!(seen.headers["authorization"], "Bearer upstream-token-1");
    }
}

#[tokio::test]
async fn the_configuration_api_is_closed_unless_it_is_configured() {
    let upstream = Upstream::start(Speaks::Http1, echo).await;
    let proxy = daemon(&upstream.api_url()).await;
    let answer = got(proxy.request(Method::POST, "/api/v1/sources/list").body("{}")).await;
    assert_eq!((answer.status, answer.problem().as_str()), (StatusCode::NOT_FOUND, "unknown-path"));
    assert!(upstream.seen().is_empty());
}

#[tokio::test]
async fn an_unknown_path_is_answered_here_and_names_the_likely_right_one() {
    let upstream = Upstream::start(Speaks::Http1, echo).await;
    let proxy = daemon(&upstream.api_url()).await;
    let answer = proxy.get("/workspaces").await;
    assert_eq!((answer.status, answer.problem().as_str()), (StatusCode::NOT_FOUND, "unknown-path"));
    assert!(answer.text().contains("/v1/workspaces"), "{}", answer.text());
    assert!(answer.header("proxy-status").is_some_and(|v| v.starts_with("airbyte-proxy; error=")));
    assert!(upstream.seen().is_empty());
}

#[tokio::test]
async fn redirects_are_passed_on_and_never_followed() {
    let elsewhere = Upstream::start(Speaks::Http1, echo).await;
    let target = format!("http://localhost:{}/v1/stolen", elsewhere.addr.port());
    for status in [301, 302, 303, 307, 308] {
        let location = target.clone();
        let upstream = Upstream::start(Speaks::Http1, move |_| {
            let answer = Response::builder().status(status).header("location", &location);
            let answer = answer.body(full("moved")).expect("a response");
            async { answer }
        });
        let upstream = upstream.await;
        let proxy = daemon(&upstream.api_url()).await;
        let answer = got(proxy.request(Method::POST, "/v1/jobs").body("{}")).await;
        assert_eq!((answer.status.as_u16(), answer.header("location")), (status, Some(target.as_str())));
        assert_eq!(answer.text(), "moved");
    }
    assert_eq!(elsewhere.connections(), 0, "nobody went there");
}

#[tokio::test]
async fn a_request_that_comes_back_is_a_loop_and_not_a_flood() {
    let wire = Wire::listen().await;
    let proxy = wire.daemon().await;
    let mut caller = proxy.ask("GET /v1/jobs HTTP/1.1").await;
    let mut upstream = wire.accept().await;
    let via = upstream.head().await.all("via");
    assert_eq!(via.len(), 1);
    let name = via[0].strip_prefix("1.1 ").expect("protocol and pseudonym");
    let digits = name.strip_prefix("airbyte-proxy-").expect("the pseudonym");
    assert!(digits.len() == 8 && digits.bytes().all(|b| b.is_ascii_hexdigit()), "{name}");

    let again = format!("GET /v1/jobs HTTP/1.1\r\nvia: 1.0 other, 1.1 {name} (comment)");
    let mut looped = proxy.ask(&again).await;
    let head = looped.head().await;
    assert_eq!(head.first_line(), "HTTP/1.1 502 Bad Gateway");
    assert_eq!(head.all("proxy-status"), ["airbyte-proxy; error=proxy_loop_detected; details=\"loop\""]);
    assert!(!wire.somebody_waits().await);

    upstream.say("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    assert_eq!(caller.head().await.first_line(), "HTTP/1.1 200 OK");
}
