//! Where answers end. What a caller gets to see of them: `tests/it/forwarding`.

mod heads;
mod upload;

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, Collected, Empty};
use hyper_util::rt::TokioIo;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::chunks::Chunks;
use super::head::{self, End, Framing};
use super::{Error, H1};
use crate::proxy::replay::Source;
use crate::proxy::upstream::Outgoing;
use crate::proxy::upstream::dial::Stream;
use crate::proxy::upstream::socket::Socket;

/// All content in `pieces`, and what is left of them after its end.
fn content(pieces: &[&[u8]]) -> Result<(Vec<u8>, Option<Vec<u8>>), Error> {
    let (mut chunks, mut content, mut rest) = (Chunks::new(), Vec::new(), Vec::new());
    for piece in pieces {
        let mut read = Bytes::copy_from_slice(piece);
        while let Some(some) = chunks.next(&mut read)? {
            content.extend_from_slice(&some);
        }
        assert!(read.is_empty() || chunks.is_at_end());
        rest.extend_from_slice(&read);
    }
    Ok((content, chunks.is_at_end().then_some(rest)))
}

fn split<'a>(bytes: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    cuts.extend([0, bytes.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}

proptest! {
    #[test]
    fn chunks_become_content_wherever_reads_begin_and_end(
        frames in prop::collection::vec((prop::collection::vec(any::<u8>(), 1..50), "(;[a-z]{1,3}(=[a-z\"]{1,4})?| ){0,2}"), 0..6),
        zeros in 0_usize..4,
        trailers in prop::collection::vec("[a-z-]{1,8}: [ -~]{0,8}", 0..3),
        behind in prop::collection::vec(any::<u8>(), 0..5),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let mut coded = Vec::new();
        for (frame, extension) in &frames {
            coded.extend(format!("{}{:X}{extension}\r\n", "0".repeat(zeros), frame.len()).bytes());
            coded.extend(frame);
            coded.extend(b"\r\n");
        }
        coded.extend(b"0\r\n");
        for trailer in &trailers {
            coded.extend(format!("{trailer}\r\n").bytes());
        }
        coded.extend(b"\r\n");
        coded.extend(&behind);
        let plain: Vec<u8> = frames.iter().flat_map(|(frame, _)| frame.clone()).collect();
        let decoded = content(&split(&coded, &cuts)).expect("well-formed");
        prop_assert_eq!(decoded, (plain, Some(behind)));
    }

    #[test]
    fn chunks_that_were_cut_off_have_no_end(
        frame in "[a-z]{1,20}",
        at in any::<prop::sample::Index>(),
    ) {
        let coded = format!("{:x}\r\n{frame}\r\n0\r\na: b\r\n\r\n", frame.len());
        let (_, end) = content(&[&coded.as_bytes()[..at.index(coded.len())]]).expect("well-formed so far");
        prop_assert_eq!(end, None);
    }
}

#[test]
fn chunks_with_two_readings_are_refused() {
    for coded in [
        "\r\n",
        ";a\r\n",
        "5 5\r\nhello\r\n0\r\n\r\n",
        "5 x\r\nhello\r\n0\r\n\r\n",
        "5\t\n",
        "-1\r\n",
        "+1\r\n",
        "0x1\r\n",
        " 1\r\na",
        "1\na\r\n",
        "1\r\ra",
        "1;a\na\r\n",
        "1;a\rb\r\n",
        "1\r\nab\r\n",
        "1\r\na\n0\r\n\r\n",
        "1\r\na0\r\n\r\n",
        "ffffffffffffffff1\r\n",
        "10000000000000000\r\n",
        "0\r\n\n",
        "0\r\na: b\n\r\n",
        "0\r\na: b\rc\r\n",
        "0\r\n\rx",
    ] {
        assert!(matches!(content(&[coded.as_bytes()]), Err(Error::Malformed(_))), "{coded:?}");
    }
}

#[test]
fn a_size_may_have_white_space_behind_it_as_often_as_it_likes() {
    // Some servers write the size before they know it, into a field of fixed width.
    let coded = "5    \r\nhello\r\n".repeat(20_000) + "1 ;x\r\n!\r\n0   \r\n\r\n";
    let expected = "hello".repeat(20_000) + "!";
    assert!(content(&[coded.as_bytes()]).expect("well-formed") == (expected.into_bytes(), Some(Vec::new())));
}

