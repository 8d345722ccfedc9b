//! Statuses, lengths, codings, as upstream sent them.

use crate::harness::talk::{Head, show};
use crate::harness::wire::Wire;

/// What the caller gets, to the end of the connection, for `request` and `answer`.
async fn relayed(request: &str, answer: &[u8]) -> (Head, Vec<u8>) {
    let wire = Wire::listen().await;
    let proxy = wire.daemon().await;
    let mut caller = proxy.ask(&format!("{request}\r\nconnection: close")).await;
    let mut upstream = wire.accept().await;
    upstream.head().await;
    upstream.say(answer).await;
    drop(upstream);
    (caller.head().await, caller.rest().await)
}

#[tokio::test]
async fn answers_without_content_have_none() {
    for (request, answer, length) in [
        ("HEAD /v1/jobs HTTP/1.1", "200 OK\r\ncontent-length: 1234", Some("1234")),
        ("HEAD /v1/jobs HTTP/1.1", "200 OK\r\ntransfer-encoding: chunked", None),
        ("GET /v1/jobs HTTP/1.1", "204 No Content", None),
        ("DELETE /v1/jobs/1 HTTP/1.1", "204 No Content\r\ncontent-length: 0", None),
        // RFC 9110 §8.6 allows a length here; hyper's server leaves it out.
        ("GET /v1/jobs HTTP/1.1", "304 Not Modified\r\netag: \"x\"\r\ncontent-length: 1234", None),
        ("GET /v1/jobs HTTP/1.1", "304 Not Modified\r\netag: \"x\"", None),
        ("POST /v1/jobs HTTP/1.1\r\ncontent-length: 0", "205 Reset Content\r\ncontent-length: 0", Some("0")),
    ] {
        let (head, body) = relayed(request, format!("HTTP/1.1 {answer}\r\n\r\n").as_bytes()).await;
        let status = answer.lines().next().expect("a status");
        assert_eq!(head.first_line(), format!("HTTP/1.1 {status}"), "{answer}");
        assert_eq!(
            head.all("content-length").first().map(String::as_str),
            length,
            "{answer}: {}",
            head.text()
        );
        assert_eq!(show(&body), "", "{answer}");
    }
}

#[tokio::test]
async fn content_that_must_not_be_there_is_no_answer_to_the_next_request() {
    for (request, answer) in [
        ("HEAD /v1/jobs HTTP/1.1", "200 OK\r\ncontent-length: 5"),
        ("GET /v1/jobs HTTP/1.1", "204 No Content\r\ncontent-length: 5"),
        ("GET /v1/jobs HTTP/1.1", "304 Not Modified\r\ncontent-length: 5"),
    ] {
        let wire = Wire::listen().await;
        let proxy = wire.daemon().await;
        let mut caller = proxy.ask(request).await;
        let mut upstream = wire.accept().await;
        upstream.head().await;
        upstream.say(format!("HTTP/1.1 {answer}\r\n\r\nstray")).await;
        caller.head().await;
        let mut next = proxy.ask("GET /v1/next HTTP/1.1").await;
        let mut second = wire.accept().await;
        assert_eq!(second.head().await.first_line(), "GET /v1/next HTTP/1.1", "{answer}");
        second.say("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nnext").await;
        next.head().await;
        assert_eq!(next.exactly(4).await, b"next");
    }
}

#[tokio::test]
async fn partial_and_conditional_answers_are_upstreams_own() {
    for answer in [
        "206 Partial Content\r\ncontent-range: bytes 0-4/100\r\ncontent-length: 5\r\n\r\nhello",
        "206 Partial Content\r\ncontent-type: multipart/byteranges; boundary=x\r\ncontent-length: 5\r\n\r\n--x--",
        "416 Range Not Satisfiable\r\ncontent-range: bytes */100\r\ncontent-length: 0\r\n\r\n",
        "412 Precondition Failed\r\ncontent-length: 0\r\n\r\n",
        "429 Too Many Requests\r\nretry-after: 7\r\ncontent-length: 4\r\n\r\nslow",
        "401 Unauthorized\r\nwww-authenticate: Bearer realm=\"a\", error=\"invalid_token\"\r\nwww-authenticate: Basic\r\ncontent-length: 5\r\n\r\n{\"a\"}",
        "599 Odd\r\ncontent-length: 1\r\n\r\nx",
        "200 Everything is fine\r\ncontent-length: 0\r\n\r\n",
    ] {
        let (head, body) =
            relayed("GET /v1/jobs HTTP/1.1\r\nrange: bytes=0-4", format!("HTTP/1.1 {answer}").as_bytes())
                .await;
        let (said, content) = answer.split_once("\r\n\r\n").expect("a head");
        assert_eq!(show(&body), content);
        let mut lines = said.lines();
        assert_eq!(head.first_line(), format!("HTTP/1.1 {}", lines.next().expect("a status")));
        for line in lines {
            let (name, value) = line.split_once(": ").expect("a field");
            assert!(head.all(name).contains(&value.to_owned()), "{line}: {}", head.text());
        }
    }
}

