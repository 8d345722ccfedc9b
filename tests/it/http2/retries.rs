//! What is sent again, and what never is.

use http::{Method, StatusCode};

use super::{h2, is_502, is_ok, post};
use crate::harness::frames::{INTERNAL_ERROR, NO_ERROR, REFUSED_STREAM};
use crate::harness::talk::{show, soon};

#[tokio::test]
async fn a_post_that_a_graceful_goaway_leaves_out_is_sent_again_on_a_new_connection() {
    let (wire, proxy) = h2().await;
    let first = proxy.begin(Method::GET, "/v1/first");
    let mut old = wire.accept_h2().await;
    let (one, _) = old.request().await;
    let call = post(&proxy);
    let (three, body) = old.request().await;
    assert_eq!((one, three, show(&body).as_str()), (1, 3, "{\"a\":1}"));
    // As a server does that goes away in two steps (RFC 9113 §6.8).
    old.go_away(u32::MAX >> 1, NO_ERROR).await;
    old.go_away(1, NO_ERROR).await;
    let mut new = wire.accept_h2().await;
    let (stream, body) = new.request().await;
    assert_eq!(show(&body), "{\"a\":1}", "byte for byte");
    new.ok(stream).await;
    is_ok(call).await;
    old.ok(one).await;
    is_ok(first).await;
}

#[tokio::test]
async fn a_refused_post_is_sent_again_but_not_for_ever() {
    let (wire, proxy) = h2().await;
    let call = post(&proxy);
    let mut frames = wire.accept_h2().await;
    let (stream, _) = frames.request().await;
    frames.reset(stream, REFUSED_STREAM).await;
    let (stream, body) = frames.request().await;
    assert_eq!((stream, show(&body).as_str()), (3, "{\"a\":1}"));
    frames.ok(stream).await;
    is_ok(call).await;

    let call = post(&proxy);
    for _ in 0..3 {
        let (stream, _) = frames.request().await;
        frames.reset(stream, REFUSED_STREAM).await;
    }
    is_502(call, "upstream-closed").await;
    assert!(!wire.somebody_waits().await);
}

#[tokio::test]
async fn a_post_that_may_have_been_processed_is_not_sent_again() {
    for (end, detail) in [
        ("goaway with an error", "upstream gave up the connection (INTERNAL_ERROR)"),
        ("graceful goaway, then silence", "the connection was closed before an answer"),
        ("reset", "upstream gave up the request (INTERNAL_ERROR)"),
        ("cut", "the connection was closed before an answer"),
    ] {
        let (wire, proxy) = h2().await;
        let first = proxy.begin(Method::GET, "/v1/first");
        let mut frames = wire.accept_h2().await;
        let (stream, _) = frames.request().await;
        frames.ok(stream).await;
        is_ok(first).await;
        let call = post(&proxy);
        let (stream, _) = frames.request().await;
        match end {
            "goaway with an error" => frames.go_away(stream - 2, INTERNAL_ERROR).await,
            "graceful goaway, then silence" => frames.go_away(stream, NO_ERROR).await,
            "reset" => frames.reset(stream, INTERNAL_ERROR).await,
            _ => {}
        }
        if end != "reset" {
            drop(frames);
        }
        let got = soon(call).await.expect("a task");
        assert_eq!(
            (got.status, got.problem().as_str()),
            (StatusCode::BAD_GATEWAY, "upstream-closed"),
            "{end}"
        );
        assert_eq!(got.json()["detail"], detail, "{end}");
        assert!(!wire.somebody_waits().await, "{end}");
    }
}

#[tokio::test]
async fn a_get_lost_with_its_connection_is_sent_again_once() {
    let (wire, proxy) = h2().await;
    let first = proxy.begin(Method::GET, "/v1/first");
    let mut frames = wire.accept_h2().await;
    let (stream, _) = frames.request().await;
    frames.ok(stream).await;
    is_ok(first).await;
    let call = proxy.begin(Method::GET, "/v1/jobs");
    frames.request().await;
    drop(frames);
    let mut frames = wire.accept_h2().await;
    let (stream, _) = frames.request().await;
    frames.ok(stream).await;
    is_ok(call).await;
}
