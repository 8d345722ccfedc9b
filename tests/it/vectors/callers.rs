//! Host names and origins: who is asking, and under which name.

use super::Expect::{Closed, Local, NotHttp, Passes, Refused};
use super::binary::stage;
use super::{Vector, try_all, with};

const GET: &str = "GET /v1/workspaces HTTP/1.1";

/// A GET whose lines are just these.
fn raw(lines: &[u8]) -> Vec<u8> {
    [GET.as_bytes(), b"\r\n", lines, b"\r\n"].concat()
}

fn host(value: &[u8]) -> Vec<u8> {
    raw(&[b"Host: ", value, b"\r\n"].concat())
}

/// Names of this machine.
static OURS: &[&str] = &[
    "localhost",
    "localhost:8080",
    "LOCALHOST",
    "LocalHost:1",
    "127.0.0.1",
    "127.0.0.1:65535",
    "[::1]",
    "[::1]:9",
    "[0:0:0:0:0:0:0:1]",
    " localhost\t",
];

/// Hosts that are well-formed and none of ours.
static NOT_OURS: &[&str] = &[
    "127.0.0.1.nip.io",
    "localhost.evil.example",
    "evil.example",
    "evil.example:8484",
    "0.0.0.0",
    "0.0.0.0:8080",
    "[::]",
    "[::ffff:127.0.0.1]",
    "foo.localhost",
    "127.1",
    "2130706433",
    "0x7f.1",
    "127.0.0.01",
    "127.0.0.2",
    "localhost-",
    ".localhost",
    "-localhost",
    "xn--localhost-",
    "localhosts",
    "host.docker.internal",
    "host.containers.internal",
    "metadata.google.internal",
    "169.254.169.254",
    "[fe80::1]",
    "[::2]",
];

/// What is no host and port.
static NO_HOSTS: &[&str] = &[
    "",
    ":",
    ":80",
    "localhost.",
    "localhost.:80",
    "127.0.0.1.",
    "a,b",
    "localhost,localhost",
    "a/b",
    "localhost/",
    "localhost\\x",
    "u@localhost",
    "u:p@localhost",
    "localhost@evil.example",
    "local host",
    "localhost\tx",
    "localhost:",
    "localhost:0",
    "localhost:0080",
    "localhost:65536",
    "localhost:99999999999999999999",
    "localhost:-1",
    "localhost:+80",
    "localhost:8 0",
    "localhost:80:80",
    "localhost%00",
    "%6cocalhost",
    "[::1",
    "::1",
    "[::1]x",
    "[::1%25lo]",
    "[::1%lo]",
    "[]",
    "[127.0.0.1]",
    "[v1.x]",
    "[[::1]]",
    "*",
    "localhost?x",
    "localhost#x",
    "loc\"alhost",
    "<localhost>",
    "http://localhost",
    ".",
    "..",
];

#[tokio::test]
async fn only_names_of_this_machine_are_answered_to() {
    let stage = stage(&[]).await;
    let mut vectors: Vec<Vector<'_>> = Vec::new();
    for &name in OURS {
        vectors.push((name, host(name.as_bytes()), Passes(200)));
    }
    for &name in NOT_OURS {
        vectors.push((name, host(name.as_bytes()), Refused(403, "host-not-allowed")));
    }
    let long = "a".repeat(254);
    let label = format!("localhost.{}", "a.".repeat(200));
    for name in NO_HOSTS.iter().copied().chain([&*long, &*label]) {
        vectors.push((name, host(name.as_bytes()), Refused(400, "host-invalid")));
    }
    for (name, value) in [
        ("\\xff", b"\xff".as_slice()),
        ("é", "localhosté".as_bytes()),
        ("fullwidth", "ｌｏｃａｌｈｏｓｔ".as_bytes()),
    ] {
        vectors.push((name, host(value), Refused(400, "host-invalid")));
    }
    for (name, value) in
        [("NUL", b"local\0host".as_slice()), ("bare CR", b"localhost\rx"), ("DEL", b"localhost\x7f")]
    {
        vectors.push((name, host(value), NotHttp(400)));
    }
    try_all(&stage, &vectors).await;
}

