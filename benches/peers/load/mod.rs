//! The load, from a process of its own: HTTP/1.1 connections that are kept, each asking again once it has been answered.
//!
//! It reads what it needs and no more: a real HTTP library would cost more than some of the proxies do.

mod client;

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{sleep_until, timeout};

use self::client::Connection;
use crate::Result;
use crate::child::Role;
use crate::content;
use crate::histogram::Histogram;
use crate::words::{heard, tell};

pub(crate) const ROLE: &str = "role-load";

/// Connections that are being made, and ask for the first time, at the same time.
const DIALS: usize = 64;
/// How long any single answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is asked, how often, and what must come back.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) proxy: SocketAddr,
    pub(crate) target: String,
    /// A POST with so many bytes instead of a GET.
    pub(crate) upload: Option<usize>,
    /// Length of the answer to a GET.
    pub(crate) answer: usize,
    pub(crate) connections: usize,
    /// Asked by each before anything else.
    pub(crate) first: u32,
    /// Before anything counts.
    pub(crate) warm: Duration,
    pub(crate) measured: Duration,
    /// At most so many by each connection while measured.
    pub(crate) each: Option<u64>,
    /// So many a second together, rather than as many as can be.
    pub(crate) rate: Option<f64>,
    /// Where to write when each began and how long it took.
    pub(crate) trace: Option<PathBuf>,
}

/// What came of it. Times in µs.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Report {
    /// While measured.
    pub(crate) requests: u64,
    /// With those before.
    pub(crate) all: u64,
    pub(crate) seconds: f64,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    /// The first that was wrong. Then nothing else counts.
    pub(crate) error: Option<String>,
}

/// The load, as the one who started it sees it.
pub(crate) struct Load {
    role: Role,
    longest: Duration,
}

impl Load {
    /// Returns when every connection is warm.
    pub(crate) async fn start(plan: &Plan, cores: &[u32]) -> Result<Self> {
        let mut role = Role::start(ROLE, plan, cores)?;
        let warm = role.hear::<Option<String>>(plan.warm + PATIENCE + Duration::from_secs(30)).await?;
        match warm {
            Some(error) => Err(error.into()),
            None => Ok(Self { role, longest: plan.measured + PATIENCE + Duration::from_secs(10) }),
        }
    }

    /// The measured part.
    pub(crate) async fn go(&mut self) -> Result<Report> {
        self.role.say("go").await?;
        let report: Report = self.role.hear(self.longest).await?;
        match report.error {
            Some(error) => Err(error.into()),
            None => Ok(report),
        }
    }

    /// Waits until the trace is written.
    pub(crate) async fn done(self) -> Result<()> {
        self.role.ended(PATIENCE).await
    }
}

/// What all connections share.
struct Shared {
    plan: Plan,
    request: Vec<u8>,
    answer: Bytes,
    dials: Semaphore,
    warm: Cell<usize>,
    /// Changes once: when the measured part begins.
    go: watch::Receiver<Option<Instant>>,
    histogram: RefCell<Histogram>,
    all: Cell<u64>,
    trace: RefCell<Vec<(Instant, Duration)>>,
}

/// Does what `plan` says and tells what came of it.
pub(crate) async fn run(plan: Plan) -> Result<()> {
    let (start, go) = watch::channel(None);
    let answer = plan.upload.map_or_else(|| content::bytes(plan.answer), content::received);
    let shared = Rc::new(Shared {
        request: client::request(&plan),
        answer,
        dials: Semaphore::new(DIALS),
        warm: Cell::new(0),
        go,
        histogram: RefCell::new(Histogram::new()),
        all: Cell::new(0),
        trace: RefCell::default(),
        plan,
    });
    LocalSet::new().run_until(direct(shared, start)).await
}

