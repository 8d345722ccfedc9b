//! Where a body ends, and what becomes of one that nobody wants.

use super::Expect::{Broken, Closed, NotHttp, Passes, PassesAndCloses};
use super::binary::stage;
use super::{answer, try_all, with};

const GET: &str = "GET /v1/workspaces HTTP/1.1";

#[tokio::test]
async fn bodies_whose_end_is_in_doubt_are_refused_and_the_connection_closed() {
    let stage = stage(&[]).await;
    let post =
        |lines: &str, body: &str| [with("POST /v1/jobs HTTP/1.1", lines), body.as_bytes().to_vec()].concat();
    let chunks = "2\r\n{}\r\n0\r\n\r\n";
    let te = |value: &str| post(&format!("transfer-encoding: {value}\r\n"), chunks);
    let ambiguous = Closed(400, "invalid-request");
    let unknown = Closed(501, "unsupported-transfer-coding");
    try_all(
        &stage,
        &[
            ("chunked", te("chunked"), Passes(400)),
            ("chunked in capitals", te("Chunked"), Passes(400)),
            ("chunked twice", te("chunked, chunked"), ambiguous),
            (
                "chunked on two lines",
                post("transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n", chunks),
                ambiguous,
            ),
            ("an empty element", te(", chunked"), ambiguous),
            ("gzip, chunked", te("gzip, chunked"), unknown),
            ("identity, chunked", te("identity, chunked"), unknown),
            ("chunked that is not last", te("chunked, gzip"), NotHttp(400)),
            ("gzip alone", te("gzip"), NotHttp(400)),
            ("identity", te("identity"), NotHttp(400)),
            ("empty", te(""), NotHttp(400)),
            ("chunked with a parameter", te("chunked;x=1"), NotHttp(400)),
            ("xchunked", te("xchunked"), NotHttp(400)),
            ("chunked with a vertical tab", te("\x0bchunked"), NotHttp(400)),
            (
                "with HTTP/1.0",
                [
                    b"POST /v1/jobs HTTP/1.0\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n"
                        .as_slice(),
                    chunks.as_bytes(),
                ]
                .concat(),
                NotHttp(400),
            ),
            (
                "length and chunks",
                post("content-length: 2\r\ntransfer-encoding: chunked\r\n", chunks),
                PassesAndCloses(400),
            ),
            (
                "chunks and length",
                post("transfer-encoding: chunked\r\ncontent-length: 7\r\n", chunks),
                PassesAndCloses(400),
            ),
            ("length twice", post("content-length: 2\r\ncontent-length: 2\r\n", "{}"), Passes(400)),
            ("length with zeros", post("content-length: 0002\r\n", "{}"), Passes(400)),
            ("lengths that differ", post("content-length: 2\r\ncontent-length: 3\r\n", "{}"), NotHttp(400)),
            ("a list of lengths", post("content-length: 2, 2\r\n", "{}"), NotHttp(400)),
            ("a length with a sign", post("content-length: +2\r\n", "{}"), NotHttp(400)),
            ("a negative length", post("content-length: -2\r\n", "{}"), NotHttp(400)),
            ("no length", post("content-length:\r\n", "{}"), NotHttp(400)),
            ("a hexadecimal length", post("content-length: 0x2\r\n", "{}"), NotHttp(400)),
            ("2^64", post("content-length: 18446744073709551616\r\n", "{}"), NotHttp(400)),
            ("2^64 - 1", post("content-length: 18446744073709551615\r\n", "{}"), NotHttp(431)),
        ],
    )
    .await;
}

