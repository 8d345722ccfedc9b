//! What it costs to leave it running: memory, wake-ups and size at rest, and memory per client that is silent.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::time::sleep;

use super::progress;
use super::table::float;
use crate::child::{Role, Running};
use crate::load::{Load, Plan};
use crate::proxies::Proxy;
use crate::report::{Table, median, number};
use crate::stage::{Bench, Setup};
use crate::words::{heard, tell};
use crate::{Result, content, system};

pub(crate) const BARE_ROLE: &str = "role-bare";

/// Until what was done at start has calmed down.
const SETTLED: Duration = Duration::from_secs(3);
/// For how long wake-ups are counted at least.
const WATCHED: Duration = Duration::from_secs(10);
/// Clients, all of which fit into the least idle time of any proxy.
const CLIENTS: [usize; 2] = [1000, 10_000];

/// In KiB, but for the wake-ups, which are per second.
#[derive(Debug, Clone, Copy, Default)]
struct Sample {
    resident: f64,
    anonymous: f64,
    wakes: f64,
    /// Of the program on disk.
    size: f64,
    each: [Option<f64>; 2],
}

pub(super) async fn run(bench: &Bench) -> Result<Vec<Table>> {
    let columns = [
        "proxy",
        "resident MiB",
        "anonymous MiB",
        "wake-ups/s",
        "binary MiB",
        "KiB each of 1 000 idle clients",
        "KiB each of 10 000",
    ];
    let mut table = Table::new("At rest, h2 upstream (h1 for nginx), and with idle clients", &columns);
    for proxy in bench.proxies.iter().map(Some).chain([None]) {
        let name = proxy.map_or("bare hyper server", |proxy| &proxy.name);
        let mut samples = Vec::new();
        for _ in 0..bench.options.repeat.min(3) {
            let sample = match proxy {
                Some(proxy) => proxied(bench, proxy).await,
                None => unproxied(bench).await,
            };
            match sample {
                Ok(sample) => {
                    progress(&format!("idle: {name}"), None);
                    samples.push(sample);
                }
                Err(error) => {
                    progress(&format!("idle: {name}"), Some(&error.to_string()));
                    table.note(format!("Not counted: {name}: {error}"));
                }
            }
        }
        let of = |what: fn(&Sample) -> Option<f64>| number(median(samples.iter().filter_map(what)));
        table.row([
            name.to_owned(),
            of(|sample| Some(sample.resident / 1024.0)),
            of(|sample| Some(sample.anonymous / 1024.0)),
            of(|sample| Some(sample.wakes)),
            of(|sample| Some(sample.size / 1024.0)),
            of(|sample| sample.each[0]),
            of(|sample| sample.each[1]),
        ]);
    }
    Ok(vec![table])
}

async fn proxied(bench: &Bench, proxy: &Proxy) -> Result<Sample> {
    let setup = Setup { h2: proxy.kind.speaks(true), ..Setup::default() };
    let stage = bench.stage(proxy, setup).await?;
    let plan = |clients| stage.plan(clients, Duration::ZERO, Duration::from_secs(60));
    let sample = sample(bench, &stage.proxy, &stage.others, plan).await?;
    stage.strike(0).await?;
    Ok(sample)
}

async fn unproxied(bench: &Bench) -> Result<Sample> {
    let (cores, others) = bench.cores(&Setup::default());
    let mut role = Role::start(BARE_ROLE, &(), &cores)?;
    let port: u16 = role.hear(SETTLED).await?;
    let plan = |connections| Plan {
        proxy: SocketAddr::from(([127, 0, 0, 1], port)),
        target: content::KILOBYTE_PATH.to_owned(),
        upload: None,
        answer: content::KILOBYTE,
        connections,
        first: 1,
        warm: Duration::ZERO,
        measured: Duration::from_secs(60),
        each: None,
        rate: None,
        trace: None,
    };
    sample(bench, role.process(), &others, plan).await
}

async fn sample(
    bench: &Bench,
    process: &Running,
    others: &[u32],
    plan: impl Fn(usize) -> Plan,
) -> Result<Sample> {
    sleep(SETTLED).await;
    let naps = system::naps(&process.tree());
    let watched =
        bench.options.seconds.max(if bench.options.quick { Duration::from_secs(2) } else { WATCHED });
    sleep(watched).await;
    let naps = system::naps(&process.tree()).saturating_sub(naps);
    let mut sample = Sample {
        resident: float(process.memory("VmRSS")),
        anonymous: float(process.memory("RssAnon")),
        wakes: float(naps) / watched.as_secs_f64(),
        size: float(process.size()) / 1024.0,
        each: [None; 2],
    };
    // Each asks once and then stays.
    for (clients, each) in CLIENTS.into_iter().zip(&mut sample.each) {
        if bench.files < clients as u64 + 1000 || (bench.options.quick && clients > 1000) {
            continue;
        }
        let before = process.memory("RssAnon");
        let load = Load::start(&Plan { first: 1, ..plan(clients) }, others).await?;
        sleep(Duration::from_millis(500)).await;
        let after = process.memory("RssAnon");
        *each = Some(float(after.saturating_sub(before)) / float(clients as u64));
        drop(load);
        sleep(Duration::from_secs(1)).await;
    }
    Ok(sample)
}

/// A server that is hyper and nothing else, on one thread, until standard input ends: what any server built on it needs.
pub(crate) async fn bare() -> Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    tell(&listener.local_addr()?.port())?;
    let body = content::bytes(content::KILOBYTE);
    tokio::spawn(async move {
        loop {
            let Ok((tcp, _)) = listener.accept().await else { continue };
            let body = body.clone();
            let service = service_fn(move |_| {
                let body = body.clone();
                async move { Ok::<_, Infallible>(Response::new(Full::<Bytes>::new(body))) }
            });
            let builder = hyper::server::conn::http1::Builder::new();
            tokio::spawn(builder.serve_connection(TokioIo::new(tcp), service));
        }
    });
    let mut words = heard();
    while words.recv().await.is_some() {}
    Ok(())
}