#[tokio::test]
async fn encoded_content_is_passed_on_undecoded_with_its_fields() {
    // No coding produced these bytes: whoever tried to decode them would fail.
    let bytes: Vec<u8> = (0..=255).cycle().take(70_000).collect();
    for coding in ["gzip", "br", "zstd", "gzip, br"] {
        let fields = format!(
            "content-encoding: {coding}\r\netag: \"e\"\r\ncontent-md5: bWQ1\r\ndigest: sha-256=x\r\ncache-control: no-transform\r\n"
        );
        let head = format!("HTTP/1.1 200 OK\r\n{fields}content-length: {}\r\n\r\n", bytes.len());
        let request = "GET /v1/x HTTP/1.1\r\naccept-encoding: gzip, br, zstd";
        let (head, body) = relayed(request, &[head.as_bytes(), &bytes].concat()).await;
        assert!(body == bytes, "{coding}");
        for line in fields.lines().chain([format!("content-length: {}", bytes.len()).as_str()]) {
            let (name, value) = line.split_once(": ").expect("a field");
            assert_eq!(head.all(name), [value], "{coding}");
        }
    }
}

#[tokio::test]
async fn an_answer_that_ends_with_its_connection_is_whole() {
    let (head, body) = relayed("GET /v1/x HTTP/1.1", b"HTTP/1.1 200 OK\r\n\r\nall of it").await;
    assert_eq!(head.all("transfer-encoding"), ["chunked"]);
    assert_eq!(show(&body), "9\r\nall of it\r\n0\r\n\r\n");
    let (_, body) = relayed("GET /v1/x HTTP/1.1", b"HTTP/1.0 200 OK\r\n\r\nold").await;
    assert_eq!(show(&body), "3\r\nold\r\n0\r\n\r\n");
}

#[tokio::test]
async fn an_answer_that_is_framed_twice_is_framed_once_for_the_caller() {
    let answer =
        b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    let (head, body) = relayed("GET /v1/x HTTP/1.1", answer).await;
    assert!(head.all("content-length").is_empty(), "{}", head.text());
    assert_eq!(show(&body), "5\r\nhello\r\n0\r\n\r\n");
}

#[tokio::test]
async fn a_length_said_twice_reaches_the_caller_once() {
    for said in ["content-length: 2\r\ncontent-length: 2", "content-length: 2, 2", "content-length: 002"] {
        let (head, body) =
            relayed("GET /v1/x HTTP/1.1", format!("HTTP/1.1 200 OK\r\n{said}\r\n\r\nok").as_bytes()).await;
        assert_eq!(
            (head.all("content-length"), show(&body)),
            (vec!["2".to_owned()], "ok".to_owned()),
            "{said}"
        );
    }
}

#[tokio::test]
async fn trailers_of_an_answer_are_dropped() {
    let answer = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum, set-cookie\r\n\r\n\
        2\r\nok\r\n0\r\nx-sum: 1\r\nset-cookie: a=b\r\ncontent-length: 9\r\n\r\n";
    let (head, body) = relayed("GET /v1/x HTTP/1.1\r\nte: trailers", answer.as_bytes()).await;
    assert_eq!(show(&body), "2\r\nok\r\n0\r\n\r\n");
    assert!(!head.text().contains("x-sum") && !head.text().contains("set-cookie"), "{}", head.text());
}

#[tokio::test]
async fn an_http_1_0_client_gets_an_answer_without_chunks() {
    for framing in
        ["content-length: 5\r\n\r\nhello", "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"]
    {
        let wire = Wire::listen().await;
        let proxy = wire.daemon().await;
        let mut caller = proxy.ask("GET /v1/x HTTP/1.0").await;
        let mut upstream = wire.accept().await;
        let head = upstream.head().await;
        assert_eq!(head.first_line(), "GET /v1/x HTTP/1.1", "our own version");
        assert!(head.all("via")[0].starts_with("1.0 "), "{:?}", head.all("via"));
        upstream.say(format!("HTTP/1.1 200 OK\r\n{framing}")).await;
        let head = caller.head().await;
        assert!(head.all("transfer-encoding").is_empty(), "{}", head.text());
        assert_eq!(show(&caller.rest().await), "hello");
    }
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let wire = Wire::listen().await;
    let proxy = wire.daemon().await;
    let mut caller = proxy.talk().await;
    let request = |n| format!("GET /v1/{n} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    caller.say((1..=4).map(request).collect::<String>()).await;
    let mut upstream = wire.accept().await;
    for n in 1..=4 {
        assert_eq!(upstream.head().await.first_line(), format!("GET /v1/{n} HTTP/1.1"));
        upstream.say(format!("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n{n}")).await;
        caller.head().await;
        assert_eq!(show(&caller.exactly(1).await), n.to_string());
    }
}
