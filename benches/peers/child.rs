//! A process of ours: started on certain cores, talked to line by line, measured, and ended with all that it started.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use crate::Result;
use crate::proxies::find;
use crate::system::{self, tree};

/// How long a process may take to end when told to.
const GRACE: Duration = Duration::from_secs(3);

/// Ends with whatever it has started when dropped.
pub(crate) struct Running {
    child: Child,
    pid: u32,
}

/// One of our own roles, that reads and writes lines.
pub(crate) struct Role {
    running: Running,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

/// `program`, to run on `cores` and not to outlive this process. taskset and setpriv become the program, so that what is
/// measured is it alone.
pub(crate) fn pinned(program: &Path, cores: &[u32]) -> Command {
    let list: Vec<String> = cores.iter().map(u32::to_string).collect();
    let mut words: Vec<String> = Vec::new();
    if !cores.is_empty() && find("taskset").is_some() {
        words.extend(["taskset".to_owned(), "-c".to_owned(), list.join(",")]);
    }
    if find("setpriv").is_some() {
        words.extend(["setpriv", "--pdeathsig", "KILL"].map(str::to_owned));
    }
    let mut words = words.into_iter();
    let Some(first) = words.next() else { return Command::new(program) };
    let mut command = Command::new(first);
    command.args(words).arg(program);
    command
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Result<Self> {
        let child = command.kill_on_drop(true).spawn().map_err(|error| format!("{command:?}: {error}"))?;
        let pid = child.id().ok_or("ended at once")?;
        Ok(Self { child, pid })
    }

    /// The process and all it has started.
    pub(crate) fn tree(&self) -> Vec<u32> {
        tree(self.pid)
    }

    pub(crate) fn cpu(&self) -> Duration {
        system::cpu(&self.tree())
    }

    pub(crate) fn memory(&self, field: &str) -> u64 {
        system::memory(&self.tree(), field)
    }

    /// Bytes of the program that runs, whatever script may have started it.
    pub(crate) fn size(&self) -> u64 {
        std::fs::metadata(format!("/proc/{}/exe", self.pid)).map_or(0, |file| file.len())
    }

    /// Whether it has ended by itself.
    pub(crate) fn ended(&mut self) -> Option<String> {
        self.child.try_wait().ok().flatten().map(|status| status.to_string())
    }

    /// Asks it to end, and makes it.
    pub(crate) async fn stop(mut self) {
        signal(self.pid, Signal::TERM);
        let _ = timeout(GRACE, self.child.wait()).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.ended().is_none() {
            self.tree().into_iter().for_each(|pid| signal(pid, Signal::KILL));
        }
    }
}

fn signal(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    if let Some(pid) = pid {
        let _ = kill_process(pid, signal);
    }
}

impl Role {
    /// This very program in another role, on `cores`.
    pub(crate) fn start(role: &str, plan: &impl Serialize, cores: &[u32]) -> Result<Self> {
        let mut command = pinned(&std::env::current_exe()?, cores);
        command.arg(role).arg(serde_json::to_string(plan)?);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut running = Running::start(command)?;
        let input = running.child.stdin.take().ok_or("no standard input")?;
        let output = running.child.stdout.take().ok_or("no standard output")?;
        Ok(Self { running, input, output: BufReader::new(output).lines() })
    }

    pub(crate) async fn say(&mut self, line: &str) -> Result<()> {
        self.input.write_all(format!("{line}\n").as_bytes()).await?;
        Ok(())
    }

    pub(crate) async fn hear<T: DeserializeOwned>(&mut self, within: Duration) -> Result<T> {
        let line = timeout(within, self.output.next_line()).await.map_err(|_| "no word in time")??;
        Ok(serde_json::from_str(&line.ok_or("ended without a word")?)?)
    }

    /// Waits until it has ended by itself.
    pub(crate) async fn ended(mut self, within: Duration) -> Result<()> {
        timeout(within, self.running.child.wait()).await.map_err(|_| "does not end")??;
        Ok(())
    }

    pub(crate) fn process(&self) -> &Running {
        &self.running
    }
}
