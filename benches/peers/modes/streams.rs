//! Many slow answers at the same time: the memory they take, and the CPU per MiB.

use std::time::Duration;

use super::progress;
use super::table::float;
use crate::Result;
use crate::content::{MEGABYTE, SLOW_PATH};
use crate::load::Load;
use crate::proxies::Proxy;
use crate::report::{Table, median, number};
use crate::stage::{Bench, Setup};

const STREAMS: usize = 256;
/// Bytes a second of all streams together: a MiB in all, and what one core can carry.
const RATES: [usize; 2] = [MEGABYTE, 64 * MEGABYTE];

#[derive(Debug, Clone, Copy)]
struct Sample {
    /// In ms.
    cpu: f64,
    /// At most, in MiB.
    memory: f64,
    /// The slowest, as a multiple of how long it should take.
    late: f64,
}

pub(super) async fn run(bench: &Bench) -> Result<Vec<Table>> {
    let mut tables = Vec::new();
    for rate in RATES {
        let title = format!("{STREAMS} answers at {} MiB/s together", rate / MEGABYTE);
        let mut table =
            Table::new(title, &["proxy", "CPU ms a MiB", "peak MiB", "slowest, of the time it should take"]);
        for proxy in &bench.proxies {
            let mut samples = Vec::new();
            for _ in 0..bench.options.repeat.min(3) {
                let what = format!("streams: {}", proxy.name);
                match sample(bench, proxy, rate).await {
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
            table.row([
                proxy.name.clone(),
                number(median(samples.iter().map(|sample| sample.cpu))),
                number(median(samples.iter().map(|sample| sample.memory))),
                number(median(samples.iter().map(|sample| sample.late))),
            ]);
        }
        tables.push(table);
    }
    Ok(tables)
}

async fn sample(bench: &Bench, proxy: &Proxy, together: usize) -> Result<Sample> {
    let setup = Setup { h2: proxy.kind.speaks(true), ..Setup::default() };
    let stage = bench.stage(proxy, setup).await?;
    let seconds = usize::try_from(bench.options.seconds.as_secs().max(1))?;
    let rate = together / STREAMS;
    // Pieces of 16 KiB, the first of which comes at once.
    let bytes = (rate * seconds).max(64 * 1024);
    let should = float((bytes - 16 * 1024) as u64) / float(rate as u64);
    let mut plan = stage.plan(STREAMS, Duration::ZERO, Duration::from_secs(120));
    plan.target = format!("{SLOW_PATH}?bytes={bytes}&rate={rate}");
    (plan.answer, plan.each) = (bytes, Some(1));
    let mut load = Load::start(&plan, &stage.others).await?;
    let before = stage.proxy.cpu();
    let report = load.go().await?;
    let cpu = stage.proxy.cpu().saturating_sub(before);
    let memory = stage.proxy.memory("VmHWM");
    stage.strike(report.all).await?;
    let mebibytes = float(report.requests * bytes as u64) / float(MEGABYTE as u64);
    Ok(Sample {
        cpu: cpu.as_secs_f64() * 1000.0 / mebibytes,
        memory: float(memory) / 1024.0,
        late: report.p999 / 1e6 / should,
    })
}
