//! Sizes, times and numbers.

use std::time::Duration;

use airbyte_proxy::demo::{ApiFault, Gate};
use tokio::time::timeout;

use super::Expect::{Closed, NotHttp, Passes, Refused};
use super::binary::stage;
use super::{Vector, answer, try_all, with};
use crate::harness::talk::{Talk, soon};

const GET: &str = "GET /v1/workspaces HTTP/1.1";

/// A field whose value has this many bytes.
fn value(bytes: usize) -> String {
    format!("x: {}\r\n", "v".repeat(bytes))
}

/// A path with this many bytes, which upstream does not know.
fn target(bytes: usize) -> Vec<u8> {
    let path = format!("/v1/{}", "p".repeat(bytes - 4));
    with(&format!("GET {path} HTTP/1.1"), "")
}

#[tokio::test]
async fn sizes_of_a_head_end_where_the_limits_say() {
    let stage = stage(&[]).await;
    let most = 16 * 1024;
    let query = format!("GET /v1/workspaces?{} HTTP/1.1", "q".repeat(most - 15));
    let too_long = format!("GET /v1/workspaces?{} HTTP/1.1", "q".repeat(most - 14));
    let lines = |n: usize| "x: y\r\n".repeat(n);
    // All fields, `host` among them, in this many bytes.
    let fields = |bytes: usize| {
        let values = bytes - "host: localhost\r\n".len() - 5 * value(0).len();
        let each = values / 5;
        with(GET, format!("{}{}", value(each).repeat(4), value(values - 4 * each)))
    };
    let vectors: Vec<Vector<'_>> = vec![
        ("a value of the limit less one", with(GET, value(most - 1)), Passes(200)),
        ("a value of the limit", with(GET, value(most)), Passes(200)),
        ("a value one too long", with(GET, value(most + 1)), Closed(431, "header-too-large")),
        ("a target of 8000 bytes", target(8000), Passes(404)),
        ("a target of the limit less one", target(most - 1), Passes(404)),
        ("a target of the limit", target(most), Passes(404)),
        ("a target one too long", target(most + 1), Refused(414, "uri-too-long")),
        ("a query that just fits", with(&query, ""), Passes(200)),
        ("a query that does not", with(&too_long, ""), Refused(414, "uri-too-long")),
        ("a target longer than any URI", target(65_535), NotHttp(414)),
        ("as many lines as upstream still takes with ours", with(GET, lines(94)), Passes(200)),
        ("101 lines", with(GET, lines(100)), NotHttp(431)),
        ("64 KiB less one", fields(65_535), Passes(200)),
        ("64 KiB", fields(65_536), Passes(200)),
        ("64 KiB and one", fields(65_537), Closed(431, "header-too-large")),
        ("more than twice 64 KiB", with(GET, value(15_000).repeat(9)), NotHttp(431)),
        ("a long name", with(GET, format!("{}: x\r\n", "n".repeat(65_400))), Passes(200)),
        (
            "a longer name",
            with(GET, format!("{}: x\r\n", "n".repeat(65_530))),
            Closed(431, "header-too-large"),
        ),
        ("a name longer than any", with(GET, format!("{}: x\r\n", "n".repeat(65_600))), NotHttp(431)),
    ];
    try_all(&stage, &vectors).await;
}

/// How long `talk` stays open while nobody says anything, in steps that are the test's own; `None` beyond a minute.
async fn closes_within(talk: &mut Talk, limit: Duration) -> bool {
    timeout(limit, talk.rest()).await.is_ok_and(|rest| rest.is_empty())
}

#[tokio::test]
async fn heads_that_do_not_come_and_connections_that_do_nothing_are_closed_without_an_answer() {
    let stage = stage(&[
        ("AIRBYTE_PROXY_LIMITS_HEAD_TIMEOUT", "300ms"),
        ("AIRBYTE_PROXY_LIMITS_IDLE_TIMEOUT", "700ms"),
    ])
    .await;
    let long = Duration::from_secs(10);
    let mut open = Vec::new();
    for start in
        ["", "G", "GET /v1/workspaces HTTP/1.1\r\n", "GET /v1/workspaces HTTP/1.1\r\nhost: localhost\r\nx"]
    {
        let mut talk = stage.proxy.talk().await;
        talk.say(start).await;
        open.push((start, talk));
    }
    // Used once, then silent; and once, then half a head.
    for more in ["", "GET /"] {
        let mut talk = stage.proxy.talk().await;
        talk.say(with("GET /-/live HTTP/1.1", "")).await;
        assert!(soon(answer(&mut talk)).await.is_some());
        talk.say(more).await;
        open.push((more, talk));
    }
    for (start, talk) in &mut open {
        assert!(closes_within(talk, long).await, "{start:?}");
    }
    assert_eq!(stage.asked().0, 0, "half a head is no request");
}

