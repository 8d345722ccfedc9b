//! The first request after start and after a pause, against asking upstream without a proxy.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::sleep;
use tokio_rustls::TlsConnector;

use super::progress;
use crate::load::Load;
use crate::proxies::{Kind, Proxy};
use crate::report::{Table, median, number};
use crate::stage::{Bench, Setup, Stage};
use crate::upstream::{CLIENT_ID, CLIENT_SECRET};
use crate::{Result, authority, content};

/// In ms.
#[derive(Debug, Clone, Copy)]
struct Sample {
    first: f64,
    after_pause: f64,
    /// Token and request, each on a connection of its own, as two curls do it. Only where the token is not fixed.
    direct: f64,
}

/// One proxy in front of one kind of upstream, and what came of it.
struct Line<'a> {
    proxy: &'a Proxy,
    h2: bool,
    samples: Vec<Sample>,
}

pub(super) async fn run(bench: &Bench) -> Result<Vec<Table>> {
    let mut lines = Vec::new();
    for h2 in [true, false] {
        let proxies = bench.proxies.iter().filter(|proxy| proxy.kind.speaks(h2));
        lines.extend(proxies.map(|proxy| Line { proxy, h2, samples: Vec::new() }));
    }
    let mut wrong = Vec::new();
    for _ in 0..bench.options.repeat {
        turn(bench, &mut lines, &mut wrong).await;
    }
    let mut tables: Vec<_> = [true, false].map(|h2| table(bench, h2, &lines)).into();
    if let Some(table) = tables.last_mut() {
        for wrong in wrong {
            table.note(wrong);
        }
    }
    Ok(tables)
}

/// Starts each and asks it once; then all rest together, since a proxy that nobody asks disturbs no other.
async fn turn(bench: &Bench, lines: &mut [Line<'_>], wrong: &mut Vec<String>) {
    let mut resting = Vec::new();
    for line in &mut *lines {
        let begun = begin(bench, line.proxy, line.h2).await;
        progress(
            &format!("cold: {}", line.proxy.name),
            begun.as_ref().err().map(ToString::to_string).as_deref(),
        );
        resting.push(begun);
    }
    sleep(bench.options.pause).await;
    for (line, begun) in lines.iter_mut().zip(resting) {
        let ended = match begun {
            Ok((stage, first)) => end(bench, line.proxy, stage, first).await,
            Err(error) => Err(error),
        };
        match ended {
            Ok(sample) => line.samples.push(sample),
            Err(error) => wrong.push(format!("Not counted: {}: {error}", line.proxy.name)),
        }
    }
}

fn table(bench: &Bench, h2: bool, lines: &[Line<'_>]) -> Table {
    let far = bench.options.round_trip.as_secs_f64() * 1000.0;
    let http = if h2 { "h2" } else { "h1" };
    let title = format!("First request, {http} upstream {far:.0} ms away");
    let pause = format!("after {} s without one, ms", bench.options.pause.as_secs());
    let columns =
        ["proxy", "after start, ms", "round trips", &pause, "round trips", "two curls without it, ms"];
    let mut table = Table::new(title, &columns);
    for line in lines.iter().filter(|line| line.h2 == h2) {
        let of = |what: fn(&Sample) -> f64| median(line.samples.iter().map(what));
        let trips = |ms: Option<f64>| number(ms.map(|ms| ms / far));
        let (first, paused) = (of(|sample| sample.first), of(|sample| sample.after_pause));
        let direct = of(|sample| sample.direct).filter(|_| line.proxy.kind == Kind::Ours);
        let name = line.proxy.name.clone();
        table.row([name, number(first), trips(first), number(paused), trips(paused), number(direct)]);
    }
    table
}

async fn begin(bench: &Bench, proxy: &Proxy, h2: bool) -> Result<(Stage, Duration)> {
    let round_trip = bench.options.round_trip;
    let stage = bench.stage(proxy, Setup { h2, round_trip, tried: false, ..Setup::default() }).await?;
    let first = once(&stage).await?;
    Ok((stage, first))
}

async fn end(bench: &Bench, proxy: &Proxy, stage: Stage, first: Duration) -> Result<Sample> {
    let after_pause = once(&stage).await?;
    let direct = if proxy.kind == Kind::Ours { direct(bench, &stage).await? } else { Duration::ZERO };
    stage.strike(2).await?;
    let ms = |duration: Duration| duration.as_secs_f64() * 1000.0;
    Ok(Sample { first: ms(first), after_pause: ms(after_pause), direct: ms(direct) })
}

/// One request on a connection of its own, as the load's clock has it: the connection to the proxy is local and made
/// before.
async fn once(stage: &Stage) -> Result<Duration> {
    let mut plan = stage.plan(1, Duration::ZERO, Duration::from_secs(30));
    plan.each = Some(1);
    let report = Load::start(&plan, &stage.others).await?.go().await?;
    Ok(Duration::from_secs_f64(report.p50 / 1e6))
}

/// Without a proxy: asks for a token, then with it, over a new connection each time.
async fn direct(bench: &Bench, stage: &Stage) -> Result<Duration> {
    let tls = TlsConnector::from(Arc::new(authority::client(bench.folder.path())?));
    let began = Instant::now();
    let credentials = serde_json::json!({
        "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "grant-type": "client_credentials",
    });
    let mint = Request::post("/v1/applications/token").header(header::CONTENT_TYPE, "application/json");
    let answer = curl(&tls, stage.upstream.port, mint, credentials.to_string()).await?;
    let answer: serde_json::Value = serde_json::from_slice(&answer)?;
    let token = answer["access_token"].as_str().ok_or("no token")?;
    let get = Request::get(content::KILOBYTE_PATH).header(header::AUTHORIZATION, format!("Bearer {token}"));
    let answer = curl(&tls, stage.upstream.port, get, String::new()).await?;
    if answer != content::bytes(content::KILOBYTE) {
        return Err("the answer without a proxy is wrong".into());
    }
    Ok(began.elapsed())
}

async fn curl(tls: &TlsConnector, port: u16, request: http::request::Builder, body: String) -> Result<Bytes> {
    let tcp = TcpStream::connect(("127.0.0.1", port)).await?;
    tcp.set_nodelay(true)?;
    let stream = tls.connect(ServerName::try_from("localhost")?, tcp).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let request =
        request.header(header::HOST, format!("localhost:{port}")).body(Full::new(Bytes::from(body)))?;
    let answer = sender.send_request(request).await?.into_body().collect().await?.to_bytes();
    connection.abort();
    Ok(answer)
}
