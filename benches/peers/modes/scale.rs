//! Two workers against one.
//!
//! On a machine with cores to spare, how much more two can do. On any, what a request costs with two workers at the same
//! load, paced well below what one can carry.

use super::progress;
use super::table::{float, per};
use crate::Result;
use crate::load::Load;
use crate::proxies::Proxy;
use crate::report::{Table, median, number};
use crate::stage::{Bench, Setup};

const CONNECTIONS: usize = 64;

/// CPU in µs a request, and requests a second.
type Sample = (f64, f64);

pub(super) async fn run(bench: &Bench) -> Result<Vec<Table>> {
    let columns = [
        "proxy",
        "CPU µs, one worker",
        "CPU µs, two",
        "ratio",
        "requests/s, one",
        "requests/s, two",
        "ratio",
    ];
    let upstream = if h2(bench) { "h2 upstream (h1 for nginx)" } else { "h1 upstream" };
    let title = format!("Two workers, {upstream}, {CONNECTIONS} connections");
    let mut table = Table::new(title, &columns);
    let spare = bench.cores.len() >= 4;
    for proxy in &bench.proxies {
        let mut equal = [Vec::new(), Vec::new()];
        let mut most = [Vec::new(), Vec::new()];
        for _ in 0..bench.options.repeat {
            match turn(bench, proxy, spare).await {
                Ok((paced, full)) => {
                    progress(&format!("scale: {}", proxy.name), None);
                    equal.iter_mut().zip(paced).for_each(|(all, one)| all.push(one));
                    most.iter_mut().zip(full.into_iter().flatten()).for_each(|(all, one)| all.push(one));
                }
                Err(error) => {
                    progress(&format!("scale: {}", proxy.name), Some(&error.to_string()));
                    table.note(format!("Not counted: {}: {error}", proxy.name));
                }
            }
        }
        let cpu = equal.map(|all| median(all.into_iter().map(|(cpu, _)| cpu)));
        let rate = most.map(|all| median(all.into_iter().map(|(_, rate)| rate)));
        let ratio = |both: [Option<f64>; 2]| number(both[0].zip(both[1]).map(|(one, two)| two / one));
        let [one, two] = cpu.map(number);
        let [less, more] = rate.map(number);
        table.row([proxy.name.clone(), one, two, ratio(cpu), less, more, ratio(rate)]);
    }
    table.note(
        "CPU: the same paced load for both, half of what one worker can carry, on two cores for the proxy.",
    );
    if !spare {
        table.note("Fewer than four cores: load and upstream share them with two workers, so throughput is not shown.");
    }
    Ok(vec![table])
}

/// Unless HTTP/1.1 was asked for.
fn h2(bench: &Bench) -> bool {
    !bench.options.only.iter().any(|word| word == "h1")
}

/// One worker and two: paced, and as fast as they can.
async fn turn(bench: &Bench, proxy: &Proxy, spare: bool) -> Result<([Sample; 2], Option<[Sample; 2]>)> {
    let alone = sample(bench, proxy, 1, true, None).await?;
    let rate = alone.1 / 2.0;
    let one = sample(bench, proxy, 1, false, Some(rate)).await?;
    let two = sample(bench, proxy, 2, false, Some(rate)).await?;
    let both = if spare { Some([alone, sample(bench, proxy, 2, true, None).await?]) } else { None };
    Ok(([one, two], both))
}

async fn sample(
    bench: &Bench,
    proxy: &Proxy,
    workers: usize,
    apart: bool,
    rate: Option<f64>,
) -> Result<Sample> {
    let setup = Setup { h2: h2(bench) && proxy.kind.speaks(true), workers, apart, ..Setup::default() };
    let stage = bench.stage(proxy, setup).await?;
    let mut plan = stage.plan(CONNECTIONS, bench.options.warm, bench.options.seconds);
    plan.rate = rate;
    let mut load = Load::start(&plan, &stage.others).await?;
    let before = stage.proxy.cpu();
    let report = load.go().await?;
    let cpu = stage.proxy.cpu().saturating_sub(before);
    stage.strike(report.all).await?;
    Ok((per(cpu, report.requests), float(report.requests) / report.seconds))
}
