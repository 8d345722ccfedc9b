//! Verbs for a person at a terminal.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::{sleep, timeout};

/// A person would have gone for help by then.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether there is a terminal to be had.
pub(super) fn is_there() -> bool {
    let found = std::process::Command::new("tmux").arg("-V").stdout(Stdio::null()).status().is_ok();
    if !found {
        println!("skipped: there is no tmux");
    }
    found
}

/// A server of tmux that nobody else knows. Dropping it ends it, and what runs in it.
pub(super) struct Terminal {
    home: PathBuf,
    /// What each shell finds in its environment: `NAME=VALUE`.
    variables: Vec<OsString>,
}

/// One shell on a screen of its own.
pub(super) struct Window<'a> {
    terminal: &'a Terminal,
    name: String,
}

impl Terminal {
    /// With `home` as home, and the folders of `programs` in the path.
    pub(super) fn start(home: &Path, programs: &[&Path], variables: &[(&str, &str)]) -> Self {
        let folders = programs.iter().filter_map(|program| program.parent());
        let path = std::env::join_paths(folders.chain(["/usr/bin", "/bin"].map(Path::new))).expect("a path");
        let mut all: Vec<OsString> = vec!["PS1=$ ".into(), "LANG=C.UTF-8".into(), "TERM=screen".into()];
        for (name, value) in [("HOME", home.as_os_str()), ("PATH", &path)] {
            all.push([name.as_ref(), "=".as_ref(), value].into_iter().collect());
        }
        all.extend(variables.iter().map(|(name, value)| format!("{name}={value}").into()));
        Self { home: home.to_owned(), variables: all }
    }

    fn command(&self) -> std::process::Command {
        let mut command = std::process::Command::new("tmux");
        command.arg("-S").arg(self.home.join(".tmux")).args(["-u", "-f", "/dev/null"]);
        command.current_dir(&self.home).env_remove("TMUX").stdin(Stdio::null());
        command
    }

    async fn tmux(&self, arguments: &[&str]) -> String {
        let mut command = Command::from(self.command());
        let output = timeout(PATIENCE, command.args(arguments).kill_on_drop(true).output()).await;
        let output = output.expect("tmux answers").expect("tmux runs");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// A shell that waits for what is typed.
    pub(super) async fn window(&self) -> Window<'_> {
        let open = if self.home.join(".tmux").exists() { "new-window" } else { "new-session" };
        let size: &[&str] = if open == "new-session" { &["-x", "120", "-y", "50"] } else { &[] };
        let mut command = Command::from(self.command());
        command.args([open, "-d", "-P", "-F", "#{pane_id}"]).args(size).args(["env", "-i"]);
        let opened = timeout(PATIENCE, command.args(&self.variables).arg("sh").output()).await;
        let opened = opened.expect("tmux answers").expect("tmux runs");
        assert!(opened.status.success(), "{}", String::from_utf8_lossy(&opened.stderr));
        let name = String::from_utf8_lossy(&opened.stdout).trim().to_owned();
        let window = Window { terminal: self, name };
        window.prompts().await;
        window
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.command().arg("kill-server").stderr(Stdio::null()).status();
    }
}

impl Window<'_> {
    /// A line, and the return key.
    pub(super) async fn types(&self, line: &str) {
        self.terminal.tmux(&["send-keys", "-t", &self.name, "-l", line]).await;
        self.terminal.tmux(&["send-keys", "-t", &self.name, "Enter"]).await;
    }

    /// Ctrl-C.
    pub(super) async fn interrupts(&self) {
        self.terminal.tmux(&["send-keys", "-t", &self.name, "C-c"]).await;
    }

    /// Everything since it was opened.
    pub(super) async fn all(&self) -> String {
        let text = self.terminal.tmux(&["capture-pane", "-p", "-J", "-S", "-", "-t", &self.name]).await;
        let lines: Vec<_> = text.trim_end().lines().map(str::trim_end).collect();
        lines.join("\n") + "\n"
    }

    /// Waits until these words are there.
    pub(super) async fn shows(&self, words: &str) {
        self.until(words, |shown| shown.contains(words)).await;
    }

    /// Waits until the shell asks for the next command, perhaps behind an answer that has no end of line.
    pub(super) async fn prompts(&self) {
        self.until("a prompt", |shown| shown.trim_end().ends_with('$')).await;
    }

    async fn until(&self, what: &str, is_so: impl Fn(&str) -> bool) {
        let seen = async {
            while !is_so(&self.all().await) {
                sleep(Duration::from_millis(50)).await;
            }
        };
        let seen = timeout(PATIENCE, seen).await.is_ok();
        assert!(seen, "there never is {what}:\n{}", self.all().await);
    }
}
