//! Lists: whole ones in one answer, and pages whose links lead back.

mod failures;
mod large;
mod links;
mod polite;
mod reference;
mod walk;

use std::time::Duration;

use crate::harness::daemon::{Daemon, start};
use crate::harness::talk::{Head, Talk};
use crate::harness::wire::Wire;

/// A page as Airbyte writes it, with rows of these numbers.
fn page(jobs: impl IntoIterator<Item = u32>) -> String {
    let rows: Vec<_> =
        jobs.into_iter().map(|id| format!("{{\"jobId\":{id},\"status\":\"failed\"}}")).collect();
    let next = if rows.is_empty() { "" } else { "http://airbyte-server:8001/api/public/v1/jobs?offset=1" };
    format!("{{\"data\":[{}],\"previous\":\"\",\"next\":\"{next}\"}}", rows.join(","))
}

/// A proxy that does not wait long before it asks for a page again.
async fn impatient(wire: &Wire) -> Daemon {
    let mut settings = wire.settings();
    settings.proxy.lists.retry_pause = Duration::from_millis(1);
    start(settings).await
}

/// With this status and content.
async fn answer(upstream: &mut Talk, status: &str, content: &str) {
    let length = content.len();
    upstream
        .say(format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{content}"
        ))
        .await;
}

/// A whole list whose first page is this one: its caller, and upstream's connection.
async fn begun(wire: &Wire, proxy: &Daemon, first: &str) -> (Talk, Talk) {
    let caller = proxy.ask("GET /v1/jobs?limit=all HTTP/1.1").await;
    let mut upstream = wire.accept().await;
    asked(&mut upstream, "/v1/jobs?limit=100&offset=0").await;
    answer(&mut upstream, "200 OK", first).await;
    (caller, upstream)
}

/// The next request, which is for this target.
async fn asked(upstream: &mut Talk, target: &str) -> Head {
    let head = upstream.head().await;
    assert_eq!(head.first_line(), format!("GET {target} HTTP/1.1"));
    head
}
