//! What becomes of what upstream says.

use std::time::Duration;

use http::{Method, StatusCode};

use super::{h2, is_502, is_ok, post};
use crate::harness::daemon::{start, try_got};
use crate::harness::frames::{
    CANCEL, DATA, END_HEADERS, END_STREAM, HEADERS, INTERNAL_ERROR, NO_ERROR, PING, PUSH_PROMISE, RST_STREAM,
    WINDOW_UPDATE, field,
};
use crate::harness::talk::{show, soon};
use crate::harness::wire::Wire;

#[tokio::test]
async fn an_answer_that_comes_before_the_upload_has_ended_is_delivered() {
    let (wire, proxy) = h2().await;
    for reset in [true, false] {
        let mut caller = proxy.ask("POST /v1/sources HTTP/1.1\r\ncontent-length: 1000000").await;
        let mut frames = wire.accept_h2().await;
        let head = frames.expect(HEADERS).await;
        caller.say(vec![b'x'; 1000]).await;
        assert_eq!(frames.expect(DATA).await.stream, head.stream);
        frames.send(HEADERS, END_HEADERS, head.stream, &[0x88]).await;
        frames.send(DATA, END_STREAM, head.stream, b"early").await;
        if reset {
            frames.reset(head.stream, NO_ERROR).await;
        }
        assert_eq!(caller.head().await.first_line(), "HTTP/1.1 200 OK", "{reset}");
        assert_eq!(show(&caller.until(b"early\r\n0\r\n\r\n").await), "5\r\nearly\r\n0\r\n\r\n");
        // The next turn of the loop gets a connection of its own.
        frames.go_away(head.stream, NO_ERROR).await;
        drop(caller);
        frames.closes().await;
    }
}

#[tokio::test]
async fn an_early_refusal_stops_the_upload() {
    let (wire, proxy) = h2().await;
    let mut caller = proxy.ask("POST /v1/sources HTTP/1.1\r\ncontent-length: 1000000").await;
    let mut frames = wire.accept_h2().await;
    let head = frames.expect(HEADERS).await;
    frames.window(head.stream, 1_000_000).await;
    caller.say(vec![b'x'; 1000]).await;
    frames.expect(DATA).await;
    let refusal = [&[0x08, 3], &b"413"[..]].concat();
    frames.send(HEADERS, END_HEADERS | END_STREAM, head.stream, &refusal).await;
    assert_eq!(caller.head().await.first_line(), "HTTP/1.1 413 Payload Too Large");
    let frame = frames.next().await.expect("not closed");
    assert_eq!((frame.kind, frame.stream), (RST_STREAM, head.stream), "the stream ends, not the connection");
    let call = proxy.begin(Method::GET, "/v1/jobs");
    let (stream, _) = frames.request().await;
    frames.ok(stream).await;
    is_ok(call).await;
}

/// The upload waits for room, so that nothing of the client's would wake it.
#[tokio::test]
async fn an_early_refusal_ends_an_upload_that_waits_for_room() {
    let (wire, proxy) = h2().await;
    let mut caller = proxy.ask("POST /v1/sources HTTP/1.1\r\ncontent-length: 1000000").await;
    let mut frames = wire.accept_h2().await;
    let head = frames.expect(HEADERS).await;
    caller.say(vec![b'x'; 100_000]).await;
    let mut sent = 0;
    // As much as RFC 9113 §6.9.2 gives a stream to begin with.
    while sent < 65_535 {
        sent += frames.expect(DATA).await.payload.len();
    }
    let refusal = [&[0x08, 3], &b"413"[..]].concat();
    frames.send(HEADERS, END_HEADERS | END_STREAM, head.stream, &refusal).await;
    assert_eq!(caller.head().await.first_line(), "HTTP/1.1 413 Payload Too Large");
    assert_eq!(frames.expect(RST_STREAM).await.stream, head.stream);
}

#[tokio::test]
async fn a_truncated_answer_looks_truncated() {
    for length in [Some("100"), None] {
        // Two of the codes mean no failure elsewhere; here the answer is not whole all the same.
        for end in ["reset", "reset without an error", "cancelled", "cut", "too short"] {
            if (length, end) == (None, "too short") {
                continue;
            }
            let (wire, proxy) = h2().await;
            let call = tokio::spawn(try_got(proxy.request(Method::GET, "/v1/jobs")));
            let mut frames = wire.accept_h2().await;
            let (stream, _) = frames.request().await;
            let mut head = vec![0x88];
            head.extend(length.map(|length| field("content-length", length)).unwrap_or_default());
            frames.send(HEADERS, END_HEADERS, stream, &head).await;
            frames.send(DATA, if end == "too short" { END_STREAM } else { 0 }, stream, b"short").await;
            match end {
                "reset" => frames.reset(stream, INTERNAL_ERROR).await,
                "reset without an error" => frames.reset(stream, NO_ERROR).await,
                "cancelled" => frames.reset(stream, CANCEL).await,
                "cut" => drop(frames),
                _ => {}
            }
            let got = soon(call).await.expect("a task");
            assert!(got.is_err(), "{length:?} {end}: {got:?}");
        }
    }
}

