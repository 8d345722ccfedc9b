//! No way to upstream, TLS, and every wait's end.

use std::time::Duration;

use airbyte_proxy::airbyte::BaseUrl;
use http::{Method, StatusCode};
use tokio::net::TcpSocket;

use crate::harness::daemon::{Got, Settings, got, start, try_got};
use crate::harness::talk::{show, soon};
use crate::harness::tls;
use crate::harness::wire::Wire;

const BRIEF: Duration = Duration::from_millis(150);

async fn failing(settings: Settings) -> Got {
    start(settings).await.get("/v1/jobs").await
}

fn is(got: &Got, status: StatusCode, problem: &str, error: &str) {
    assert_eq!((got.status, got.problem().as_str()), (status, problem), "{}", got.text());
    assert_eq!(
        got.header("proxy-status"),
        Some(format!("airbyte-proxy; error={error}; details=\"{problem}\"").as_str())
    );
    assert_eq!(got.header("content-type"), Some("application/problem+json"));
    assert_eq!(got.header("cache-control"), Some("no-store"));
}

#[tokio::test]
async fn an_upstream_that_does_not_listen_is_refused() {
    let wire = Wire::listen().await;
    let mut settings = wire.settings();
    let free =
        tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("bound");
    settings.upstream.api_url = BaseUrl::parse(&format!("http://{free}/v1")).expect("a URL");
    is(&failing(settings).await, StatusCode::BAD_GATEWAY, "upstream-refused", "connection_refused");
}

#[tokio::test]
async fn a_name_that_does_not_exist_is_a_dns_error() {
    // A label that no resolver has to be asked about: it is too long (RFC 1035 §2.3.4).
    for name in ["x".repeat(64) + ".invalid", "y".repeat(64)] {
        let mut settings = Wire::listen().await.settings();
        settings.upstream.api_url = BaseUrl::parse(&format!("http://{name}/v1")).expect("a URL");
        let wire = Wire::listen().await;
        settings.mint = wire.settings().mint;
        is(&failing(settings).await, StatusCode::BAD_GATEWAY, "upstream-dns", "dns_error");
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_upstream_that_does_not_accept_is_a_connect_timeout() {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.1:0".parse().expect("an address")).expect("bound");
    let listener = socket.listen(0).expect("listening");
    let addr = listener.local_addr().expect("bound");
    let mut queued = Vec::new();
    // Fills the queue: the kernel drops what comes then.
    while let Ok(tcp) = tokio::time::timeout(BRIEF, tokio::net::TcpStream::connect(addr)).await {
        queued.push(tcp.expect("connected"));
    }
    let wire = Wire::listen().await;
    let mut settings = wire.settings();
    settings.upstream.api_url = BaseUrl::parse(&format!("http://{addr}/v1")).expect("a URL");
    settings.upstream.connect_timeout = BRIEF;
    is(
        &failing(settings).await,
        StatusCode::GATEWAY_TIMEOUT,
        "upstream-connect-timeout",
        "connection_timeout",
    );
}

#[tokio::test]
async fn an_upstream_that_never_shakes_hands_is_a_connect_timeout() {
    let wire = Wire::listen_tls().await;
    let mut settings = wire.settings();
    settings.upstream.connect_timeout = BRIEF;
    let proxy = start(settings).await;
    let call = proxy.begin(Method::GET, "/v1/jobs");
    let _silent = wire.accept().await;
    let got = soon(call).await.expect("a task");
    is(&got, StatusCode::GATEWAY_TIMEOUT, "upstream-connect-timeout", "connection_timeout");
}

#[tokio::test]
async fn an_upstream_that_does_not_answer_is_a_response_timeout_and_its_request_is_cancelled() {
    let wire = Wire::listen().await;
    let mut settings = wire.settings();
    settings.upstream.response_timeout = BRIEF;
    let proxy = start(settings).await;
    let call = proxy.begin(Method::GET, "/v1/jobs");
    let mut upstream = wire.accept().await;
    upstream.head().await;
    let got = soon(call).await.expect("a task");
    is(&got, StatusCode::GATEWAY_TIMEOUT, "upstream-response-timeout", "http_response_timeout");
    assert_eq!(upstream.rest().await, b"");
    assert!(!wire.somebody_waits().await, "and never sent again");
}

#[tokio::test]
async fn a_client_that_pauses_within_its_body_is_timed_out_and_upstream_is_told_nothing_of_an_end() {
    let wire = Wire::listen().await;
    let mut settings = wire.settings();
    settings.proxy.body_idle_timeout = BRIEF;
    let proxy = start(settings).await;
    for framing in ["content-length: 100\r\n\r\nsome", "transfer-encoding: chunked\r\n\r\n4\r\nsome\r\n"] {
        let mut caller = proxy.talk().await;
        caller.say(format!("POST /v1/x HTTP/1.1\r\nhost: localhost\r\n{framing}")).await;
        let mut upstream = wire.accept().await;
        upstream.head().await;
        upstream.until(b"some").await;
        let answer = caller.rest_text().await;
        assert!(answer.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{answer}");
        assert!(answer.contains("connection: close") && answer.contains("request-timeout"), "{answer}");
        let after = upstream.rest_text().await;
        assert!(matches!(after.as_str(), "" | "\r\n"), "{after:?}");
    }
}

#[tokio::test]
async fn an_upstream_that_pauses_within_its_body_is_given_up_and_the_caller_sees_a_broken_body() {
    let wire = Wire::listen().await;
    let mut settings = wire.settings();
    settings.upstream.body_idle_timeout = BRIEF;
    let proxy = start(settings).await;
    let call = tokio::spawn(try_got(proxy.request(Method::GET, "/v1/jobs")));
    let mut upstream = wire.accept().await;
    upstream.head().await;
    upstream.say("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nsome").await;
    assert!(soon(call).await.expect("a task").is_err());
    assert_eq!(upstream.rest().await, b"");
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_gets_no_request_at_all() {
    for (what, config) in tls::untrusted() {
        let wire = Wire::listen_tls().await;
        let proxy = start(wire.settings()).await;
        let call = proxy.begin(Method::POST, "/v1/jobs");
        let handshake = Wire::handshake(wire.accept_tcp().await, &config).await;
        assert!(handshake.is_err(), "{what}: nothing is encrypted for it");
        let got = soon(call).await.expect("a task");
        is(&got, StatusCode::BAD_GATEWAY, "upstream-tls", "tls_certificate_error");
    }
}

#[tokio::test]
async fn an_upstream_that_speaks_no_tls_gets_no_request() {
    let wire = Wire::listen_tls().await;
    let proxy = start(wire.settings()).await;
    let call = proxy.begin(Method::GET, "/v1/jobs");
    let mut upstream = wire.accept().await;
    upstream.say("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await;
    let heard = show(&upstream.rest().await);
    assert!(!heard.contains("GET /v1/jobs") && !heard.contains("Bearer"), "{heard}");
    assert_eq!(soon(call).await.expect("a task").problem(), "upstream-tls");
}

#[tokio::test]
async fn a_browser_gets_words_and_a_program_gets_json() {
    let wire = Wire::listen().await;
    let mut settings = wire.settings();
    settings.proxy.max_in_flight = 0;
    let proxy = start(settings).await;
    let page = got(proxy.request(Method::GET, "/v1/jobs").header("accept", "text/html,*/*")).await;
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(page.text().contains("not from Airbyte"), "{}", page.text());
    assert!(page.header("proxy-status").is_some());
}
