//! Answers that come before the request has been sent, over plain TCP and TLS.

use std::time::Duration;

use tokio::time::timeout;

use crate::harness::daemon::Daemon;
use crate::harness::talk::{Talk, show};
use crate::harness::wire::Wire;

const MIB: usize = 1024 * 1024;

/// A caller who has sent a head with `framing` and `some` of its content, and upstream, which has heard as much.
async fn some_sent(tls: bool, framing: &str, some: &str) -> (Wire, Daemon, Talk, Talk) {
    let wire = if tls { Wire::listen_tls().await } else { Wire::listen().await };
    let proxy = wire.daemon().await;
    let mut caller = proxy.ask(&format!("POST /v1/sources HTTP/1.1\r\n{framing}")).await;
    let mut upstream = if tls { wire.accept_tls().await } else { wire.accept().await };
    upstream.head().await;
    caller.say(some).await;
    assert_eq!(show(&upstream.exactly(some.len()).await), some);
    (wire, proxy, caller, upstream)
}

#[tokio::test]
async fn an_upload_goes_on_after_an_early_answer_of_any_framing() {
    for (said, heard) in [
        ("content-length: 2\r\n\r\nok", "ok"),
        ("transfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "2\r\nok\r\n0\r\n\r\n"),
        ("\r\nok", "2\r\nok\r\n"),
    ] {
        for tls in [false, true] {
            let (_wire, _proxy, mut caller, mut upstream) = some_sent(tls, "content-length: 9", "some").await;
            upstream.say(format!("HTTP/1.1 202 Accepted\r\n{said}")).await;
            assert_eq!(caller.head().await.first_line(), "HTTP/1.1 202 Accepted");
            assert_eq!(show(&caller.exactly(heard.len()).await), heard);
            caller.say("other").await;
            assert_eq!(show(&upstream.exactly(5).await), "other", "{said:?}");
            if said.starts_with('\r') {
                upstream.finish().await;
                assert_eq!(show(&caller.exactly(5).await), "0\r\n\r\n");
            }
            assert_eq!(upstream.rest_text().await, "", "{said:?}");
        }
    }
}

#[tokio::test]
async fn a_caller_who_leaves_within_an_early_answer_ends_its_request() {
    for tls in [false, true] {
        let (_wire, _proxy, mut caller, mut upstream) = some_sent(tls, "content-length: 9", "some").await;
        upstream.say("HTTP/1.1 202 Accepted\r\ncontent-length: 100\r\n\r\nok").await;
        caller.head().await;
        assert_eq!(show(&caller.exactly(2).await), "ok");
        drop(caller);
        assert_eq!(upstream.rest_text().await, "");
    }
}

#[tokio::test]
async fn an_upload_that_breaks_off_after_an_early_answer_is_never_completed_at_upstream() {
    for tls in [false, true] {
        for (framing, some) in
            [("content-length: 9", "some"), ("transfer-encoding: chunked", "4\r\nsome\r\n")]
        {
            let (_wire, _proxy, mut caller, mut upstream) = some_sent(tls, framing, some).await;
            upstream.say("HTTP/1.1 202 Accepted\r\ncontent-length: 2\r\n\r\nok").await;
            caller.head().await;
            assert_eq!(show(&caller.exactly(2).await), "ok");
            drop(caller);
            assert_eq!(upstream.rest_text().await, "", "{framing}");
        }
    }
}

#[tokio::test]
async fn a_refusal_by_an_upstream_that_reads_nothing_ends_the_connection() {
    for tls in [false, true] {
        let framing = format!("content-length: {}", 16 * MIB);
        let (_wire, _proxy, mut caller, mut upstream) = some_sent(tls, &framing, "some").await;
        // As much as fits between us and upstream; the rest stays with the caller.
        let _ = timeout(Duration::from_millis(200), caller.say(vec![b'x'; 16 * MIB - 4])).await;
        upstream.say("HTTP/1.1 413 Content Too Large\r\ncontent-length: 3\r\n\r\nbig").await;
        assert_eq!(caller.head().await.first_line(), "HTTP/1.1 413 Content Too Large");
        assert_eq!(show(&caller.exactly(3).await), "big");
        assert!(upstream.rest().await.len() < 16 * MIB - 4, "the upload stops");
    }
}
