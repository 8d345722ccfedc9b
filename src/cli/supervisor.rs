//! Whoever started us and watches over us, where there is somebody: systemd. It passes sockets, and is told how we are.
//!
//! Ready is told once we listen, with or without a token: credentials that Airbyte refuses do not get better by being
//! started again, and meanwhile callers are told what is wrong. How the token is, is in the status (`systemctl status`).

use std::process::ExitCode;
use std::time::Duration;

use crate::config::Environment;
use crate::server::{Passed, Stop, passed};
use crate::token::{self, Health, TokenHandle};

use super::{USAGE, output};

const NOTIFY: &str = "NOTIFY_SOCKET";
/// Nobody is held up by a supervisor that does not read.
const PATIENCE: Duration = Duration::from_secs(1);
/// What `systemctl status` shows in a line.
const LONGEST: usize = 200;

/// What of it concerns us.
#[derive(Debug)]
pub(super) struct Supervisor {
    listens: bool,
}

/// Takes over what was passed. To be called before there are other threads.
pub(super) fn find(env: &Environment) -> Result<(Supervisor, Passed), ExitCode> {
    let supervisor = Supervisor { listens: env.text(NOTIFY).is_some() };
    match Passed::take(env.text(passed::PID), env.text(passed::COUNT)) {
        Ok(passed) => Ok((supervisor, passed)),
        Err(error) => {
            output::stderr(&format!("{error}\n  hint: {}", error.hint()));
            Err(ExitCode::from(USAGE))
        }
    }
}

/// What it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
enum News {
    Listening,
    Reloading,
    Reloaded,
    Stopping,
    Status(String),
}

impl Supervisor {
    /// Tells that we listen, then how the token is whenever that changes, and at last that we end. Returns then.
    pub(super) async fn follow(&self, tokens: TokenHandle, stop: Stop) {
        if !self.listens {
            return;
        }
        let mut changes = tokens.changes();
        let mut told = status(&tokens.status());
        self.tell(vec![News::Listening, News::Status(told.clone())]).await;
        loop {
            tokio::select! {
                () = stop.draining() => break,
                heard = changes.changed() => if heard.is_err() { break },
            }
            let now = status(&tokens.status());
            if now != told {
                self.tell(vec![News::Status(now.clone())]).await;
                told = now;
            }
        }
        stop.draining().await;
        self.tell(vec![News::Stopping, News::Status("finishing what is in flight".to_owned())]).await;
    }

    pub(super) async fn reloading(&self) {
        self.tell(vec![News::Reloading]).await;
    }

    pub(super) async fn reloaded(&self) {
        self.tell(vec![News::Reloaded]).await;
    }

    async fn tell(&self, news: Vec<News>) {
        if !self.listens {
            return;
        }
        // The socket is a blocking one.
        let sent = tokio::task::spawn_blocking(move || send(&news));
        match tokio::time::timeout(PATIENCE, sent).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => {
                tracing::warn!(%error, "whoever started this (NOTIFY_SOCKET) cannot be told");
            }
            Ok(Err(_)) | Err(_) => tracing::warn!("whoever started this (NOTIFY_SOCKET) does not listen"),
        }
    }
}

/// In one line, since the next one would be another message.
fn status(token: &token::Status) -> String {
    let reason = token.reason.as_deref().unwrap_or("the reason is in the log");
    let status = match token.health {
        Health::Starting => "listening, no token yet".to_owned(),
        Health::Ready => "ready".to_owned(),
        Health::Degraded => format!("ready, but the token could not be renewed: {reason}"),
        Health::Broken => format!("no token: {reason}"),
    };
    status.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST).collect()
}

#[cfg(unix)]
fn send(news: &[News]) -> std::io::Result<()> {
    use sd_notify::NotifyState;

    let mut states = Vec::with_capacity(news.len() + 1);
    for one in news {
        states.push(match one {
            News::Listening | News::Reloaded => NotifyState::Ready,
            News::Reloading => NotifyState::Reloading,
            News::Stopping => NotifyState::Stopping,
            News::Status(text) => NotifyState::Status(text),
        });
        if *one == News::Reloading {
            // systemd wants to know that this is the answer to its latest request.
            states.push(NotifyState::monotonic_usec_now()?);
        }
    }
    sd_notify::notify(&states)
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "can fail elsewhere")]
fn send(_: &[News]) -> std::io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_one_short_line_and_says_why() {
        let token = |health, reason: &str| token::Status {
            health,
            reason: Some(reason.to_owned()),
            refused: false,
            generation: None,
            expires_in: None,
            next_attempt: None,
        };
        assert_eq!(status(&token(Health::Ready, "")), "ready");
        let broken = status(&token(Health::Broken, "refused\nMAINPID=1"));
        assert_eq!(broken, "no token: refused MAINPID=1");
        assert_eq!(status(&token(Health::Broken, &"x".repeat(1000))).len(), LONGEST);
    }
}
