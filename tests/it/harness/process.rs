//! Verbs for the real binary: start it, wait until it listens, ask it, signal it, see how it ends.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use airbyte_proxy::demo::{Counts, Options, Simulator};
use airbyte_proxy::outbound::{Outbound, OutboundProxy};
use airbyte_proxy::secret::ClientCredentials;
use http::Method;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time::timeout;

use super::daemon::{Got, got};
use super::trace;

/// For anything that takes no time: long enough for a machine that does much else.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// A simulated Airbyte whose secrets are looked for in all output.
pub(crate) fn airbyte(options: Options) -> Simulator {
    trace::install();
    Simulator::start(options).expect("a free port")
}

/// Numbers the processes of this run.
static NUMBER: AtomicUsize = AtomicUsize::new(0);

/// How the binary is to be started.
pub(crate) struct Start {
    command: Command,
    folder: tempfile::TempDir,
    stdin: Option<String>,
    /// Whether it logs at the level of its configuration, whatever the run wants.
    own_level: bool,
    tokens: Vec<trace::Tokens>,
}

/// `airbyte-proxy` with `arguments`, separated by spaces, in a folder and an environment of its own.
pub(crate) fn airbyte_proxy(arguments: &str) -> Start {
    wrapped(&[], arguments)
}

/// The same, started by another program such as `nohup`.
pub(crate) fn wrapped(by: &[&str], arguments: &str) -> Start {
    trace::install();
    let binary = env!("CARGO_BIN_EXE_airbyte-proxy");
    let mut line = by.iter().copied().chain([binary]);
    let mut command = Command::new(line.next().expect("a program"));
    command.args(line).args(arguments.split(' ').filter(|argument| !argument.is_empty()));
    let folder = tempfile::tempdir().expect("a folder");
    command.current_dir(&folder).env_clear().env("HOME", folder.path()).env("PATH", "/usr/bin:/bin");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    Start { command, folder, stdin: None, own_level: false, tokens: Vec::new() }
}

/// The proxy on a port of the system's choice, in front of `airbyte`, with its credentials in the environment.
pub(crate) fn in_front_of(airbyte: &Simulator) -> Start {
    airbyte_proxy("--listen 127.0.0.1:0").upstream(airbyte).credentials(&airbyte.credentials())
}

impl Start {
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    /// In this folder, which stays when it ends.
    pub(crate) fn within(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// In front of `airbyte`, whose credentials it does not get.
    pub(crate) fn upstream(mut self, airbyte: &Simulator) -> Self {
        self.tokens.push(trace::Tokens::of(airbyte.handle()));
        self.env("AIRBYTE_PROXY_UPSTREAM_API_URL", airbyte.api_url())
    }

    /// Given by environment variables.
    pub(crate) fn credentials(self, credentials: &ClientCredentials) -> Self {
        let secret = credentials.client_secret.expose();
        trace::secret(secret);
        self.env("AIRBYTE_CLIENT_ID", &credentials.client_id).env("AIRBYTE_CLIENT_SECRET", secret)
    }

    /// Written to standard input, which is then closed.
    pub(crate) fn stdin(mut self, text: &str) -> Self {
        self.stdin = Some(text.to_owned());
        self.command.stdin(Stdio::piped());
        self
    }

    /// Standard input is this.
    pub(crate) fn stdin_from(mut self, from: impl Into<Stdio>) -> Self {
        self.command.stdin(from);
        self
    }

    pub(crate) fn stdout(mut self, to: impl Into<Stdio>) -> Self {
        self.command.stdout(to);
        self
    }

    pub(crate) fn stderr(mut self, to: impl Into<Stdio>) -> Self {
        self.command.stderr(to);
        self
    }

    /// Not at TRACE, even if everything else is: for what is measured or fills the disk.
    pub(crate) fn at_its_own_level(mut self) -> Self {
        self.own_level = true;
        self
    }

    /// The folder it runs in.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts it, and does not wait for anything.
    pub(crate) async fn spawn(mut self) -> Process {
        if trace::is_on() && !self.own_level {
            self.command.env("AIRBYTE_PROXY_LOG_LEVEL", "trace");
        }
        let mut child = self.command.spawn().expect("started");
        if let (Some(text), Some(mut stdin)) = (self.stdin, child.stdin.take()) {
            // It may have ended without reading.
            let _ = stdin.write_all(text.as_bytes()).await;
        }
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let stdout = Text::of(child.stdout.take(), &format!("process-{number}-stdout.log"));
        let stderr = Text::of(child.stderr.take(), &format!("process-{number}-stderr.log"));
        let unknown = SocketAddr::from(([127, 0, 0, 1], 0));
        let folder = self.folder;
        Process { child, stdout, stderr, addr: unknown, client: client(), folder, _tokens: self.tokens }
    }

    /// Starts it and waits until it listens.
    pub(crate) async fn start(self) -> Process {
        let mut process = self.spawn().await;
        let line = process.logged("\"listening\"").await;
        let line: serde_json::Value = serde_json::from_str(&line).expect("a line of JSON");
        let address = line["address"].as_str().and_then(|address| address.strip_prefix("http://"));
        process.addr = address.and_then(|address| address.parse().ok()).expect("an address");
        process
    }

    /// Runs it to its end.
    pub(crate) async fn run(self) -> Ended {
        self.spawn().await.ended().await
    }
}

/// A running binary. Dropping it kills it.
pub(crate) struct Process {
    child: Child,
    stdout: Text,
    stderr: Text,
    pub(crate) addr: SocketAddr,
    client: reqwest::Client,
    folder: tempfile::TempDir,
    _tokens: Vec<trace::Tokens>,
}

/// How it ended: a code, unless it was by a signal.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Process {
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, self.url(path))
    }

    pub(crate) async fn get(&self, path: &str) -> Got {
        got(self.request(Method::GET, path)).await
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn pid(&self) -> Pid {
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok());
        pid.and_then(Pid::from_raw).expect("it runs")
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("sent");
    }

    /// The first line of standard error with `words` in it, as soon as there is one.
    pub(crate) async fn logged(&self, words: &str) -> String {
        self.stderr.line(words).await
    }

    /// The first line of standard output with `words` in it, as soon as there is one.
    pub(crate) async fn said(&self, words: &str) -> String {
        self.stdout.line(words).await
    }

    /// The most memory it has ever had, in KiB (proc(5): `VmHWM`).
    pub(crate) fn peak_memory(&self) -> u64 {
        let status = format!("/proc/{}/status", self.pid().as_raw_nonzero());
        let status = std::fs::read_to_string(status).expect("Linux");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("VmHWM");
        peak.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    /// Waits for its end.
    pub(crate) async fn ended(self) -> Ended {
        self.ended_within(SOON).await
    }

    pub(crate) async fn ended_within(mut self, limit: Duration) -> Ended {
        let status = timeout(limit, self.child.wait()).await;
        let status = status.unwrap_or_else(|_| panic!("does not end: {}", self.stderr.so_far()));
        let code = status.expect("waited for").code();
        Ended { code, stdout: self.stdout.whole().await, stderr: self.stderr.whole().await }
    }

    /// Drains and expects that to be all.
    pub(crate) async fn stop(self) {
        self.signal(Signal::TERM);
        let ended = self.ended().await;
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    }
}

