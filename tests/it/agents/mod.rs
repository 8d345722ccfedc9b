//! `docs/agents.md`: a program that uses Airbyte and is not to have the secret. Each recipe with a second user.
//!
//! Needs root, to have other users at all, and `setpriv`; without these nothing is tested, and that is said.
//!
//! * `users`: the proxy as one user, the agent as another
//! * `started`: agents that the proxy starts, MCP servers among them

#![cfg(target_os = "linux")]

mod started;
mod users;

use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use airbyte_proxy::demo::Simulator;
use tokio::process::Command;

use crate::harness::process::{Start, private_file, wrapped};

/// The user of the proxy, that of the agent, and one who has no business with either. None of them has a name here.
const PROXY: u32 = 47_101;
const AGENT: u32 = 47_102;
const OTHER: u32 = 47_103;
/// A group that the agent may be in.
const GROUP: u32 = 47_200;

/// A folder that everybody may enter, with the binary, wherever this was built.
struct Ground {
    folder: tempfile::TempDir,
    binary: PathBuf,
}

impl Ground {
    /// None, and that is said, where there cannot be several users.
    fn new() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            println!("skipped: not root, so there are no other users");
            return None;
        }
        if std::process::Command::new("setpriv").arg("--version").output().is_err() {
            println!("skipped: there is no setpriv here");
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder");
        mode(folder.path(), 0o755);
        let binary = folder.path().join("airbyte-proxy");
        std::fs::copy(env!("CARGO_BIN_EXE_airbyte-proxy"), &binary).expect("copied");
        Some(Self { folder, binary })
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A file that only `user` can read.
    fn private(&self, name: &str, user: u32, content: &str) -> PathBuf {
        let path = private_file(self.path().join(name), content);
        chown(&path, Some(user), Some(user)).expect("root may");
        path
    }

    /// A folder of `user`, with this mode, whose group is [`GROUP`].
    fn folder(&self, name: &str, user: u32, bits: u32) -> PathBuf {
        let path = self.path().join(name);
        std::fs::create_dir(&path).expect("made");
        chown(&path, Some(user), Some(GROUP)).expect("root may");
        mode(&path, bits);
        path
    }

    /// The proxy as `user`.
    fn proxy(&self, user: u32, arguments: &str) -> Start {
        let us = privileges(user, &[]);
        let mut by: Vec<_> = us.iter().map(String::as_str).collect();
        let exec = format!("exec '{}' \"$@\"", self.binary.display());
        by.extend(["sh", "-c", &exec]);
        wrapped(&by, arguments).env("HOME", self.path())
    }

    /// The same in front of `airbyte`, with the secret in a file that it alone can read.
    fn with_file(&self, airbyte: &Simulator, arguments: &str) -> Start {
        let secret = self.private("client-secret", PROXY, airbyte.client_secret().expose());
        let start = self.proxy(PROXY, arguments).upstream(airbyte);
        start.env("AIRBYTE_CLIENT_ID", airbyte.client_id()).env("AIRBYTE_CLIENT_SECRET_FILE", secret)
    }
}

fn mode(path: &Path, bits: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(bits)).expect("chmod");
}

/// Becomes that user, without any privilege.
fn privileges(user: u32, groups: &[u32]) -> Vec<String> {
    let groups = match groups {
        [] => "--clear-groups".to_owned(),
        groups => format!("--groups={}", groups.iter().map(u32::to_string).collect::<Vec<_>>().join(",")),
    };
    let ids = [format!("--reuid={user}"), format!("--regid={user}"), groups];
    ["setpriv".to_owned()].into_iter().chain(ids).chain(["--inh-caps=-all".to_owned()]).collect()
}

/// What a script of that user says, and how it ends.
struct Did {
    code: Option<i32>,
    said: String,
}

/// Runs `script` as `user`, who finds nothing in the environment but where programs are.
async fn does(user: u32, groups: &[u32], script: &str) -> Did {
    let us = privileges(user, groups);
    let mut command = Command::new(&us[0]);
    command.args(&us[1..]).args(["sh", "-c", &format!("exec 2>&1\n{script}")]);
    command.env_clear().env("PATH", "/usr/bin:/bin").env("NO_PROXY", "*").current_dir("/");
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let output = tokio::time::timeout(Duration::from_secs(30), output).await;
    let output = output.expect("it ends").expect("it runs");
    Did { code: output.status.code(), said: String::from_utf8_lossy(&output.stdout).into_owned() }
}

/// The status that `user` gets.
async fn status(user: u32, curl: &str) -> String {
    let script = format!("curl -s -o /dev/null -w '%{{http_code}}' {curl}");
    does(user, &[], &script).await.said
}
