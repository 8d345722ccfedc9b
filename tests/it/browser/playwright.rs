//! The scripts of `tests/browser`, run by Node: each is told where to go, and says itself what is wrong.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

/// Tokens of 15 s are waited for, and the machine may do much else.
const PATIENCE: Duration = Duration::from_secs(120);

const SWITCHES: [&str; 2] = ["AIRBYTE_PROXY_TEST_PLAYWRIGHT", "AIRBYTE_PROXY_TEST_CHROMIUM"];

/// What the run names, if it names all of it.
#[expect(clippy::disallowed_methods, reason = "a switch of the test run, not a setting of the program")]
fn tools() -> Option<[OsString; 2]> {
    let [modules, browser] = SWITCHES.map(|name| {
        let tool = std::env::var_os(name).filter(|path| !path.is_empty());
        if tool.is_none() {
            println!("skipped: {name} is not set");
        }
        tool
    });
    Some([modules?, browser?])
}

/// A running script. Dropping it ends it, and the browser with it.
pub(super) struct Script {
    child: Child,
    input: ChildStdin,
    said: BufReader<ChildStdout>,
    _home: TempDir,
}

impl Script {
    /// Nothing where the tools are missing.
    pub(super) fn start(name: &str, arguments: &[&str]) -> Option<Self> {
        let tools = tools()?;
        let home = tempfile::tempdir().expect("a folder");
        let script: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests/browser", name].iter().collect();
        let mut child = Command::new("node")
            .arg(script)
            .args(arguments)
            .envs(SWITCHES.into_iter().zip(tools))
            .env("HOME", home.path())
            .env("TMPDIR", home.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("node starts");
        let input = child.stdin.take().expect("piped");
        let said = BufReader::new(child.stdout.take().expect("piped"));
        Some(Self { child, input, said, _home: home })
    }

    /// Waits until it wants `what`, which is then to be done.
    pub(super) async fn wants(&mut self, what: &str) {
        let mut line = String::new();
        let read = timeout(PATIENCE, self.said.read_line(&mut line)).await;
        read.expect("it asks in time").expect("it speaks");
        assert!(line.trim() == what, "{line:?} instead of {what:?}: {}", self.complaint().await);
    }

    /// `what` has been done.
    pub(super) async fn did(&mut self, what: &str) {
        self.input.write_all(format!("done: {what}\n").as_bytes()).await.expect("it listens");
    }

    /// All was well.
    pub(super) async fn ends(mut self) {
        let complaint = self.complaint().await;
        let status = timeout(PATIENCE, self.child.wait()).await.expect("it ends").expect("waited for");
        assert!(status.success(), "{complaint}");
    }

    async fn complaint(&mut self) -> String {
        let mut text = String::new();
        let Some(mut stderr) = self.child.stderr.take() else { return text };
        let read = timeout(PATIENCE, stderr.read_to_string(&mut text)).await;
        assert!(read.is_ok(), "it does not end, and has said: {text}");
        text
    }
}
