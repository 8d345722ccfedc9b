//! What we are told while the command runs, and hand on to it.
//!
//! Ctrl-C on a terminal reaches the command by itself, as everybody of its group; sent again, it would mean "at once".

use std::io;

use tokio::process::Child;

#[cfg(unix)]
pub(super) use unix::{Signals, listen, send};

#[cfg(unix)]
mod unix {
    use std::io::IsTerminal as _;

    use rustix::process::{Pid, Signal, kill_process};
    use tokio::signal::unix::{SignalKind, signal};

    use super::{Child, io};
    use crate::server::signals::hangup_is_ignored;

    #[derive(Debug)]
    pub(in super::super) struct Signals {
        interrupt: tokio::signal::unix::Signal,
        quit: tokio::signal::unix::Signal,
        terminate: tokio::signal::unix::Signal,
        /// None where it is ignored, as under nohup: to listen would end that, also for the command.
        hangup: Option<tokio::signal::unix::Signal>,
        user1: tokio::signal::unix::Signal,
        user2: tokio::signal::unix::Signal,
        on_a_terminal: bool,
    }

    /// Takes them over. To be called first of all: until then they kill.
    pub(in super::super) fn listen() -> io::Result<Signals> {
        Ok(Signals {
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: (!hangup_is_ignored()).then(|| signal(SignalKind::hangup())).transpose()?,
            user1: signal(SignalKind::user_defined1())?,
            user2: signal(SignalKind::user_defined2())?,
            on_a_terminal: io::stdin().is_terminal()
                || io::stdout().is_terminal()
                || io::stderr().is_terminal(),
        })
    }

    impl Signals {
        /// The next that the command has not had by itself.
        pub(in super::super) async fn next(&mut self) -> Signal {
            let hangup = async {
                match &mut self.hangup {
                    Some(hangup) => hangup.recv().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = hangup => Signal::HUP,
                _ = self.terminate.recv() => Signal::TERM,
                _ = self.user1.recv() => Signal::USR1,
                _ = self.user2.recv() => Signal::USR2,
                _ = self.interrupt.recv(), if !self.on_a_terminal => Signal::INT,
                _ = self.quit.recv(), if !self.on_a_terminal => Signal::QUIT,
            }
        }
    }

    pub(in super::super) fn send(child: &Child, signal: Signal) {
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // It may have ended just now.
            let _ = kill_process(pid, signal);
        }
    }
}

#[cfg(not(unix))]
pub(super) use elsewhere::{Signals, listen, send};

#[cfg(not(unix))]
mod elsewhere {
    use super::{Child, io};

    /// The console tells every program of its group by itself; we only have to outlive it.
    #[derive(Debug)]
    pub(in super::super) struct Signals;

    #[expect(clippy::unnecessary_wraps, reason = "can fail elsewhere")]
    pub(in super::super) fn listen() -> io::Result<Signals> {
        Ok(Signals)
    }

    impl Signals {
        pub(in super::super) async fn next(&mut self) {
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    pub(in super::super) fn send(_: &Child, (): ()) {}
}
