//! Slow clients hurt themselves alone.
//!
//! Two hundred that never end their head, two hundred that never end their body and two hundred that never read their
//! answer share a proxy with ten good clients. Limits are seconds here, so that the slow ones are seen to be cut.

#![cfg(target_os = "linux")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Collected};
use hyper::body::Incoming;
use tokio::sync::Mutex;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};

use crate::harness::talk::{Talk, soon};
use crate::harness::upstream::{Body, Speaks, Upstream, full, piecemeal};
use crate::harness::{tls, trace};
use crate::vectors::binary::Binary;

const EACH: usize = 200;
const GOOD: usize = 10;
/// Of one answer that nobody reads.
const ANSWER: usize = 16 * 1024 * 1024;
/// All of these together, if they were kept, are 3 GiB; what connections cost is a fraction of this.
const MEMORY: u64 = 128 * 1024;
/// Upstream may have sent a whole window on each stream.
const MEMORY_HTTP2: u64 = 256 * 1024;

/// One crowd at a time: other tests run beside it.
static ALONE: Mutex<()> = Mutex::const_new(());

const SETTINGS: [(&str, &str); 4] = [
    ("AIRBYTE_PROXY_LIMITS_HEAD_TIMEOUT", "2s"),
    ("AIRBYTE_PROXY_LIMITS_BODY_IDLE_TIMEOUT", "1s"),
    ("AIRBYTE_PROXY_LIMITS_WRITE_TIMEOUT", "2s"),
    // Four hundred connections at once take long where the machine has something else to do.
    ("AIRBYTE_PROXY_UPSTREAM_CONNECT_TIMEOUT", "60s"),
];

/// Answers `/v1/large` with [`ANSWER`] bytes, everything else with `ok` once the body has come.
async fn airbyte(request: Request<Incoming>) -> Response<Body> {
    if request.uri().path() == "/v1/large" {
        let (pieces, body) = piecemeal();
        // One block of memory, sent again and again.
        let block = Bytes::from(vec![b'x'; 64 * 1024]);
        for _ in 0..ANSWER / block.len() {
            let _ = pieces.send(Ok(block.clone()));
        }
        return Response::new(body);
    }
    let _ = request.into_body().collect().await.map(Collected::to_bytes);
    Response::new(full("ok"))
}

/// A byte every now and then, until the other side has had enough.
async fn trickle(talk: &mut Talk, bytes: usize) {
    for _ in 0..bytes {
        if talk.try_say("x").await.is_err() {
            return;
        }
        sleep(Duration::from_millis(250)).await;
    }
}

/// Never ends its head. `true` if it was cut without an answer.
async fn slow_head(mut talk: Talk) -> bool {
    talk.say("GET /v1/jobs HTTP/1.1\r\nhost: localhost\r\nx: ").await;
    trickle(&mut talk, 40).await;
    talk.rest().await.is_empty()
}

/// Sends a little of its body, and then no more. `true` if it was told so.
async fn slow_body(mut talk: Talk) -> bool {
    talk.say("POST /v1/jobs HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\n").await;
    trickle(&mut talk, 6).await;
    let answer = talk.rest_text().await;
    answer.starts_with("HTTP/1.1 408 ") && answer.contains("request-timeout")
}

/// Reads nothing until the proxy has cut everybody who is slow. `true` if its answer was.
async fn slow_reader(mut talk: Talk, over: Arc<AtomicBool>) -> bool {
    talk.say("GET /v1/large HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    while !over.load(Ordering::Relaxed) {
        sleep(Duration::from_millis(50)).await;
    }
    let got = talk.rest().await;
    got.len() < ANSWER && !got.ends_with(b"0\r\n\r\n")
}

/// One request after the other. How many.
async fn good(mut talk: Talk, over: Arc<AtomicBool>) -> usize {
    let mut answered = 0;
    while !over.load(Ordering::Relaxed) {
        talk.say("POST /v1/jobs HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\r\n{}").await;
        let head = talk.head().await;
        assert_eq!(head.first_line(), "HTTP/1.1 200 OK", "after {answered} others");
        assert_eq!(talk.exactly(2).await, b"ok");
        answered += 1;
        sleep(Duration::from_millis(20)).await;
    }
    answered
}

/// Returns when the proxy has no more connections than `number` and the one that asks.
async fn only_left(proxy: &Binary, number: usize) {
    loop {
        let mut talk = proxy.talk().await;
        talk.say("GET /-/metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await;
        let metrics = talk.rest_text().await;
        let open = metrics.lines().find_map(|line| line.strip_prefix("airbyte_proxy_connections_open "));
        let open: usize = open.and_then(|number| number.parse().ok()).expect("the number of connections");
        if open <= number + 1 {
            return;
        }
        sleep(Duration::from_millis(50)).await;
    }
}

async fn all(mut clients: JoinSet<bool>, kind: &str) {
    let number = clients.len();
    let mut cut = 0;
    while let Some(client) = clients.join_next().await {
        cut += usize::from(client.expect("a task"));
    }
    assert_eq!(cut, number, "{kind} that were cut");
}

#[test]
fn six_hundred_slow_clients_are_cut_and_ten_good_ones_notice_nothing() {
    trace::silent(slow_ones_hurt_nobody(Speaks::Http1, MEMORY));
}

/// Here a reader that does not read shares its upstream connection, and its flow control, with everybody else.
#[test]
fn the_same_over_http2() {
    trace::silent(slow_ones_hurt_nobody(Speaks::Http2Tls, MEMORY_HTTP2));
}

async fn slow_ones_hurt_nobody(speaks: Speaks, memory: u64) {
    let _alone = ALONE.lock().await;
    let upstream = Upstream::start(speaks, airbyte).await;
    let ca = tls::ca_file().display().to_string();
    let settings = [&SETTINGS[..], &[("AIRBYTE_PROXY_UPSTREAM_CA_FILE", &*ca)]].concat();
    let proxy = Binary::start(&upstream.api_url(), "id-of-an-application", "its-secret", &settings).await;
    let over = Arc::new(AtomicBool::new(false));
    let mut good_ones: Vec<JoinHandle<usize>> = Vec::new();
    for _ in 0..GOOD {
        good_ones.push(tokio::spawn(good(proxy.talk().await, Arc::clone(&over))));
    }
    let (mut heads, mut bodies, mut readers) = (JoinSet::new(), JoinSet::new(), JoinSet::new());
    for _ in 0..EACH {
        heads.spawn(slow_head(proxy.talk().await));
        bodies.spawn(slow_body(proxy.talk().await));
        readers.spawn(slow_reader(proxy.talk().await, Arc::clone(&over)));
    }
    let slow = async {
        all(heads, "heads").await;
        all(bodies, "bodies").await;
        // A client that does not read cannot tell that it was cut.
        only_left(&proxy, GOOD).await;
    };
    timeout(Duration::from_secs(120), slow).await.expect("slow clients are cut");
    over.store(true, Ordering::Relaxed);
    for client in good_ones {
        let answered = soon(client).await.expect("every answer of a good client is a good one");
        // That they come is the point; how many depends on what else the machine does.
        assert!(answered >= 5, "{answered} answers in all that time");
    }
    all(readers, "readers").await;
    let peak = proxy.peak_memory();
    assert!(peak < memory, "{peak} KiB");
    assert!(!upstream.seen().iter().any(|head| head.headers.contains_key("x")), "half a head is no request");
}
