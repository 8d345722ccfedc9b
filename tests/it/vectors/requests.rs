//! Requests with two readings: targets, methods, fields.

use super::Expect::{Closed, Local, NotHttp, Passes, PassesAndCloses, Refused, Silence};
use super::binary::stage;
use super::{Vector, try_all, with};

const GET: &str = "GET /v1/workspaces HTTP/1.1";
const INVALID: super::Expect = Refused(400, "invalid-request");

/// `GET TARGET`.
fn get(target: impl AsRef<[u8]>) -> Vec<u8> {
    [b"GET ", target.as_ref(), b" HTTP/1.1\r\nhost: localhost\r\n\r\n"].concat()
}

/// Targets that are no path, no path of ours, or two paths.
static AMBIGUOUS: &[&str] = &[
    "evil.example:80",
    "!",
    "*",
    "localhost:80",
    "ftp://localhost/v1/workspaces",
    "https://localhost/v1/workspaces",
    "http://evil.example/v1/workspaces",
    "http://localhost:81/v1/workspaces",
    "http://u@localhost/v1/workspaces",
    "http://localhost.evil.example/v1/workspaces",
    "/\\evil.example/",
    "/v1/a|b",
    "/v1/é",
    "/v1/[x]",
    "/v1/{x}",
    "/v1/../v1/workspaces",
    "/v1/workspaces/..",
    "/v1/./workspaces",
    "/v1/%2e%2e/workspaces",
    "/v1/.%2E/workspaces",
    "/v1/..;x/workspaces",
    "/v1/workspaces%2Fx",
    "/v1/workspaces%2f..%2fapplications",
    "/v1/a%5Cb",
    "/v1/a%00",
    "/v1/%zz",
    "/v1/%",
    "/v1/workspaces?a[b]=c",
    "/v1/workspaces?x=|",
    "/v1/workspaces?é",
    "/v1/\"x",
    "/v1/a^",
    "/-/../v1/workspaces",
];

#[tokio::test]
async fn targets_have_one_reading_or_none() {
    let stage = stage(&[]).await;
    let mut vectors: Vec<Vector<'_>> = Vec::new();
    for &target in AMBIGUOUS {
        vectors.push((target, get(target), INVALID));
    }
    for target in [
        "/a b",
        "@evil.example/",
        ".evil.example/",
        ":443@evil.example/",
        "/<x>",
        "/a\tb",
        "/a\x7f",
        "//",
        "",
    ] {
        let expect = if target == "//" { Refused(404, "unknown-path") } else { NotHttp(400) };
        vectors.push((target, get(target), expect));
    }
    vectors.push(("\\xff", get(b"/v1/\xff"), NotHttp(400)));
    for target in [
        "//evil.example/x",
        "///",
        "/v2/jobs",
        "/jobs",
        "/%761/jobs",
        "/V1/workspaces",
        "/api",
        "/v1x",
        "/metrics",
        "/api/v1/workspaces/list",
        "/v1workspaces",
        "/.git/config",
        "/-x",
        "/-",
    ] {
        vectors.push((target, get(target), Refused(404, "unknown-path")));
    }
    for (target, status) in [
        ("/v1/workspaces", 200),
        ("/v1/workspaces?", 200),
        ("/v1/workspaces?includeDeleted=%2F&a=b+c:@/?", 400),
        ("http://localhost/v1/workspaces", 200),
        ("HTTP://LOCALHOST:80/v1/workspaces", 200),
        ("/v1//workspaces", 404),
        ("/v1/%252e%252e", 404),
        ("/v1/workspaces;x=1", 404),
        ("/v1/%77orkspaces", 404),
        ("/v1/...", 404),
        // The parser drops a fragment before anybody can see it.
        ("/v1/workspaces#fragment", 200),
    ] {
        vectors.push((target, get(target), Passes(status)));
    }
    try_all(&stage, &vectors).await;
    let seen: Vec<_> = stage.airbyte.seen().into_iter().map(|seen| seen.target).collect();
    assert_eq!(
        seen,
        [
            "/v1/workspaces",
            "/v1/workspaces?",
            "/v1/workspaces?includeDeleted=%2F&a=b+c:@/?",
            "/v1/workspaces",
            "/v1/workspaces",
            "/v1//workspaces",
            "/v1/%252e%252e",
            "/v1/workspaces;x=1",
            "/v1/%77orkspaces",
            "/v1/...",
            "/v1/workspaces",
        ],
        "byte for byte"
    );
}

