//! What adds series and what does not.

use std::collections::BTreeSet;

use http::Method;

use super::{scrape, until};
use crate::harness::daemon::got;
use crate::harness::simulated::stage;

#[tokio::test]
async fn made_up_paths_and_methods_add_one_series_and_no_word_of_theirs() {
    let stage = stage(|_| {}).await;
    let proxy = &stage.proxy;
    let mut sent = 0;
    for n in 0..25 {
        for path in [
            format!("/v1/made-up-{n}"),
            format!("/v1/jobs/made-up-{n}/made-up"),
            format!("/api/public/v1/workspaces/made-up-{n}/made-up"),
            format!("/-/all/v1/made-up-{n}"),
        ] {
            let method = format!("MADE{n}").replace(|c: char| c.is_ascii_digit(), "X");
            let method = if n % 2 == 0 { Method::GET } else { method.parse().expect("a method") };
            got(proxy.request(method, &path).header("x-made-up", "made-up")).await;
            sent += 1;
        }
        got(proxy.request(Method::GET, &format!("/made-up-{n}"))).await;
        got(proxy.request(Method::GET, &format!("/-/made-up-{n}"))).await;
        got(proxy.request(Method::GET, &format!("/v1/jobs?made-up={n}"))).await;
        sent += 2;
    }
    let seen = until(proxy, |seen| seen.requests().values().sum::<f64>() >= f64::from(sent)).await;
    assert!(!seen.text.contains("made-up") && !seen.text.contains("MADE"), "{}", seen.text);
    let routes: BTreeSet<_> = seen
        .requests()
        .into_keys()
        .filter_map(|labels| labels.split("route=\"").nth(1)?.split('"').next().map(str::to_owned))
        .collect();
    assert_eq!(routes.iter().map(String::as_str).collect::<Vec<_>>(), ["-", "/v1/jobs", "other"]);
    assert!(seen.values.len() < 200, "{}", seen.values.len());
}

#[tokio::test]
async fn a_scrape_holds_no_token_and_no_secret() {
    let stage = stage(|_| {}).await;
    stage.proxy.get("/v1/jobs?limit=1").await;
    let seen = scrape(&stage.proxy).await;
    for secret in stage.airbyte.tokens() {
        assert!(!seen.text.contains(secret.expose()));
    }
    let credentials = stage.airbyte.credentials();
    assert!(!seen.text.contains(credentials.client_secret.expose()));
    assert!(!seen.text.contains(&*credentials.client_id));
}

#[tokio::test]
async fn a_scraper_gets_the_format_that_it_asks_for() {
    let stage = stage(|_| {}).await;
    for (accept, content_type) in [
        ("*/*", "application/openmetrics-text; version=1.0.0; charset=utf-8"),
        ("text/plain;version=0.0.4", "text/plain; version=0.0.4; charset=utf-8"),
    ] {
        let answer = got(stage.proxy.request(Method::GET, "/-/metrics").header("accept", accept)).await;
        assert_eq!(answer.header("content-type"), Some(content_type));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.text().ends_with("# EOF\n"), accept == "*/*");
    }
    let post = got(stage.proxy.request(Method::POST, "/-/metrics")).await;
    assert_eq!(post.problem(), "method-not-allowed");
}
