//! Lines for the user. A closed or full stream is nobody's problem here.

use std::io::{self, Write as _};

/// Writes `text` and a line break to stdout.
pub(super) fn stdout(text: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// Writes `text` and a line break to stderr.
pub(super) fn stderr(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}
