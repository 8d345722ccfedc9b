//! How a body that passes is framed on its way to upstream: once.

use super::binary::Binary;
use super::with;
use crate::harness::wire::Wire;

/// What upstream is sent for a POST with these lines and this body, and how long the caller's connection lives.
async fn sent(lines: &str, body: &str) -> (Vec<String>, Vec<String>, String) {
    let wire = Wire::listen().await;
    let token_url = wire.tokens.token_url();
    let api_url = format!("http://localhost:{}/v1", wire.addr.port());
    let settings = [("AIRBYTE_PROXY_TOKEN_URL", token_url.as_str())];
    let proxy = Binary::start(&api_url, "id-of-an-application", "its-secret", &settings).await;
    // The binary connects before anybody asks, and this is the connection that it then uses.
    let mut upstream = wire.accept().await;
    let mut caller = proxy.talk().await;
    caller.say([with("POST /v1/jobs HTTP/1.1", lines), body.as_bytes().to_vec()].concat()).await;
    let head = upstream.head().await;
    let (length, coding) = (head.all("content-length"), head.all("transfer-encoding"));
    let body = match length.first() {
        Some(length) => upstream.exactly(length.parse().expect("a number")).await,
        None => upstream.until(b"0\r\n\r\n").await,
    };
    upstream.say("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    assert_eq!(caller.head().await.first_line(), "HTTP/1.1 200 OK");
    (length, coding, String::from_utf8_lossy(&body).into_owned())
}

#[tokio::test]
async fn a_body_has_one_framing_whatever_the_client_said() {
    let chunks = "2;a=b\r\n{}\r\n00\r\nauthorization: Bearer x\r\ncontent-length: 9\r\n\r\n";
    for (lines, body, length) in [
        ("content-length: 2\r\n", "{}", Some("2")),
        ("content-length: 2\r\ncontent-length: 2\r\n", "{}", Some("2")),
        ("content-length: 0002\r\n", "{}", Some("2")),
        ("transfer-encoding: chunked\r\n", chunks, None),
        ("content-length: 2\r\ntransfer-encoding: chunked\r\n", chunks, None),
        ("transfer-encoding: chunked\r\ncontent-length: 99\r\n", chunks, None),
        ("connection: transfer-encoding\r\ntransfer-encoding: chunked\r\n", chunks, None),
        ("connection: content-length\r\ncontent-length: 2\r\n", "{}", Some("2")),
    ] {
        let (lengths, codings, sent) = sent(lines, body).await;
        match length {
            Some(length) => {
                assert_eq!((lengths, codings.len(), &*sent), (vec![length.to_owned()], 0, "{}"), "{lines}");
            }
            // No extension and no trailer travels.
            None => assert_eq!(
                (lengths.len(), codings, &*sent),
                (0, vec!["chunked".to_owned()], "2\r\n{}\r\n0\r\n\r\n"),
                "{lines}"
            ),
        }
    }
}
