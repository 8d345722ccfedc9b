//! Over HTTP/1.1 one connection is kept ready while requests may be expected, so that the next one need not wait for it.

use std::time::Duration;

use tokio::time::timeout;

use super::{OK, served_once};
use crate::harness::daemon::{Daemon, start};
use crate::harness::talk::Talk;
use crate::harness::wire::Wire;

/// A proxy whose connections live so long, and one of them, which has served a request.
async fn served(idle: Duration, max_age: Duration) -> (Wire, Daemon, Talk) {
    let wire = Wire::listen().await;
    let mut settings = wire.settings();
    settings.upstream.idle_timeout = idle;
    settings.upstream.max_age = max_age;
    let proxy = start(settings).await;
    let upstream = served_once(&wire, &proxy).await;
    (wire, proxy, upstream)
}

#[tokio::test]
async fn a_request_after_a_pause_finds_a_connection_that_was_made_in_time() {
    let (wire, proxy, mut first) = served(Duration::from_secs(1), Duration::from_secs(20)).await;
    // Nobody asks.
    let mut spare = wire.accept().await;
    assert_eq!(first.rest().await, b"", "closed, as it has been silent");
    let mut caller = proxy.ask("GET /v1/second HTTP/1.1").await;
    assert_eq!(spare.head().await.first_line(), "GET /v1/second HTTP/1.1");
    spare.say(OK).await;
    caller.head().await;
    assert!(!wire.somebody_waits().await);
}

#[tokio::test]
async fn spares_that_upstream_closes_are_not_made_anew_at_once() {
    let (wire, _proxy, first) = served(Duration::from_millis(50), Duration::from_secs(2)).await;
    drop(first);
    let mut spares = 0;
    while let Ok(spare) = timeout(Duration::from_secs(1), wire.accept()).await {
        drop(spare);
        spares += 1;
    }
    assert!((2..=20).contains(&spares), "{spares} in 3 s, of which 15 are due");
}

#[tokio::test]
async fn when_nobody_asks_any_more_there_is_no_spare() {
    let (wire, _proxy, mut first) = served(Duration::from_millis(50), Duration::from_millis(400)).await;
    first.rest().await;
    let mut spares = 0;
    while let Ok(mut spare) = timeout(Duration::from_secs(1), wire.accept()).await {
        spare.rest().await;
        spares += 1;
    }
    assert!((1..=9).contains(&spares), "{spares} in 0.6 s");
}