#[test]
fn content_before_a_malformed_chunk_is_handed_out_first() {
    let (mut chunks, mut read) = (Chunks::new(), Bytes::from_static(b"5\r\nhello\r\nzz\r\n"));
    assert_eq!(chunks.next(&mut read).expect("content").as_deref(), Some(b"hello".as_ref()));
    assert!(matches!(chunks.next(&mut read), Err(Error::Malformed("invalid chunk"))));
}

#[test]
fn what_is_beside_the_chunks_has_an_end() {
    let long = "x".repeat(70_000);
    for coded in [format!("1;{long}"), format!("0\r\na: {long}")] {
        assert!(matches!(content(&[coded.as_bytes()]), Err(Error::Malformed(_))));
    }
}

/// The framing of an answer to `method` with this status line and these lines.
fn framing(method: &Method, first: &str, lines: &str) -> Result<Framing, Error> {
    let mut read = Bytes::from(format!("{first}\r\n{lines}\r\n"));
    let head = head::parse(&mut read)?.ok_or(Error::Incomplete)?;
    Framing::of(&head, method)
}

#[test]
fn the_end_of_content_is_where_rfc_9112_says() {
    let ok = "HTTP/1.1 200 OK";
    for (method, first, lines, end, keeps) in [
        (Method::GET, ok, "content-length: 5\r\n", End::Length(5), true),
        (Method::GET, ok, "content-length: 5\r\ncontent-length: 5\r\n", End::Length(5), true),
        (Method::GET, ok, "content-length: 5 , 05\r\n", End::Length(5), true),
        (Method::GET, ok, "content-length: 18446744073709551615\r\n", End::Length(u64::MAX), true),
        (Method::GET, ok, "Transfer-Encoding: Chunked\r\n", End::Chunked, true),
        (Method::GET, ok, "transfer-encoding: chunked\r\ncontent-length: 5\r\n", End::Chunked, false),
        (Method::GET, ok, "", End::Close, false),
        (Method::GET, ok, "content-length: 5\r\nconnection: x, Close\r\n", End::Length(5), false),
        (Method::GET, "HTTP/1.0 200 OK", "content-length: 5\r\n", End::Length(5), false),
        (
            Method::GET,
            "HTTP/1.0 200 OK",
            "content-length: 5\r\nconnection: Keep-Alive\r\n",
            End::Length(5),
            true,
        ),
        (Method::HEAD, ok, "content-length: 5\r\n", End::Length(0), true),
        (Method::HEAD, ok, "transfer-encoding: chunked\r\n", End::Length(0), true),
        (Method::HEAD, ok, "", End::Length(0), true),
        (Method::GET, "HTTP/1.1 204 No Content", "content-length: 5\r\n", End::Length(0), true),
        (Method::GET, "HTTP/1.1 304 Not Modified", "content-length: 5\r\n", End::Length(0), true),
        (Method::POST, "HTTP/1.1 205 Reset Content", "content-length: 0\r\n", End::Length(0), true),
    ] {
        let framing = framing(&method, first, lines).expect("well-formed");
        assert_eq!(framing, Framing { end, keeps }, "{method} {first} {lines:?}");
    }
}

#[test]
fn framing_with_two_readings_is_refused() {
    for (first, lines) in [
        ("HTTP/1.1 200 OK", "content-length: 5\r\ncontent-length: 6\r\n"),
        ("HTTP/1.1 200 OK", "content-length: 5, 6\r\n"),
        ("HTTP/1.1 200 OK", "content-length: 5,\r\n"),
        ("HTTP/1.1 200 OK", "content-length: \r\n"),
        ("HTTP/1.1 200 OK", "content-length: +5\r\n"),
        ("HTTP/1.1 200 OK", "content-length: 5 5\r\n"),
        ("HTTP/1.1 200 OK", "content-length: 18446744073709551616\r\n"),
        ("HTTP/1.1 200 OK", "transfer-encoding: chunked, chunked\r\n"),
        ("HTTP/1.1 200 OK", "transfer-encoding: identity\r\n"),
        ("HTTP/1.1 200 OK", "transfer-encoding:\r\n"),
        ("HTTP/1.1 200 OK", "transfer-encoding: chunked;q=1\r\n"),
        ("HTTP/1.1 204 No Content", "transfer-encoding: gzip\r\n"),
        ("HTTP/1.0 200 OK", "transfer-encoding: chunked\r\n"),
    ] {
        let refused = framing(&Method::GET, first, lines);
        assert!(matches!(refused, Err(Error::Malformed(_))), "{first} {lines:?}: {refused:?}");
    }
}

