//! What it costs to be asked for the metrics.
//!
//! Throughput and CPU under full load, with a scrape every second and without, in turn; and what one scrape takes by
//! itself, from a proxy that has nothing else to do. Prometheus asks every 15 s or so.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::progress;
use super::table::{float, per};
use crate::Result;
use crate::load::Load;
use crate::proxies::{Kind, Proxy};
use crate::report::{Table, median, number};
use crate::stage::{Bench, Setup, answers};

const CONNECTIONS: usize = 64;
const EVERY: Duration = Duration::from_secs(1);
const TARGET: &str = "/-/metrics";
/// CPU time is counted in hundredths of a second, so one is not enough.
const ALONE: u32 = 2000;

/// CPU in µs a request, and requests a second.
type Sample = (f64, f64);

pub(super) async fn run(bench: &Bench) -> Result<Vec<Table>> {
    let title = format!("Being scraped, h2 upstream, {CONNECTIONS} connections");
    let columns = ["proxy", "scraped", "CPU µs a request", "ratio", "requests/s", "ratio"];
    let mut table = Table::new(title, &columns);
    for proxy in bench.proxies.iter().filter(|proxy| proxy.kind == Kind::Ours) {
        let mut samples = [Vec::new(), Vec::new()];
        for turn in 0..bench.options.repeat {
            // The one that comes first is not always the same.
            for which in if turn % 2 == 0 { [0, 1] } else { [1, 0] } {
                let outcome = sample(bench, proxy, which == 1).await;
                let wrong = outcome.as_ref().err().map(ToString::to_string);
                progress(&format!("scrape: {}", proxy.name), wrong.as_deref());
                match outcome {
                    Ok(sample) => samples[which].push(sample),
                    Err(error) => table.note(format!("Not counted: {error}")),
                }
            }
        }
        rows(&mut table, &proxy.name, &samples);
        match alone(bench, proxy).await {
            Ok(each) => table.note(format!(
                "One scrape by itself: {} ms of CPU ({ALONE} in a row, each with a connection of its own). Every 15 s \
                 that is {:.4} % of a core.",
                number(Some(each * 1000.0)),
                each / 15.0 * 100.0
            )),
            Err(error) => table.note(format!("Not counted: {error}")),
        }
    }
    Ok(vec![table])
}

fn rows(table: &mut Table, name: &str, samples: &[Vec<Sample>; 2]) {
    let middle = |which: usize| {
        let all = &samples[which];
        (median(all.iter().map(|(cpu, _)| *cpu)), median(all.iter().map(|(_, rate)| *rate)))
    };
    let (without, with) = (middle(0), middle(1));
    let ratio = |one: Option<f64>, other: Option<f64>| {
        one.zip(other).map_or_else(|| "–".to_owned(), |(one, other)| format!("{:.3}", other / one))
    };
    for (scraped, (cpu, rate)) in [("never", without), ("every second", with)] {
        table.row([
            name.to_owned(),
            scraped.to_owned(),
            number(cpu),
            ratio(without.0, cpu),
            number(rate),
            ratio(without.1, rate),
        ]);
    }
}

async fn sample(bench: &Bench, proxy: &Proxy, scraped: bool) -> Result<Sample> {
    let stage = bench.stage(proxy, Setup::default()).await?;
    let plan = stage.plan(CONNECTIONS, bench.options.warm, bench.options.seconds);
    let mut load = Load::start(&plan, &stage.others).await?;
    let before = stage.proxy.cpu();
    let report = tokio::select! {
        report = load.go() => report?,
        wrong = scrapes(stage.addr), if scraped => return Err(wrong),
    };
    let cpu = stage.proxy.cpu().saturating_sub(before);
    stage.strike(report.all).await?;
    Ok((per(cpu, report.requests), float(report.requests) / report.seconds))
}

/// Until one fails.
async fn scrapes(addr: SocketAddr) -> Box<dyn std::error::Error + Send + Sync> {
    let mut turns = interval(EVERY);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        turns.tick().await;
        if let Err(error) = answers(addr, Some(TARGET)).await {
            return error;
        }
    }
}

/// CPU time of one, in seconds.
async fn alone(bench: &Bench, proxy: &Proxy) -> Result<f64> {
    let stage = bench.stage(proxy, Setup::default()).await?;
    let before = stage.proxy.cpu();
    for _ in 0..ALONE {
        answers(stage.addr, Some(TARGET)).await?;
    }
    let each = stage.proxy.cpu().saturating_sub(before).as_secs_f64() / f64::from(ALONE);
    stage.strike(0).await?;
    Ok(each)
}
