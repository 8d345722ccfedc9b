//! CPU per request, throughput, latency and memory, by connections, bodies and protocols.

use std::time::Duration;

use super::progress;
use crate::Result;
use crate::content::{self, KILOBYTE, MEGABYTE};
use crate::load::{Load, Plan};
use crate::proxies::Proxy;
use crate::report::{Table, median, number};
use crate::stage::{Bench, Setup, Stage};

/// One kind of load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cell {
    connections: usize,
    post: bool,
    body: usize,
    h2: bool,
}

/// What one run of one cell came to.
#[derive(Debug, Clone, Copy)]
struct Sample {
    cpu: f64,
    rate: f64,
    p50: f64,
    p99: f64,
    p999: f64,
    /// At most, in MiB.
    memory: f64,
}

impl Cell {
    fn words(self) -> [String; 4] {
        let body = if self.body == KILOBYTE { "1k" } else { "1m" };
        let http = if self.h2 { "h2" } else { "h1" };
        let method = if self.post { "post" } else { "get" };
        [self.connections.to_string(), body.to_owned(), http.to_owned(), method.to_owned()]
    }

    fn title(self) -> String {
        let [connections, body, http, method] = self.words();
        let body = if body == "1k" { "1 KiB" } else { "1 MiB" };
        let bodies = if self.post { "sent" } else { "received" };
        format!("{} of {body} {bodies}, {http} upstream, {connections} connections", method.to_uppercase())
    }

    fn plan(self, bench: &Bench, stage: &Stage) -> Plan {
        let mut plan = stage.plan(self.connections, bench.options.warm, bench.options.seconds);
        let target = match (self.post, self.body) {
            (true, _) => content::POST_PATH,
            (false, MEGABYTE) => content::MEGABYTE_PATH,
            (false, _) => content::KILOBYTE_PATH,
        };
        target.clone_into(&mut plan.target);
        (plan.answer, plan.upload) = (self.body, self.post.then_some(self.body));
        plan
    }
}

/// All of them, or those that were asked for.
fn cells(bench: &Bench) -> Result<Vec<Cell>> {
    let mut cells = Vec::new();
    for h2 in [true, false] {
        for post in [false, true] {
            for body in [KILOBYTE, MEGABYTE] {
                cells.extend([1, 64, 512].map(|connections| Cell { connections, post, body, h2 }));
            }
        }
    }
    let dimensions = [["1", "64", "512"].as_slice(), &["1k", "1m"], &["h1", "h2"], &["get", "post"]];
    let only = &bench.options.only;
    if let Some(word) =
        only.iter().find(|word| !dimensions.iter().any(|words| words.contains(&word.as_str())))
    {
        return Err(format!("--only {word}: see --help").into());
    }
    let meant = |cell: &Cell| {
        cell.words()
            .iter()
            .zip(dimensions)
            .all(|(word, all)| only.contains(word) || !only.iter().any(|only| all.contains(&only.as_str())))
    };
    let quick = |cell: &Cell| cell.connections == 64 && (cell.body == KILOBYTE || (cell.h2 && !cell.post));
    cells.retain(|cell| meant(cell) && (!bench.options.quick || !only.is_empty() || quick(cell)));
    Ok(cells)
}

pub(super) async fn run(bench: &Bench) -> Result<Vec<Table>> {
    let mut tables = Vec::new();
    for cell in cells(bench)? {
        let proxies: Vec<&Proxy> = bench.proxies.iter().filter(|proxy| proxy.kind.speaks(cell.h2)).collect();
        let mut samples: Vec<Vec<Sample>> = vec![Vec::new(); proxies.len()];
        let mut wrong = Vec::new();
        for turn in 0..bench.options.repeat {
            // Whoever is first in one turn is second in the next.
            for place in (0..proxies.len()).map(|place| (place + turn) % proxies.len()) {
                let what = format!("{}: {}", cell.title(), proxies[place].name);
                match sample(bench, cell, proxies[place]).await {
                    Ok(sample) => {
                        progress(&what, None);
                        samples[place].push(sample);
                    }
                    Err(error) => {
                        progress(&what, Some(&error.to_string()));
                        wrong.push(format!("{}, run {}: {error}", proxies[place].name, turn + 1));
                    }
                }
            }
        }
        tables.push(table(cell, &proxies, &samples, &wrong));
    }
    Ok(tables)
}

async fn sample(bench: &Bench, cell: Cell, proxy: &Proxy) -> Result<Sample> {
    let stage = bench.stage(proxy, Setup { h2: cell.h2, ..Setup::default() }).await?;
    let mut load = Load::start(&cell.plan(bench, &stage), &stage.others).await?;
    let before = stage.proxy.cpu();
    let report = load.go().await?;
    let cpu = stage.proxy.cpu().saturating_sub(before);
    let memory = stage.proxy.memory("VmHWM");
    stage.strike(report.all).await?;
    Ok(Sample {
        cpu: per(cpu, report.requests),
        rate: float(report.requests) / report.seconds,
        p50: report.p50,
        p99: report.p99,
        p999: report.p999,
        memory: float(memory) / 1024.0,
    })
}

/// In µs.
pub(super) fn per(cpu: Duration, requests: u64) -> f64 {
    cpu.as_secs_f64() * 1e6 / float(requests.max(1))
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
pub(super) fn float(n: u64) -> f64 {
    n as f64
}

fn table(cell: Cell, proxies: &[&Proxy], samples: &[Vec<Sample>], wrong: &[String]) -> Table {
    let columns = [
        "proxy",
        "CPU µs a request",
        "requests/s",
        "p50 µs",
        "p99 µs",
        "p99.9 µs",
        "peak MiB",
        "CPU ÷ best peer",
    ];
    let mut table = Table::new(cell.title(), &columns);
    let of = |samples: &[Sample], what: fn(&Sample) -> f64| median(samples.iter().map(what));
    let cpu = |samples: &Vec<Sample>| of(samples, |sample| sample.cpu);
    let peers = proxies.iter().zip(samples).filter(|(proxy, _)| proxy.kind.is_peer());
    let best = peers.filter_map(|(_, samples)| cpu(samples)).min_by(f64::total_cmp);
    for (proxy, samples) in proxies.iter().zip(samples) {
        let ratio = cpu(samples).zip(best).map(|(cpu, best)| cpu / best);
        table.row([
            proxy.name.clone(),
            number(cpu(samples)),
            number(of(samples, |sample| sample.rate)),
            number(of(samples, |sample| sample.p50)),
            number(of(samples, |sample| sample.p99)),
            number(of(samples, |sample| sample.p999)),
            number(of(samples, |sample| sample.memory)),
            number(ratio),
        ]);
    }
    for wrong in wrong {
        table.note(format!("Not counted: {wrong}"));
    }
    table
}