#[tokio::test]
async fn methods_that_are_no_requests_of_ours_go_nowhere() {
    let stage = stage(&[]).await;
    let long = format!("{} /v1/workspaces HTTP/1.1", "A".repeat(33));
    let fits = format!("{} /v1/workspaces HTTP/1.1", "A".repeat(32));
    let denied = Closed(405, "method-not-allowed");
    try_all(
        &stage,
        &[
            ("CONNECT", b"CONNECT localhost:443 HTTP/1.1\r\nhost: localhost:443\r\n\r\n".to_vec(), denied),
            (
                "CONNECT elsewhere",
                b"CONNECT evil.example:443 HTTP/1.1\r\nhost: localhost\r\n\r\n".to_vec(),
                denied,
            ),
            (
                "CONNECT without a port",
                b"CONNECT localhost HTTP/1.1\r\nhost: localhost\r\n\r\n".to_vec(),
                denied,
            ),
            ("CONNECT of a path", with("CONNECT /v1/workspaces HTTP/1.1", ""), denied),
            (
                "TRACE",
                with("TRACE /v1/workspaces HTTP/1.1", "authorization: Bearer canary\r\n"),
                Refused(405, "method-not-allowed"),
            ),
            ("TRACE of us", with("TRACE /-/ HTTP/1.1", ""), Refused(405, "method-not-allowed")),
            ("a long one", with(&long, ""), Refused(501, "method-too-long")),
            ("one that just fits", with(&fits, ""), Passes(405)),
            ("a small one", with("get /v1/workspaces HTTP/1.1", ""), Passes(405)),
            ("one with a space", with("GE T /v1/workspaces HTTP/1.1", ""), NotHttp(400)),
            ("OPTIONS *", with("OPTIONS * HTTP/1.1", ""), Local(204)),
            ("OPTIONS * as a URL", with("OPTIONS http://localhost HTTP/1.1", ""), Local(204)),
            ("GET *", with("GET * HTTP/1.1", ""), INVALID),
            ("OPTIONS, last hop", with("OPTIONS /v1/workspaces HTTP/1.1", "max-forwards: 0\r\n"), Local(204)),
            (
                "OPTIONS, hops that are none",
                with("OPTIONS /v1/workspaces HTTP/1.1", "max-forwards: -1\r\n"),
                INVALID,
            ),
            (
                "OPTIONS, two hop counts",
                with("OPTIONS /v1/workspaces HTTP/1.1", "max-forwards: 1\r\nmax-forwards: 1\r\n"),
                INVALID,
            ),
            ("GET with a last hop, which is nothing", with(GET, "max-forwards: 0\r\n"), Passes(200)),
        ],
    )
    .await;
}

#[tokio::test]
async fn hop_counts_go_down_by_one() {
    let stage = stage(&[]).await;
    let options = with("OPTIONS /v1/workspaces HTTP/1.1", "max-forwards: 5\r\n");
    try_all(&stage, &[("five hops", options, Passes(405))]).await;
    let seen = stage.airbyte.seen();
    assert_eq!(seen.last().map(|seen| &seen.headers["max-forwards"]), Some(&"4".parse().expect("a value")));
}

