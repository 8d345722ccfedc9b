//! Our own pages, used as people use them.

use std::time::Duration;

use airbyte_proxy::clock::Stopwatch;
use airbyte_proxy::demo::Options;
use http::Method;

use super::chromium::Chromium;
use crate::harness::process::{Process, airbyte, airbyte_proxy, free_port, in_front_of};

/// Nothing complained, and nothing but the proxy was asked.
fn assert_quiet(browser: &Chromium, proxy: &Process) {
    let complaints = browser.complaints();
    assert!(complaints.is_empty(), "{complaints:#?}");
    let here = proxy.url("/");
    let elsewhere = |url: &String| !(url.starts_with(&here) || url == "about:blank");
    let elsewhere: Vec<_> = browser.addresses().into_iter().filter(elsewhere).collect();
    assert!(elsewhere.is_empty(), "{elsewhere:?}");
    assert!(!browser.addresses().is_empty());
}

/// Serious faults by axe-core, if the run names one.
#[expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a switch of the test run, not a setting of the program"
)]
async fn assert_accessible(browser: &mut Chromium, place: &str) {
    let Some(axe) = std::env::var_os("AIRBYTE_PROXY_TEST_AXE").filter(|path| !path.is_empty()) else {
        println!("skipped: AIRBYTE_PROXY_TEST_AXE names no axe.min.js");
        return;
    };
    let axe = std::fs::read_to_string(axe).expect("axe-core");
    let run = "axe.run().then((found) => JSON.stringify(found.violations
        .filter((one) => ['serious', 'critical'].includes(one.impact))
        .map((one) => [one.id, one.help, one.nodes.map((node) => node.html)])))";
    let found = browser.run(&format!("{axe}\n;{run}")).await;
    assert_eq!(found, "[]", "{place}");
}

