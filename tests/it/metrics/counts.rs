//! A scenario, and its numbers.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::time::Duration;

use airbyte_proxy::demo::{ApiFault, Fault, Gate, Options, Sizes};
use http::{Method, StatusCode};

use super::{Scrape, all_of, scrape, until};
use crate::harness::daemon::got;
use crate::harness::simulated::{Stage, stage_of, stage_with};

/// Old enough for a 401 to mean something.
const AGED: Duration = Duration::from_secs(11);

async fn four_workers(jobs: usize) -> Stage {
    let options = Options { sizes: Sizes { jobs, ..Sizes::default() }, ..Options::default() };
    stage_of(options, |_| {}, |settings| settings.workers = NonZeroUsize::new(4).expect("four")).await
}

fn is(seen: f64, expected: usize) -> bool {
    (seen - f64::from(u32::try_from(expected).expect("small"))).abs() < 1e-9
}

async fn drive(stage: &Stage) {
    let proxy = &stage.proxy;
    for _ in 0..3 {
        assert_eq!(proxy.get("/v1/workspaces").await.status, 200);
    }
    assert_eq!(proxy.get("/v1/jobs?limit=all").await.status, 200);
    assert_eq!(proxy.get("/v1/jobs/999999999").await.status, 404);
    assert_eq!(proxy.get("/v1/applications").await.problem(), "path-not-allowed");
    assert_eq!(proxy.get("/nowhere").await.problem(), "unknown-path");
    let evil = proxy.request(Method::GET, "/v1/jobs").header("host", "evil.example");
    assert_eq!(got(evil).await.problem(), "host-not-allowed");
    let token = proxy.request(Method::POST, "/v1/applications/token").body("{}");
    assert_eq!(got(token).await.status, 200);
    let sync = proxy.request(Method::POST, "/v1/jobs").header("content-type", "application/json");
    assert_eq!(got(sync.body("{\"no\":1}")).await.status, 400, "Airbyte's own");
    let odd = Method::from_bytes(b"PROPFIND").expect("a method");
    got(proxy.request(odd, "/v1/made/up")).await;
    // A token that no longer works.
    stage.hand.advance(AGED);
    proxy.heard().await;
    stage.airbyte.revoke_all();
    assert_eq!(proxy.get("/v1/tags").await.status, 200);
}

#[tokio::test]
async fn every_counter_is_what_was_done() {
    let stage = four_workers(250).await;
    drive(&stage).await;
    let expected: BTreeMap<_, _> = [
        ("GET", "/v1/workspaces", "2xx", "airbyte", 3.0),
        ("GET", "/v1/jobs", "2xx", "airbyte", 1.0),
        ("GET", "/v1/jobs/{id}", "4xx", "airbyte", 1.0),
        ("GET", "/v1/applications", "4xx", "proxy", 1.0),
        ("GET", "-", "4xx", "proxy", 2.0),
        ("POST", "token", "2xx", "proxy", 1.0),
        ("POST", "/v1/jobs", "4xx", "airbyte", 1.0),
        ("other", "other", "4xx", "airbyte", 1.0),
        ("GET", "/v1/tags", "2xx", "airbyte", 1.0),
    ]
    .map(|(method, route, status, by, times)| {
        let labels =
            format!("method=\"{method}\",route=\"{route}\",status=\"{status}\",answered_by=\"{by}\"");
        (labels, times)
    })
    .into();
    let expected: BTreeMap<&str, f64> = expected.iter().map(|(labels, n)| (labels.as_str(), *n)).collect();
    let seen = until(&stage.proxy, |seen| seen.requests() == expected).await;

    let counts = stage.airbyte.counts();
    let asked = usize::try_from(counts.pages).expect("few") - 3;
    for (series, value) in [
        ("airbyte_proxy_refusals_total{rule=\"default denial\",kind=\"path-not-allowed\"}", 1),
        ("airbyte_proxy_refusals_total{rule=\"unknown path\",kind=\"unknown-path\"}", 1),
        ("airbyte_proxy_refusals_total{rule=\"guard.allowed_hosts\",kind=\"host-not-allowed\"}", 1),
        ("airbyte_proxy_errors_total{kind=\"unknown-path\"}", 1),
        ("airbyte_proxy_replays_total", 1),
        ("airbyte_proxy_whole_lists_total", 1),
        ("airbyte_proxy_whole_list_rows_total", 250),
        ("airbyte_proxy_whole_list_pages_total", asked),
        ("airbyte_proxy_token_mints_total{outcome=\"granted\"}", 2),
        ("airbyte_proxy_request_body_bytes_total", 8),
        ("airbyte_proxy_request_duration_seconds_count{route=\"/v1/workspaces\"}", 3),
        ("airbyte_proxy_upstream_head_duration_seconds_count", 8),
        ("airbyte_proxy_connections_refused_total", 0),
        ("airbyte_proxy_requests_in_flight", 0),
    ] {
        assert!(is(seen.of_series(series), value), "{series} is not {value}: {}", seen.text);
    }
    assert!(seen.of_series("airbyte_proxy_response_body_bytes_total") > 250.0 * 50.0);
    assert!(seen.of_series("airbyte_proxy_connections_accepted_total") > 0.0);
    assert!(seen.of_series("airbyte_proxy_token_expires_in_seconds") > 600.0);
}