/// What a stream has given so far; read for as long as it is open.
struct Text(watch::Receiver<String>);

impl Text {
    fn of(stream: Option<impl AsyncRead + Unpin + Send + 'static>, name: &str) -> Self {
        let (text, seen) = watch::channel(String::new());
        let mut kept = stream.as_ref().and_then(|_| trace::file(name));
        tokio::spawn(async move {
            let Some(stream) = stream else { return };
            let (mut stream, mut line) = (BufReader::new(stream), Vec::new());
            while stream.read_until(b'\n', &mut line).await.is_ok_and(|n| n > 0) {
                if let Some(kept) = &mut kept {
                    std::io::Write::write_all(kept, &line).expect("written");
                }
                text.send_modify(|text| text.push_str(&String::from_utf8_lossy(&line)));
                line.clear();
            }
        });
        Self(seen)
    }

    fn so_far(&self) -> String {
        self.0.borrow().clone()
    }

    async fn line(&self, words: &str) -> String {
        let mut seen = self.0.clone();
        let find = |text: &str| text.lines().find(|line| line.contains(words)).map(str::to_owned);
        let found = timeout(SOON, seen.wait_for(|text| find(text).is_some())).await;
        match found {
            Ok(Ok(text)) => find(&text).expect("there"),
            _ => panic!("{words:?} is not in: {}", self.so_far()),
        }
    }

    async fn whole(&self) -> String {
        // A child of the child may hold the stream open.
        let _ = timeout(SOON, self.0.clone().wait_for(|_| false)).await;
        self.so_far()
    }
}

/// A client that goes nowhere but where it is told, and follows nothing.
pub(crate) fn client() -> reqwest::Client {
    let outbound = Outbound::new(&[], None, &OutboundProxy::None).expect("outbound");
    reqwest::Client::builder()
        .tls_backend_preconfigured(Arc::unwrap_or_clone(outbound.tls(&[])))
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(60))
        .build()
        .expect("a client")
}

/// As `until` of the simulated Airbyte, but not for ever.
pub(crate) async fn until(airbyte: &Simulator, wanted: impl FnMut(&Counts) -> bool) -> Counts {
    let handle = airbyte.handle();
    let counts = timeout(SOON, handle.until(wanted)).await;
    counts.unwrap_or_else(|_| panic!("never: {:?}", airbyte.handle().counts()))
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("bound").port()
}

/// A file that only we can read.
pub(crate) fn private_file(path: PathBuf, content: &str) -> PathBuf {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = std::fs::File::options();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(&path);
    file.and_then(|mut file| file.write_all(content.as_bytes())).expect("written");
    path
}

/// A library for `LD_PRELOAD`, from C.
pub(crate) async fn shim(folder: &Path, c: &str) -> PathBuf {
    let (source, library) = (folder.join("shim.c"), folder.join("shim.so"));
    std::fs::write(&source, c).expect("written");
    let built = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).status().await;
    assert!(built.expect("a C compiler").success());
    library
}