#[tokio::test]
async fn there_is_exactly_one_host_whatever_the_version() {
    let stage = stage(&[]).await;
    let get = |lines: &str| raw(lines.as_bytes());
    try_all(
        &stage,
        &[
            ("none", get(""), Refused(400, "host-invalid")),
            ("two", get("Host: localhost\r\nHost: localhost\r\n"), Refused(400, "host-invalid")),
            (
                "two that differ",
                get("Host: localhost\r\nHost: evil.example\r\n"),
                Refused(400, "host-invalid"),
            ),
            ("two, one empty", get("Host:\r\nhost: localhost\r\n"), Refused(400, "host-invalid")),
            ("none, but forwarded", get("X-Forwarded-Host: localhost\r\n"), Refused(400, "host-invalid")),
            (
                "none, in HTTP/1.0",
                b"GET /v1/workspaces HTTP/1.0\r\n\r\n".to_vec(),
                Closed(400, "host-invalid"),
            ),
            (
                "foreign, though forwarded",
                get("Host: evil.example\r\nX-Forwarded-Host: localhost\r\n"),
                Refused(403, "host-not-allowed"),
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn pages_of_other_origins_reach_nothing() {
    let stage = stage(&[]).await;
    let foreign = Refused(403, "origin-not-allowed");
    let last = Closed(403, "origin-not-allowed");
    let get = |lines: &str| with(GET, lines);
    let post = |lines: &str| {
        [with("POST /v1/jobs HTTP/1.1", format!("content-length: 2\r\n{lines}")), b"{}".to_vec()].concat()
    };
    let mut vectors: Vec<Vector<'_>> = Vec::new();
    for origin in [
        "null",
        "NULL",
        "http://localhost:3000",
        "http://evil.example",
        "http://localhost.evil.example",
        "https://localhost",
        "http://localhost:80@evil.example",
        "http://localhost/",
        "http://127.0.0.1",
        "http://[::1]",
        "http://foo.localhost",
        "localhost",
        "",
        "http://",
        "file://",
        "chrome-extension://abcdef",
        "http://localhost http://evil.example",
    ] {
        vectors.push((origin, get(&format!("origin: {origin}\r\n")), foreign));
        vectors.push((origin, post(&format!("origin: {origin}\r\n")), last));
    }
    vectors.extend([
        ("two origins", get("origin: http://localhost\r\norigin: http://localhost\r\n"), foreign),
        ("an origin that is no text", with(GET, b"origin: http://localhost\xff\r\n"), foreign),
        ("cross-site", get("sec-fetch-site: cross-site\r\n"), foreign),
        ("same-site", get("sec-fetch-site: same-site\r\n"), foreign),
        ("a site nobody knows", get("sec-fetch-site: Same-Origin\r\n"), foreign),
        ("two sites", get("sec-fetch-site: same-origin\r\nsec-fetch-site: none\r\n"), foreign),
        ("cross-site of our own origin", get("origin: http://localhost\r\nsec-fetch-site: cross-site\r\n"), foreign),
        ("an image", get("sec-fetch-site: cross-site\r\nsec-fetch-mode: no-cors\r\nsec-fetch-dest: image\r\n"), foreign),
        ("a script", get("sec-fetch-site: cross-site\r\nsec-fetch-mode: no-cors\r\nsec-fetch-dest: script\r\n"), foreign),
        ("a frame", get("sec-fetch-site: cross-site\r\nsec-fetch-mode: navigate\r\nsec-fetch-dest: iframe\r\n"), foreign),
        ("a link to the API", get("sec-fetch-site: cross-site\r\nsec-fetch-mode: navigate\r\nsec-fetch-dest: document\r\n"), foreign),
        ("a form", post("content-type: text/plain\r\norigin: http://evil.example\r\nsec-fetch-site: cross-site\r\nsec-fetch-mode: navigate\r\nsec-fetch-dest: document\r\n"), last),
        ("a link to a page", with("GET /-/ HTTP/1.1", "sec-fetch-site: cross-site\r\nsec-fetch-mode: navigate\r\nsec-fetch-dest: document\r\n"), Local(200)),
        ("a link to a part of a page", with("GET /-/assets/status.js HTTP/1.1", "sec-fetch-site: cross-site\r\nsec-fetch-mode: navigate\r\nsec-fetch-dest: document\r\n"), foreign),
        ("a script of ours", with("GET /-/assets/status.js HTTP/1.1", "sec-fetch-site: cross-site\r\nsec-fetch-mode: no-cors\r\nsec-fetch-dest: script\r\n"), foreign),
        ("our events", with("GET /-/events HTTP/1.1", "origin: http://evil.example\r\nsec-fetch-site: cross-site\r\n"), foreign),
        ("our document", with("GET /-/openapi.json HTTP/1.1", "origin: http://evil.example\r\nsec-fetch-site: cross-site\r\n"), foreign),
        ("our document, on this machine", with("GET /-/openapi.json HTTP/1.1", "sec-fetch-site: same-site\r\n"), foreign),
        ("a frame of a page", with("GET /-/ HTTP/1.1", "sec-fetch-site: cross-site\r\nsec-fetch-mode: navigate\r\nsec-fetch-dest: iframe\r\n"), foreign),
        ("a fetch of a page", with("GET /-/ HTTP/1.1", "sec-fetch-site: cross-site\r\nsec-fetch-mode: no-cors\r\n"), foreign),
        ("a fetch of readiness", with("GET /-/ready HTTP/1.1", "sec-fetch-site: cross-site\r\n"), foreign),
        ("a link to readiness", with("GET /-/ready HTTP/1.1", "sec-fetch-site: cross-site\r\nsec-fetch-mode: navigate\r\nsec-fetch-dest: document\r\n"), foreign),
        ("a form to a page", with("POST /-/ HTTP/1.1", "content-length: 0\r\norigin: http://evil.example\r\nsec-fetch-site: cross-site\r\nsec-fetch-mode: navigate\r\nsec-fetch-dest: document\r\n"), foreign),
        ("a token path", with("POST /v1/applications/token HTTP/1.1", "content-length: 0\r\norigin: http://evil.example\r\n"), foreign),
        ("a path that does not exist", with("GET /nothing HTTP/1.1", "origin: http://evil.example\r\n"), foreign),
        ("a preflight", with("OPTIONS /v1/jobs HTTP/1.1", "origin: http://evil.example\r\naccess-control-request-method: POST\r\naccess-control-request-headers: content-type\r\n"), foreign),
        ("a preflight without origin", with("OPTIONS /v1/jobs HTTP/1.1", "access-control-request-method: POST\r\n"), foreign),
        ("a preflight to a private network", with("OPTIONS /v1/jobs HTTP/1.1", "origin: https://evil.example\r\naccess-control-request-method: GET\r\naccess-control-request-private-network: true\r\n"), foreign),
        ("a websocket", get("origin: http://evil.example\r\nconnection: Upgrade\r\nupgrade: websocket\r\n"), foreign),
        ("the address bar", get("sec-fetch-site: none\r\nsec-fetch-mode: navigate\r\nsec-fetch-dest: document\r\n"), Passes(200)),
        ("our own page", get("origin: http://localhost\r\nsec-fetch-site: same-origin\r\n"), Passes(200)),
        ("our own page, without origin", get("sec-fetch-site: same-origin\r\nsec-fetch-mode: cors\r\nsec-fetch-dest: empty\r\n"), Passes(200)),
        ("our own page, at its port", [GET.as_bytes(), b"\r\nhost: 127.0.0.1:8484\r\norigin: http://127.0.0.1:8484\r\nsec-fetch-site: same-origin\r\n\r\n"].concat(), Passes(200)),
        ("a page at another port of ours", [GET.as_bytes(), b"\r\nhost: 127.0.0.1:8484\r\norigin: http://127.0.0.1:8485\r\n\r\n"].concat(), foreign),
        ("no browser", get("user-agent: curl/8\r\nreferer: http://evil.example/\r\ncookie: a=b\r\n"), Passes(200)),
    ]);
    try_all(&stage, &vectors).await;
    // What upstream would set or say to a browser, and what a browser said to us.
    for seen in stage.airbyte.seen() {
        for name in ["origin", "referer", "cookie", "sec-fetch-site", "sec-fetch-mode", "sec-fetch-dest"] {
            assert!(!seen.headers.contains_key(name), "{name}: {seen:?}");
        }
    }
}

#[tokio::test]
async fn a_rebound_name_is_refused_whatever_else_fits() {
    let stage = stage(&[]).await;
    let lines =
        b"Host: evil.example:8484\r\norigin: http://evil.example:8484\r\nsec-fetch-site: same-origin\r\n";
    let refused = Refused(403, "host-not-allowed");
    let rebound = |line: &str| [line.as_bytes(), b"\r\n", lines, b"\r\n"].concat();
    try_all(&stage, &[
        ("a read", rebound("GET /v1/workspaces HTTP/1.1"), refused),
        ("our own page", rebound("GET /-/ HTTP/1.1"), refused),
        ("readiness", rebound("GET /-/ready HTTP/1.1"), refused),
        ("a token path", rebound("POST /v1/applications/token HTTP/1.1"), refused),
        ("the proxy itself", rebound("OPTIONS * HTTP/1.1"), refused),
        ("nothing", rebound("GET /nothing HTTP/1.1"), refused),
        ("a navigation", [b"GET / HTTP/1.1\r\nHost: evil.example\r\nsec-fetch-site: cross-site\r\nsec-fetch-mode: navigate\r\nsec-fetch-dest: document\r\n\r\n".as_slice()].concat(), refused),
        ("a whole URL", b"GET http://evil.example/v1/workspaces HTTP/1.1\r\nHost: evil.example\r\n\r\n".to_vec(), refused),
    ]).await;
}