#[tokio::test]
async fn a_malformed_answer_is_a_502() {
    let ok = || vec![0x88];
    for (what, head) in [
        ("a field of one connection", [ok(), field("connection", "close")].concat()),
        ("a transfer coding", [ok(), field("transfer-encoding", "chunked")].concat()),
        ("an upper-case name", [ok(), field("X-Upper", "1")].concat()),
        ("a line break", [ok(), field("x", "a\r\nset-cookie: b")].concat()),
        ("no status", field("x", "1")),
        ("two statuses", [ok(), ok()].concat()),
        ("a late pseudo-field", [field("x", "1"), ok()].concat()),
        ("an index that does not exist", vec![0xff, 0xff, 0x03]),
    ] {
        let (wire, proxy) = h2().await;
        let call = post(&proxy);
        let mut frames = wire.accept_h2().await;
        let (stream, _) = frames.request().await;
        frames.send(HEADERS, END_HEADERS | END_STREAM, stream, &head).await;
        let got = soon(call).await.expect("a task");
        assert_eq!(got.status, StatusCode::BAD_GATEWAY, "{what}: {:?}", got.headers);
        assert_eq!(got.problem(), "upstream-protocol", "{what}: {}", got.text());
    }
}

#[tokio::test]
async fn frames_that_break_the_rules_are_a_502_whatever_the_code_of_the_error() {
    let (too_much, too_long) = ((u32::MAX >> 1).to_be_bytes(), vec![0; 20_000]);
    for (what, kind, payload) in [
        ("a ping of three bytes", PING, &[0; 3][..]),
        ("a window update of three bytes", WINDOW_UPDATE, &[0; 3]),
        ("a window that is too large", WINDOW_UPDATE, &too_much),
        ("a frame that is too large", DATA, &too_long),
    ] {
        let (wire, proxy) = h2().await;
        let call = post(&proxy);
        let mut frames = wire.accept_h2().await;
        let (stream, _) = frames.request().await;
        frames.send(kind, 0, if kind == DATA { stream } else { 0 }, payload).await;
        let got = soon(call).await.expect("a task");
        assert_eq!(got.status, StatusCode::BAD_GATEWAY, "{what}");
        assert_eq!(got.problem(), "upstream-protocol", "{what}: {}", got.text());
        frames.closes().await;
    }
}

#[tokio::test]
async fn a_push_is_a_connection_error() {
    let (wire, proxy) = h2().await;
    let call = post(&proxy);
    let mut frames = wire.accept_h2().await;
    let (stream, _) = frames.request().await;
    let promise = [&2u32.to_be_bytes()[..], &[0x82, 0x87, 0x84]].concat();
    frames.send(PUSH_PROMISE, END_HEADERS, stream, &promise).await;
    is_502(call, "upstream-protocol").await;
    frames.closes().await;
}

#[tokio::test]
async fn trailers_and_interim_answers_are_left_out() {
    let (wire, proxy) = h2().await;
    let mut caller = proxy.ask("GET /v1/jobs HTTP/1.1").await;
    let mut frames = wire.accept_h2().await;
    let (stream, _) = frames.request().await;
    let hints = [&[0x08, 3], &b"103"[..]].concat();
    frames.send(HEADERS, END_HEADERS, stream, &[hints, field("link", "</x>")].concat()).await;
    frames.send(HEADERS, END_HEADERS, stream, &[0x88]).await;
    frames.send(DATA, 0, stream, b"ok").await;
    frames.send(HEADERS, END_HEADERS | END_STREAM, stream, &field("x-sum", "1")).await;
    let head = caller.head().await;
    assert_eq!(head.first_line(), "HTTP/1.1 200 OK");
    assert!(head.all("link").is_empty());
    assert_eq!(show(&caller.until(b"0\r\n\r\n").await), "2\r\nok\r\n0\r\n\r\n");
}

#[tokio::test]
async fn a_caller_who_leaves_cancels_its_stream_and_no_other() {
    let (wire, proxy) = h2().await;
    let leaving = proxy.ask("GET /v1/leaving HTTP/1.1").await;
    let mut frames = wire.accept_h2().await;
    let (its, _) = frames.request().await;
    let mut within = proxy.ask("GET /v1/within HTTP/1.1").await;
    let (second, _) = frames.request().await;
    frames.send(HEADERS, END_HEADERS, second, &[0x88]).await;
    frames.send(DATA, 0, second, b"some").await;
    within.until(b"some").await;
    let staying = proxy.begin(Method::GET, "/v1/staying");
    let (other, _) = frames.request().await;
    for (caller, stream) in [(leaving, its), (within, second)] {
        drop(caller);
        let frame = frames.expect(RST_STREAM).await;
        assert_eq!((frame.stream, frame.payload), (stream, CANCEL.to_be_bytes().to_vec()));
    }
    frames.ok(other).await;
    is_ok(staying).await;
}

#[tokio::test]
async fn an_upload_that_breaks_off_resets_its_stream() {
    let (wire, proxy) = h2().await;
    let mut caller = proxy.ask("POST /v1/sources HTTP/1.1\r\ncontent-length: 100").await;
    let mut frames = wire.accept_h2().await;
    let head = frames.expect(HEADERS).await;
    caller.say("some").await;
    let data = frames.expect(DATA).await;
    assert_eq!((data.payload.as_slice(), data.flags & END_STREAM), (&b"some"[..], 0));
    drop(caller);
    let frame = frames.next().await.expect("not closed");
    assert_eq!((frame.kind, frame.stream), (RST_STREAM, head.stream));
}

#[tokio::test]
async fn an_upstream_that_does_not_answer_is_timed_out_and_its_stream_reset() {
    let wire = Wire::listen().await;
    let mut settings = wire.h2_settings();
    settings.upstream.response_timeout = Duration::from_millis(150);
    let proxy = start(settings).await;
    let call = proxy.begin(Method::GET, "/v1/jobs");
    let mut frames = wire.accept_h2().await;
    let (stream, _) = frames.request().await;
    assert_eq!(soon(call).await.expect("a task").problem(), "upstream-response-timeout");
    assert_eq!(frames.expect(RST_STREAM).await.stream, stream);
}
