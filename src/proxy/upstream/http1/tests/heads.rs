//! Answers in pieces: where reads begin and end decides nothing.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use http_body_util::BodyExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::super::content::Content;
use super::super::{Error, H1, Sending};
use super::{connection, framing, request};
use crate::proxy::replay::Source;
use crate::proxy::upstream::dial::Stream;
use crate::proxy::upstream::socket::Socket;

const INTERIM: &str = "HTTP/1.1 103 Early Hints\r\nlink: </x>; rel=preload\r\n\r\n";

/// A GET with a token on its way, and the peer's end.
async fn sent() -> (Sending, TcpStream) {
    let (ours, theirs) = connection().await;
    let h1 = Box::new(H1::new(Stream::Plain(Socket::new(ours))));
    let (host, token) = (HeaderValue::from_static("h"), HeaderValue::from_static("Bearer canary"));
    (h1.send(&request(Method::GET, &[], Source::Empty), &host, &token), theirs)
}

/// Says `pieces`, each when the one before has been read, until there is an answer; and then the others at once.
async fn answered(
    sending: &mut Sending,
    theirs: &mut TcpStream,
    pieces: &[&[u8]],
) -> Option<Result<Response<Content>, Error>> {
    let mut said = 0;
    for (at, piece) in pieces.iter().enumerate() {
        theirs.write_all(piece).await.expect("room");
        said += piece.len();
        let read = poll_fn(|cx| {
            // As the request itself, but its error is the one of HTTP.
            if let Poll::Ready(answer) = sending.poll_answer(cx) {
                return Poll::Ready(Some(answer));
            }
            if sending.interim + sending.read.len() == said {
                return Poll::Ready(None);
            }
            Poll::Pending
        });
        let read = timeout(Duration::from_secs(60), read).await.expect("it is read");
        if read.is_some() {
            theirs.write_all(&pieces[at + 1..].concat()).await.expect("room");
            return read;
        }
    }
    None
}

/// All of the answer in `pieces`, and whether its connection can be used again.
async fn heard(pieces: &[&[u8]]) -> (StatusCode, HeaderMap, Bytes, bool) {
    let (mut sending, mut theirs) = sent().await;
    let answer = answered(&mut sending, &mut theirs, pieces).await;
    let (head, mut content) = answer.expect("an answer").expect("well-formed").into_parts();
    let all = timeout(Duration::from_secs(60), (&mut content).collect()).await.expect("all content");
    (head.status, head.headers, all.expect("all content").to_bytes(), content.release().is_some())
}

#[tokio::test]
async fn an_answer_is_the_same_wherever_it_is_cut() {
    let head = "HTTP/1.1 404 Nobody Home\r\nx-a: 1\r\nX-B:\t2 \r\nx-a: \r\n";
    for (framing, body) in [
        ("content-length: 5\r\n\r\n", "hello"),
        ("transfer-encoding: chunked\r\n\r\n", "3;x\r\nhel\r\n02\r\nlo\r\n0\r\nx-c: d\r\n\r\n"),
    ] {
        let whole = format!("{INTERIM}{head}{framing}{body}");
        let said = format!("{whole}HTTP/1.1 200 OK\r\n\r\n");
        let expected = heard(&[said.as_bytes()]).await;
        assert_eq!((expected.0, expected.2.as_ref()), (StatusCode::NOT_FOUND, b"hello".as_ref()));
        assert_eq!(expected.1.get_all("x-a").iter().collect::<Vec<_>>(), ["1", ""]);
        assert!(!expected.3, "there is something behind it");
        // Up to the end of the answer: what comes later is found when the connection is put back.
        for cut in 1..whole.len() {
            let (one, two) = said.as_bytes().split_at(cut);
            assert_eq!(heard(&[one, two]).await, expected, "cut after {cut} bytes of {said:?}");
        }
        let bytes: Vec<_> = whole.as_bytes().chunks(1).collect();
        let (status, headers, content, reusable) = heard(&bytes).await;
        assert_eq!((status, headers, content), (expected.0, expected.1, expected.2), "byte by byte");
        assert!(reusable, "nothing is behind it");
    }
}

