//! Lines → a bounded buffer → one thread → standard error.
//!
//! Whoever logs only ever copies a line into memory. What the reader of standard error does (stops reading, goes away)
//! is the thread's trouble; when the buffer is full, lines are dropped and counted.
//!
//! The first line after a pause is written at once. Then the thread rests for a moment and writes what has come
//! meanwhile together: a wake-up and a write for each line would cost more than all the rest of it.

use std::io::{ErrorKind, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Lines that wait for the thread.
const MAX_LINES: usize = 16_384;
/// And their size: some lines of libraries at TRACE are long.
const MAX_BYTES: usize = 4 * 1024 * 1024;
/// Between two writes, unless there is much to write.
pub(super) const REST: Duration = Duration::from_millis(100);
/// That is much.
const MANY_LINES: usize = MAX_LINES / 4;
const MANY_BYTES: usize = MAX_BYTES / 4;
/// Capacity that is kept from a burst to the next.
const KEEP: usize = 64 * 1024;

/// Takes lines; a thread writes them.
#[derive(Debug, Default)]
pub(super) struct Sink {
    state: Mutex<State>,
    /// The thread waits here.
    filled: Condvar,
    /// Whoever flushes waits here.
    emptied: Condvar,
}

#[derive(Debug, Default)]
struct State {
    lines: Vec<u8>,
    number: usize,
    dropped: u64,
    /// The thread waits for lines: the only time that it must be woken.
    asleep: bool,
    /// The thread holds lines that are not written yet.
    writing: bool,
    /// Somebody waits until all is written, so there is no rest.
    hurried: bool,
}

impl State {
    fn is_empty(&self) -> bool {
        self.number == 0 && self.dropped == 0
    }

    fn is_much(&self) -> bool {
        self.number >= MANY_LINES || self.lines.len() >= MANY_BYTES
    }
}

impl Sink {
    /// Starts the thread, which rests for `rest` after each write. `dropped` makes the line that tells how many are
    /// missing.
    pub(super) fn start(
        output: impl Write + Send + 'static,
        rest: Duration,
        dropped: impl Fn(u64) -> String + Send + 'static,
    ) -> Arc<Self> {
        let sink = Arc::new(Self::default());
        let thread = Arc::clone(&sink);
        // Without a thread there is no log, and nobody to tell: the buffer fills and the rest is dropped.
        let _ =
            std::thread::Builder::new().name("log".into()).spawn(move || thread.run(output, rest, dropped));
        sink
    }

    /// Takes one line, whole with its end, or counts it as dropped. Never waits for the output.
    pub(super) fn push(&self, line: &str) {
        let mut state = self.lock();
        if state.number >= MAX_LINES || state.lines.len() + line.len() > MAX_BYTES {
            state.dropped += 1;
            return;
        }
        let much = state.is_much();
        state.lines.extend_from_slice(line.as_bytes());
        state.number += 1;
        // Once each: a thread that is awake will see for itself.
        if std::mem::take(&mut state.asleep) || (state.is_much() && !much) {
            drop(state);
            self.filled.notify_one();
        }
    }

    /// Returns when everything is written, or `within` is over.
    pub(super) fn flush(&self, within: Duration) {
        let mut state = self.lock();
        state.hurried = true;
        self.filled.notify_one();
        let busy = |state: &mut State| state.writing || !state.is_empty();
        let waited = self.emptied.wait_timeout_while(state, within, busy);
        drop(waited);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, mut output: impl Write, rest: Duration, dropped_line: impl Fn(u64) -> String) {
        let mut lines = Vec::new();
        loop {
            let dropped = self.next(&mut lines);
            write(&mut output, &lines);
            if dropped > 0 {
                write(&mut output, dropped_line(dropped).as_bytes());
            }
            lines.clear();
            lines.shrink_to(KEEP);
            self.rest(rest);
        }
    }

    fn rest(&self, rest: Duration) {
        let mut state = self.lock();
        state.writing = false;
        if state.is_empty() {
            self.emptied.notify_all();
        }
        let idle = |state: &mut State| !state.hurried && !state.is_much();
        let rested = self.filled.wait_timeout_while(state, rest, idle);
        drop(rested);
    }

    /// Waits for lines and swaps them into `lines`, which is empty. Returns how many were dropped behind them.
    fn next(&self, lines: &mut Vec<u8>) -> u64 {
        let mut state = self.lock();
        while state.is_empty() {
            self.emptied.notify_all();
            state.hurried = false;
            state.asleep = true;
            state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.asleep = false;
        state.writing = true;
        state.number = 0;
        std::mem::swap(&mut state.lines, lines);
        std::mem::take(&mut state.dropped)
    }
}

/// Writes all of `bytes` if anybody still takes them.
fn write(output: &mut impl Write, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        match output.write(bytes) {
            Ok(n) => bytes = bytes.get(n..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // Standard error shares a terminal or pipe that somebody else has made non-blocking.
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                std::thread::sleep(Duration::from_millis(10));
            }
            // Closed or broken. It may be a terminal that comes back, so the next lines are tried again.
            Err(_) => return,
        }
    }
}
