//! What a request looks like when it reaches upstream, and an answer when it reaches the caller.

use http::{Method, Response, StatusCode};

use crate::harness::daemon::{daemon, got, try_got};
use crate::harness::upstream::{RawUpstream, Speaks, Then, Upstream, full};

async fn echo(request: http::Request<hyper::body::Incoming>) -> Response<crate::harness::upstream::Body> {
    use http_body_util::BodyExt;
    let body =
        request.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    Response::new(full(body))
}

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
                assert_eq!(seen[0].uri.authority().expect("authority").as_str(), format!("localhost:{port}"))
            }
            _ => assert_eq!(seen[0].headers["host"], format!("localhost:{port}")),
        }
    }
}

#[tokio::test]
async fn a_connection_is_used_again() {
    let upstream = Upstream::start(Speaks::Http1, echo).await;
    let proxy = daemon(&upstream.api_url()).await;
    for _ in 0..5 {
        assert_eq!(proxy.get("/v1/jobs").await.status, StatusCode::OK);
    }
    assert_eq!(upstream.connections(), 2, "one for the token, one for five requests");
}

#[tokio::test]
async fn a_body_that_ends_early_at_upstream_does_not_end_properly_at_the_caller() {
    for truncated in [
        &b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort"[..],
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nshort\r\n",
    ] {
        let upstream = RawUpstream::start(move |_| Then::SayAndClose(truncated)).await;
        let proxy = daemon(&upstream.api_url()).await;
        let answer = try_got(proxy.request(Method::GET, "/v1/jobs")).await;
        assert!(answer.is_err(), "{answer:?}");
    }
}

#[tokio::test]
async fn a_get_lost_on_a_reused_connection_is_sent_again_and_a_post_is_not() {
    let script = |n| {
        if n % 2 == 1 { Then::Say(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok") } else { Then::Close }
    };
    let upstream = RawUpstream::start(script).await;
    let proxy = daemon(&upstream.api_url()).await;
    assert_eq!(proxy.get("/v1/jobs").await.status, StatusCode::OK);
    assert_eq!(proxy.get("/v1/jobs").await.status, StatusCode::OK);
    assert_eq!(upstream.requests(), 3, "the second was lost once");
    let answer = got(proxy.request(Method::POST, "/v1/jobs").body("{}")).await;
    assert_eq!((answer.status, answer.problem().as_str()), (StatusCode::BAD_GATEWAY, "upstream-closed"));
    assert_eq!(upstream.requests(), 4, "it may have been processed");
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
