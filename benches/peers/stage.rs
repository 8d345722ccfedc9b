//! One upstream and one proxy in front of it, from their start to their end.

use std::fs::read;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::child::Running;
use crate::load::Plan;
use crate::options::Options;
use crate::proxies::{Kind, Place, Proxy};
use crate::upstream::{self, Seen, Upstream};
use crate::{Result, content, system};

/// How long a proxy may take until it serves.
const START: Duration = Duration::from_secs(20);
/// How long its last lines may take: all flush once a second.
const FLUSH: Duration = Duration::from_secs(4);

/// What a whole run shares.
pub(crate) struct Bench {
    pub(crate) options: Options,
    pub(crate) proxies: Vec<Proxy>,
    /// Certificates, configuration and logs: in memory, so that no disk takes part.
    pub(crate) folder: TempDir,
    pub(crate) cores: Vec<u32>,
    pub(crate) files: u64,
}

/// What is different from stage to stage.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setup {
    pub(crate) h2: bool,
    pub(crate) workers: usize,
    pub(crate) life: Duration,
    pub(crate) round_trip: Duration,
    /// Whether proxy and load have cores of their own.
    pub(crate) apart: bool,
    /// Whether a request is sent through before anything else.
    pub(crate) tried: bool,
}

impl Default for Setup {
    fn default() -> Self {
        let life = Duration::from_secs(900);
        Self { h2: true, workers: 1, life, round_trip: Duration::ZERO, apart: true, tried: true }
    }
}

/// Dropped, everything on it ends.
pub(crate) struct Stage {
    pub(crate) proxy: Running,
    pub(crate) addr: SocketAddr,
    pub(crate) upstream: Upstream,
    pub(crate) others: Vec<u32>,
    pub(crate) folder: TempDir,
    h2: bool,
    logs: bool,
}

impl Bench {
    /// The cores of the proxy, and those of everybody else.
    pub(crate) fn cores(&self, setup: &Setup) -> (Vec<u32>, Vec<u32>) {
        if setup.apart && self.cores.len() > setup.workers {
            let (proxy, others) = self.cores.split_at(setup.workers);
            (proxy.to_vec(), others.to_vec())
        } else {
            (self.cores.clone(), self.cores.clone())
        }
    }

    pub(crate) async fn stage(&self, proxy: &Proxy, setup: Setup) -> Result<Stage> {
        let folder = TempDir::new_in(self.folder.path())?;
        let (cores, others) = self.cores(&setup);
        let fixed = "t".repeat(self.options.token_bytes);
        let plan = upstream::Plan {
            folder: self.folder.path().to_owned(),
            h2: setup.h2,
            life: setup.life,
            fixed: if proxy.kind.mints() { "-".repeat(fixed.len()) } else { fixed.clone() },
            round_trip: setup.round_trip,
        };
        let upstream = Upstream::start(&plan, &others).await?;
        let port = std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let addr = SocketAddr::from(([127, 0, 0, 1], port));
        let command = proxy.command(&Place {
            shared: self.folder.path(),
            folder: folder.path(),
            port,
            upstream: upstream.port,
            h2: setup.h2,
            workers: setup.workers,
            cores: &cores,
            token: &fixed,
            files: self.files,
        })?;
        let running = Running::start(command)?;
        let mut stage =
            Stage { proxy: running, addr, upstream, others, folder, h2: setup.h2, logs: proxy.kind.logs() };
        stage.ready(proxy, setup.tried).await?;
        Ok(stage)
    }
}