async fn direct(shared: Rc<Shared>, start: watch::Sender<Option<Instant>>) -> Result<()> {
    let connections = shared.plan.connections;
    let mut clients = JoinSet::new();
    for number in 0..connections {
        clients.spawn_local(client(Rc::clone(&shared), number));
    }
    while shared.warm.get() < connections {
        // One that ends before it is warm has failed.
        match timeout(Duration::from_millis(5), clients.join_next()).await {
            Ok(Some(ended)) => return tell(&Some(ended?.err().unwrap_or_else(|| "ended early".into()))),
            Ok(None) => return tell(&Some("no connection".to_owned())),
            Err(_) => {}
        }
    }
    tell(&None::<String>)?;
    if heard().recv().await.is_none() {
        return Ok(());
    }
    let began = Instant::now();
    start.send_replace(Some(began));
    let mut error = None;
    while let Some(ended) = clients.join_next().await {
        if let Err(wrong) = ended? {
            error = Some(wrong);
            break;
        }
    }
    tell(&report(&shared, began.elapsed(), error))?;
    write_trace(&shared)
}

#[expect(clippy::cast_precision_loss, reason = "latencies are far below 2^52 ns")]
fn report(shared: &Shared, took: Duration, error: Option<String>) -> Report {
    let histogram = shared.histogram.borrow();
    let micros = |share| histogram.quantile(share) as f64 / 1000.0;
    Report {
        requests: histogram.total(),
        all: shared.all.get(),
        seconds: took.as_secs_f64(),
        p50: micros(0.5),
        p99: micros(0.99),
        p999: micros(0.999),
        error,
    }
}

/// One line a request: µs of Unix time, ns.
fn write_trace(shared: &Shared) -> Result<()> {
    let Some(path) = &shared.plan.trace else { return Ok(()) };
    let mut file = BufWriter::new(File::create(path)?);
    let (now, wall) = (Instant::now(), SystemTime::now().duration_since(UNIX_EPOCH)?);
    for (began, took) in shared.trace.borrow().iter() {
        let at = wall.saturating_sub(now.duration_since(*began)).as_micros();
        writeln!(file, "{at} {}", took.as_nanos())?;
    }
    Ok(file.flush()?)
}

/// One connection from its first request to its last.
async fn client(shared: Rc<Shared>, number: usize) -> std::result::Result<(), String> {
    let plan = &shared.plan;
    let mut connection = {
        let _turn = shared.dials.acquire().await.map_err(|error| error.to_string())?;
        let mut connection = Connection::open(plan.proxy).await?;
        for _ in 0..plan.first {
            ask(&shared, &mut connection).await?;
        }
        connection
    };
    let until = Instant::now() + plan.warm;
    while Instant::now() < until {
        ask(&shared, &mut connection).await?;
    }
    shared.warm.set(shared.warm.get() + 1);
    let mut go = shared.go.clone();
    let began = *go.wait_for(Option::is_some).await.map_err(|error| error.to_string())?;
    let began = began.unwrap_or_else(Instant::now);
    let until = began + plan.measured;
    let every = plan.rate.map(|rate| Duration::from_secs_f64(f64::from(small(plan.connections)) / rate));
    // Connections take turns rather than all asking at once.
    let mut turn = began + every.unwrap_or_default() * small(number) / small(plan.connections);
    for _ in 0..plan.each.unwrap_or(u64::MAX) {
        if let Some(every) = every {
            sleep_until(turn.into()).await;
            turn += every;
        }
        let began = Instant::now();
        if began >= until {
            break;
        }
        ask(&shared, &mut connection).await?;
        let took = began.elapsed();
        shared.histogram.borrow_mut().record(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
        if plan.trace.is_some() {
            shared.trace.borrow_mut().push((began, took));
        }
    }
    Ok(())
}

async fn ask(shared: &Shared, connection: &mut Connection) -> std::result::Result<(), String> {
    connection.ask(&shared.request, &shared.answer).await?;
    shared.all.set(shared.all.get() + 1);
    Ok(())
}

fn small(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