#[tokio::test]
async fn heads_that_are_not_http_get_an_empty_answer_and_the_door() {
    let stage = stage(&[]).await;
    let lines = |lines: &[u8]| with(GET, lines);
    let hello = b"\x16\x03\x01\x00\xc8\x01\x00\x00\xc4\x03\x03abcdefghijklmnopqrstuvwxyz012345\x20\r\n\r\n";
    try_all(
        &stage,
        &[
            ("a TLS handshake", hello.to_vec(), NotHttp(400)),
            ("an HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), Silence),
            ("HTTP/0.9", b"GET /v1/workspaces\r\n\r\n".to_vec(), NotHttp(400)),
            ("HTTP/1.2", with("GET /v1/workspaces HTTP/1.2", ""), NotHttp(400)),
            ("HTTP/2.0", with("GET /v1/workspaces HTTP/2.0", ""), NotHttp(400)),
            ("a version that is none", with("GET /v1/workspaces HTTP/1.1x", ""), NotHttp(400)),
            ("two spaces", with("GET  /v1/workspaces HTTP/1.1", ""), NotHttp(400)),
            ("SSH", b"SSH-2.0-OpenSSH_9.2\r\n\r\n".to_vec(), NotHttp(400)),
            ("a folded line", lines(b"x: a\r\n b\r\n"), NotHttp(400)),
            ("space before the colon", lines(b"x : a\r\n"), NotHttp(400)),
            (
                "space before the first line",
                b"GET /v1/workspaces HTTP/1.1\r\n host: localhost\r\n\r\n".to_vec(),
                NotHttp(400),
            ),
            ("a line without a colon", lines(b"x\r\n"), NotHttp(400)),
            ("no name", lines(b": a\r\n"), NotHttp(400)),
            ("a name that is none", lines(b"x(y): a\r\n"), NotHttp(400)),
            ("a name that is no ASCII", lines(b"x\xe9: a\r\n"), NotHttp(400)),
            ("NUL in a value", lines(b"x: a\0b\r\n"), NotHttp(400)),
            ("a control in a value", lines(b"x: a\x01b\r\n"), NotHttp(400)),
            ("a bare CR in a value", lines(b"x: a\rb\r\n"), NotHttp(400)),
            ("an empty line first", [b"\r\n".as_slice(), &lines(b"")].concat(), Passes(200)),
            ("bare LF", b"GET /v1/workspaces HTTP/1.1\nhost: localhost\n\n".to_vec(), Passes(200)),
            ("a value beyond ASCII", lines(b"x: \xe9\r\n"), Passes(200)),
            ("HTTP/1.0", with("GET /v1/workspaces HTTP/1.0", ""), PassesAndCloses(200)),
            (
                "HTTP/1.0 that would stay",
                with("GET /v1/workspaces HTTP/1.0", "connection: keep-alive\r\n"),
                PassesAndCloses(200),
            ),
            ("close", lines(b"connection: close\r\n"), PassesAndCloses(200)),
            ("close among others", lines(b"connection: ,, close,x\r\n"), PassesAndCloses(200)),
        ],
    )
    .await;
    let seen = stage.airbyte.seen();
    assert!(seen.iter().any(|seen| seen.headers.get("x").is_some_and(|x| x.as_bytes() == b"\xe9")));
}

#[tokio::test]
async fn wishes_that_cannot_be_granted_are_refused_or_ignored() {
    let stage = stage(&[]).await;
    let get = |lines: &str| with(GET, lines);
    let websocket = Refused(501, "upgrade-refused");
    try_all(&stage, &[
        ("a websocket", get("connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n"), websocket),
        ("a websocket among others", get("connection: Upgrade\r\nupgrade: h2c, WebSocket/13\r\n"), websocket),
        ("h2c", get("connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n"), Passes(200)),
        ("TLS", get("connection: Upgrade\r\nupgrade: TLS/1.3\r\n"), Passes(200)),
        ("an expectation nobody knows", get("expect: foo\r\n"), Refused(417, "expectation-failed")),
        ("two expectations", get("expect: 100-continue, foo\r\n"), Refused(417, "expectation-failed")),
        ("an override", get("x-http-method-override: DELETE\r\nx-original-url: /v1/applications\r\nx-rewrite-url: /v1/x\r\n"), Passes(200)),
        ("imitations", get("content_length: 5\r\ntransfer_encoding: chunked\r\nproxy_authorization: x\r\nx_forwarded_for: 1\r\n"), Passes(200)),
        ("a token in the query", with("GET /v1/workspaces?access_token=x HTTP/1.1", ""), Passes(200)),
    ]).await;
    for seen in stage.airbyte.seen() {
        for name in [
            "upgrade",
            "connection",
            "http2-settings",
            "x-http-method-override",
            "x-original-url",
            "x-rewrite-url",
            "content_length",
            "transfer_encoding",
            "proxy_authorization",
            "x_forwarded_for",
        ] {
            assert!(!seen.headers.contains_key(name), "{name}: {seen:?}");
        }
    }
}

/// Bytes after a refusal belong to the refused request, or to nobody.
/// What clients do that send first and look later: most that are not curl.
#[tokio::test]
async fn the_log_repeats_nothing_that_could_be_a_secret() {
    let stage = stage(&[("AIRBYTE_PROXY_LOG_LEVEL", "debug")]).await;
    let lines =
        "authorization: Bearer canary\r\ncookie: a=canary\r\nairbyte-proxy-key: canary\r\nx: canary\r\n";
    let body = "{\"client_secret\": \"canary\"}";
    let post = |path: &str| {
        let length = body.len();
        let head =
            with(&format!("POST {path}?q=canary HTTP/1.1"), format!("{lines}content-length: {length}\r\n"));
        [head, body.as_bytes().to_vec()].concat()
    };
    let foreign = with("GET /v1/jobs?q=canary HTTP/1.1", format!("{lines}origin: http://evil.example\r\n"));
    try_all(
        &stage,
        &[
            ("passed on", post("/v1/jobs"), Passes(400)),
            ("answered here", post("/v1/applications/token"), Local(200)),
            ("refused", foreign, Refused(403, "origin-not-allowed")),
            ("unknown", post("/nothing"), Closed(404, "unknown-path")),
            ("not HTTP", with(GET, "canary : canary\r\n"), NotHttp(400)),
        ],
    )
    .await;
    let log = stage.proxy.log().await;
    assert!(log.len() >= 5, "{log:?}");
    let secret = stage.airbyte.credentials().client_secret.expose().to_owned();
    let tokens = stage.airbyte.tokens();
    let secrets = tokens.iter().map(airbyte_proxy::secret::Secret::expose).chain(["canary", &secret]);
    for secret in secrets {
        assert!(!log.iter().any(|line| line.contains(secret)), "{log:?}");
    }
}
