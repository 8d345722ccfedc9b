//! What upstream is sent, and on how many connections.

use std::sync::Arc;
use std::time::Duration;

use airbyte_proxy::clock::Clock;
use airbyte_proxy::proxy::upstream;
use bytes::Bytes;
use http::{Method, Response, StatusCode};
use tokio::sync::{Semaphore, mpsc};

use super::{h2, is_ok};
use crate::harness::daemon::{Daemon, daemon, got, start};
use crate::harness::frames::{Frames, HEADERS, MAX_CONCURRENT_STREAMS};
use crate::harness::talk::soon;
use crate::harness::tls;
use crate::harness::upstream::{Speaks, Upstream, full, piecemeal};
use crate::harness::wire::Wire;

#[tokio::test]
async fn a_request_has_its_pseudo_fields_and_no_field_of_http_1() {
    let upstream = Upstream::start(Speaks::Http2Tls, |_| async { Response::new(full("ok")) }).await;
    let proxy = daemon(&upstream.api_url()).await;
    let request = proxy
        .request(Method::PUT, "/v1/x%3f?q=%7c%2F")
        .header("connection", "close, x-one")
        .header("x-one", "1");
    let request =
        request.header("te", "trailers").header("host", "localhost").header("x-two", "2").body("body");
    assert_eq!(got(request).await.text(), "ok");
    let seen = &upstream.seen()[0];
    assert_eq!(seen.version, http::Version::HTTP_2);
    assert_eq!(seen.uri.to_string(), format!("https://localhost:{}/v1/x%3f?q=%7c%2F", upstream.addr.port()));
    for name in ["host", "connection", "keep-alive", "te", "transfer-encoding", "upgrade", "x-one"] {
        assert!(!seen.headers.contains_key(name), "{name}");
    }
    assert!(seen.headers["x-two"] == "2" && seen.headers["content-length"] == "4");
    // RFC 9110 §8.6: a POST says how long its content is even if there is none.
    for (method, length) in [(Method::POST, Some("0")), (Method::GET, None), (Method::DELETE, None)] {
        got(proxy.request(method.clone(), "/v1/jobs/1")).await;
        let seen = upstream.seen();
        let said = seen
            .last()
            .expect("seen")
            .headers
            .get("content-length")
            .map(|value| value.to_str().expect("text"));
        assert_eq!(said, length, "{method}");
    }
}

#[tokio::test]
async fn the_token_is_never_put_into_a_compression_table() {
    let (wire, proxy) = h2().await;
    let mut frames = None;
    for _ in 0..2 {
        let call = proxy.begin(Method::GET, "/v1/jobs");
        if frames.is_none() {
            frames = Some(wire.accept_h2().await);
        }
        let frames = frames.as_mut().expect("connected");
        let head = frames.expect(HEADERS).await;
        // RFC 7541 §6.2.3: never indexed, name 23 of the static table (`authorization`).
        assert!(head.payload.windows(2).any(|w| w == [0x1f, 0x08]), "{:02x?}", head.payload);
        frames.ok(head.stream).await;
        is_ok(call).await;
    }
}

#[tokio::test]
async fn a_cold_burst_makes_one_connection() {
    let gate = Arc::new(Semaphore::new(0));
    let (arrived, mut arrivals) = mpsc::unbounded_channel();
    let held = Arc::clone(&gate);
    let upstream = Upstream::start(Speaks::Http2Tls, move |_| {
        let (held, arrived) = (Arc::clone(&held), arrived.clone());
        async move {
            arrived.send(()).expect("the test waits");
            let _passed = held.acquire().await.expect("open");
            Response::new(full("ok"))
        }
    })
    .await;
    let proxy = daemon(&upstream.api_url()).await;
    let calls: Vec<_> = (0..64).map(|_| proxy.begin(Method::GET, "/v1/jobs")).collect();
    for _ in 0..64 {
        soon(arrivals.recv()).await.expect("a request");
    }
    gate.add_permits(64);
    for call in calls {
        is_ok(call).await;
    }
    assert_eq!(upstream.connections(), 2, "one for the token, one for 64 requests");
}

