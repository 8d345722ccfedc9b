//! The built binary in front of a simulated Airbyte.

use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use airbyte_proxy::demo::{Counts, Handle, Options, Simulator};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::{oneshot, watch};

use crate::harness::talk::{Talk, soon};

/// Lines of a log that are kept, panics aside.
const MOST_LINES: usize = 10_000;

/// The request ids of [`Binary::log`] begin with this.
const MARK: &str = "mark-of-the-log-";

/// A running binary. Dropping it kills it.
pub(crate) struct Binary {
    pub(crate) addr: SocketAddr,
    pub(crate) pid: u32,
    log: Arc<Mutex<Vec<String>>>,
    marks: watch::Receiver<u64>,
    _child: Child,
}

impl Binary {
    /// Starts it in front of `api_url`, with a minimum of environment and `settings` in it.
    pub(crate) async fn start(
        api_url: &str,
        client_id: &str,
        client_secret: &str,
        settings: &[(&str, &str)],
    ) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_airbyte-proxy"))
            .env_clear()
            .env("AIRBYTE_PROXY_LISTEN", "127.0.0.1:0")
            .env("AIRBYTE_PROXY_UPSTREAM_API_URL", api_url)
            .env("AIRBYTE_PROXY_UPSTREAM_PROXY", "none")
            .env("AIRBYTE_PROXY_WORKERS", "1")
            .env("AIRBYTE_CLIENT_ID", client_id)
            .env("AIRBYTE_CLIENT_SECRET", client_secret)
            .envs(settings.iter().copied())
            .current_dir(std::env::temp_dir())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the binary starts");
        let pid = child.id().expect("running");
        let stderr = child.stderr.take().expect("piped");
        let log = Arc::new(Mutex::new(Vec::new()));
        let (tell, told) = oneshot::channel();
        let (marked, marks) = watch::channel(0);
        tokio::spawn(read_log(BufReader::new(stderr), Arc::clone(&log), tell, marked));
        let addr = soon(told).await.unwrap_or_else(|_| panic!("it does not listen: {:?}", log.lock()));
        Self { addr, pid, log, marks, _child: child }
    }

    /// What it has logged so far. It writes lines with others, a little later: so one more request marks the place.
    pub(crate) async fn log(&self) -> Vec<String> {
        let mut marks = self.marks.clone();
        let mark = *marks.borrow() + 1;
        let mut talk = self.talk().await;
        talk.say(format!("GET /-/live HTTP/1.1\r\nhost: localhost\r\nx-request-id: {MARK}{mark}\r\n\r\n"))
            .await;
        soon(marks.wait_for(|seen| *seen >= mark)).await.expect("its log goes on");
        self.log.lock().expect("lock").clone()
    }

    pub(crate) async fn talk(&self) -> Talk {
        Talk::with(self.addr).await
    }

    /// The most memory it ever had, in KiB.
    #[cfg(target_os = "linux")]
    pub(crate) fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).expect("its status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("VmHWM");
        line.trim().trim_end_matches(" kB").trim().parse().expect("a number")
    }
}

/// Keeps what it writes, and tells where it listens.
async fn read_log(
    stderr: BufReader<tokio::process::ChildStderr>,
    log: Arc<Mutex<Vec<String>>>,
    tell: oneshot::Sender<SocketAddr>,
    marks: watch::Sender<u64>,
) {
    let mut lines = stderr.lines();
    let mut tell = Some(tell);
    while let Ok(Some(line)) = lines.next_line().await {
        if let Some(address) = listening(&line)
            && let Some(tell) = tell.take()
        {
            let _ = tell.send(address);
        }
        if line.contains(MARK) {
            marks.send_modify(|mark| *mark += 1);
            continue;
        }
        let mut log = log.lock().expect("lock");
        if log.len() < MOST_LINES || line.contains("panicked") {
            log.push(line);
        }
    }
}

fn listening(line: &str) -> Option<SocketAddr> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    let address = line.get("address")?.as_str()?;
    address.strip_prefix("http://")?.parse().ok()
}

/// The binary and its simulated Airbyte, with the first token already there.
pub(crate) struct Stage {
    pub(crate) proxy: Binary,
    pub(crate) airbyte: Handle,
    _simulator: Simulator,
}

pub(crate) async fn stage(settings: &[(&str, &str)]) -> Stage {
    let simulator = Simulator::start(Options { record: 4096, ..Options::default() }).expect("a free port");
    let credentials = simulator.credentials();
    let secret = credentials.client_secret.expose().to_owned();
    let proxy = Binary::start(&simulator.api_url(), &credentials.client_id, &secret, settings).await;
    let airbyte = simulator.handle();
    soon(airbyte.until(|counts| counts.mints == 1)).await;
    Stage { proxy, airbyte, _simulator: simulator }
}

impl Stage {
    /// What upstream has been asked so far: API requests and token requests.
    pub(crate) fn asked(&self) -> (u64, u64) {
        let Counts { requests, token_requests, .. } = self.airbyte.counts();
        (requests, token_requests)
    }
}