#[tokio::test]
async fn bodies_that_are_no_chunks_end_the_request_everywhere() {
    let stage = stage(&[]).await;
    let post = |body: &str| {
        [with("POST /v1/jobs HTTP/1.1", "transfer-encoding: chunked\r\n"), body.as_bytes().to_vec()].concat()
    };
    let broken = Broken(400, "invalid-request");
    let long = format!("2;{}\r\n{{}}\r\n0\r\n\r\n", "x".repeat(64 * 1024));
    try_all(
        &stage,
        &[
            ("a size that is none", post("zz\r\n{}\r\n0\r\n\r\n"), broken),
            ("no size", post("\r\n{}\r\n0\r\n\r\n"), broken),
            ("0x2", post("0x2\r\n{}\r\n0\r\n\r\n"), broken),
            ("a space before the size", post(" 2\r\n{}\r\n0\r\n\r\n"), broken),
            ("a sign", post("+2\r\n{}\r\n0\r\n\r\n"), broken),
            ("a size beyond 64 bits", post("fffffffffffffffff\r\n{}\r\n0\r\n\r\n"), broken),
            ("a bare LF in an extension", post("2;a\nb\r\n{}\r\n0\r\n\r\n"), broken),
            ("more than the size says", post("2\r\n{}x\r\n0\r\n\r\n"), broken),
            ("64 KiB of extension", post(&long), broken),
            ("an extension", post("2;a=b\r\n{}\r\n0;c\r\n\r\n"), Passes(400)),
            ("spaces after the size", post("2 \r\n{}\r\n0\r\n\r\n"), Passes(400)),
            ("zeros before the size", post("0002\r\n{}\r\n000\r\n\r\n"), Passes(400)),
        ],
    )
    .await;
    assert_eq!(stage.proxy.log().await.iter().filter(|line| line.contains("panick")).count(), 0);
}

#[tokio::test]
async fn the_body_of_a_refused_request_is_never_taken_for_a_request() {
    let stage = stage(&[]).await;
    let smuggled = with(GET, "");
    let refused = |lines: String| {
        let head = with("POST /v1/jobs HTTP/1.1", format!("origin: http://evil.example\r\n{lines}"));
        [head, smuggled.clone()].concat()
    };
    let length = smuggled.len();
    let chunked = [
        with("POST /v1/jobs HTTP/1.1", "origin: http://evil.example\r\ntransfer-encoding: chunked\r\n"),
        format!("{length:x}\r\n").into_bytes(),
        smuggled.clone(),
        b"\r\n0\r\n\r\n".to_vec(),
    ]
    .concat();
    let foreign = Closed(403, "origin-not-allowed");
    try_all(
        &stage,
        &[
            ("its whole length", refused(format!("content-length: {length}\r\n")), foreign),
            ("chunks", chunked, foreign),
            (
                "after an ambiguous one",
                refused("transfer-encoding: chunked, chunked\r\n".to_owned()),
                Closed(400, "invalid-request"),
            ),
            (
                "after a CONNECT",
                [b"CONNECT localhost:443 HTTP/1.1\r\nhost: localhost:443\r\n\r\n".to_vec(), smuggled.clone()]
                    .concat(),
                Closed(405, "method-not-allowed"),
            ),
            ("after what is not HTTP", [with(GET, "x : a\r\n"), smuggled.clone()].concat(), NotHttp(400)),
        ],
    )
    .await;
}

#[tokio::test]
async fn no_refused_upload_is_asked_to_continue() {
    let stage = stage(&[]).await;
    let waiting =
        |line: &str, lines: &str| with(line, format!("content-length: 5\r\nexpect: 100-continue\r\n{lines}"));
    try_all(
        &stage,
        &[
            (
                "a page",
                waiting("POST /v1/jobs HTTP/1.1", "origin: null\r\n"),
                Closed(403, "origin-not-allowed"),
            ),
            ("a path", waiting("POST /nothing HTTP/1.1", ""), Closed(404, "unknown-path")),
            ("the policy", waiting("POST /v1/applications HTTP/1.1", ""), Closed(403, "path-not-allowed")),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_refusal_reaches_a_client_that_is_still_uploading() {
    let stage = stage(&[]).await;
    let size = 8 * 1024 * 1024;
    let head = with("POST /nothing HTTP/1.1", format!("content-length: {size}\r\n"));
    for upload in [
        [head, vec![b'x'; size]].concat(),
        // The parser's own refusals, too.
        with(GET, format!("x: {}\r\n", "x".repeat(size))),
    ] {
        let mut talk = stage.proxy.talk().await;
        talk.try_say(&upload).await.expect("sent to its end");
        talk.finish().await;
        let (head, _) = answer(&mut talk).await.expect("an answer");
        assert!(["404", "431"].iter().any(|status| head.first_line().contains(status)), "{}", head.text());
        assert_eq!(head.all("connection"), ["close"]);
        assert_eq!(talk.rest_text().await, "");
    }
    assert_eq!(stage.asked().0, 0);
}
