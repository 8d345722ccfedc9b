//! Latency while tokens are renewed, and while they are not.
//!
//! Tokens of ten seconds are renewed after six: no two are asked for within five seconds, whatever they live. So besides
//! all requests, those around a renewal are looked at alone.

use std::fs::read_to_string;
use std::time::Duration;

use super::progress;
use super::table::float;
use crate::Result;
use crate::histogram::Histogram;
use crate::load::Load;
use crate::proxies::Proxy;
use crate::report::{Table, median, number};
use crate::stage::{Bench, Setup};

const CONNECTIONS: usize = 64;
/// How long a run takes at least, so that there is something to see.
const LEAST: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_secs(10);
const LONG: Duration = Duration::from_secs(3600);
/// What counts as around a renewal, before and after the token was given; in µs.
const AROUND: (u64, u64) = (100_000, 400_000);

/// In µs.
#[derive(Debug, Clone, Copy)]
struct Sample {
    renewals: u64,
    p50: f64,
    p999: f64,
    /// Of the requests around a renewal, and how many they are.
    around: Option<(f64, u64)>,
}

pub(super) async fn run(bench: &Bench) -> Result<Vec<Table>> {
    let title = format!("Renewing tokens, h2 upstream, {CONNECTIONS} connections");
    let columns = [
        "proxy",
        "tokens live, s",
        "renewals",
        "p50 µs",
        "p99.9 µs",
        "p99.9 µs around renewals",
        "requests there",
    ];
    let mut table = Table::new(title, &columns);
    for proxy in bench.proxies.iter().filter(|proxy| proxy.kind.mints()) {
        let mut samples = [Vec::new(), Vec::new()];
        for _ in 0..bench.options.repeat {
            for (life, samples) in [LONG, SHORT].into_iter().zip(&mut samples) {
                let what = format!("refresh, tokens of {} s: {}", life.as_secs(), proxy.name);
                match sample(bench, proxy, life).await {
                    Ok(sample) => {
                        progress(&what, None);
                        samples.push(sample);
                    }
                    Err(error) => {
                        progress(&what, Some(&error.to_string()));
                        table.note(format!("Not counted: {}: {error}", proxy.name));
                    }
                }
            }
        }
        for (life, samples) in [LONG, SHORT].into_iter().zip(&samples) {
            let around = samples.iter().filter_map(|sample| sample.around);
            table.row([
                proxy.name.clone(),
                life.as_secs().to_string(),
                samples.iter().map(|sample| sample.renewals).sum::<u64>().to_string(),
                number(median(samples.iter().map(|sample| sample.p50))),
                number(median(samples.iter().map(|sample| sample.p999))),
                number(median(around.clone().map(|(p999, _)| p999))),
                around.map(|(_, requests)| requests).sum::<u64>().to_string(),
            ]);
        }
    }
    Ok(vec![table])
}

async fn sample(bench: &Bench, proxy: &Proxy, life: Duration) -> Result<Sample> {
    let mut stage = bench.stage(proxy, Setup { life, ..Setup::default() }).await?;
    let given = stage.upstream.seen().await?.mints.len();
    let mut plan = stage.plan(CONNECTIONS, bench.options.warm, bench.options.seconds.max(LEAST));
    let trace = stage.folder.path().join("trace");
    plan.trace = Some(trace.clone());
    let mut load = Load::start(&plan, &stage.others).await?;
    let report = load.go().await?;
    load.done().await?;
    let text = read_to_string(trace)?;
    let mints = stage.strike(report.all).await?.mints;
    let mints = mints.get(given..).unwrap_or_default();
    let mut histogram = Histogram::new();
    for line in text.lines() {
        let (at, took) = line.split_once(' ').ok_or("the trace is broken")?;
        let (at, took): (u64, u64) = (at.parse()?, took.parse()?);
        let near = |mint: &u64| at + AROUND.0 >= *mint && at <= mint + AROUND.1;
        if mints.iter().any(near) {
            histogram.record(took);
        }
    }
    let around =
        (histogram.total() > 0).then(|| (float(histogram.quantile(0.999)) / 1000.0, histogram.total()));
    Ok(Sample { renewals: mints.len() as u64, p50: report.p50, p999: report.p999, around })
}