#[tokio::test]
async fn more_connections_are_made_only_when_the_streams_of_one_do_not_suffice() {
    let (wire, proxy) = h2().await;
    let first = proxy.begin(Method::GET, "/v1/1");
    let mut one = Frames::start(wire.accept().await, &[(MAX_CONCURRENT_STREAMS, 2)]).await;
    let (a, _) = one.request().await;
    let second = proxy.begin(Method::GET, "/v1/2");
    let (b, _) = one.request().await;
    assert!(!wire.somebody_waits().await);
    let third = proxy.begin(Method::GET, "/v1/3");
    let mut two = Frames::start(wire.accept().await, &[(MAX_CONCURRENT_STREAMS, 2)]).await;
    let (c, _) = two.request().await;
    one.ok(a).await;
    is_ok(first).await;
    one.ok(b).await;
    is_ok(second).await;
    two.ok(c).await;
    is_ok(third).await;
    let fourth = proxy.begin(Method::GET, "/v1/4");
    tokio::select! {
        (stream, _) = one.request() => one.ok(stream).await,
        (stream, _) = two.request() => two.ok(stream).await,
    }
    is_ok(fourth).await;
    assert!(!wire.somebody_waits().await);
}

#[tokio::test]
async fn a_further_connection_that_cannot_be_had_means_waiting_for_a_stream() {
    let (wire, proxy) = h2().await;
    let mut calls = vec![proxy.begin(Method::GET, "/v1/1")];
    let mut frames = Frames::start(wire.accept().await, &[(MAX_CONCURRENT_STREAMS, 2)]).await;
    let (one, _) = frames.request().await;
    calls.push(proxy.begin(Method::GET, "/v1/2"));
    let (two, _) = frames.request().await;
    let _tokens = wire.refuse();
    for path in ["/v1/3", "/v1/4", "/v1/5"] {
        calls.push(proxy.begin(Method::GET, path));
    }
    // Until they have found out that they have to wait.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let (mut open, mut answered) = (vec![one, two], 0);
    while let Some(stream) = open.pop() {
        frames.ok(stream).await;
        answered += 1;
        if answered + open.len() < calls.len() {
            open.push(frames.request().await.0);
        }
    }
    for call in calls {
        is_ok(call).await;
    }
}

#[tokio::test]
async fn a_stream_that_becomes_free_is_not_left_waiting_for_a_further_connection() {
    let wire = Wire::listen_tls().await;
    let mut settings = wire.settings();
    settings.upstream.connect_timeout = Duration::from_secs(3600);
    let proxy = start(settings).await;
    let first = proxy.begin(Method::GET, "/v1/1");
    let talk = Wire::handshake(wire.accept_tcp().await, &tls::server(true)).await.expect("a handshake");
    let mut frames = Frames::start(talk, &[(MAX_CONCURRENT_STREAMS, 2)]).await;
    let (one, _) = frames.request().await;
    let second = proxy.begin(Method::GET, "/v1/2");
    let (two, _) = frames.request().await;
    let others = [proxy.begin(Method::GET, "/v1/3"), proxy.begin(Method::GET, "/v1/4")];
    // Its handshake never comes.
    let _further = wire.accept_tcp().await;
    for (call, stream) in [(first, one), (second, two)] {
        frames.ok(stream).await;
        is_ok(call).await;
    }
    for _ in &others {
        let (stream, _) = frames.request().await;
        frames.ok(stream).await;
    }
    for call in others {
        is_ok(call).await;
    }
}

/// The proxy of a test about how long connections live.
async fn short_lived(adjust: impl FnOnce(&mut upstream::Config)) -> (Wire, Daemon) {
    let wire = Wire::listen().await;
    let mut settings = wire.h2_settings();
    adjust(&mut settings.upstream);
    let proxy = start(settings).await;
    (wire, proxy)
}

async fn serve(proxy: &Daemon, frames: &mut Frames) {
    let call = proxy.begin(Method::GET, "/v1/jobs");
    let (stream, _) = frames.request().await;
    frames.ok(stream).await;
    is_ok(call).await;
}

#[tokio::test]
async fn all_connections_but_one_are_closed_when_nobody_uses_them() {
    let (wire, proxy) = short_lived(|upstream| upstream.idle_timeout = Duration::from_millis(100)).await;
    let first = proxy.begin(Method::GET, "/v1/1");
    let mut one = Frames::start(wire.accept().await, &[(MAX_CONCURRENT_STREAMS, 2)]).await;
    let (a, _) = one.request().await;
    let second = proxy.begin(Method::GET, "/v1/2");
    let (b, _) = one.request().await;
    let third = proxy.begin(Method::GET, "/v1/3");
    let mut two = wire.accept_h2().await;
    let (c, _) = two.request().await;
    two.ok(c).await;
    is_ok(third).await;
    one.ok(a).await;
    is_ok(first).await;
    one.ok(b).await;
    is_ok(second).await;
    one.closes().await;
    serve(&proxy, &mut two).await;
    assert!(!wire.somebody_waits().await);
}

