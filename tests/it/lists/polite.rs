//! Whole lists where requests a second are limited.

use std::time::Duration;

use airbyte_proxy::clock::Clock;
use http::StatusCode;

use super::{answer, asked, begun, page};
use crate::harness::daemon::start;
use crate::harness::wire::Wire;

/// Ten notebooks that read whole lists are one polite client too.
#[tokio::test]
async fn further_pages_wait_for_their_turn_and_requests_go_before_them() {
    let wire = Wire::listen().await;
    let (clock, hand) = Clock::manual();
    let mut settings = wire.settings();
    settings.clock = clock;
    settings.proxy.rate = Some(4);
    settings.proxy.lists.pages_ahead = 0;
    let proxy = start(settings).await;
    let (mut caller, mut upstream) = begun(&wire, &proxy, &page(0..100)).await;
    asked(&mut upstream, "/v1/jobs?limit=100&offset=100").await;
    answer(&mut upstream, "200 OK", &page(100..200)).await;

    caller.until(b"\"jobId\":199").await;
    // The list and one page have taken half of what there is. The next page would be the next on this connection.
    let mut other = proxy.ask("GET /v1/sources/1 HTTP/1.1").await;
    asked(&mut upstream, "/v1/sources/1").await;
    answer(&mut upstream, "200 OK", "{}").await;
    assert_eq!(other.head().await.first_line(), "HTTP/1.1 200 OK");

    hand.advance(Duration::from_millis(500));
    asked(&mut upstream, "/v1/jobs?limit=100&offset=200").await;
    answer(&mut upstream, "200 OK", &page([])).await;
    caller.until(b"\r\n0\r\n\r\n").await;

    // Nothing has been taken that was not used.
    for id in 0..2 {
        let mut talk = proxy.ask(&format!("GET /v1/sources/{id} HTTP/1.1")).await;
        asked(&mut upstream, &format!("/v1/sources/{id}")).await;
        answer(&mut upstream, "200 OK", "{}").await;
        assert_eq!(talk.head().await.first_line(), "HTTP/1.1 200 OK");
    }
    assert_eq!(proxy.get("/v1/sources/2").await.status, StatusCode::TOO_MANY_REQUESTS);
}