#[tokio::test]
async fn what_is_under_way_is_a_gauge_and_who_leaves_is_nobodys_answer() {
    let stage = four_workers(9).await;
    let proxy = &stage.proxy;
    let gate = Gate::new();
    stage.airbyte.set_api_fault(Some(ApiFault::Hold(gate.clone())));
    let calls: Vec<_> = (0..3).map(|_| proxy.begin(Method::GET, "/v1/tags")).collect();
    let leaves = proxy.ask("GET /v1/jobs HTTP/1.1").await;
    let flying = |number| move |seen: &Scrape| is(seen.of_series("airbyte_proxy_requests_in_flight"), number);
    let seen = until(proxy, flying(4)).await;
    assert!(seen.of_series("airbyte_proxy_connections_open") >= 4.0, "{}", seen.text);
    drop(leaves);
    let seen = until(proxy, flying(3)).await;
    let nobody = "method=\"GET\",route=\"/v1/jobs\",status=\"4xx\",answered_by=\"nobody\"";
    assert_eq!(seen.requests(), BTreeMap::from([(nobody, 1.0)]));
    assert!(is(seen.of_series("airbyte_proxy_errors_total{kind=\"caller-left\"}"), 1), "{}", seen.text);
    stage.airbyte.set_api_fault(None);
    gate.open();
    assert!(all_of(calls).await.iter().all(|got| got.status == StatusCode::OK));
    until(proxy, flying(0)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scrapes_under_load_lose_nothing_and_never_go_back() {
    const CALLERS: usize = 8;
    const CALLS: usize = 40;
    let stage = four_workers(9).await;
    let proxy = &stage.proxy;
    let calls = async {
        for _ in 0..CALLS {
            let calls = (0..CALLERS).map(|_| proxy.begin(Method::GET, "/v1/tags")).collect();
            assert!(all_of(calls).await.iter().all(|got| got.status == StatusCode::OK));
        }
    };
    let series = "airbyte_proxy_request_duration_seconds_count{route=\"/v1/tags\"}";
    let scrapes = async {
        let mut last = 0.0;
        loop {
            let seen = scrape(proxy).await;
            let counted = seen.of_series(series);
            let whole = seen
                .of_series("airbyte_proxy_request_duration_seconds_bucket{route=\"/v1/tags\",le=\"+Inf\"}");
            assert!(counted >= last && is(counted - whole, 0), "{last} {}", seen.text);
            last = counted;
        }
    };
    tokio::select! {
        () = calls => {}
        () = scrapes => {}
    }
    let seen = until(proxy, |seen| is(seen.of_series(series), CALLERS * CALLS)).await;
    let tags = "method=\"GET\",route=\"/v1/tags\",status=\"2xx\",answered_by=\"airbyte\"";
    assert!(is(seen.requests()[tags], CALLERS * CALLS), "{}", seen.text);
}

#[tokio::test]
async fn mints_are_counted_by_what_came_of_them() {
    let faults = [
        Some(Fault::Html(StatusCode::BAD_GATEWAY)),
        Some(Fault::Html(StatusCode::NOT_FOUND)),
        Some(Fault::Html(StatusCode::FORBIDDEN)),
        None,
    ];
    let stage = stage_with(|airbyte| airbyte.next_token_answers(faults), |_| {}).await;
    let first = scrape(&stage.proxy).await;
    assert!(is(first.of_series("airbyte_proxy_token_expires_in_seconds"), 0));
    assert!(is(first.of_series("airbyte_proxy_token_last_success_timestamp_seconds"), 0));
    let mints = |seen: &Scrape| {
        ["granted", "rejected", "misconfigured", "transient"].map(|outcome| {
            seen.of_series(&format!("airbyte_proxy_token_mints_total{{outcome=\"{outcome}\"}}"))
        })
    };
    let all = async {
        loop {
            let seen = scrape(&stage.proxy).await;
            if seen.of_series("airbyte_proxy_token_expires_in_seconds") > 0.0 {
                return seen;
            }
            stage.hand.advance(Duration::from_secs(1));
        }
    };
    let seen = crate::harness::talk::soon(all).await;
    assert!(mints(&seen).into_iter().all(|number| is(number, 1)), "{}", seen.text);
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of a century")]
    let now = stage.hand.now().wall as f64 / 1000.0;
    let last = seen.of_series("airbyte_proxy_token_last_success_timestamp_seconds");
    assert!((0.0..=2.0).contains(&(now - last)), "{last} {now}");
}