#[tokio::test]
async fn a_head_may_have_almost_64_kib_and_no_more() {
    for start in ["HTTP/1.1 200 ", "HTTP/1.1 200 OK\r\nx: "] {
        let end = "\r\ncontent-length: 0\r\n\r\n";
        let almost = format!("{start}{}", "y".repeat(65_500 - start.len()));
        for pieces in [
            vec![almost.as_bytes(), end.as_bytes()],
            almost.as_bytes().chunks(1000).chain([end.as_bytes()]).collect(),
        ] {
            assert_eq!(heard(&pieces).await.0, StatusCode::OK);
        }
        let (mut sending, mut theirs) = sent().await;
        assert!(answered(&mut sending, &mut theirs, &[almost.as_bytes(), &[b'y'; 35]]).await.is_none());
        let refused = answered_more(&mut sending, &mut theirs, b"y").await;
        assert!(matches!(refused, Err(Error::Malformed("the head is larger than 64 KiB"))), "{refused:?}");
    }
}

/// How the answer ends with `piece`.
async fn answered_more(
    sending: &mut Sending,
    theirs: &mut TcpStream,
    piece: &[u8],
) -> Result<Response<Content>, Error> {
    theirs.write_all(piece).await.expect("room");
    timeout(Duration::from_secs(60), poll_fn(|cx| sending.poll_answer(cx))).await.expect("an answer")
}

#[test]
fn an_answer_may_have_100_fields_and_no_more() {
    let fields = |n: usize| "x: y\r\n".repeat(n);
    assert!(framing(&Method::GET, "HTTP/1.1 200 OK", &fields(100)).is_ok());
    let refused = framing(&Method::GET, "HTTP/1.1 200 OK", &fields(101));
    assert!(matches!(refused, Err(Error::Malformed("more than 100 fields"))), "{refused:?}");
}

#[tokio::test]
async fn interim_answers_may_have_1_mib_in_all_however_they_are_cut() {
    let one = format!("HTTP/1.1 103 Early Hints\r\nx: {}\r\n\r\n", "y".repeat(60_000));
    let end = "HTTP/1.1 204 No Content\r\n\r\n";
    let (few, many) = (1024 * 1024 / one.len(), 1024 * 1024 / one.len() + 1);
    for size in [7001, 16 * 1024, one.len()] {
        let said = one.repeat(few) + end;
        let pieces: Vec<_> = said.as_bytes().chunks(size).collect();
        assert_eq!(heard(&pieces).await.0, StatusCode::NO_CONTENT);
        let (mut sending, mut theirs) = sent().await;
        let said = one.repeat(many);
        let pieces: Vec<_> = said.as_bytes().chunks(size).collect();
        let refused = answered(&mut sending, &mut theirs, &pieces).await.expect("no more of it");
        assert!(matches!(refused, Err(Error::Malformed("there is no end of interim answers"))));
    }
}

#[tokio::test]
async fn neither_the_token_nor_content_is_ever_shown() {
    let (mut sending, mut theirs) = sent().await;
    let mut shown = vec![format!("{sending:?}")];
    let start = b"HTTP/1.1 200 OK\r\nx: canary\r\n";
    assert!(answered(&mut sending, &mut theirs, &[start]).await.is_none());
    shown.push(format!("{sending:?}"));
    let answer = answered_more(&mut sending, &mut theirs, b"content-length: 12\r\n\r\ncanary").await;
    let mut content = answer.expect("an answer").into_body();
    shown.push(format!("{content:?}"));
    content.frame().await.expect("a frame").expect("content");
    theirs.write_all(b"canary").await.expect("room");
    (&mut content).collect().await.expect("the rest");
    shown.push(format!("{content:?}{:?}", content.release().expect("it can be used again")));
    let shown = shown.concat();
    assert!(shown.contains("Sending") && shown.contains("Content") && !shown.contains("canary"), "{shown}");
    // As numbers.
    assert!(!shown.contains("99, 97, 110"), "{shown}");
}