#[tokio::test]
async fn half_a_head_and_the_end_of_the_connection_is_nothing() {
    let stage = stage(&[]).await;
    for start in
        ["G", "GET /v1/workspaces HTTP/1.1\r\n", "GET /v1/workspaces HTTP/1.1\r\nhost: localhost\r\n"]
    {
        let mut talk = stage.proxy.talk().await;
        talk.say(start).await;
        talk.finish().await;
        let rest = talk.rest_text().await;
        assert!(rest.is_empty() || rest.starts_with("HTTP/1.1 400"), "{start:?}: {rest}");
    }
    assert_eq!(stage.asked(), (0, 1));
}

#[tokio::test]
async fn a_head_has_no_effect_before_its_last_byte() {
    let stage = stage(&[]).await;
    let mut talk = stage.proxy.talk().await;
    let head = with(GET, "");
    let (start, end) = head.split_at(head.len() - 1);
    talk.say(start).await;
    // Another connection's request is served meanwhile, so the first bytes have been read.
    let mut other = stage.proxy.talk().await;
    other.say(with("GET /-/live HTTP/1.1", "")).await;
    assert!(soon(answer(&mut other)).await.is_some());
    assert_eq!(stage.asked().0, 0);
    talk.say(end).await;
    assert_eq!(soon(answer(&mut talk)).await.expect("an answer").0.first_line(), "HTTP/1.1 200 OK");
}

#[tokio::test]
async fn a_connection_too_many_is_closed_at_once_and_room_returns() {
    let stage = stage(&[("AIRBYTE_PROXY_LIMITS_CONNECTIONS", "2")]).await;
    let live = with("GET /-/live HTTP/1.1", "");
    let mut kept = Vec::new();
    for _ in 0..2 {
        let mut talk = stage.proxy.talk().await;
        talk.say(&live).await;
        assert!(soon(answer(&mut talk)).await.is_some());
        kept.push(talk);
    }
    for _ in 0..5 {
        let mut refused = stage.proxy.talk().await;
        let _ = refused.try_say(&live).await;
        assert_eq!(refused.rest_text().await, "");
    }
    kept.pop();
    let served = async {
        loop {
            let mut talk = stage.proxy.talk().await;
            if talk.try_say(&live).await.is_ok() && answer(&mut talk).await.is_some() {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    soon(served).await;
}

#[tokio::test]
async fn a_request_too_many_is_refused_at_once_and_not_queued() {
    let stage = stage(&[("AIRBYTE_PROXY_LIMITS_IN_FLIGHT", "2")]).await;
    let gate = Gate::new();
    stage.airbyte.set_api_fault(Some(ApiFault::Hold(gate.clone())));
    let mut kept = Vec::new();
    for _ in 0..2 {
        let mut talk = stage.proxy.talk().await;
        talk.say(with(GET, "")).await;
        kept.push(talk);
    }
    soon(stage.airbyte.until(|counts| counts.requests == 2)).await;
    for _ in 0..20 {
        let mut talk = stage.proxy.talk().await;
        talk.say(with(GET, "")).await;
        let (refusal, body) = soon(answer(&mut talk)).await.expect("an answer");
        assert_eq!(refusal.first_line(), "HTTP/1.1 503 Service Unavailable");
        assert!(String::from_utf8_lossy(&body).contains("overloaded"));
        assert!(
            refusal.all("retry-after").iter().all(|after| after.parse::<u32>().is_ok_and(|after| after >= 1))
        );
    }
    assert_eq!(stage.asked().0, 2, "what was refused is not waiting somewhere");
    gate.open();
    for talk in &mut kept {
        assert_eq!(soon(answer(talk)).await.expect("an answer").0.first_line(), "HTTP/1.1 200 OK");
    }
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order_and_none_after_the_last_word() {
    let stage = stage(&[]).await;
    let foreign = with(GET, "origin: null\r\n");
    let ambiguous = with(GET, "transfer-encoding: chunked, chunked\r\n");
    let mut talk = stage.proxy.talk().await;
    let good = with(GET, "");
    talk.say([good.clone(), foreign, good.clone(), ambiguous, good].concat()).await;
    for status in ["200", "403", "200", "400"] {
        let (head, _) = soon(answer(&mut talk)).await.expect("an answer");
        assert_eq!(head.first_line().get(9..12), Some(status), "{}", head.text());
    }
    assert_eq!(talk.rest_text().await, "");
    assert_eq!(stage.asked().0, 2);
}
