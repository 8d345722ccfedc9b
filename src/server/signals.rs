//! What the operating system and the person at the terminal tell us.

use std::io;
use std::sync::Arc;

use tokio::sync::Notify;

use super::Stop;

#[cfg(unix)]
pub use source::hangup_is_ignored;

/// What a hangup means.
#[cfg(unix)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hangup {
    /// Started by `nohup`: nothing.
    Ignore,
    /// The terminal we were started on is gone, and nobody would know that we hold the port.
    Drain,
    /// A service is told to read its files again.
    Reload,
}

#[cfg(unix)]
impl Hangup {
    fn meaning(ignored_at_start: bool, on_a_terminal: bool) -> Self {
        match (ignored_at_start, on_a_terminal) {
            (true, _) => Self::Ignore,
            (false, true) => Self::Drain,
            (false, false) => Self::Reload,
        }
    }
}

/// The signals of this process, from [`listen`] on.
#[derive(Debug)]
pub struct Signals {
    source: source::Source,
    reload: Arc<Notify>,
}

/// Takes over SIGINT, SIGTERM and (unless it was ignored at start) SIGHUP. To be called within a runtime, before
/// anything takes time, since until then their default is to kill.
pub fn listen() -> io::Result<Signals> {
    Ok(Signals { source: source::Source::new()?, reload: Arc::new(Notify::new()) })
}

impl Signals {
    /// Notified when files are to be read again.
    pub fn reloads(&self) -> Arc<Notify> {
        Arc::clone(&self.reload)
    }

    /// Drains at the first signal. Returns at the second, having aborted, with the exit code to use at once.
    pub async fn drive(mut self, stop: Stop) -> u8 {
        // Counted here: a drain that began otherwise (a quit request) does not make the first signal the second.
        let mut first = true;
        loop {
            match self.source.next().await {
                Signal::Hangup => self.reload.notify_one(),
                Signal::Stop { .. } if first => {
                    first = false;
                    stop.drain();
                }
                Signal::Stop { code } => {
                    stop.abort();
                    return code;
                }
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(unix), expect(dead_code, reason = "there is no SIGHUP"))]
enum Signal {
    Stop { code: u8 },
    Hangup,
}

#[cfg(unix)]
mod source {
    use std::io::{self, IsTerminal};

    use tokio::signal::unix::{SignalKind, signal};

    use super::{Hangup, Signal};

    #[derive(Debug)]
    pub(super) struct Source {
        interrupt: tokio::signal::unix::Signal,
        terminate: tokio::signal::unix::Signal,
        hangup: Option<tokio::signal::unix::Signal>,
        meaning: Hangup,
    }

    impl Source {
        pub(super) fn new() -> io::Result<Self> {
            let on_a_terminal = io::stdin().is_terminal() || io::stderr().is_terminal();
            let meaning = Hangup::meaning(hangup_is_ignored(), on_a_terminal);
            Ok(Self {
                interrupt: signal(SignalKind::interrupt())?,
                terminate: signal(SignalKind::terminate())?,
                // To listen for it would end its being ignored.
                hangup: (meaning != Hangup::Ignore).then(|| signal(SignalKind::hangup())).transpose()?,
                meaning,
            })
        }

        pub(super) async fn next(&mut self) -> Signal {
            let hangup = async {
                match &mut self.hangup {
                    Some(hangup) => hangup.recv().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = self.interrupt.recv() => Signal::Stop { code: 130 },
                _ = self.terminate.recv() => Signal::Stop { code: 143 },
                _ = hangup => match self.meaning {
                    Hangup::Drain => Signal::Stop { code: 129 },
                    Hangup::Ignore | Hangup::Reload => Signal::Hangup,
                },
            }
        }
    }

    /// Whether whoever started us (`nohup`) has SIGHUP ignored. Only Linux tells without unsafe code.
    pub fn hangup_is_ignored() -> bool {
        std::fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores_hangup(&status))
    }

    /// proc(5): `SigIgn`, a hexadecimal mask of ignored signals, SIGHUP (1) the lowest bit.
    pub(super) fn ignores_hangup(status: &str) -> bool {
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
    }
}

#[cfg(not(unix))]
mod source {
    use std::io;

    use super::Signal;

    #[derive(Debug)]
    pub(super) struct Source;

    impl Source {
        #[expect(clippy::unnecessary_wraps, reason = "can fail elsewhere")]
        pub(super) fn new() -> io::Result<Self> {
            Ok(Self)
        }

        pub(super) async fn next(&mut self) -> Signal {
            if tokio::signal::ctrl_c().await.is_err() {
                // No handler can be installed: ended by the system then.
                std::future::pending::<()>().await;
            }
            Signal::Stop { code: 130 }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn hangup_ends_a_foreground_process_and_reloads_a_service() {
        assert_eq!(Hangup::meaning(false, true), Hangup::Drain);
        assert_eq!(Hangup::meaning(false, false), Hangup::Reload);
        assert_eq!(Hangup::meaning(true, true), Hangup::Ignore);
        assert_eq!(Hangup::meaning(true, false), Hangup::Ignore);
    }

    #[cfg(unix)]
    #[test]
    fn nohup_is_seen_in_proc() {
        use source::ignores_hangup;
        assert!(ignores_hangup("Name:\tx\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\n"));
        assert!(!ignores_hangup("SigIgn:\t0000000000001000\n"), "SIGPIPE alone, as every Rust program");
        assert!(!ignores_hangup("SigBlk:\t0000000000000001\n"));
        assert!(!ignores_hangup(""));
    }

    /// Run as a child by the test below, since signals are the whole process's business.
    #[cfg(unix)]
    #[ignore = "a child of real_signals_drain_then_abort"]
    #[tokio::test]
    async fn child() {
        let signals = listen().expect("signals");
        let (stop, reloads) = (Stop::new(), signals.reloads());
        let told = stop.clone();
        tokio::spawn(async move {
            told.draining().await;
            println!("draining");
        });
        tokio::spawn(async move {
            reloads.notified().await;
            println!("reload");
        });
        println!("\nlistening");
        println!("code {}", signals.drive(stop).await);
    }

    /// What the child says after each signal; `None` where it is to say nothing.
    #[cfg(unix)]
    fn conversation(before: &str, script: &[(rustix::process::Signal, Option<&str>)]) {
        use std::io::{BufRead, BufReader};
        use std::process::{Command, Stdio};

        let me = std::env::current_exe().expect("path");
        let mut child = Command::new("sh")
            .args(["-c", &format!("{before} exec \"$0\" \"$@\"")])
            .arg(me)
            .args(["--ignored", "--nocapture", "--exact", "server::signals::tests::child"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("spawned");
        let pid = rustix::process::Pid::from_child(&child);
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
        assert!(lines.any(|line| line == "listening"));
        for (signal, answer) in script {
            rustix::process::kill_process(pid, *signal).expect("sent");
            if let Some(answer) = answer {
                assert_eq!(lines.next().as_deref(), Some(*answer));
            }
        }
        assert!(child.wait().expect("ended").success());
    }

    #[cfg(unix)]
    #[test]
    fn real_signals_drain_then_abort() {
        use rustix::process::Signal;
        let end = [(Signal::TERM, Some("draining")), (Signal::INT, Some("code 130"))];
        conversation("", &[&[(Signal::HUP, Some("reload"))][..], &end].concat());
        conversation("trap '' HUP;", &[&[(Signal::HUP, None)][..], &end].concat());
    }
}
