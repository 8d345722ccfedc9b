//! Shards and their sum, what adds series and what does not, and the two formats.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::clock::Clock;

fn metrics() -> Metrics {
    let labels = Labels {
        routes: vec!["-".into(), "/v1/jobs".into(), "/v1/jobs/{id}".into()],
        errors: vec!["overloaded", "path-not-allowed"],
        rules: vec!["peer".into(), "policy.rules[0]".into()],
    };
    Metrics::new(labels, Clock::manual().0.now())
}

fn request() -> Finished<'static> {
    Finished {
        method: "GET",
        route: 1,
        status: 200,
        by: By::Airbyte,
        duration: Duration::from_millis(30),
        upstream: Some(Duration::from_millis(20)),
        bytes_in: 3,
        bytes_out: 5,
        replayed: false,
        walked: None,
        error: None,
        rule: None,
    }
}

fn token() -> Token {
    Token {
        state: "ready",
        expires_in: Duration::from_millis(61_500),
        last_success: Some(1_700_000_000_250),
        mints: [("granted", 7), ("rejected", 0), ("misconfigured", 0), ("transient", 2)],
    }
}

/// Samples by what stands before their value.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let samples = lines.map(|line| {
        let (name, value) = line.rsplit_once(' ').expect("a value");
        (name.to_owned(), value.parse().expect("a number"))
    });
    let all: Vec<_> = samples.collect();
    let number = all.len();
    let all: BTreeMap<_, _> = all.into_iter().collect();
    assert_eq!(all.len(), number, "a series is there twice");
    all
}

fn seen(metrics: &Metrics) -> BTreeMap<String, f64> {
    samples(&metrics.report(Format::OpenMetrics, &token()))
}

#[test]
fn a_request_is_counted_under_its_names() {
    let metrics = metrics();
    let shard = metrics.shard();
    shard.count(&request());
    let refused = Finished { method: "PROPFIND", route: 0, status: 403, by: By::Proxy, ..request() };
    let rule = Some(shard.rule_number("policy.rules[0]"));
    shard.count(&Finished { error: Some("path-not-allowed"), rule, upstream: None, ..refused });
    shard.count(&Finished { replayed: true, walked: Some((250, 4)), route: 2, ..request() });
    let seen = seen(&metrics);
    let requests = |method, route, status, by| {
        let name = format!(
            "airbyte_proxy_requests_total{{method=\"{method}\",route=\"{route}\",status=\"{status}\",answered_by=\"{by}\"}}"
        );
        seen.get(&name).copied().unwrap_or_else(|| panic!("no {name}"))
    };
    assert!((requests("GET", "/v1/jobs", "2xx", "airbyte") - 1.0).abs() < 1e-9);
    assert!((requests("other", "-", "4xx", "proxy") - 1.0).abs() < 1e-9);
    for (name, value) in [
        ("airbyte_proxy_request_duration_seconds_bucket{route=\"/v1/jobs\",le=\"0.025\"}", 0.0),
        ("airbyte_proxy_request_duration_seconds_bucket{route=\"/v1/jobs\",le=\"0.05\"}", 1.0),
        ("airbyte_proxy_request_duration_seconds_sum{route=\"/v1/jobs\"}", 0.03),
        ("airbyte_proxy_upstream_head_duration_seconds_bucket{le=\"0.025\"}", 2.0),
        ("airbyte_proxy_upstream_head_duration_seconds_count", 2.0),
        ("airbyte_proxy_errors_total{kind=\"path-not-allowed\"}", 1.0),
        ("airbyte_proxy_refusals_total{rule=\"policy.rules[0]\",kind=\"path-not-allowed\"}", 1.0),
        ("airbyte_proxy_request_body_bytes_total", 9.0),
        ("airbyte_proxy_response_body_bytes_total", 15.0),
        ("airbyte_proxy_replays_total", 1.0),
        ("airbyte_proxy_whole_lists_total", 1.0),
        ("airbyte_proxy_whole_list_rows_total", 250.0),
        ("airbyte_proxy_whole_list_pages_total", 4.0),
        ("airbyte_proxy_state{state=\"ready\"}", 1.0),
        ("airbyte_proxy_state{state=\"broken\"}", 0.0),
        ("airbyte_proxy_token_mints_total{outcome=\"granted\"}", 7.0),
        ("airbyte_proxy_token_expires_in_seconds", 61.5),
        ("airbyte_proxy_token_last_success_timestamp_seconds", 1_700_000_000.25),
        ("process_start_time_seconds", 1_700_000_000.0),
    ] {
        assert!(
            seen.get(name).is_some_and(|seen| (seen - value).abs() < 1e-9),
            "{name}: {:?}",
            seen.get(name)
        );
    }
}

