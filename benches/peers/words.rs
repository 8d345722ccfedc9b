//! How a role of ours is talked to: a line of JSON or a word, on standard input and output.

use std::io::Write as _;

use serde::Serialize;
use tokio::sync::mpsc;

use crate::Result;

/// The lines of standard input. They end when whoever started us has ended, and then so do we.
pub(crate) fn heard() -> mpsc::UnboundedReceiver<String> {
    let (sender, words) = mpsc::unbounded_channel();
    // A thread of its own, which nobody waits for: reading cannot be called off.
    std::thread::spawn(move || {
        let lines = std::io::stdin().lines().map_while(std::io::Result::ok);
        for line in lines {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    words
}

/// Says one line.
pub(crate) fn tell(what: &impl Serialize) -> Result<()> {
    let mut output = std::io::stdout().lock();
    writeln!(output, "{}", serde_json::to_string(what)?)?;
    Ok(output.flush()?)
}