#[tokio::test]
async fn a_connection_that_has_served_is_replaced_before_its_time_and_one_that_has_not_is_closed() {
    let (wire, proxy) = short_lived(|upstream| upstream.max_age = Duration::from_secs(1)).await;
    let first = proxy.begin(Method::GET, "/v1/1");
    let mut old = wire.accept_h2().await;
    let (stream, _) = old.request().await;
    old.ok(stream).await;
    is_ok(first).await;
    // Nobody asks.
    let mut new = wire.accept_h2().await;
    old.closes().await;
    new.closes().await;
    assert!(!wire.somebody_waits().await);
    let next = proxy.begin(Method::GET, "/v1/2");
    let mut newest = wire.accept_h2().await;
    let (stream, _) = newest.request().await;
    newest.ok(stream).await;
    is_ok(next).await;
}

#[tokio::test]
async fn a_connection_made_at_start_that_nobody_uses_is_closed_at_its_age() {
    let (wire, _proxy) = short_lived(|upstream| {
        upstream.max_age = Duration::from_millis(50);
        upstream.warm = true;
    })
    .await;
    wire.accept_h2().await.closes().await;
    assert!(!wire.somebody_waits().await);
}

#[tokio::test]
async fn a_connection_past_its_age_takes_no_new_request() {
    let wire = Wire::listen().await;
    let mut settings = wire.h2_settings();
    settings.upstream.max_age = Duration::ZERO;
    let proxy = start(settings).await;
    let first = proxy.begin(Method::POST, "/v1/first");
    let mut idle = wire.accept_h2().await;
    let (stream, _) = idle.request().await;
    idle.ok(stream).await;
    is_ok(first).await;
    let second = proxy.begin(Method::POST, "/v1/second");
    let mut busy = wire.accept_h2().await;
    let (held, _) = busy.request().await;
    // The first one has more room, but not for anything new.
    let third = proxy.begin(Method::POST, "/v1/third");
    let mut new = wire.accept_h2().await;
    let (stream, _) = new.request().await;
    new.ok(stream).await;
    is_ok(third).await;
    busy.ok(held).await;
    is_ok(second).await;
}

#[tokio::test]
async fn after_a_suspend_a_new_connection_is_used_at_once() {
    for h2 in [true, false] {
        let wire = Wire::listen().await;
        let mut settings = if h2 { wire.h2_settings() } else { wire.settings() };
        let (clock, hand) = Clock::manual();
        settings.clock = clock;
        let proxy = start(settings).await;
        // Kept open: nothing but the clock can tell that they are dead.
        let (mut open, mut open_h2) = (Vec::new(), Vec::new());
        for _ in 0..2 {
            let call = proxy.begin(Method::POST, "/v1/jobs");
            let mut talk = wire.accept().await;
            if h2 {
                let mut frames = Frames::start(talk, &[]).await;
                let (stream, _) = frames.request().await;
                frames.ok(stream).await;
                open_h2.push(frames);
            } else {
                talk.head().await;
                talk.say("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
                open.push(talk);
            }
            is_ok(call).await;
            hand.advance(Duration::from_secs(7200));
        }
    }
}

#[tokio::test]
async fn an_upstream_that_hangs_up_at_once_is_not_dialled_without_end() {
    let (wire, proxy) = h2().await;
    let call = proxy.begin(Method::GET, "/v1/jobs");
    let mut dials = 0;
    while !call.is_finished() {
        tokio::select! {
            talk = wire.accept() => {
                drop(talk);
                dials += 1;
            }
            () = tokio::time::sleep(Duration::from_millis(20)) => {}
        }
        assert!(dials < 20, "that many dials for one request");
    }
    assert_eq!(soon(call).await.expect("a task").status, StatusCode::BAD_GATEWAY);
}

#[tokio::test]
async fn callers_that_do_not_read_keep_nobody_else_waiting() {
    let upstream = Upstream::start(Speaks::Http2Tls, |request: http::Request<_>| async move {
        let (pieces, body) = piecemeal();
        let size = if request.uri().path() == "/v1/big" { 1024 } else { 1 };
        for _ in 0..size {
            pieces.send(Ok(Bytes::from_static(&[b'x'; 16 * 1024]))).expect("the body is there");
        }
        Response::new(body)
    })
    .await;
    let proxy = daemon(&upstream.api_url()).await;
    let mut readers = Vec::new();
    for _ in 0..12 {
        let mut caller = proxy.ask("GET /v1/big HTTP/1.1").await;
        caller.head().await;
        readers.push(caller);
    }
    // Until nothing moves any more.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let got = soon(proxy.get("/v1/small")).await;
    assert_eq!(got.body.len(), 16 * 1024);
    assert_eq!(upstream.connections(), 2);
}
