//! What is sent again, and what never is.

use std::time::Duration;

use airbyte_proxy::clock::Clock;
use http::StatusCode;

use super::{OK, echo, served_once};
use crate::harness::daemon::{Daemon, daemon, start};
use crate::harness::talk::{Talk, show};
use crate::harness::tls;
use crate::harness::upstream::{Speaks, Upstream};
use crate::harness::wire::Wire;

/// A proxy, and its connection to upstream, which has served one request and is idle.
async fn idle_connection() -> (Wire, Daemon, Talk) {
    let wire = Wire::listen().await;
    let proxy = wire.daemon().await;
    let upstream = served_once(&wire, &proxy).await;
    (wire, proxy, upstream)
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
async fn of_requests_lost_on_a_reused_connection_only_idempotent_ones_without_a_body_are_sent_again() {
    for method in ["GET", "HEAD", "DELETE", "PUT", "OPTIONS", "POST", "PATCH"] {
        for body in ["", "{}"] {
            let (wire, proxy, mut upstream) = idle_connection().await;
            let mut caller =
                proxy.ask(&format!("{method} /v1/x HTTP/1.1\r\ncontent-length: {}", body.len())).await;
            caller.say(body).await;
            upstream.head().await;
            upstream.exactly(body.len()).await;
            drop(upstream);
            let again = body.is_empty() && !["POST", "PATCH"].contains(&method);
            if again {
                let mut upstream = wire.accept().await;
                assert_eq!(upstream.head().await.first_line(), format!("{method} /v1/x HTTP/1.1"));
                upstream.say(OK).await;
            }
            let answer = caller.head().await;
            let status = if again { "HTTP/1.1 200 OK" } else { "HTTP/1.1 502 Bad Gateway" };
            assert_eq!(answer.first_line(), status, "{method} {body}");
            assert!(!wire.somebody_waits().await, "{method} {body}");
        }
    }
}

#[tokio::test]
async fn a_request_lost_twice_is_not_sent_a_third_time() {
    let (wire, proxy, mut one) = idle_connection().await;
    let mut first = proxy.ask("GET /v1/1 HTTP/1.1").await;
    one.head().await;
    let mut second = proxy.ask("GET /v1/2 HTTP/1.1").await;
    let mut two = wire.accept().await;
    two.head().await;
    for (upstream, caller) in [(&mut one, &mut first), (&mut two, &mut second)] {
        upstream.say(OK).await;
        caller.head().await;
    }
    // Two connections that have served before, the one used last on top.
    let mut caller = proxy.ask("GET /v1/x HTTP/1.1").await;
    two.head().await;
    drop(two);
    one.head().await;
    drop(one);
    let answer = caller.head().await;
    assert_eq!(answer.first_line(), "HTTP/1.1 502 Bad Gateway");
    assert_eq!(
        answer.all("proxy-status"),
        ["airbyte-proxy; error=connection_terminated; details=\"upstream-closed\""]
    );
    assert!(!wire.somebody_waits().await);
}

#[tokio::test]
async fn a_get_that_was_answered_with_nonsense_is_not_sent_again() {
    let (wire, proxy, mut upstream) = idle_connection().await;
    let mut caller = proxy.ask("GET /v1/x HTTP/1.1").await;
    upstream.head().await;
    upstream.say("nonsense\r\n\r\n").await;
    let answer = caller.head().await;
    assert_eq!(
        answer.all("proxy-status"),
        ["airbyte-proxy; error=http_protocol_error; details=\"upstream-protocol\""]
    );
    assert!(!wire.somebody_waits().await);
}

#[tokio::test]
async fn a_connection_past_its_age_is_not_used_again() {
    let wire = Wire::listen().await;
    let mut settings = wire.settings();
    settings.upstream.max_age = Duration::ZERO;
    let proxy = start(settings).await;
    for _ in 0..3 {
        let mut caller = proxy.ask("POST /v1/x HTTP/1.1\r\ncontent-length: 0").await;
        let mut upstream = wire.accept().await;
        upstream.head().await;
        upstream.say(OK).await;
        caller.head().await;
        assert_eq!(upstream.rest().await, b"");
    }
}

#[tokio::test]
async fn a_request_lost_on_a_new_connection_is_not_sent_again() {
    let wire = Wire::listen().await;
    let proxy = wire.daemon().await;
    let mut caller = proxy.ask("GET /v1/x HTTP/1.1").await;
    let mut upstream = wire.accept().await;
    upstream.head().await;
    drop(upstream);
    assert_eq!(caller.head().await.first_line(), "HTTP/1.1 502 Bad Gateway");
    assert!(!wire.somebody_waits().await);
}

#[tokio::test]
async fn a_post_goes_out_on_a_new_connection_when_the_idle_one_has_been_closed() {
    let (wire, proxy, mut upstream) = idle_connection().await;
    upstream.finish().await;
    assert_eq!(upstream.rest().await, b"", "and the proxy has noticed");
    let mut caller = proxy.ask("POST /v1/x HTTP/1.1\r\ncontent-length: 2").await;
    caller.say("{}").await;
    let mut upstream = wire.accept().await;
    upstream.head().await;
    assert_eq!(show(&upstream.exactly(2).await), "{}");
    upstream.say(OK).await;
    assert_eq!(caller.head().await.first_line(), "HTTP/1.1 200 OK");
}

#[tokio::test]
async fn a_connection_that_upstream_closes_while_a_token_is_waited_for_is_not_used() {
    let (wire, tokens) = (Wire::listen_tls().await, Wire::listen().await);
    let (clock, hand) = Clock::manual();
    let mut settings = wire.settings_minting_at(&tokens);
    settings.clock = clock;
    let proxy = start(settings).await;
    let mut endpoint = tokens.accept().await;
    endpoint.head().await;
    endpoint.grant("first", 8).await;
    proxy.tokens.acquire().await.expect("the first token");
    let mut caller = proxy.ask("POST /v1/x HTTP/1.1\r\ncontent-length: 2").await;
    caller.say("{}").await;
    let tcp = wire.accept_tcp().await;
    proxy.heard().await;
    // The token dies while the connection is made.
    hand.advance(Duration::from_secs(9));
    let mut endpoint = tokens.accept().await;
    endpoint.head().await;
    let mut upstream = Wire::handshake(tcp, &tls::server(false)).await.expect("a handshake");
    // The request's worker has had a turn: it has its connection in hand, and waits for the token.
    proxy.get("/-/live").await;
    upstream.finish().await;
    proxy.get("/-/live").await;
    endpoint.grant("second", 86_400).await;
    assert_eq!(upstream.rest().await, b"", "not even its head");
    let mut upstream = wire.accept_tls().await;
    assert_eq!(upstream.head().await.first_line(), "POST /v1/x HTTP/1.1");
    assert_eq!(upstream.exactly(2).await, b"{}");
    upstream.say(OK).await;
    assert_eq!(caller.head().await.first_line(), "HTTP/1.1 200 OK");
}

#[tokio::test]
async fn what_upstream_says_on_an_idle_connection_is_no_answer_to_the_next_request() {
    let (wire, proxy, mut upstream) = idle_connection().await;
    upstream.say("HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await;
    assert_eq!(upstream.rest().await, b"", "the connection is given up");
    let mut caller = proxy.ask("POST /v1/x HTTP/1.1\r\ncontent-length: 0").await;
    let mut upstream = wire.accept().await;
    upstream.head().await;
    upstream.say(OK).await;
    assert_eq!(caller.head().await.first_line(), "HTTP/1.1 200 OK");
}

#[tokio::test]
async fn an_answer_that_says_close_ends_the_connections_use() {
    let wire = Wire::listen().await;
    let proxy = wire.daemon().await;
    for _ in 0..2 {
        let mut caller = proxy.ask("POST /v1/x HTTP/1.1\r\ncontent-length: 0").await;
        let mut upstream = wire.accept().await;
        upstream.head().await;
        upstream.say("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await;
        assert_eq!(caller.head().await.first_line(), "HTTP/1.1 200 OK");
        assert_eq!(upstream.rest().await, b"");
    }
}

#[tokio::test]
async fn an_error_of_upstreams_own_is_never_tried_again() {
    for status in
        ["429 Too Many Requests", "500 Internal Server Error", "502 Bad Gateway", "503 Service Unavailable"]
    {
        let (wire, proxy, mut upstream) = idle_connection().await;
        let mut caller = proxy.ask("GET /v1/x HTTP/1.1").await;
        upstream.head().await;
        upstream.say(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n")).await;
        let answer = caller.head().await;
        assert_eq!(answer.first_line(), format!("HTTP/1.1 {status}"));
        assert!(answer.all("proxy-status").is_empty(), "Airbyte said it");
        assert!(upstream.heard_nothing().await && !wire.somebody_waits().await);
    }
}
