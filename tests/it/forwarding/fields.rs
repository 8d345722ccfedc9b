//! Headers, both ways.

use crate::harness::talk::Head;
use crate::harness::wire::Wire;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// What upstream is sent for a GET with these lines.
async fn sent(lines: &[u8]) -> Head {
    let wire = Wire::listen().await;
    let proxy = wire.daemon().await;
    let mut caller = proxy.talk().await;
    caller.say([b"GET /v1/tags HTTP/1.1\r\nhost: localhost\r\n", lines, b"\r\n"].concat()).await;
    let mut upstream = wire.accept().await;
    let head = upstream.head().await;
    upstream.say(OK).await;
    assert_eq!(caller.head().await.first_line(), "HTTP/1.1 200 OK");
    head
}

/// What the caller gets for an empty answer with these lines.
async fn answered(lines: &[u8]) -> Head {
    let wire = Wire::listen().await;
    let proxy = wire.daemon().await;
    let mut caller = proxy.ask("GET /v1/tags HTTP/1.1").await;
    let mut upstream = wire.accept().await;
    upstream.head().await;
    upstream.say([b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n", lines, b"\r\n"].concat()).await;
    caller.head().await
}

#[tokio::test]
async fn there_is_exactly_one_authorization_whatever_the_client_sends() {
    for lines in [
        "",
        "authorization: Bearer mine\r\n",
        "authorization: Bearer mine\r\nAuthorization: Basic dTpw\r\n",
        "authorization:\r\n",
        "authorization: \r\nAUTHORIZATION: Bearer a, Bearer b\r\n",
        "connection: authorization\r\n",
        "connection: close, Authorization\r\nauthorization: Bearer mine\r\n",
        "connection: host, via, user-agent\r\n",
        "proxy-authorization: Basic dTpw\r\nairbyte-proxy-key: k\r\n",
    ] {
        let head = sent(lines.as_bytes()).await;
        assert_eq!(head.all("authorization"), ["Bearer upstream-token-1"], "{lines}");
        assert_eq!(head.all("host").len(), 1, "{lines}");
        assert_eq!(head.all("via").len(), 1, "{lines}");
        for text in ["mine", "dTpw", "Bearer a"] {
            assert!(!head.text().contains(text), "{lines}: {}", head.text());
        }
    }
}

#[tokio::test]
async fn fields_of_one_hop_do_not_travel() {
    let lines = b"connection: close, X-Foo\r\nconnection: ,, x-bar ,\xe9, x-late\r\nx-foo: 1\r\nx-bar: 2\r\nx-late: 3\r\n\
        keep-alive: timeout=5\r\nte: trailers\r\ntrailer: x\r\nupgrade: h2c\r\nhttp2-settings: AAA\r\n\
        proxy-connection: keep-alive\r\nproxy-x: y\r\nx-stays: 4\r\n";
    let forward = sent(lines).await;
    let mut back = lines.to_vec();
    // An answer with `Connection: close` is sent once more: it only ends the connection.
    back.extend_from_slice(b"proxy-authenticate: Basic\r\n");
    let back = answered(&back).await;
    for head in [&forward, &back] {
        for name in [
            "x-foo",
            "x-bar",
            "x-late",
            "keep-alive",
            "te",
            "trailer",
            "upgrade",
            "http2-settings",
            "proxy-connection",
            "proxy-x",
            "proxy-authenticate",
        ] {
            assert!(head.all(name).is_empty(), "{name}: {}", head.text());
        }
        assert_eq!(head.all("x-stays"), ["4"]);
    }
    assert!(forward.all("connection").is_empty(), "{}", forward.text());
}

#[tokio::test]
async fn what_would_tell_about_the_caller_or_change_the_request_is_dropped() {
    let dropped = [
        "cookie",
        "origin",
        "referer",
        "sec-fetch-site",
        "sec-fetch-mode",
        "sec-fetch-dest",
        "forwarded",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-forwarded-anything",
        "x-real-ip",
        "x-client-ip",
        "airbyte-proxy-key",
        "access-control-request-headers",
        "x-http-method-override",
        "x-http-method",
        "x-method-override",
        "x-original-url",
        "x-rewrite-url",
        "x_forwarded_for",
        "x_http_method_override",
        "transfer_encoding",
    ];
    // Of those a browser sends, none that the guard would refuse the whole request for.
    let harmless = |name: &&&str| {
        !["origin", "sec-fetch-site", "sec-fetch-mode", "sec-fetch-dest"].contains(*name)
            && !name.starts_with("access-control-")
    };
    let lines: String = dropped.iter().filter(harmless).flat_map(|name| [name, ": x\r\n"]).collect();
    let head = sent(format!("{lines}sec-fetch-site: none\r\n").as_bytes()).await;
    for name in dropped {
        assert!(head.all(name).is_empty(), "{name}");
    }
}

#[tokio::test]
async fn everything_else_is_kept_in_order_and_byte_for_byte() {
    let lines = b"x-airbyte-analytic-source: sdk\r\naccept: */*\r\naccept-encoding: gzip, br\r\ncontent-language: de\r\n\
        x-many: 1\r\nx-other: a\r\nx-many: 2\r\nx-many: 3, 4\r\nx-many:\r\nx-many: 1\r\n\
        x-latin: caf\xe9 \xff\r\nif-none-match: W/\"a\", \"b\"\r\nrange: bytes=0-4\r\nprefer: respond-async\r\n\
        traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n";
    let there = sent(lines).await;
    let back = answered(lines).await;
    for head in [&there, &back] {
        assert_eq!(head.all("x-many"), ["1", "2", "3, 4", "", "1"]);
        assert_eq!(head.raw("x-latin"), [b"caf\xe9 \xff".to_vec()]);
        for (name, value) in [
            ("x-airbyte-analytic-source", "sdk"),
            ("accept-encoding", "gzip, br"),
            ("if-none-match", "W/\"a\", \"b\""),
            ("range", "bytes=0-4"),
            ("x-other", "a"),
            ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        ] {
            assert_eq!(head.all(name), [value], "{name}");
        }
    }
    assert!(sent(b"").await.all("accept-encoding").is_empty(), "none is added");
}

#[tokio::test]
async fn user_agent_is_the_clients_own_or_ours_if_it_has_none() {
    assert_eq!(sent(b"user-agent: curl/8\r\n").await.all("user-agent"), ["curl/8"]);
    let ours = sent(b"").await.all("user-agent");
    assert!(ours.len() == 1 && ours[0].starts_with("airbyte-proxy/"), "{ours:?}");
}

#[tokio::test]
async fn via_is_appended_after_those_already_there() {
    let via = sent(b"via: 1.0 fred, 1.1 p.example\r\nvia: 1.1 q\r\n").await.all("via");
    assert_eq!(&via[..2], ["1.0 fred, 1.1 p.example", "1.1 q"]);
    assert!(via.len() == 3 && via[2].starts_with("1.1 airbyte-proxy-"), "{via:?}");
}

#[tokio::test]
async fn a_length_said_twice_or_oddly_reaches_upstream_as_one_number() {
    for said in ["content-length: 3\r\ncontent-length: 3\r\n", "content-length: 003\r\n"] {
        let wire = Wire::listen().await;
        let proxy = wire.daemon().await;
        let mut caller = proxy.talk().await;
        caller.say(format!("POST /v1/jobs HTTP/1.1\r\nhost: localhost\r\n{said}\r\nabc")).await;
        let mut upstream = wire.accept().await;
        let head = upstream.head().await;
        assert_eq!(head.all("content-length"), ["3"], "{said}");
        assert_eq!(upstream.exactly(3).await, b"abc");
    }
}

#[tokio::test]
async fn a_body_that_is_framed_twice_reaches_upstream_framed_once() {
    let wire = Wire::listen().await;
    let proxy = wire.daemon().await;
    let mut caller = proxy.talk().await;
    let twice = "POST /v1/jobs HTTP/1.1\r\nhost: localhost\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n";
    caller.say(format!("{twice}5\r\nhello\r\n0\r\n\r\n")).await;
    let mut upstream = wire.accept().await;
    let head = upstream.head().await;
    assert_eq!(
        (head.all("content-length").len(), head.all("transfer-encoding")),
        (0, vec!["chunked".to_owned()])
    );
    assert_eq!(upstream.until(b"0\r\n\r\n").await, b"5\r\nhello\r\n0\r\n\r\n");
}

#[tokio::test]
async fn answers_cannot_act_on_the_callers_browser() {
    let head = answered(
        b"set-cookie: a=b\r\nset-cookie: c=d\r\naccess-control-allow-origin: *\r\nstrict-transport-security: max-age=1\r\n\
        alt-svc: h3=\":443\"\r\nclear-site-data: \"*\"\r\ncontent-security-policy: default-src *\r\nx-content-type-options: x\r\n",
    )
    .await;
    for name in [
        "set-cookie",
        "access-control-allow-origin",
        "strict-transport-security",
        "alt-svc",
        "clear-site-data",
    ] {
        assert!(head.all(name).is_empty(), "{name}");
    }
    assert_eq!(head.all("content-security-policy"), ["default-src 'none'; sandbox"]);
    assert_eq!(head.all("x-content-type-options"), ["nosniff"]);
    assert_eq!(head.all("cross-origin-resource-policy"), ["same-origin"]);
    assert_eq!(head.all("cache-control"), ["private"], "the caller's request carried no Authorization");
    assert!(head.all("proxy-status").is_empty(), "that marks our own answers only");
}

#[tokio::test]
async fn date_is_added_if_absent_and_left_alone_otherwise() {
    let added = answered(b"").await.all("date");
    assert!(added.len() == 1 && added[0].ends_with(" GMT"), "{added:?}");
    for date in ["Tue, 14 Nov 2023 22:13:20 GMT", "yesterday"] {
        assert_eq!(answered(format!("date: {date}\r\n").as_bytes()).await.all("date"), [date]);
    }
}
