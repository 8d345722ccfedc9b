//! Whole lists that cannot be had whole: never an answer that looks like one.

use http::StatusCode;

use super::{answer, asked, begun, impatient, page};
use crate::harness::daemon::start;
use crate::harness::talk::Talk;
use crate::harness::wire::Wire;

const LINES: &str = "accept: application/x-ndjson";
const JSON: &str = "accept: application/json";
const WHOLE: &str = "GET /v1/jobs?limit=all HTTP/1.1";

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
    let proxy = impatient(&wire).await;
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
async fn an_error_is_the_end_only_if_nothing_follows_the_last_row() {
    let wire = Wire::listen().await;
    let proxy = impatient(&wire).await;
    for (rows, status) in [
        (7, "500 Internal Server Error"),
        (7, "404 Not Found"),
        (100, "400 Bad Request"),
        (100, "422 Unprocessable"),
    ] {
        let known = rows - 1;
        for (last, ends) in [
            (page(known..rows), true),
            (page(known..=rows), false),
            (page([]), false),
            (page(rows..=rows), false),
        ] {
            let (mut caller, mut upstream) = begun(&wire, &proxy, &page(0..rows)).await;
            asked(&mut upstream, "/v1/jobs?limit=100&offset=100").await;
            answer(&mut upstream, status, "{\"errorId\":\"x\"}").await;
            asked(&mut upstream, &format!("/v1/jobs?limit=100&offset={known}")).await;
            answer(&mut upstream, "200 OK", &last).await;
            drop(upstream);
            if ends {
                caller.head().await;
                caller.until(b"],\"previous\":\"\",\"next\":\"\"}\r\n0\r\n\r\n").await;
            } else {
                is_broken_off(&mut caller, rows as usize).await;
            }
        }
    }
}

#[tokio::test]
async fn a_short_page_in_the_middle_is_fine_unless_rows_were_left_out() {
    let wire = Wire::listen().await;
    let proxy = impatient(&wire).await;
    // Rows that are hidden from us count as rows of a page; a server that gives 50 where 100 were asked for leaves 50 out.
    for (behind, fine) in [(page(80..150), true), (page(50..100), false)] {
        let mut caller = proxy.ask("GET /v1/jobs?limit=all HTTP/1.1").await;
        let mut upstream = wire.accept().await;
        let first = if fine { page((0..20).chain(50..100)) } else { page(0..50) };
        let (rows, gap) = if fine { (70 + 100, 70) } else { (50, 50) };
        asked(&mut upstream, "/v1/jobs?limit=100&offset=0").await;
        answer(&mut upstream, "200 OK", &first).await;
        asked(&mut upstream, "/v1/jobs?limit=100&offset=100").await;
        answer(&mut upstream, "200 OK", &page(100..200)).await;
        // The page ahead, and the look behind, in any order.
        let mut other = wire.accept().await;
        for talk in [&mut upstream, &mut other] {
            // Once something is found behind, the page ahead is given up.
            let Some(head) = talk.try_head().await else { continue };
            let is_gap = head.first_line().contains(&format!("offset={gap} "));
            let page = if is_gap { behind.clone() } else { page([]) };
            let length = page.len();
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{page}"
            );
            let _ = talk.try_say(answer).await;
        }
        if fine {
            caller.head().await;
            let rest = String::from_utf8(caller.until(b"\r\n0\r\n\r\n").await).expect("text");
            assert_eq!(rest.matches("\"jobId\"").count(), rows);
        } else {
            is_broken_off(&mut caller, rows).await;
        }
        drop((upstream, other));
    }
}

