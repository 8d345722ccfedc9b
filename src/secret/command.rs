//! A program that prints the secret: every keychain and secret manager has one.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::process::Command;
use zeroize::Zeroizing;

use super::Secret;
use super::content::{InvalidContent, MAX_BYTES, clean};

/// Long enough for a person to touch a key.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Why the command yielded no secret. Shows neither arguments nor output.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// Not in `PATH`, not executable, and the like.
    #[error("cannot start {program}: {kind}")]
    Start {
        /// The first item of the array.
        program: String,
        /// What the system says.
        kind: std::io::ErrorKind,
    },
    /// It ended with another code than 0, or by a signal.
    #[error("{program} ended with {how}")]
    Failed {
        /// The first item of the array.
        program: String,
        /// `exit code 3`, `signal 9`.
        how: String,
    },
    /// 30 s were over.
    #[error("{program} did not end within 30 s")]
    Timeout {
        /// The first item of the array.
        program: String,
    },
    /// What it printed is no secret.
    #[error("the output of {program} {problem}")]
    Output {
        /// The first item of the array.
        program: String,
        /// Why.
        problem: InvalidContent,
    },
}

/// Runs `argv` without a shell; its standard output is the secret, its standard error is dropped, since some tools
/// repeat there what they were asked for.
pub(crate) async fn run(argv: &[String]) -> Result<Secret, CommandError> {
    let (program, arguments) = argv.split_first().map_or(("", &[][..]), |(p, rest)| (p.as_str(), rest));
    let timeout = || CommandError::Timeout { program: program.to_owned() };
    tokio::time::timeout(TIMEOUT, output(program, arguments)).await.map_err(|_| timeout())?
}

async fn output(program: &str, arguments: &[String]) -> Result<Secret, CommandError> {
    let start =
        |error: std::io::Error| CommandError::Start { program: program.to_owned(), kind: error.kind() };
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(start)?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(1024));
    if let Some(stdout) = child.stdout.take() {
        stdout.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes).await.map_err(start)?;
    }
    // The pipe is closed here, so a program that prints for ever ends by itself.
    let status = child.wait().await.map_err(start)?;
    let content = clean(&bytes);
    if !status.success() && content != Err(InvalidContent::TooLarge) {
        return Err(CommandError::Failed { program: program.to_owned(), how: how(status) });
    }
    let text = content.map_err(|problem| CommandError::Output { program: program.to_owned(), problem })?;
    Ok(Secret::new(text.to_owned()))
}

fn how(status: ExitStatus) -> String {
    #[cfg(unix)]
    {
        use std::os::unix::process::ExitStatusExt as _;
        if let Some(signal) = status.signal() {
            return format!("signal {signal}");
        }
    }
    status.code().map_or_else(|| "no exit code".to_owned(), |code| format!("exit code {code}"))
}
