//! Lines for the user. A closed or full stream is nobody's problem here.

use std::io::{self, Write as _};
use std::sync::mpsc;
use std::time::Duration;

/// Writes `text` and a line break to stdout.
pub(super) fn stdout(text: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// Writes `text`, which may be coloured, to stdout; the colours only where they are wanted.
pub(super) fn coloured(text: &str) {
    let mut out = anstream::stdout().lock();
    let _ = write!(out, "{text}").and_then(|()| out.flush());
}

/// Writes `text` and a line break to stderr.
pub(super) fn stderr(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Like [`stdout`], for a program that goes on: a reader that does not read holds it up for a moment only.
pub(super) fn offer(text: String) {
    let (written, done) = mpsc::channel();
    std::thread::spawn(move || {
        stdout(&text);
        let _ = written.send(());
    });
    let _ = done.recv_timeout(Duration::from_millis(200));
}