#[tokio::test]
async fn an_empty_page_that_leads_on_is_not_the_end() {
    let wire = Wire::listen().await;
    let proxy = impatient(&wire).await;
    let mut caller = proxy.ask("GET /v1/jobs?limit=all HTTP/1.1").await;
    let mut upstream = wire.accept().await;
    let hidden = "{\"data\":[],\"next\":\"http://x/\"}";
    for (offset, page) in
        [(0, page(0..100)), (100, hidden.to_owned()), (200, page(100..200)), (300, page([]))]
    {
        asked(&mut upstream, &format!("/v1/jobs?limit=100&offset={offset}")).await;
        answer(&mut upstream, "200 OK", &page).await;
    }
    caller.head().await;
    let rest = String::from_utf8(caller.until(b"\r\n0\r\n\r\n").await).expect("text");
    assert_eq!(rest.matches("\"jobId\"").count(), 200);
}

#[tokio::test]
async fn an_error_after_a_short_page_that_says_nothing_of_its_end_breaks_the_answer_off() {
    let wire = Wire::listen().await;
    let proxy = impatient(&wire).await;
    let (mut caller, mut upstream) = begun(&wire, &proxy, &page(0..7)).await;
    for _ in 0..4 {
        asked(&mut upstream, "/v1/jobs?limit=100&offset=100").await;
        answer(&mut upstream, "429 Too Many Requests\r\nretry-after: 0", "{}").await;
    }
    is_broken_off(&mut caller, 7).await;
}

#[tokio::test]
async fn a_later_page_is_asked_for_again_where_that_may_help() {
    let wire = Wire::listen().await;
    let proxy = impatient(&wire).await;
    let (mut caller, mut upstream) = begun(&wire, &proxy, &page(0..100)).await;
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
    let proxy = impatient(&wire).await;
    let (mut caller, mut upstream) = begun(&wire, &proxy, &page(0..100)).await;
    asked(&mut upstream, "/v1/jobs?limit=100&offset=100").await;
    answer(&mut upstream, "503 Service Unavailable\r\nretry-after: 61", "{}").await;
    is_broken_off(&mut caller, 100).await;
}

#[tokio::test]
async fn what_upstream_says_to_the_first_page_is_the_answer() {
    let wire = Wire::listen().await;
    let proxy = impatient(&wire).await;
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
    let proxy = impatient(&wire).await;
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
    let proxy = impatient(&wire).await;
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
async fn a_query_that_upstream_may_read_otherwise_is_refused() {
    let wire = Wire::listen().await;
    let proxy = wire.daemon().await;
    for target in ["/v1/jobs?limit=all&a=b;limit=7", "/-/all/v1/jobs?a=b;offset=7"] {
        assert_eq!(proxy.get(target).await.problem(), "invalid-request", "{target}");
    }
    assert!(!wire.somebody_waits().await);
}

#[tokio::test]
async fn all_walks_together_ask_for_so_many_pages_at_once_and_no_more() {
    let wire = Wire::listen().await;
    let mut settings = wire.settings();
    settings.proxy.lists.pages_at_once = 2;
    let proxy = start(settings).await;
    let _callers = [proxy.ask(WHOLE).await, proxy.ask(WHOLE).await];
    let (mut one, mut two) = (wire.accept().await, wire.accept().await);
    for talk in [&mut one, &mut two] {
        asked(talk, "/v1/jobs?limit=100&offset=0").await;
    }
    let mut third = proxy.ask(WHOLE).await;
    // Served, so it would have had the time to be asked for.
    assert_eq!(proxy.get("/-/live").await.status, StatusCode::OK);
    assert!(!wire.somebody_waits().await);
    drop(one);
    let mut next = wire.accept().await;
    asked(&mut next, "/v1/jobs?limit=100&offset=0").await;
    answer(&mut next, "200 OK", &page([])).await;
    drop(two);
    third.head().await;
}

#[tokio::test]
async fn a_caller_who_could_not_tell_gets_no_lines() {
    let wire = Wire::listen().await;
    let proxy = impatient(&wire).await;
    let mut caller = proxy.ask(&format!("GET /v1/jobs?limit=all HTTP/1.0\r\n{LINES}")).await;
    assert_eq!(caller.head().await.first_line(), "HTTP/1.0 400 Bad Request");
    assert!(!wire.somebody_waits().await);
}
