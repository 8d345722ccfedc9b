//! Nothing is held back, and what happens when one side stops.

use std::time::Duration;

use http::{Method, StatusCode};

use crate::harness::daemon::start;
use crate::harness::talk::{Talk, show};
use crate::harness::tls;
use crate::harness::wire::Wire;

const MIB: usize = 1024 * 1024;

#[tokio::test]
async fn an_upload_reaches_upstream_as_it_comes() {
    let wire = Wire::listen().await;
    let proxy = wire.daemon().await;
    let mut caller = proxy.ask("POST /v1/sources HTTP/1.1\r\ncontent-length: 10").await;
    let mut upstream = wire.accept().await;
    assert_eq!(upstream.head().await.all("content-length"), ["10"]);
    caller.say("first").await;
    assert_eq!(upstream.exactly(5).await, b"first");
    caller.say("other").await;
    assert_eq!(upstream.exactly(5).await, b"other");
    upstream.say("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    assert_eq!(caller.head().await.first_line(), "HTTP/1.1 200 OK");

    caller.say("POST /v1/sources HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n").await;
    assert_eq!(upstream.head().await.all("transfer-encoding"), ["chunked"]);
    caller.say("5;ext=1\r\nfirst\r\n").await;
    assert_eq!(upstream.until(b"first\r\n").await, b"5\r\nfirst\r\n");
    caller.say("5\r\nother\r\n0\r\nauthorization: Bearer x\r\nx-sum: 1\r\n\r\n").await;
    assert_eq!(show(&upstream.until(b"0\r\n\r\n").await), "5\r\nother\r\n0\r\n\r\n", "without its trailers");
}

#[tokio::test]
async fn a_chunked_body_of_a_get_is_not_lost() {
    let wire = Wire::listen().await;
    let proxy = wire.daemon().await;
    let mut caller = proxy.ask("GET /v1/search HTTP/1.1\r\ntransfer-encoding: chunked").await;
    let mut upstream = wire.accept().await;
    assert_eq!(upstream.head().await.all("transfer-encoding"), ["chunked"]);
    caller.say("5\r\nquery\r\n0\r\n\r\n").await;
    assert_eq!(upstream.until(b"0\r\n\r\n").await, b"5\r\nquery\r\n0\r\n\r\n");
}

#[tokio::test]
async fn a_download_reaches_the_caller_as_it_comes() {
    let wire = Wire::listen().await;
    let proxy = wire.daemon().await;
    for (framing, first, second) in [
        ("content-length: 10", "first", "other"),
        ("transfer-encoding: chunked", "5\r\nfirst\r\n", "5\r\nother\r\n0\r\n\r\n"),
    ] {
        let mut caller = proxy.ask("GET /v1/jobs HTTP/1.1\r\nconnection: close").await;
        let mut upstream = wire.accept().await;
        upstream.head().await;
        upstream.say(format!("HTTP/1.1 200 OK\r\nconnection: close\r\n{framing}\r\n\r\n")).await;
        assert_eq!(caller.head().await.first_line(), "HTTP/1.1 200 OK");
        upstream.say(first).await;
        assert_eq!(show(&caller.exactly(first.len()).await), first);
        upstream.say(second).await;
        assert_eq!(show(&caller.exactly(second.len()).await), second);
    }
}

#[tokio::test]
async fn whoever_does_not_read_makes_the_other_side_wait() {
    let wire = Wire::listen().await;
    let proxy = wire.daemon().await;
    let bytes = vec![b'x'; 64 * MIB];
    let stuck = Duration::from_millis(300);

    let mut caller =
        proxy.ask(&format!("POST /v1/sources HTTP/1.1\r\ncontent-length: {}", bytes.len())).await;
    let mut upstream = wire.accept().await;
    upstream.head().await;
    {
        let upload = caller.say(&bytes);
        tokio::pin!(upload);
        assert!(tokio::time::timeout(stuck, &mut upload).await.is_err(), "64 MiB went somewhere");
        let (all, ()) = tokio::join!(upstream.exactly(bytes.len()), upload);
        assert!(all == bytes);
    }
    upstream.say(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", bytes.len())).await;
    caller.head().await;
    let download = upstream.say(&bytes);
    tokio::pin!(download);
    assert!(tokio::time::timeout(stuck, &mut download).await.is_err(), "64 MiB went somewhere");
    let (all, ()) = tokio::join!(caller.exactly(bytes.len()), download);
    assert!(all == bytes);
}

const EXPECT: &str = "POST /v1/sources HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 4";

#[tokio::test]
async fn a_client_is_told_to_continue_only_when_token_and_connection_are_there() {
    let wire = Wire::listen_tls().await;
    let tokens = Wire::listen().await;
    let settings = wire.settings_minting_at(&tokens);
    let proxy = start(settings).await;
    let mut mint = tokens.accept().await;
    mint.head().await;
    let mut caller = proxy.ask(EXPECT).await;
    assert!(caller.heard_nothing().await && !wire.somebody_waits().await, "there is no token");
    mint.grant("t", 900).await;
    let tcp = wire.accept_tcp().await;
    assert!(caller.heard_nothing().await, "there is no connection");
    let mut upstream = Wire::handshake(tcp, &tls::server(false)).await.expect("a handshake");
    let head = upstream.head().await;
    assert!(head.all("expect").is_empty(), "answered by us");
    assert_eq!(caller.head().await.first_line(), "HTTP/1.1 100 Continue");
    caller.say("body").await;
    assert_eq!(upstream.exactly(4).await, b"body");
    upstream.say("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    assert_eq!(caller.head().await.first_line(), "HTTP/1.1 200 OK");
}

#[tokio::test]
async fn without_a_token_the_answer_is_503_and_never_100() {
    let wire = Wire::listen().await;
    let tokens = Wire::listen().await;
    let settings = wire.settings_minting_at(&tokens);
    let proxy = start(settings).await;
    let mut mint = tokens.accept().await;
    mint.head().await;
    let mut caller = proxy.ask(EXPECT).await;
    mint.say("HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n").await;
    assert_eq!(caller.head().await.first_line(), "HTTP/1.1 503 Service Unavailable");
    assert!(!wire.somebody_waits().await);
}

#[tokio::test]
async fn an_early_refusal_is_relayed_and_the_upload_stops() {
    for closes in [true, false] {
        let wire = Wire::listen().await;
        let proxy = wire.daemon().await;
        let mut caller = proxy.ask("POST /v1/sources HTTP/1.1\r\ncontent-length: 50").await;
        let mut upstream = wire.accept().await;
        upstream.head().await;
        caller.say("some").await;
        upstream.exactly(4).await;
        let close = if closes { "connection: close\r\n" } else { "" };
        upstream.say(format!("HTTP/1.1 413 Content Too Large\r\n{close}content-length: 3\r\n\r\nbig")).await;
        assert_eq!(caller.head().await.first_line(), "HTTP/1.1 413 Content Too Large");
        assert_eq!(show(&caller.exactly(3).await), "big");
        assert_eq!(upstream.rest_text().await, "", "not a byte more");
    }
}

#[tokio::test]
async fn a_refusal_arrives_whole_from_an_upstream_that_reads_nothing_and_hangs_up() {
    let wire = Wire::listen().await;
    let proxy = wire.daemon().await;
    for _ in 0..20 {
        let mut caller = proxy.talk().await;
        let size = 64 * MIB;
        let head = format!("POST /v1/x HTTP/1.1\r\nhost: localhost\r\ncontent-length: {size}\r\n\r\n");
        caller.say(head).await;
        let (mut answer, mut body) = caller.split();
        let upload = tokio::spawn(async move {
            let piece = vec![b'x'; MIB];
            for _ in 0..64 {
                if body.try_say(&piece).await.is_err() {
                    return;
                }
            }
        });
        let mut upstream = wire.accept().await;
        upstream.head().await;
        upstream
            .say("HTTP/1.1 413 Content Too Large\r\nconnection: close\r\ncontent-length: 3\r\n\r\nbig")
            .await;
        drop(upstream);
        assert_eq!(answer.head().await.first_line(), "HTTP/1.1 413 Content Too Large");
        assert_eq!(show(&answer.exactly(3).await), "big");
        upload.abort();
    }
}

#[tokio::test]
async fn an_upload_that_goes_on_after_its_answer_keeps_nobody_else_waiting() {
    let wire = Wire::listen().await;
    let proxy = wire.daemon().await;
    let mut caller = proxy.ask("POST /v1/sources HTTP/1.1\r\ncontent-length: 9").await;
    let mut upstream = wire.accept().await;
    upstream.head().await;
    caller.say("some").await;
    upstream.exactly(4).await;
    upstream.say("HTTP/1.1 202 Accepted\r\ncontent-length: 2\r\n\r\nok").await;
    assert_eq!(caller.head().await.first_line(), "HTTP/1.1 202 Accepted");
    assert_eq!(show(&caller.exactly(2).await), "ok");

    let other = proxy.begin(Method::GET, "/v1/jobs");
    let mut second = wire.accept().await;
    second.head().await;
    second.say("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    assert_eq!(other.await.expect("a task").status, StatusCode::OK);

    caller.say("other").await;
    assert_eq!(show(&upstream.exactly(5).await), "other", "it was accepted, so it arrives whole");
    assert_eq!(upstream.rest_text().await, "");
}

#[tokio::test]
async fn an_upstream_that_answers_without_reading_keeps_nobody_else_waiting() {
    let wire = Wire::listen().await;
    let proxy = wire.daemon().await;
    let bytes = vec![b'x'; 16 * MIB];
    let mut caller =
        proxy.ask(&format!("POST /v1/sources HTTP/1.1\r\ncontent-length: {}", bytes.len())).await;
    let mut upstream = wire.accept().await;
    upstream.head().await;
    // As much as fits between us and upstream; the rest stays with the caller.
    let _ = tokio::time::timeout(Duration::from_millis(200), caller.say(&bytes)).await;
    upstream.say("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    caller.head().await;
    assert_eq!(show(&caller.exactly(2).await), "ok");
    let other = proxy.begin(Method::GET, "/v1/jobs");
    let mut second = wire.accept().await;
    second.head().await;
    second.say("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    assert_eq!(other.await.expect("a task").status, StatusCode::OK);
}

/// Two requests under way, each on a connection of its own.
async fn two_under_way(first: &str) -> (Wire, crate::harness::daemon::Daemon, [Talk; 2], [Talk; 2]) {
    let wire = Wire::listen().await;
    let proxy = wire.daemon().await;
    let leaving = proxy.ask(first).await;
    let mut its = wire.accept().await;
    its.head().await;
    let staying = proxy.ask("GET /v1/staying HTTP/1.1").await;
    let mut other = wire.accept().await;
    assert_eq!(other.head().await.first_line(), "GET /v1/staying HTTP/1.1");
    (wire, proxy, [leaving, staying], [its, other])
}

async fn stays_unharmed(mut staying: Talk, mut other: Talk) {
    other.say("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfine").await;
    staying.head().await;
    assert_eq!(show(&staying.exactly(4).await), "fine");
}

#[tokio::test]
async fn a_caller_who_leaves_before_the_answer_cancels_its_request_and_no_other() {
    let (_wire, _proxy, [leaving, staying], [mut its, other]) =
        two_under_way("GET /v1/leaving HTTP/1.1").await;
    drop(leaving);
    assert_eq!(its.rest().await, b"");
    stays_unharmed(staying, other).await;
}

#[tokio::test]
async fn a_caller_who_leaves_within_the_answer_cancels_its_request_and_no_other() {
    let (_wire, _proxy, [mut leaving, staying], [mut its, other]) =
        two_under_way("GET /v1/leaving HTTP/1.1").await;
    its.say("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nsome").await;
    leaving.head().await;
    drop(leaving);
    assert_eq!(its.rest().await, b"");
    stays_unharmed(staying, other).await;
}

#[tokio::test]
async fn an_upload_that_breaks_off_is_never_completed_at_upstream() {
    for (framing, piece) in [("content-length: 100", "some"), ("transfer-encoding: chunked", "4\r\nsome\r\n")]
    {
        let (_wire, _proxy, [mut leaving, staying], [mut its, other]) =
            two_under_way(&format!("POST /v1/leaving HTTP/1.1\r\n{framing}")).await;
        leaving.say(piece).await;
        its.until(b"some").await;
        drop(leaving);
        let after = its.rest_text().await;
        assert!(matches!(after.as_str(), "" | "\r\n"), "{framing}: {after:?}");
        stays_unharmed(staying, other).await;
    }
}

#[tokio::test]
async fn a_malformed_upload_is_never_completed_at_upstream() {
    let wire = Wire::listen().await;
    let proxy = wire.daemon().await;
    let mut caller = proxy.ask("POST /v1/sources HTTP/1.1\r\ntransfer-encoding: chunked").await;
    let mut upstream = wire.accept().await;
    upstream.head().await;
    caller.say("4\r\nsome\r\n").await;
    upstream.until(b"some\r\n").await;
    caller.say("zz\r\n").await;
    assert_eq!(upstream.rest_text().await, "");
    let answer = caller.rest_text().await;
    assert!(
        answer.starts_with("HTTP/1.1 400 Bad Request\r\n") && answer.contains("invalid-request"),
        "{answer}"
    );
}

#[tokio::test]
async fn over_tls_an_answer_needs_its_length_or_a_proper_goodbye() {
    // A connection that is cut (no close_notify) ends a body of known length well, and another one badly.
    let wire = Wire::listen_tls().await;
    let proxy = wire.daemon().await;
    let mut caller = proxy.ask("GET /v1/jobs HTTP/1.1\r\nconnection: close").await;
    let mut upstream = wire.accept_tls().await;
    upstream.head().await;
    upstream.say("HTTP/1.1 200 OK\r\n\r\nhalf").await;
    assert_eq!(caller.head().await.all("transfer-encoding"), ["chunked"]);
    assert_eq!(show(&caller.until(b"half").await), "4\r\nhalf");
    drop(upstream);
    assert_eq!(caller.rest_text().await, "\r\n", "no last chunk");
}
