//! Whole lists that cannot be had whole: never an answer that looks like one.

use http::StatusCode;

use super::{answer, asked, page};
use crate::harness::talk::Talk;
use crate::harness::wire::Wire;

const LINES: &str = "accept: application/x-ndjson";
const JSON: &str = "accept: application/json";

/// Reads what is left, which has no last chunk.
async fn is_broken_off(caller: &mut Talk, rows: usize) {
    caller.head().await;
    let rest = String::from_utf8(caller.rest().await).expect("text");
    assert!(!rest.ends_with("\r\n0\r\n\r\n") && !rest.contains("\"next\":\"\"}"), "{rest}");
    assert_eq!(rest.matches("\"jobId\"").count(), rows);
}

#[tokio::test]
async fn a_later_page_that_is_refused_breaks_the_answer_off() {
    let wire = Wire::listen().await;
    let proxy = wire.daemon().await;
    for accept in [JSON, LINES] {
        for (status, content) in [
            ("500 Internal Server Error", "{\"errorId\":\"x\"}"),
            ("403 Forbidden", "{}"),
            ("401 Unauthorized", "{}"),
            ("200 OK", "<html></html>"),
            ("200 OK", "{\"data\":[{\"jobId\":100}"),
            ("200 OK", "[]"),
            ("302 Found", ""),
        ] {
            let mut caller = proxy.ask(&format!("GET /v1/jobs?limit=all HTTP/1.1\r\n{accept}")).await;
            let mut upstream = wire.accept().await;
            asked(&mut upstream, "/v1/jobs?limit=100&offset=0").await;
            answer(&mut upstream, "200 OK", &page(0..100)).await;
            asked(&mut upstream, "/v1/jobs?limit=100&offset=100").await;
            answer(&mut upstream, status, content).await;
            if status.starts_with("500") {
                asked(&mut upstream, "/v1/jobs?limit=100&offset=99").await;
                answer(&mut upstream, status, content).await;
            }
            drop(upstream);
            is_broken_off(&mut caller, 100).await;
        }
    }
}

#[tokio::test]
async fn an_error_right_after_a_short_page_is_the_end() {
    let wire = Wire::listen().await;
    let proxy = wire.daemon().await;
    for status in ["500 Internal Server Error", "400 Bad Request", "404 Not Found", "422 Unprocessable"] {
        let mut caller = proxy.ask("GET /v1/jobs?limit=all HTTP/1.1").await;
        let mut upstream = wire.accept().await;
        asked(&mut upstream, "/v1/jobs?limit=100&offset=0").await;
        answer(&mut upstream, "200 OK", &page(0..7)).await;
        asked(&mut upstream, "/v1/jobs?limit=100&offset=100").await;
        answer(&mut upstream, status, "{\"errorId\":\"x\"}").await;
        drop(upstream);
        assert_eq!(caller.head().await.first_line(), "HTTP/1.1 200 OK");
        caller.until(b"],\"previous\":\"\",\"next\":\"\"}\r\n0\r\n\r\n").await;
    }
}

#[tokio::test]
async fn an_error_after_a_full_page_is_the_end_if_nothing_follows_its_last_row() {
    let wire = Wire::listen().await;
    let proxy = wire.daemon().await;
    for (last, ends) in
        [(page(99..100), true), (page(99..101), false), (page([]), false), (page(100..101), false)]
    {
        let mut caller = proxy.ask("GET /v1/jobs?limit=all HTTP/1.1").await;
        let mut upstream = wire.accept().await;
        asked(&mut upstream, "/v1/jobs?limit=100&offset=0").await;
        answer(&mut upstream, "200 OK", &page(0..100)).await;
        asked(&mut upstream, "/v1/jobs?limit=100&offset=100").await;
        answer(&mut upstream, "500 Internal Server Error", "{\"errorId\":\"x\"}").await;
        asked(&mut upstream, "/v1/jobs?limit=100&offset=99").await;
        answer(&mut upstream, "200 OK", &last).await;
        drop(upstream);
        if ends {
            caller.head().await;
            caller.until(b"\"next\":\"\"}\r\n0\r\n\r\n").await;
        } else {
            is_broken_off(&mut caller, 100).await;
        }
    }
}

#[tokio::test]
async fn an_error_after_a_short_page_that_says_nothing_of_its_end_breaks_the_answer_off() {
    let wire = Wire::listen().await;
    let proxy = wire.daemon().await;
    let mut caller = proxy.ask("GET /v1/jobs?limit=all HTTP/1.1").await;
    let mut upstream = wire.accept().await;
    asked(&mut upstream, "/v1/jobs?limit=100&offset=0").await;
    answer(&mut upstream, "200 OK", &page(0..7)).await;
    for _ in 0..4 {
        asked(&mut upstream, "/v1/jobs?limit=100&offset=100").await;
        answer(&mut upstream, "429 Too Many Requests\r\nretry-after: 0", "{}").await;
    }
    is_broken_off(&mut caller, 7).await;
}

