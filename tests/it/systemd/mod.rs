//! Under a supervisor.
//!
//! * `sockets`: those that are passed, by `systemd-socket-activate` and by hand
//! * `told`: what goes to `NOTIFY_SOCKET`
//! * `units`: the files in `config/systemd`, by systemd's own tools and under a systemd that is booted for them

#![cfg(target_os = "linux")]

mod sockets;
mod told;
mod units;

use std::os::fd::OwnedFd;

use crate::harness::process::{Start, wrapped};

/// Whether `program` is here; says so if it is not.
fn there_is(program: &str) -> bool {
    let found = std::process::Command::new(program).arg("--version").output().is_ok();
    if !found {
        println!("skipped: there is no {program} here");
    }
    found
}

/// The proxy with `socket` as the one that is passed to it, or what is passed instead.
fn with_passed(socket: impl Into<OwnedFd>, arguments: &str) -> Start {
    let script =
        "exec 3<&0 </dev/null; export LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=x; exec \"$0\" \"$@\"";
    wrapped(&["sh", "-c", script], arguments).stdin_from(socket.into())
}
