//! How a whole list is read and written, by bytes on both sides.

use http::StatusCode;

use super::{answer, asked, begun, page};
use crate::harness::daemon::start;
use crate::harness::talk::{Talk, show};
use crate::harness::wire::Wire;

/// The chunks of an answer, put together, and what follows the last.
async fn chunks(caller: &mut Talk) -> (String, String) {
    let mut content = Vec::new();
    loop {
        let line = caller.until(b"\r\n").await;
        let length = usize::from_str_radix(show(&line).trim(), 16).expect("a length");
        if length == 0 {
            let mut trailers = String::new();
            loop {
                let line = show(&caller.until(b"\r\n").await);
                if line == "\r\n" {
                    return (String::from_utf8(content).expect("text"), trailers);
                }
                trailers += &line;
            }
        }
        content.extend(caller.exactly(length).await);
        caller.exactly(2).await;
    }
}

#[tokio::test]
async fn pages_are_the_callers_query_and_a_row_offset_until_one_is_empty() {
    let wire = Wire::listen().await;
    let proxy = wire.daemon().await;
    for (target, filters, first) in [
        ("/v1/jobs?limit=all", "", 0),
        (
            "/v1/jobs?status=failed&limit=all&orderBy=createdAt%7CDESC",
            "status=failed&orderBy=createdAt%7CDESC&",
            0,
        ),
        ("/v1/jobs?limit=all&offset=7&a=b,c", "a=b,c&", 7),
        ("/-/all/v1/jobs?limit=20&offset=0&x=%2c", "x=%2c&", 0),
        ("/-/all/v1/jobs", "", 0),
        ("/api/public/v1/jobs?limit=all", "", 0),
    ] {
        let mut caller = proxy.ask(&format!("GET {target} HTTP/1.1\r\nte: trailers\r\nconnection: te")).await;
        let mut upstream = wire.accept().await;
        let at = |offset| format!("/v1/jobs?{filters}limit=100&offset={}", first + offset);
        let head = asked(&mut upstream, &at(0)).await;
        assert_eq!(head.all("accept-encoding"), ["gzip, identity"]);
        answer(&mut upstream, "200 OK", &page(0..100)).await;
        asked(&mut upstream, &at(100)).await;
        answer(&mut upstream, "200 OK", &page(100..150)).await;
        asked(&mut upstream, &at(200)).await;
        answer(&mut upstream, "200 OK", &page([])).await;
        let head = caller.head().await;
        assert_eq!((head.first_line().as_str(), head.all("content-length").len()), ("HTTP/1.1 200 OK", 0));
        let (content, trailers) = chunks(&mut caller).await;
        assert_eq!(
            content,
            page(0..150).replace("http://airbyte-server:8001/api/public/v1/jobs?offset=1", "")
        );
        assert!(trailers.contains("airbyte-proxy-rows: 150\r\n"), "{trailers}");
    }
}

#[tokio::test]
async fn a_preference_is_confirmed_and_lines_are_rows() {
    let wire = Wire::listen().await;
    let proxy = wire.daemon().await;
    let mut caller = proxy
        .ask("GET /v1/jobs?status=failed HTTP/1.1\r\nprefer: pagination=all\r\naccept: application/x-ndjson")
        .await;
    let mut upstream = wire.accept().await;
    asked(&mut upstream, "/v1/jobs?status=failed&limit=100&offset=0").await;
    let rows = "{\"data\":[{\"jobId\":1,\r\n \"a\":\"\\n\"},{\"jobId\":2}]}";
    answer(&mut upstream, "200 OK", rows).await;
    asked(&mut upstream, "/v1/jobs?status=failed&limit=100&offset=100").await;
    answer(&mut upstream, "200 OK", &page([])).await;
    let head = caller.head().await;
    assert_eq!(head.all("preference-applied"), ["pagination=all"]);
    assert_eq!(head.all("content-type"), ["application/x-ndjson"]);
    assert_eq!(chunks(&mut caller).await.0, "{\"jobId\":1, \"a\":\"\\n\"}\n{\"jobId\":2}\n");
}

