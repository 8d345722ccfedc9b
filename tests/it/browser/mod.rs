//! A real browser: what pages of other sites can do to the proxy, and that its own pages work.
//!
//! Playwright drives it, by the scripts in `tests/browser`. Needs Node with what `tests/browser/package.json` lists, named
//! by `AIRBYTE_PROXY_TEST_PLAYWRIGHT`, and a Chromium, named by `AIRBYTE_PROXY_TEST_CHROMIUM`; without them nothing is
//! tested, and that is said.

#![cfg(target_os = "linux")]

mod pages;
mod playwright;
mod site;

use std::net::SocketAddr;

use playwright::Script;
use site::Site;

use crate::vectors::binary::{Stage, stage};

/// Lines of the access log about requests that were refused for this.
async fn refused(stage: &Stage, problem: &str) -> usize {
    stage.proxy.log().await.iter().filter(|line| line.contains(problem)).count()
}

/// The page of `host`, a name for `at`, does what `act` says. Whether it could.
async fn visit(stage: &Stage, act: &str, host: &str, at: SocketAddr) -> bool {
    let site = Site::start(at, stage.proxy.addr).await;
    let page = format!("http://{host}:{}/page", site.addr.port());
    let proxy = format!("http://{}", stage.proxy.addr);
    let arguments = [act, &page, &proxy, &at.ip().to_string()];
    let Some(script) = Script::start("hostile.mjs", &arguments) else { return false };
    script.ends().await;
    true
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hostile_page_reads_nothing_and_changes_nothing() {
    let stage = stage(&[]).await;
    let before = stage.asked();
    if !visit(&stage, "hostile", "page.example", ([127, 0, 0, 1], 0).into()).await {
        return;
    }
    // They did reach the proxy, which is why this proves something.
    assert!(refused(&stage, "origin-not-allowed").await >= 30, "{:?}", stage.proxy.log().await);
    assert_eq!(stage.asked(), before, "nothing of it reached upstream");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebound_page_gets_refusals_and_nothing_else() {
    let stage = stage(&[]).await;
    let before = stage.asked();
    // The same origin before and after.
    let at = SocketAddr::from(([127, 0, 0, 2], stage.proxy.addr.port()));
    if !visit(&stage, "rebound", "evil.example", at).await {
        return;
    }
    assert!(refused(&stage, "host-not-allowed").await >= 9, "{:?}", stage.proxy.log().await);
    assert_eq!(stage.asked(), before, "nothing of it reached upstream");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_own_pages_open_from_anywhere_and_may_use_the_api() {
    let stage = stage(&[]).await;
    let before = stage.asked();
    if !visit(&stage, "links", "page.example", ([127, 0, 0, 1], 0).into()).await {
        return;
    }
    assert_eq!(stage.asked().0 - before.0, 3, "what it was told to ask, and nothing by itself");
}
