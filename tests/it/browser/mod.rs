//! A real browser: what pages of other sites can do to the proxy, and that its own pages work.
//!
//! Needs a Chromium, named by `AIRBYTE_PROXY_TEST_CHROMIUM`; without it nothing is tested, and that is said.

#![cfg(target_os = "linux")]

mod chromium;
mod pages;
mod site;

use std::net::SocketAddr;

use chromium::Chromium;
use site::Site;

use crate::vectors::binary::{Stage, stage};

/// Lines of the access log about requests that were refused for this.
async fn refused(stage: &Stage, problem: &str) -> usize {
    stage.proxy.log().await.iter().filter(|line| line.contains(problem)).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hostile_page_reads_nothing_and_changes_nothing() {
    let Some(mut browser) = Chromium::start("MAP page.example 127.0.0.1").await else { return };
    let stage = stage(&[]).await;
    let before = stage.asked();
    let site = Site::start(([127, 0, 0, 1], 0).into(), stage.proxy.addr).await;
    let page = format!("http://page.example:{}/page", site.addr.port());

    browser.open(&page).await;
    let outcomes = browser.run("attack()").await;
    let outcomes = outcomes.as_object().expect("outcomes");
    assert!(outcomes.len() >= 20, "{outcomes:?}");
    for (name, outcome) in outcomes {
        let outcome = outcome.as_str().unwrap_or_default();
        assert!(["failed", "opaque", "closed"].contains(&outcome), "{name}: {outcome}");
    }
    // They did reach the proxy, which is why this proves something.
    assert!(refused(&stage, "origin-not-allowed").await >= 15, "{:?}", stage.proxy.log().await);

    for (leave, path) in [
        ("document.querySelector('#api').click()", "/v1/workspaces"),
        ("document.querySelector('#ready').click()", "/-/ready"),
        ("document.querySelector('#top').submit()", "/v1/jobs"),
    ] {
        browser.open(&page).await;
        browser.run(leave).await;
        browser.arrived(&format!("http://{}{path}", stage.proxy.addr)).await;
        let text = browser.text().await;
        assert!(text.contains("Requests from other web sites are refused"), "{leave}: {text}");
    }
    assert_eq!(stage.asked(), before, "nothing of it reached upstream");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebound_page_gets_refusals_and_nothing_else() {
    let Some(mut browser) = Chromium::start("MAP evil.example 127.0.0.2").await else { return };
    let stage = stage(&[]).await;
    let before = stage.asked();
    let port = stage.proxy.addr.port();
    let site = Site::start(SocketAddr::from(([127, 0, 0, 2], port)), stage.proxy.addr).await;
    assert_eq!(site.addr.port(), port, "the same origin before and after");

    browser.open(&format!("http://evil.example:{port}/page")).await;
    for request in [
        "fetch('/v1/workspaces')",
        "fetch('/v1/jobs', { method: 'POST', headers: json, body: '{}' })",
        "fetch('/v1/connections/1', { method: 'DELETE' })",
        "fetch('/v1/applications/token', { method: 'POST', body: '{}' })",
        "fetch('/-/')",
        "fetch('/-/ready')",
    ] {
        let said = "async (r) => r.status + ' ' + [...r.headers.keys()].join() + ' ' + await r.text()";
        let got = browser.run(&format!("{request}.then({said})")).await;
        let got = got.as_str().unwrap_or_default();
        assert!(got.starts_with("403 ") && got.contains("host-not-allowed"), "{request}: {got}");
        assert!(!got.contains("access-control") && !got.contains("workspaceId"), "{request}: {got}");
    }
    assert!(refused(&stage, "host-not-allowed").await >= 6, "{:?}", stage.proxy.log().await);
    assert_eq!(stage.asked(), before, "nothing of it reached upstream");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_own_pages_open_from_anywhere_and_may_use_the_api() {
    let Some(mut browser) = Chromium::start("MAP page.example 127.0.0.1").await else { return };
    let stage = stage(&[]).await;
    let site = Site::start(([127, 0, 0, 1], 0).into(), stage.proxy.addr).await;
    let home = format!("http://{}/-/", stage.proxy.addr);
    let before = stage.asked();

    // By its address, by a link of somebody else, and by one to the root.
    browser.open(&home).await;
    assert!(browser.text().await.contains("Airbyte API without tokens"));
    for link in ["document.querySelector('#home').click()", "document.querySelector('#root').click()"] {
        browser.open(&format!("http://page.example:{}/page", site.addr.port())).await;
        browser.run(link).await;
        browser.arrived(&home).await;
        assert!(browser.text().await.contains("Airbyte API without tokens"), "{link}");
    }
    assert_eq!(stage.asked(), before, "a page by itself asks Airbyte nothing");

    let rows = browser.run("fetch('/v1/workspaces').then((r) => r.json()).then((j) => j.data.length)").await;
    assert!(rows.as_u64().is_some_and(|rows| rows > 0), "{rows}");
    let cors =
        browser.run("fetch('/v1/workspaces').then((r) => r.headers.has('access-control-allow-origin'))");
    assert_eq!(cors.await, false);
    let posted =
        "fetch('/v1/jobs', { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' })";
    assert_eq!(browser.run(&format!("{posted}.then((r) => r.status)")).await, 400, "Airbyte's own answer");

    // An API address typed into the address bar shows what Airbyte says.
    browser.open(&format!("http://{}/v1/workspaces", stage.proxy.addr)).await;
    assert!(browser.text().await.contains("workspaceId"));
    assert_eq!(stage.asked().0 - before.0, 4);
}