/// The number of the token that the page shows.
async fn generation(browser: &mut Chromium) -> u64 {
    let shown = browser.run("document.querySelector('#generation').textContent").await;
    shown.as_str().and_then(|shown| shown.parse().ok()).expect("a number")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_status_page_shows_renewals_and_requests_without_reload() {
    let Some(mut browser) = Chromium::start("").await else { return };
    let airbyte = airbyte(Options { token_lifetime: Duration::from_secs(6), ..Options::default() });
    let proxy = in_front_of(&airbyte).env("AIRBYTE_PROXY_NAME", "stage 2").start().await;
    browser.listen().await;
    // Before anybody looks.
    proxy.get("/v1/connections").await;
    browser.open(&proxy.url("/-/")).await;
    browser.until("document.querySelector('#state').textContent === 'Ready'").await;
    assert_eq!(browser.run("document.title").await, "stage 2 · airbyte-proxy");
    browser.until("document.querySelector('#requests').innerText.includes('/v1/connections')").await;
    assert_accessible(&mut browser, "status").await;

    let first = generation(&mut browser).await;
    browser.run("window.opened = 'once'; 0").await;
    let full = "new DOMMatrix(getComputedStyle(document.querySelector('#fill')).transform).a";
    browser.until(&format!("{full} < 0.9")).await;
    browser.until(&format!("Number(document.querySelector('#generation').textContent) > {first}")).await;
    assert!(browser.run(full).await.as_f64().is_some_and(|full| full > 0.5), "the bar is full again");
    browser.until("document.querySelectorAll('#history li').length >= 2").await;

    // Once in three times at least, however busy the machine is.
    let mut quick = false;
    for path in ["/v1/jobs", "/v1/sources", "/v1/destinations"] {
        proxy.get(path).await;
        let begun = Stopwatch::start();
        let first = "document.querySelector('#requests tr').innerText";
        browser.until(&format!("{first}.includes('{path}')")).await;
        quick |= begun.elapsed() < Duration::from_secs(1);
    }
    assert!(quick, "a request is shown within a second");
    let refused = proxy.request(Method::GET, "/v1/applications").send().await.expect("answered");
    assert_eq!(refused.status(), 403);
    browser
        .until("document.querySelector('#requests tr').innerText.includes('refused by default denial')")
        .await;
    assert_eq!(browser.run("window.opened").await, "once", "without reload");
    let page = browser.text().await;
    assert!(!page.contains("eyJ"), "no token anywhere: {page}");
    assert_quiet(&browser, &proxy);
    proxy.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_status_page_survives_a_restart_of_the_proxy() {
    let Some(mut browser) = Chromium::start("").await else { return };
    let airbyte = airbyte(Options::default());
    let listen = format!("--listen 127.0.0.1:{}", free_port());
    let start = || airbyte_proxy(&listen).upstream(&airbyte).credentials(&airbyte.credentials()).start();
    let proxy = start().await;
    browser.open(&proxy.url("/-/")).await;
    browser.until("document.querySelector('#link').textContent === 'Live'").await;
    // Exits with 0 while the page listens: it does not hold up the end.
    proxy.stop().await;
    browser.until("document.querySelector('#link').textContent.startsWith('Reconnecting')").await;
    let proxy = start().await;
    browser.until("document.querySelector('#link').textContent === 'Live'").await;
    proxy.get("/v1/workspaces").await;
    browser.until("document.querySelector('#requests').innerText.includes('/v1/workspaces')").await;
    proxy.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_explorer_finds_tries_and_turns_pages() {
    let Some(mut browser) = Chromium::start("").await else { return };
    let airbyte = airbyte(Options::default());
    let proxy = in_front_of(&airbyte).start().await;
    browser.listen().await;
    browser.open(&proxy.url("/-/explorer")).await;
    browser.until("document.querySelectorAll('.operations a').length === 92").await;
    type_into(&mut browser, "search", "list workspaces").await;
    browser.run("document.querySelector('.operations a').click()").await;
    browser.until("document.querySelector('h1:not(#welcome h1)')?.textContent === 'List workspaces'").await;

    type_into(&mut browser, "parameter-limit", "2").await;
    browser.run("document.querySelector('#try').click()").await;
    browser.until("document.querySelector('#answer-status')?.textContent === '200 OK'").await;
    browser.until("document.querySelector('.pages').innerText.includes('2 rows')").await;
    assert!(browser.text().await.contains("\"workspaceId\":"));
    assert_accessible(&mut browser, "explorer").await;
    assert!(browser.run("document.querySelector('#page-previous').disabled").await.as_bool() == Some(true));
    browser.run("document.querySelector('#page-next').click()").await;
    browser.until("document.querySelector('.pages')?.innerText.includes('1 row')").await;
    browser.until("document.querySelector('.snippets').innerText.includes('offset=2')").await;
    assert!(browser.run("document.querySelector('#page-previous').disabled").await.as_bool() == Some(false));
    browser.run("document.querySelector('#all').click()").await;
    browser.until("document.querySelector('.result').innerText.includes('All 3 rows')").await;
    assert_quiet(&browser, &proxy);
    proxy.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_explorer_explains_what_is_denied_and_asks_before_it_deletes() {
    let Some(mut browser) = Chromium::start("").await else { return };
    let airbyte = airbyte(Options::default());
    let proxy = in_front_of(&airbyte).start().await;
    browser.listen().await;
    browser.open(&proxy.url("/-/explorer#deleteSource")).await;
    browser.until("document.querySelector('#try') !== null").await;
    let before = airbyte.handle().counts().requests;
    browser.run("document.querySelector('#try').click()").await;
    browser.until("document.querySelector('.wrong').textContent === 'sourceId is required.'").await;
    type_into(&mut browser, "parameter-sourceId", "an id/of mine").await;
    for answer in ["ask-no", "ask-yes"] {
        assert_eq!(airbyte.handle().counts().requests, before, "nothing is sent unasked");
        browser.run("document.querySelector('#try').click()").await;
        browser.until("document.querySelector('#ask').open").await;
        assert!(browser.text().await.contains("DELETE /v1/sources/an%20id%2Fof%20mine"));
        assert_accessible(&mut browser, "question").await;
        browser.run(&format!("document.querySelector('#{answer}').click()")).await;
        browser.until("!document.querySelector('#ask').open").await;
    }
    // An id with a slash is no id: the guard says so.
    browser.until("document.querySelector('#answer-status')?.textContent.startsWith('400')").await;
    assert_eq!(airbyte.handle().counts().requests, before);

    browser.open(&proxy.url("/-/explorer#listApplications")).await;
    browser.until("document.querySelector('#try') !== null").await;
    assert!(browser.text().await.contains("The rules of this proxy deny this."), "marked beforehand");
    browser.run("document.querySelector('#try').click()").await;
    browser.until("document.querySelector('.problem') !== null").await;
    let said = browser.run("document.querySelector('.problem').innerText").await;
    let said = said.as_str().unwrap_or_default();
    assert!(said.contains("Denied by the rules of this proxy"), "{said}");
    assert!(said.contains("answers with the client secrets of applications"), "{said}");
    assert_accessible(&mut browser, "denied").await;
    // The browser itself notes each answer above 399; that is all there is.
    let others = browser.complaints().into_iter().filter(|one| !one.contains("Failed to load resource"));
    assert_eq!(others.collect::<Vec<_>>(), [""; 0]);
    assert_eq!(browser.complaints().len(), 2);
    proxy.stop().await;
}

/// As if typed.
async fn type_into(browser: &mut Chromium, id: &str, text: &str) {
    browser
        .run(&format!(
            "(() => {{ const field = document.getElementById('{id}'); field.value = '{text}';
               field.dispatchEvent(new Event('input', {{ bubbles: true }})); }})()"
        ))
        .await;
}
