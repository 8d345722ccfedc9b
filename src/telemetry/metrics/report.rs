//! Everything that is counted, written out. The shards are added up here.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::histogram::Seen;
use super::shard::{ANSWERERS, CLASSES, METHODS, Shard};
use super::text::{Kind, Text};
use super::{Counter, Format, Metrics, Token};

/// What is not told apart.
pub(super) const OTHER: &str = "other";

/// States of readiness.
static STATES: [&str; 5] = ["starting", "ready", "degraded", "broken", "draining"];

pub(super) fn write(metrics: &Metrics, format: Format, token: &Token) -> String {
    let shards = metrics.shards();
    let mut text = Text::new(format);
    requests(&mut text, metrics, &shards);
    failures(&mut text, metrics, &shards);
    sums(&mut text, &shards);
    moment(&mut text, metrics);
    of_token(&mut text, token);
    text.family("airbyte_proxy_build", Kind::Info, "The version that runs");
    text.value(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    text.family("process_start_time_seconds", Kind::Gauge, "When the process began, since the epoch");
    text.value(&[], seconds(metrics.started.wall));
    text.end()
}

fn requests(text: &mut Text, metrics: &Metrics, shards: &[Arc<Shard>]) {
    let used = |number: usize| {
        let routes: Vec<_> = shards.iter().filter_map(|shard| shard.of_route(number)).collect();
        (!routes.is_empty()).then_some(routes)
    };
    let routes = || metrics.labels.routes.iter().enumerate();
    let name = "airbyte_proxy_requests";
    text.family(name, Kind::Counter, "Requests whose answer has ended, by who answered and how");
    for (number, route) in routes() {
        let Some(used) = used(number) else { continue };
        let mut sums = [0; METHODS.len() * CLASSES.len() * ANSWERERS.len()];
        for shard in used {
            sums.iter_mut().zip(shard.counts()).for_each(|(sum, count)| *sum += count);
        }
        let methods = METHODS.iter().flat_map(|method| CLASSES.iter().map(move |class| (method, class)));
        let labels = methods.flat_map(|(method, class)| ANSWERERS.iter().map(move |by| (method, class, by)));
        for ((method, class, by), sum) in labels.zip(sums).filter(|(_, sum)| *sum > 0) {
            let labels = [("method", *method), ("route", route), ("status", *class), ("answered_by", *by)];
            text.value(&labels, sum);
        }
    }
    let name = "airbyte_proxy_request_duration_seconds";
    text.family(name, Kind::Histogram, "From the head of a request to the end of its answer");
    for (number, route) in routes() {
        let Some(used) = used(number) else { continue };
        let mut seen = Seen::default();
        for route in &used {
            seen.add(&route.duration);
        }
        text.histogram(&[("route", route)], &seen);
    }
    let name = "airbyte_proxy_upstream_head_duration_seconds";
    text.family(name, Kind::Histogram, "From the head of a request to the head of Airbyte's answer");
    let mut seen = Seen::default();
    for shard in shards {
        seen.add(&shard.upstream);
    }
    text.histogram(&[], &seen);
}

fn failures(text: &mut Text, metrics: &Metrics, shards: &[Arc<Shard>]) {
    let errors: Vec<_> = metrics.labels.errors.iter().copied().chain([OTHER]).collect();
    let rules: Vec<_> = metrics.labels.rules.iter().map(String::as_str).chain([OTHER]).collect();
    let name = "airbyte_proxy_errors";
    text.family(name, Kind::Counter, "Requests that ended in a problem of the proxy's own or broke off");
    let mut sums = vec![0; errors.len()];
    for shard in shards {
        sums.iter_mut().zip(shard.errors()).for_each(|(sum, count)| *sum += count);
    }
    for (error, sum) in errors.iter().zip(sums).filter(|(_, sum)| *sum > 0) {
        text.value(&[("kind", error)], sum);
    }
    text.family("airbyte_proxy_refusals", Kind::Counter, "Requests that the guard refused, by rule");
    let mut sums = vec![0; errors.len() * rules.len()];
    for shard in shards {
        sums.iter_mut().zip(shard.refusals()).for_each(|(sum, count)| *sum += count);
    }
    let labels = rules.iter().flat_map(|rule| errors.iter().map(move |error| (rule, error)));
    for ((rule, error), sum) in labels.zip(sums).filter(|(_, sum)| *sum > 0) {
        text.value(&[("rule", rule), ("kind", error)], sum);
    }
}

fn sums(text: &mut Text, shards: &[Arc<Shard>]) {
    let mut one = |name, help, of: fn(&Shard) -> &Counter| {
        text.family(name, Kind::Counter, help);
        text.value(&[], shards.iter().map(|shard| of(shard).get()).sum::<u64>());
    };
    one("airbyte_proxy_request_body_bytes", "Bytes of request bodies sent on to Airbyte", |s| &s.bytes_in);
    one("airbyte_proxy_response_body_bytes", "Bytes of response bodies sent to callers", |s| &s.bytes_out);
    one("airbyte_proxy_replays", "Requests sent again with a new token after a 401", |s| &s.replays);
    one("airbyte_proxy_whole_lists", "Answers that were whole lists", |s| &s.lists);
    one("airbyte_proxy_whole_list_rows", "Rows sent in whole lists", |s| &s.rows);
    one("airbyte_proxy_whole_list_pages", "Pages of Airbyte's read for whole lists", |s| &s.pages);
}

fn moment(text: &mut Text, metrics: &Metrics) {
    text.family("airbyte_proxy_requests_in_flight", Kind::Gauge, "Requests that count for limits.in_flight");
    text.value(&[], metrics.in_flight.load(Ordering::Relaxed));
    let connections = &metrics.connections;
    text.family("airbyte_proxy_connections_open", Kind::Gauge, "Client connections that are open");
    text.value(&[], connections.open.load(Ordering::Relaxed));
    text.family("airbyte_proxy_connections_accepted", Kind::Counter, "Client connections that were accepted");
    text.value(&[], connections.accepted.get());
    text.family("airbyte_proxy_connections_refused", Kind::Counter, "Client connections closed over a limit");
    text.value(&[], connections.refused.get());
}

fn of_token(text: &mut Text, token: &Token) {
    text.family("airbyte_proxy_state", Kind::Gauge, "1 at the state that /-/ready tells, 0 at the others");
    for state in STATES {
        text.value(&[("state", state)], u8::from(state == token.state));
    }
    text.family("airbyte_proxy_token_mints", Kind::Counter, "Attempts to get a token, by what came of them");
    for (outcome, number) in token.mints {
        text.value(&[("outcome", outcome)], number);
    }
    let name = "airbyte_proxy_token_expires_in_seconds";
    text.family(name, Kind::Gauge, "How long the token at hand may still be used; 0 without one");
    text.value(&[], token.expires_in.as_secs_f64());
    let name = "airbyte_proxy_token_last_success_timestamp_seconds";
    text.family(name, Kind::Gauge, "When a token was last granted, since the epoch; 0 if never");
    text.value(&[], seconds(token.last_success.unwrap_or(0)));
}

/// Milliseconds, as Prometheus wants them.
#[expect(clippy::cast_precision_loss, reason = "exact for another 285 000 years")]
fn seconds(millis: i64) -> f64 {
    millis as f64 / 1000.0
}
