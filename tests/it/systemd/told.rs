//! What goes to `NOTIFY_SOCKET`, `sd_notify(3)`.

use airbyte_proxy::demo::{Fault, Options, Simulator};
use airbyte_proxy::secret::Secret;
use http::StatusCode;
use rustix::process::Signal;
use tokio::net::UnixDatagram;
use tokio::time::timeout;

use crate::harness::process::{Process, SOON, airbyte, airbyte_proxy, in_front_of};
use crate::harness::trace;

/// The supervisor's end.
struct Supervisor {
    socket: UnixDatagram,
    folder: tempfile::TempDir,
    all: Vec<String>,
}

impl Supervisor {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let socket = UnixDatagram::bind(folder.path().join("notify")).expect("bound");
        Self { socket, folder, all: Vec::new() }
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("notify")
    }

    async fn next(&mut self) -> String {
        let mut message = vec![0; 4096];
        let length = timeout(SOON, self.socket.recv(&mut message)).await;
        let length = length.unwrap_or_else(|_| panic!("nothing after {:?}", self.all)).expect("received");
        let message = String::from_utf8_lossy(&message[..length]).into_owned();
        self.all.push(message.clone());
        message
    }

    /// The next message in which that is a line or, where a space is its end, the beginning of one.
    async fn told(&mut self, line: &str) -> String {
        loop {
            let message = self.next().await;
            let begins = |one: &str| line.ends_with(' ') && one.starts_with(line);
            if message.lines().any(|one| one == line || begins(one)) {
                return message;
            }
        }
    }
}

async fn supervised(airbyte: &Simulator) -> (Supervisor, Process) {
    let mut supervisor = Supervisor::new();
    let start = in_front_of(airbyte).env("NOTIFY_SOCKET", supervisor.path());
    let process = start.start().await;
    let first = supervisor.next().await;
    assert!(first.starts_with("READY=1\nSTATUS="), "{first}");
    (supervisor, process)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_ready_once_it_listens_and_stopping_once_it_drains() {
    let airbyte = airbyte(Options::default());
    let (mut supervisor, proxy) = supervised(&airbyte).await;
    // It listened before it said so.
    assert_eq!(proxy.get("/v1/workspaces").await.status, StatusCode::OK);
    if !supervisor.all[0].contains("STATUS=ready\n") {
        supervisor.told("STATUS=ready").await;
    }
    proxy.signal(Signal::HUP);
    let reloading = supervisor.told("RELOADING=1").await;
    let stamp = reloading.lines().find_map(|line| line.strip_prefix("MONOTONIC_USEC="));
    assert!(stamp.is_some_and(|stamp| stamp.parse::<u64>().is_ok_and(|usec| usec > 0)), "{reloading}");
    supervisor.told("READY=1").await;
    proxy.signal(Signal::TERM);
    supervisor.told("STOPPING=1").await;
    assert_eq!(proxy.ended().await.code, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_secret_does_not_keep_it_from_being_ready_and_is_in_the_status() {
    let airbyte = airbyte(Options::default());
    let secret = "the-secret-that-is-not-yet-good";
    trace::secret(secret);
    let mut supervisor = Supervisor::new();
    let start = airbyte_proxy("--listen 127.0.0.1:0").upstream(&airbyte);
    let start = start.env("AIRBYTE_CLIENT_ID", airbyte.client_id()).env("AIRBYTE_CLIENT_SECRET", secret);
    let proxy = start.env("NOTIFY_SOCKET", supervisor.path()).start().await;
    let first = supervisor.next().await;
    assert!(first.starts_with("READY=1\nSTATUS="), "{first}");
    if !first.contains("STATUS=no token: ") {
        let status = supervisor.told("STATUS=no token: ").await;
        assert!(status.contains("client id or secret is wrong"), "{status}");
    }
    airbyte.handle().rotate_secret(Secret::new(secret.to_owned()));
    proxy.signal(Signal::HUP);
    supervisor.told("STATUS=ready").await;
    proxy.stop().await;
    assert!(supervisor.all.iter().all(|message| !message.contains(secret)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trouble_with_renewing_is_in_the_status_while_the_old_token_lives() {
    let airbyte =
        airbyte(Options { token_lifetime: std::time::Duration::from_secs(10), ..Options::default() });
    let (mut supervisor, proxy) = supervised(&airbyte).await;
    assert_eq!(proxy.get("/v1/workspaces").await.status, StatusCode::OK);
    airbyte.handle().set_fault(Some(Fault::Html(StatusCode::BAD_GATEWAY)));
    supervisor.told("STATUS=ready, but the token could not be renewed: ").await;
    airbyte.handle().set_fault(None);
    supervisor.told("STATUS=ready").await;
    proxy.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_supervisor_that_is_gone_is_a_warning_and_nothing_else() {
    let airbyte = airbyte(Options::default());
    let nowhere = tempfile::tempdir().expect("a folder").path().join("notify");
    let proxy = in_front_of(&airbyte).env("NOTIFY_SOCKET", nowhere).start().await;
    proxy.logged("cannot be told").await;
    assert_eq!(proxy.get("/v1/workspaces").await.status, StatusCode::OK);
    proxy.stop().await;
}