fn request(method: Method, fields: &[(&'static str, &'static str)], body: Source) -> Outgoing {
    let field = |(name, value): &(&'static str, &'static str)| {
        (HeaderName::from_static(name), HeaderValue::from_static(value))
    };
    let headers: HeaderMap = fields.iter().map(field).collect();
    Outgoing { method, target: PathAndQuery::from_static("/v1/jobs?limit=1"), headers, body }
}

fn head_of(method: Method, fields: &[(&'static str, &'static str)]) -> String {
    let (host, token) = (HeaderValue::from_static("h"), HeaderValue::from_static("Bearer t"));
    let head = head::of(&request(method, fields, Source::Empty), &host, &token);
    String::from_utf8(head.to_vec()).expect("text")
}

#[test]
fn a_head_says_what_is_sent_and_not_what_its_fields_say() {
    let start = "GET /v1/jobs?limit=1 HTTP/1.1\r\nhost: h\r\nauthorization: Bearer t\r\n";
    assert_eq!(head_of(Method::GET, &[("a", "1"), ("b", "2")]), format!("{start}a: 1\r\nb: 2\r\n\r\n"));
    assert_eq!(head_of(Method::GET, &[("content-length", "0")]), format!("{start}content-length: 0\r\n\r\n"));
    assert_eq!(head_of(Method::GET, &[("content-length", "7")]), format!("{start}content-length: 0\r\n\r\n"));
    assert!(head_of(Method::POST, &[]).ends_with("\r\ncontent-length: 0\r\n\r\n"));
    assert!(!head_of(Method::DELETE, &[]).contains("content-length"));
}

/// Two ends of a connection.
async fn connection() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let ours = TcpStream::connect(listener.local_addr().expect("bound")).await.expect("connected");
    (ours, listener.accept().await.expect("connected").0)
}

/// A status and all content, unless there is something wrong with either; and whether the connection can be used again.
type Heard = Result<(StatusCode, Bytes), ()>;

async fn heard_by_us(method: Method, said: &[u8]) -> (Heard, bool) {
    let (ours, mut theirs) = connection().await;
    theirs.write_all(said).await.expect("room");
    theirs.shutdown().await.expect("shut down");
    let h1 = Box::new(H1::new(Stream::Plain(Socket::new(ours))));
    let (host, token) = (HeaderValue::from_static("h"), HeaderValue::from_static("Bearer t"));
    let sending = h1.send(&request(method, &[], Source::Empty), &host, &token);
    let Ok(response) = sending.await else { return (Err(()), false) };
    let (head, mut content) = response.into_parts();
    let all = (&mut content).collect().await.map_err(drop);
    let reusable = content.release();
    let reused = reusable.is_some();
    if let Some(mut h1) = reusable {
        let mut unread = Vec::new();
        h1.io.read_to_end(&mut unread).await.expect("a proper end");
        assert_eq!(unread, b"", "of an answer that was read");
    }
    (all.map(|all| (head.status, all.to_bytes())), reused)
}

/// Why we may refuse what the library takes.
fn is_stricter(said: &[u8]) -> bool {
    let text = String::from_utf8_lossy(said).to_ascii_lowercase();
    // It skips empty lines before an answer.
    text.starts_with("\r\n")
        // Codings that we have not asked for, and the caller would not hear of.
        || text.lines().filter_map(|line| line.strip_prefix("transfer-encoding:")).any(|coding| coding.trim() != "chunked")
        || text.matches("transfer-encoding:").count() > 1
        // A length that is none, or two of them, even where chunks count.
        || text.contains("transfer-encoding:") && text.contains("content-length:")
        // Not even of an answer that has no content (RFC 9112 §6.1).
        || text.starts_with("http/1.0 ") && text.contains("transfer-encoding:")
}