#[tokio::test]
async fn one_page_is_fetched_ahead_and_no_more() {
    let wire = Wire::listen().await;
    let proxy = wire.daemon().await;
    let (mut caller, mut upstream) = begun(&wire, &proxy, &page(0..100)).await;
    // While the first page is on its way to the caller, who has it before there is another.
    asked(&mut upstream, "/v1/jobs?limit=100&offset=100").await;
    caller.head().await;
    caller.until(b"\"jobId\":99").await;
    assert!(upstream.heard_nothing().await && !wire.somebody_waits().await);
    answer(&mut upstream, "200 OK", &page([])).await;
    caller.until(b"\"next\":\"\"}").await;
}

#[tokio::test]
async fn more_pages_are_fetched_ahead_if_so_set_and_keep_their_order() {
    let wire = Wire::listen().await;
    let mut settings = wire.settings();
    settings.proxy.lists.pages_ahead = 2;
    let proxy = start(settings).await;
    let mut caller = proxy.ask("GET /v1/jobs?limit=all HTTP/1.1").await;
    let mut one = wire.accept().await;
    asked(&mut one, "/v1/jobs?limit=100&offset=0").await;
    answer(&mut one, "200 OK", &page(0..100)).await;
    let mut other = wire.accept().await;
    let (mut second, mut third) = {
        let (one_asks, other_asks) = (one.head().await, other.head().await);
        if one_asks.first_line().contains("offset=100") {
            (one, other)
        } else {
            assert!(other_asks.first_line().contains("offset=100"));
            (other, one)
        }
    };
    answer(&mut third, "200 OK", &page([])).await;
    answer(&mut second, "200 OK", &page(100..200)).await;
    caller.head().await;
    let (content, _) = chunks(&mut caller).await;
    let rows = serde_json::from_str::<serde_json::Value>(&content).expect("JSON");
    let ids: Vec<_> =
        rows["data"].as_array().expect("rows").iter().map(|row| row["jobId"].as_u64()).collect();
    assert_eq!(ids, (0..200).map(Some).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_caller_who_leaves_stops_the_paging() {
    let wire = Wire::listen().await;
    let proxy = wire.daemon().await;
    let (mut caller, mut upstream) = begun(&wire, &proxy, &page(0..100)).await;
    asked(&mut upstream, "/v1/jobs?limit=100&offset=100").await;
    caller.head().await;
    drop(caller);
    assert_eq!(upstream.rest().await, b"", "the page that is on its way is given up");
    assert!(!wire.somebody_waits().await);
}

#[tokio::test]
async fn rows_that_come_again_are_sent_once_and_counted() {
    let wire = Wire::listen().await;
    let proxy = wire.daemon().await;
    let mut caller = proxy.ask("GET /v1/jobs?limit=all HTTP/1.1\r\nte: trailers\r\nconnection: te").await;
    let mut upstream = wire.accept().await;
    for (offset, rows) in [(0, 0..100), (100, 90..190), (200, 100..200), (300, 0..0)] {
        asked(&mut upstream, &format!("/v1/jobs?limit=100&offset={offset}")).await;
        answer(&mut upstream, "200 OK", &page(rows)).await;
    }
    caller.head().await;
    let (content, trailers) = chunks(&mut caller).await;
    assert_eq!(content.matches("\"jobId\"").count(), 200);
    assert!(trailers.contains("airbyte-proxy-rows: 200\r\n"), "{trailers}");
    assert!(trailers.contains("airbyte-proxy-duplicates: 100\r\n"), "{trailers}");
}

#[tokio::test]
async fn what_follows_a_list_that_was_whole_is_empty_and_upstream_is_not_asked() {
    let wire = Wire::listen().await;
    let proxy = wire.daemon().await;
    let nothing = proxy.get("/-/all/v1/jobs?limit=20&offset=20").await;
    assert_eq!(
        (nothing.status, nothing.text().as_str()),
        (StatusCode::OK, r#"{"data":[],"previous":"","next":""}"#)
    );
    assert!(!wire.somebody_waits().await);
}

#[tokio::test]
async fn the_head_of_a_whole_list_has_no_content() {
    let wire = Wire::listen().await;
    let proxy = wire.daemon().await;
    let mut caller = proxy.ask("HEAD /v1/jobs?limit=all HTTP/1.1").await;
    let mut upstream = wire.accept().await;
    asked(&mut upstream, "/v1/jobs?limit=100&offset=0").await;
    answer(&mut upstream, "200 OK", &page(0..100)).await;
    let head = caller.head().await;
    assert_eq!(head.first_line(), "HTTP/1.1 200 OK");
    assert!(upstream.heard_nothing().await, "nor are other pages asked for");
}
