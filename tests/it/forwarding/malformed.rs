//! Upstreams that speak badly: nothing of it reaches a caller.

use http::StatusCode;

use crate::harness::daemon::{Daemon, try_got};
use crate::harness::talk::{Talk, soon};
use crate::harness::wire::Wire;

/// A request on its way to an upstream that is about to answer.
async fn asked() -> (Wire, Daemon, Talk, tokio::task::JoinHandle<crate::harness::daemon::Got>) {
    let wire = Wire::listen().await;
    let proxy = wire.daemon().await;
    let call = proxy.begin(http::Method::GET, "/v1/jobs");
    let mut upstream = wire.accept().await;
    upstream.head().await;
    (wire, proxy, upstream, call)
}

#[tokio::test]
async fn an_answer_that_is_not_http_is_a_502() {
    let many = "x: y\r\n".repeat(200);
    let long = "y".repeat(2 * 1024 * 1024);
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 5,6\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx: a\0b\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx y: z\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx : y\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx: y\r\n  folded\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/3.0 200 OK\r\n\r\n",
        "SSH-2.0-OpenSSH_9.2\r\n\r\n",
        "\x16\x03\x01\x02\0\x01\0",
        "<html>not even a head</html>\r\n\r\n",
        "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
        &format!("HTTP/1.1 200 OK\r\n{many}\r\n"),
        &format!("HTTP/1.1 200 OK\r\nx: {long}\r\n\r\n"),
    ] {
        let (_wire, _proxy, mut upstream, call) = asked().await;
        let short: String = answer.chars().take(60).collect();
        // It may hang up before it has heard everything.
        let _ = upstream.try_say(answer).await;
        let got = soon(call).await.expect("a task");
        assert_eq!(
            (got.status, got.problem().as_str()),
            (StatusCode::BAD_GATEWAY, "upstream-protocol"),
            "{short}"
        );
        assert_eq!(
            got.header("proxy-status"),
            Some("airbyte-proxy; error=http_protocol_error; details=\"upstream-protocol\"")
        );
        assert_eq!(upstream.rest().await, b"", "the connection is not used again: {short}");
    }
}

#[tokio::test]
async fn a_second_answer_to_one_request_reaches_nobody() {
    let (wire, proxy, mut upstream, call) = asked().await;
    let first = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nfirst";
    upstream.say(format!("{first}HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nsecond")).await;
    assert_eq!(soon(call).await.expect("a task").text(), "first");
    let call = proxy.begin(http::Method::GET, "/v1/next");
    let mut upstream = wire.accept().await;
    assert_eq!(upstream.head().await.first_line(), "GET /v1/next HTTP/1.1", "on another connection");
    upstream.say("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nown").await;
    assert_eq!(soon(call).await.expect("a task").text(), "own");
}

#[tokio::test]
async fn interim_answers_are_skipped_but_not_without_end() {
    let (_wire, _proxy, mut upstream, call) = asked().await;
    let early = "HTTP/1.1 103 Early Hints\r\nlink: </x>; rel=preload\r\n\r\n";
    upstream.say(format!("{early}{early}HTTP/1.1 102 Processing\r\n\r\n")).await;
    upstream.say("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    let got = soon(call).await.expect("a task");
    assert_eq!((got.text().as_str(), got.header("link")), ("ok", None));

    let (_wire, _proxy, mut upstream, call) = asked().await;
    while upstream.try_say(early).await.is_ok() && !call.is_finished() {
        tokio::task::yield_now().await;
    }
    let got = soon(call).await.expect("a task");
    assert_eq!((got.status, got.problem().as_str()), (StatusCode::BAD_GATEWAY, "upstream-protocol"));
}

#[tokio::test]
async fn a_body_that_ends_early_at_upstream_does_not_end_properly_at_the_caller() {
    for truncated in [
        "content-length: 100\r\n\r\nshort",
        "transfer-encoding: chunked\r\n\r\n5\r\nshort\r\n",
        "transfer-encoding: chunked\r\n\r\n5\r\nsh",
        "transfer-encoding: chunked\r\n\r\n5\r\nshort\r\n0\r\n",
        "transfer-encoding: chunked\r\n\r\n5\r\nshort\r\nzz\r\n",
        "transfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\nx",
    ] {
        let wire = Wire::listen().await;
        let proxy = wire.daemon().await;
        let call = tokio::spawn(try_got(proxy.request(http::Method::GET, "/v1/jobs")));
        let mut upstream = wire.accept().await;
        upstream.head().await;
        upstream.say(format!("HTTP/1.1 200 OK\r\n{truncated}")).await;
        drop(upstream);
        let answer = soon(call).await.expect("a task");
        assert!(answer.is_err(), "{truncated}: {answer:?}");
    }
}

#[tokio::test]
async fn a_truncated_answer_never_gets_its_last_chunk() {
    let wire = Wire::listen().await;
    let proxy = wire.daemon().await;
    let mut caller = proxy.ask("GET /v1/jobs HTTP/1.1").await;
    let mut upstream = wire.accept().await;
    upstream.head().await;
    upstream.say("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nshort\r\n").await;
    caller.head().await;
    assert_eq!(caller.until(b"\r\n").await, b"5\r\n");
    drop(upstream);
    assert_eq!(caller.rest_text().await, "short\r\n");
}

#[tokio::test]
async fn an_answer_that_ends_in_a_reset_of_its_connection_is_not_whole() {
    let wire = Wire::listen().await;
    let proxy = wire.daemon().await;
    let mut caller = proxy.ask("GET /v1/jobs HTTP/1.1\r\nconnection: close").await;
    let tcp = wire.accept_tcp().await;
    // Closing it is a reset.
    tcp.set_zero_linger().expect("set");
    let mut upstream = Talk::over(tcp);
    upstream.head().await;
    upstream.say("HTTP/1.1 200 OK\r\n\r\nhalf").await;
    caller.head().await;
    assert_eq!(caller.until(b"half").await, b"4\r\nhalf");
    drop(upstream);
    assert_eq!(caller.rest_text().await, "\r\n", "no last chunk");
}
