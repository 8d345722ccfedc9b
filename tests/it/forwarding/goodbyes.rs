//! How connections to upstream end, over TLS: noticed at once, and never without a goodbye.

use std::time::Duration;

use super::OK;
use crate::harness::daemon::{Daemon, Settings, start};
use crate::harness::talk::Talk;
use crate::harness::wire::Wire;

/// A proxy and its connection to upstream, on which one request was answered with `answer`.
async fn served(wire: &Wire, settings: Settings, answer: &str) -> (Daemon, Talk) {
    let proxy = start(settings).await;
    let mut caller = proxy.ask("GET /v1/first HTTP/1.1").await;
    let mut upstream = wire.accept_tls().await;
    upstream.head().await;
    upstream.say(answer).await;
    caller.head().await;
    (proxy, upstream)
}

/// A proxy that does not look after its connections within the time of a test, unless it is told to.
fn patient(wire: &Wire) -> Settings {
    let mut settings = wire.settings();
    settings.upstream.idle_timeout = Duration::from_secs(3600);
    settings.upstream.max_age = Duration::from_secs(7200);
    settings
}

#[tokio::test]
async fn a_session_ticket_is_not_the_end_of_a_connection() {
    let wire = Wire::listen_tls().await;
    let mut settings = patient(&wire);
    settings.upstream.warm = true;
    let proxy = start(settings).await;
    // The server sends its tickets right behind the handshake, when nobody has asked for anything.
    let mut upstream = wire.accept_tls().await;
    for _ in 0..2 {
        let mut caller = proxy.ask("POST /v1/x HTTP/1.1\r\ncontent-length: 0").await;
        assert_eq!(upstream.head().await.first_line(), "POST /v1/x HTTP/1.1");
        upstream.say(OK).await;
        assert_eq!(caller.head().await.first_line(), "HTTP/1.1 200 OK");
    }
    assert!(!wire.somebody_waits().await);
}

#[tokio::test]
async fn a_connection_that_upstream_closes_before_its_first_request_is_closed_at_once() {
    let wire = Wire::listen_tls().await;
    let mut settings = patient(&wire);
    settings.upstream.warm = true;
    let proxy = start(settings).await;
    let mut upstream = wire.accept_tls().await;
    upstream.finish().await;
    assert!(upstream.ends_properly().await);
    let mut caller = proxy.ask("POST /v1/x HTTP/1.1\r\ncontent-length: 0").await;
    let mut upstream = wire.accept_tls().await;
    upstream.head().await;
    upstream.say(OK).await;
    assert_eq!(caller.head().await.first_line(), "HTTP/1.1 200 OK");
}

#[tokio::test]
async fn a_connection_that_upstream_closes_after_a_request_is_closed_at_once() {
    let wire = Wire::listen_tls().await;
    let (_proxy, mut upstream) = served(&wire, patient(&wire), OK).await;
    upstream.finish().await;
    assert!(upstream.ends_properly().await);
}

#[tokio::test]
async fn a_connection_that_nobody_uses_ends_with_a_goodbye() {
    let wire = Wire::listen_tls().await;
    let mut settings = wire.settings();
    settings.upstream.idle_timeout = Duration::from_millis(50);
    settings.upstream.max_age = Duration::from_secs(1);
    let (_proxy, mut upstream) = served(&wire, settings, OK).await;
    assert!(upstream.ends_properly().await);
}

#[tokio::test]
async fn a_connection_past_its_age_ends_with_a_goodbye() {
    let wire = Wire::listen_tls().await;
    let mut settings = wire.settings();
    settings.upstream.max_age = Duration::ZERO;
    let (_proxy, mut upstream) = served(&wire, settings, OK).await;
    assert!(upstream.ends_properly().await);
}

#[tokio::test]
async fn a_connection_whose_last_answer_says_close_ends_with_a_goodbye() {
    let wire = Wire::listen_tls().await;
    let close = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let (_proxy, mut upstream) = served(&wire, patient(&wire), close).await;
    assert!(upstream.ends_properly().await);
}