#[tokio::test]
async fn a_later_page_is_asked_for_again_where_that_may_help() {
    let wire = Wire::listen().await;
    let proxy = wire.daemon().await;
    let mut caller = proxy.ask("GET /v1/jobs?limit=all HTTP/1.1").await;
    let mut upstream = wire.accept().await;
    asked(&mut upstream, "/v1/jobs?limit=100&offset=0").await;
    answer(&mut upstream, "200 OK", &page(0..100)).await;
    for status in ["503 Service Unavailable\r\nretry-after: 0", "429 Too Many Requests\r\nretry-after: 0"] {
        asked(&mut upstream, "/v1/jobs?limit=100&offset=100").await;
        answer(&mut upstream, status, "{}").await;
    }
    // Broken off within the page: none of its rows has been sent.
    asked(&mut upstream, "/v1/jobs?limit=100&offset=100").await;
    upstream
        .say("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 999\r\n\r\n{\"data\":[{")
        .await;
    drop(upstream);
    let mut upstream = wire.accept().await;
    asked(&mut upstream, "/v1/jobs?limit=100&offset=100").await;
    answer(&mut upstream, "200 OK", &page(100..200)).await;
    asked(&mut upstream, "/v1/jobs?limit=100&offset=200").await;
    answer(&mut upstream, "200 OK", &page([])).await;
    caller.head().await;
    caller.until(b"\"jobId\":199").await;
    caller.until(b"\"next\":\"\"}\r\n0\r\n\r\n").await;
}

#[tokio::test]
async fn a_pause_that_nobody_would_wait_for_breaks_the_answer_off_at_once() {
    let wire = Wire::listen().await;
    let proxy = wire.daemon().await;
    let mut caller = proxy.ask("GET /v1/jobs?limit=all HTTP/1.1").await;
    let mut upstream = wire.accept().await;
    asked(&mut upstream, "/v1/jobs?limit=100&offset=0").await;
    answer(&mut upstream, "200 OK", &page(0..100)).await;
    asked(&mut upstream, "/v1/jobs?limit=100&offset=100").await;
    answer(&mut upstream, "503 Service Unavailable\r\nretry-after: 61", "{}").await;
    is_broken_off(&mut caller, 100).await;
}

#[tokio::test]
async fn what_upstream_says_to_the_first_page_is_the_answer() {
    let wire = Wire::listen().await;
    let proxy = wire.daemon().await;
    for status in ["429 Too Many Requests", "503 Service Unavailable", "400 Bad Request", "404 Not Found"] {
        let mut caller = proxy.ask(&format!("GET /v1/jobs?limit=all HTTP/1.1\r\n{LINES}")).await;
        let mut upstream = wire.accept().await;
        asked(&mut upstream, "/v1/jobs?limit=100&offset=0").await;
        answer(&mut upstream, &format!("{status}\r\nx-a: 1"), "{\"said\":1}").await;
        drop(upstream);
        let head = caller.head().await;
        assert_eq!(head.first_line(), format!("HTTP/1.1 {status}"));
        assert_eq!(
            (head.all("x-a"), head.all("content-type")),
            (vec!["1".into()], vec!["application/json".into()])
        );
        caller.until(b"{\"said\":1}").await;
    }
}

#[tokio::test]
async fn a_first_page_that_is_none_is_a_problem() {
    let wire = Wire::listen().await;
    let proxy = wire.daemon().await;
    for content in ["<html></html>", "[]", "{\"data\":[{\"jobId\":1}"] {
        let call = proxy.begin(http::Method::GET, "/v1/jobs?limit=all");
        let mut upstream = wire.accept().await;
        asked(&mut upstream, "/v1/jobs?limit=100&offset=0").await;
        answer(&mut upstream, "200 OK", content).await;
        drop(upstream);
        let answer = call.await.expect("a task");
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (StatusCode::BAD_GATEWAY, "upstream-protocol")
        );
    }
}

#[tokio::test]
async fn a_server_that_never_ends_is_not_followed_for_ever() {
    let wire = Wire::listen().await;
    let proxy = wire.daemon().await;
    // With ids, and without: then only the same bytes are the same rows.
    for rows in [page(0..100), page(0..100).replace("jobId", "name")] {
        let mut caller = proxy.ask("GET /v1/jobs?limit=all HTTP/1.1").await;
        let mut upstream = wire.accept().await;
        for offset in [0, 100, 200, 300] {
            asked(&mut upstream, &format!("/v1/jobs?limit=100&offset={offset}")).await;
            answer(&mut upstream, "200 OK", &rows).await;
        }
        caller.head().await;
        let rest = String::from_utf8(caller.rest().await).expect("text");
        assert!(!rest.contains("\"next\":\"\"}") && !rest.ends_with("\r\n0\r\n\r\n"));
        drop(upstream);
    }
}

#[tokio::test]
async fn a_caller_who_could_not_tell_gets_no_lines() {
    let wire = Wire::listen().await;
    let proxy = wire.daemon().await;
    let mut caller = proxy.ask(&format!("GET /v1/jobs?limit=all HTTP/1.0\r\n{LINES}")).await;
    assert_eq!(caller.head().await.first_line(), "HTTP/1.0 400 Bad Request");
    assert!(!wire.somebody_waits().await);
}