#[test]
fn the_report_is_the_sum_of_all_shards_whoever_counted() {
    let (one, many) = (metrics(), metrics());
    let alone = one.shard();
    let shards: Vec<_> = (0..4).map(|_| many.shard()).collect();
    std::thread::scope(|scope| {
        for (at, shard) in shards.iter().enumerate() {
            let count = move |shard: &Shard| {
                for n in 0..1000_u64 {
                    let route = usize::try_from(n).expect("small") % 3;
                    let duration = Duration::from_micros(n * 997 * (at as u64 + 1));
                    shard.count(&Finished {
                        route,
                        duration,
                        bytes_out: n,
                        replayed: n % 7 == 0,
                        ..request()
                    });
                }
            };
            scope.spawn(move || count(shard));
            count(&alone);
        }
    });
    assert_eq!(seen(&one), seen(&many));
    assert!((seen(&many)["airbyte_proxy_response_body_bytes_total"] - 4.0 * 499_500.0).abs() < 1e-9);
}

#[test]
fn scraping_changes_nothing() {
    let metrics = metrics();
    metrics.shard().count(&request());
    let first = metrics.report(Format::OpenMetrics, &token());
    assert_eq!(metrics.report(Format::Plain, &token()).lines().count(), first.lines().count() - 1);
    assert_eq!(metrics.report(Format::OpenMetrics, &token()), first);
}

#[test]
fn names_end_as_each_format_wants_them() {
    let metrics = metrics();
    metrics.shard().count(&request());
    let open = metrics.report(Format::OpenMetrics, &token());
    let plain = metrics.report(Format::Plain, &token());
    assert!(
        open.contains("# TYPE airbyte_proxy_requests counter\n") && open.ends_with("\n# EOF\n"),
        "{open}"
    );
    assert!(open.contains("# TYPE airbyte_proxy_build info\nairbyte_proxy_build_info{version=\""), "{open}");
    assert!(plain.contains("# TYPE airbyte_proxy_requests_total counter\n"), "{plain}");
    assert!(plain.contains("# TYPE airbyte_proxy_build_info gauge\n") && !plain.contains("EOF"), "{plain}");
    assert_eq!(samples(&open), samples(&plain));
}

#[test]
fn every_family_is_described_even_before_anything_happened() {
    let text = metrics().report(Format::OpenMetrics, &token());
    let types: BTreeSet<_> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    let helps = text.lines().filter(|line| line.starts_with("# HELP ") && line.ends_with('.')).count();
    assert!(types.len() == helps && types.len() > 18, "{text}");
}

#[test]
fn the_format_is_the_one_that_is_preferred() {
    let prometheus =
        "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
    for (accept, format) in [
        (prometheus, Format::OpenMetrics),
        ("text/plain;version=0.0.4;q=0.5, application/openmetrics-text;version=1.0.0;q=0.4", Format::Plain),
        ("text/plain", Format::Plain),
        ("*/*", Format::OpenMetrics),
        ("text/html,*/*;q=0.8", Format::OpenMetrics),
        ("text/plain;q=x", Format::OpenMetrics),
        ("", Format::OpenMetrics),
    ] {
        assert_eq!(Format::preferred([accept].into_iter()), format, "{accept}");
    }
}

#[test]
fn a_label_can_hold_anything() {
    let mut text = text::Text::new(Format::OpenMetrics);
    text.family("x", text::Kind::Gauge, "X");
    text.value(&[("a", "1\"\\\n2"), ("b", "")], 3);
    assert_eq!(text.end(), "# HELP x X.\n# TYPE x gauge\nx{a=\"1\\\"\\\\\\n2\",b=\"\"} 3\n# EOF\n");
}

proptest! {
    #[test]
    fn nothing_that_a_caller_makes_up_adds_a_series(
        made_up in prop::collection::vec(("[A-Z!#]{1,20}", "[ -~]{0,20}", any::<u16>(), any::<u32>(), 0..200_usize), 1..50)
    ) {
        let metrics = metrics();
        let shard = metrics.shard();
        for (method, error, status, micros, rule) in &made_up {
            let duration = Duration::from_micros(u64::from(*micros));
            let made_up = Finished { method, status: *status, error: Some(error), rule: Some(*rule), duration, ..request() };
            shard.count(&made_up);
        }
        let series = seen(&metrics);
        // One route: eight methods, four classes, one answerer; one error; three rules.
        let requests = series.keys().filter(|name| name.starts_with("airbyte_proxy_requests_total")).count();
        prop_assert!(requests <= 8 * 4);
        let failures = |name: &str| name.starts_with("airbyte_proxy_errors_total") || name.starts_with("airbyte_proxy_refusals_total");
        prop_assert!(series.keys().filter(|name| failures(name)).count() <= 3 + 3 * 3);
        prop_assert!(series.len() < 100);
        let counted: f64 = series.iter().filter(|(name, _)| name.starts_with("airbyte_proxy_requests_total")).map(|(_, n)| n).sum();
        prop_assert!((counted - f64::from(u32::try_from(made_up.len()).expect("few"))).abs() < 1e-9, "none is lost");
    }
}
