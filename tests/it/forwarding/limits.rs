//! One request too many, and heads that are none.

use std::time::Duration;

use airbyte_proxy::clock::Clock;
use http::{Method, Response, StatusCode};

use crate::harness::daemon::{settings, start};
use crate::harness::talk::{Talk, show};
use crate::harness::upstream::{Speaks, Upstream, full};
use crate::harness::wire::Wire;

#[tokio::test]
async fn the_one_too_many_is_refused_until_a_body_has_ended_or_a_caller_has_left() {
    let wire = Wire::listen().await;
    let mut settings = wire.settings();
    settings.proxy.max_in_flight = 1;
    let proxy = start(settings).await;

    let mut first = proxy.ask("GET /v1/first HTTP/1.1").await;
    let mut upstream = wire.accept().await;
    upstream.head().await;
    let refused = proxy.get("/v1/second").await;
    assert_eq!((refused.status, refused.problem().as_str()), (StatusCode::SERVICE_UNAVAILABLE, "overloaded"));
    let after: u32 = refused.header("retry-after").and_then(|v| v.parse().ok()).expect("seconds");
    assert!(after >= 1);

    upstream.say("HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nhalf").await;
    first.head().await;
    assert_eq!(show(&first.exactly(4).await), "half");
    assert_eq!(proxy.get("/v1/second").await.problem(), "overloaded", "the body is not at its end");
    upstream.say("half").await;
    assert_eq!(show(&first.exactly(4).await), "half");

    let leaving = proxy.ask("GET /v1/third HTTP/1.1").await;
    upstream.head().await;
    assert_eq!(proxy.get("/v1/fourth").await.problem(), "overloaded");
    drop(leaving);
    assert_eq!(upstream.rest().await, b"", "cancelled");
    let last = proxy.begin(Method::GET, "/v1/fifth");
    let mut upstream = wire.accept().await;
    upstream.head().await;
    upstream.say("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    assert_eq!(last.await.expect("a task").status, StatusCode::OK);
}

#[tokio::test]
async fn more_requests_a_second_than_are_allowed_are_told_when_to_come_back() {
    let upstream = Upstream::start(Speaks::Http1, |_| async {
        Response::builder().body(full("{}")).expect("a response")
    })
    .await;
    let (clock, hand) = Clock::manual();
    let mut settings = settings(&upstream.api_url());
    settings.clock = clock;
    settings.proxy.rate = Some(2);
    let proxy = start(settings).await;
    for _ in 0..2 {
        assert_eq!(proxy.get("/v1/jobs").await.status, StatusCode::OK);
    }
    let refused = proxy.get("/v1/jobs").await;
    assert_eq!((refused.status.as_u16(), refused.problem().as_str()), (429, "rate-limited"));
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(proxy.get("/-/live").await.status, StatusCode::OK, "about itself it answers at any rate");
    assert_eq!(upstream.seen().iter().filter(|head| head.uri.path() == "/v1/jobs").count(), 2);
    hand.advance(Duration::from_millis(500));
    assert_eq!(proxy.get("/v1/jobs").await.status, StatusCode::OK);
    assert_eq!(proxy.get("/v1/jobs").await.status, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn what_is_answered_here_takes_no_room() {
    let wire = Wire::listen().await;
    let mut settings = wire.settings();
    settings.proxy.max_in_flight = 0;
    let proxy = start(settings).await;
    assert_eq!(proxy.get("/v1/jobs").await.problem(), "overloaded");
    assert_eq!(proxy.get("/jobs").await.problem(), "unknown-path");
    let minted =
        crate::harness::daemon::got(proxy.request(Method::POST, "/v1/applications/token").body("{}")).await;
    assert_eq!(minted.status, StatusCode::OK);
}

/// As docs/errors.md tells: these are the HTTP library's own answers, and nobody else is asked.
#[tokio::test]
async fn a_head_that_is_no_http_gets_a_bare_answer() {
    let wire = Wire::listen().await;
    let proxy = wire.daemon().await;
    let (many, long) = ("a: b\r\n".repeat(101), "x".repeat(70_000));
    for (head, status) in [
        (b"GET /v1/a b HTTP/1.1\r\nhost: localhost\r\n\r\n".to_vec(), "400"),
        (b"GET /v1/\xff HTTP/1.1\r\nhost: localhost\r\n\r\n".to_vec(), "400"),
        (b"GET /v1/a HTTP/1.1\r\nhost: localhost\r\na b: c\r\n\r\n".to_vec(), "400"),
        (format!("GET /v1/{long} HTTP/1.1\r\nhost: localhost\r\n\r\n").into_bytes(), "414"),
        (format!("GET /v1/a HTTP/1.1\r\nhost: localhost\r\n{many}\r\n").into_bytes(), "431"),
    ] {
        let mut client = Talk::with(proxy.addr).await;
        client.say(head).await;
        let answer = client.rest_text().await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        assert!(answer.contains("\r\ncontent-length: 0\r\n") && answer.ends_with("\r\n\r\n"), "{answer}");
        assert!(!answer.contains("proxy-status"), "{answer}");
    }
}