impl Stage {
    /// Waits until the proxy serves.
    async fn ready(&mut self, proxy: &Proxy, tried: bool) -> Result<()> {
        let target = match proxy.kind {
            Kind::Ours if !tried => Some("/-/ready"),
            _ => tried.then_some(content::KILOBYTE_PATH),
        };
        let until = Instant::now() + START;
        let mut last = "nobody listens".to_owned();
        while Instant::now() < until {
            if let Some(status) = self.proxy.ended() {
                return Err(format!("ended with {status}: {}", Proxy::words(self.folder.path())).into());
            }
            let tried = timeout(Duration::from_secs(5), answers(self.addr, target)).await;
            match tried.map_err(|_| "no answer".into()).flatten() {
                Ok(()) if target.is_some() => return Ok(()),
                // Nothing tells when such a one has its token, and asking would be the first request.
                Ok(()) => {
                    sleep(Duration::from_secs(2)).await;
                    return Ok(());
                }
                Err(error) => last = error.to_string(),
            }
            sleep(Duration::from_millis(20)).await;
        }
        Err(format!("not ready: {last}; {}", Proxy::words(self.folder.path())).into())
    }

    /// The GET of a kilobyte over so many connections.
    pub(crate) fn plan(&self, connections: usize, warm: Duration, measured: Duration) -> Plan {
        Plan {
            proxy: self.addr,
            target: content::KILOBYTE_PATH.to_owned(),
            upload: None,
            answer: content::KILOBYTE,
            connections,
            first: 0,
            warm,
            measured,
            each: None,
            rate: None,
            trace: None,
        }
    }

    /// Looks whether all went as it should: live tokens, the right host, the protocol meant, a line for each of
    /// `requests`. Ends everything.
    pub(crate) async fn strike(mut self, requests: u64) -> Result<Seen> {
        let seen = self.upstream.seen().await?;
        if let Some(first) = &seen.first_violation {
            return Err(
                format!("{} requests would have been refused, the first: {first}", seen.violations).into()
            );
        }
        if seen.requests < requests {
            return Err(format!("upstream has seen {} of {requests} requests", seen.requests).into());
        }
        if self.h2 != (seen.h2_connections > 0) {
            return Err(
                format!("{} of {} connections are HTTP/2", seen.h2_connections, seen.connections).into()
            );
        }
        let log = Proxy::log(self.folder.path());
        let until = Instant::now() + FLUSH;
        // HAProxy with two threads loses some lines in a hundred thousand.
        let enough = requests - requests / 1000;
        let mut lines = lines(&log);
        while self.logs && lines < enough && Instant::now() < until {
            sleep(Duration::from_millis(100)).await;
            lines = self::lines(&log);
        }
        if self.logs && lines < enough {
            return Err(format!("{lines} lines in the access log for {requests} requests").into());
        }
        self.proxy.stop().await;
        Ok(seen)
    }
}

fn lines(log: &PathBuf) -> u64 {
    read(log).unwrap_or_default().iter().map(|byte| u64::from(*byte == b'\n')).sum()
}

/// Whether `target` is answered with 200; without one, whether anybody listens.
pub(crate) async fn answers(addr: SocketAddr, target: Option<&str>) -> Result<()> {
    let mut stream = TcpStream::connect(addr).await?;
    let Some(target) = target else { return Ok(()) };
    let head =
        format!("GET {target} HTTP/1.1\r\nhost: localhost:{}\r\nconnection: close\r\n\r\n", addr.port());
    stream.write_all(head.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    if answer.starts_with(b"HTTP/1.1 200") {
        return Ok(());
    }
    Err(String::from_utf8_lossy(answer.split(|byte| *byte == b'\n').next().unwrap_or_default()).into())
}

/// Where files are memory, if there is such a place.
pub(crate) fn memory() -> PathBuf {
    let shared = PathBuf::from("/dev/shm");
    if shared.is_dir() { shared } else { std::env::temp_dir() }
}

/// The head of every report.
pub(crate) fn describe(bench: &Bench) -> String {
    let (proxy, others) = bench.cores(&Setup::default());
    let names: Vec<_> = bench.proxies.iter().map(|proxy| proxy.name.as_str()).collect();
    let separate = if proxy == others { "not pinned" } else { "pinned to a core" };
    format!(
        "{}; {}; each proxy {separate}, load and upstream on the other cores. Logs: files in {}; tokens of {} bytes.",
        names.join(", "),
        system::machine(),
        memory().display(),
        bench.options.token_bytes
    )
}