async fn heard_by_the_library(method: Method, said: &[u8]) -> Heard {
    let (ours, mut theirs) = connection().await;
    let (mut sender, driver) =
        hyper::client::conn::http1::handshake(TokioIo::new(ours)).await.map_err(drop)?;
    let driver = tokio::spawn(driver);
    let mut request = Request::new(Empty::<Bytes>::new());
    *request.method_mut() = method;
    // It takes what is said before it has asked for something that nobody asked for.
    let asked = sender.send_request(request);
    let said = async {
        theirs.readable().await.expect("asked");
        theirs.write_all(said).await.expect("room");
        theirs.shutdown().await.expect("shut down");
    };
    let (response, ()) = tokio::join!(asked, said);
    let response = response.map_err(drop)?;
    let status = response.status();
    let all = response.into_body().collect().await.map(Collected::to_bytes);
    driver.abort();
    Ok((status, all.map_err(drop)?))
}

fn answers() -> impl Strategy<Value = Vec<u8>> {
    let first = prop::sample::select(vec![
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 200 \r\n",
        "HTTP/1.1 200\r\n",
        "HTTP/1.1 201 Cr\u{e9}\u{e9}\r\n",
        "HTTP/1.0 200 OK\r\n",
        "HTTP/1.1 204 No Content\r\n",
        "HTTP/1.1 304 Not Modified\r\n",
        "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n",
        "HTTP/1.1 100 Continue\r\nlink: x\r\n\r\nHTTP/1.1 404 Not Found\r\n",
        "HTTP/1.1  200 OK\r\n",
        "HTTP/2.0 200 OK\r\n",
        "HTTP/1.1 99 OK\r\n",
        "http/1.1 200 OK\r\n",
        "HTTP/1.1 200 OK\n",
        "\r\nHTTP/1.1 200 OK\r\n",
    ]);
    let line = prop::sample::select(vec![
        "content-length: 5\r\n",
        "Content-Length:5\r\n",
        "content-length: 3\r\n",
        "content-length: 5, 5\r\n",
        "content-length: 05\r\n",
        "content-length: +5\r\n",
        "content-length: 5\n",
        "content-length : 5\r\n",
        "content-length:\t5\t\r\n",
        "content-length: 5\r\n\tx\r\n",
        "transfer-encoding: chunked\r\n",
        "Transfer-Encoding:  CHUNKED \r\n",
        "transfer-encoding: xchunked\r\n",
        "transfer-encoding: gzip, chunked\r\n",
        "transfer_encoding: chunked\r\n",
        "connection: close\r\n",
        "connection: keep-alive\r\n",
        "x-a: \u{1}\r\n",
        "x-b: \u{e9}\r\n",
        "x-c\r\n",
        "x-d: a\rb\r\n",
        ": x\r\n",
    ]);
    let body = prop::sample::select(vec![
        "",
        "hello",
        "hello world",
        "5\r\nhello\r\n0\r\n\r\n",
        "05;a=b\r\nhello\r\n00\r\nx: y\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        "5\nhello\n0\n\n",
        "5\r\nhello\r\n0\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhelloo\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "0\r\n\r\nhello",
        "3\r\nabc\r\n2;\r\nde\r\n0\r\n\r\n",
    ]);
    (first, prop::collection::vec(line, 0..3), body).prop_map(|(first, lines, body)| {
        // One byte a character: fields are not UTF-8.
        let text = [first, &lines.concat(), "\r\n", body].concat();
        text.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]
    #[test]
    fn what_is_taken_for_an_answer_the_http_library_reads_in_the_same_way(
        said in answers(),
        method in prop::sample::select(vec![Method::GET, Method::HEAD, Method::POST]),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let (ours, reusable) = runtime.block_on(heard_by_us(method.clone(), &said));
        let theirs = runtime.block_on(heard_by_the_library(method, &said));
        prop_assert!(ours.is_err() || ours == theirs, "{:?} and {:?}", ours, theirs);
        prop_assert!(theirs.is_err() || ours == theirs || is_stricter(&said), "we refuse {:?}", String::from_utf8_lossy(&said));
        prop_assert!(!reusable || ours.is_ok());
    }
}
