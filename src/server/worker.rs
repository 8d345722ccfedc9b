//! Threads that serve connections, each with a runtime of its own.
//!
//! A connection stays on one thread for life: its timers, its waker and its handler's caches never cross to another.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Waker};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// How long tasks on the blocking pool (a name lookup) may hold up the end.
const LINGER: Duration = Duration::from_millis(100);

/// One running thread. Dropping it ends the thread and every task on it.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) handle: Handle,
    pub(super) roster: Arc<Roster>,
    end: oneshot::Sender<()>,
    ended: oneshot::Receiver<()>,
}

impl Worker {
    /// Starts worker number `index`.
    pub(super) fn start(index: usize) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (end, told) = oneshot::channel::<()>();
        let (alive, ended) = oneshot::channel::<()>();
        std::thread::Builder::new().name(format!("worker-{index}")).spawn(move || {
            // Told or abandoned, it is the end.
            let _ = runtime.block_on(told);
            runtime.shutdown_timeout(LINGER);
            drop(alive);
        })?;
        Ok(Self { handle, roster: Arc::new(Roster::default()), end, ended })
    }

    /// Aborts whatever still runs on the thread, and says when it is gone.
    pub(super) fn end(self) -> Ended {
        let _ = self.end.send(());
        Ended(self.ended)
    }
}

/// A worker that has been told to end.
#[derive(Debug)]
pub(super) struct Ended(oneshot::Receiver<()>);

impl Ended {
    /// Returns when the thread is gone, or does not go.
    pub(super) async fn gone(self) {
        let _ = tokio::time::timeout(LINGER * 10, self.0).await;
    }
}

/// The connections of one worker: lets all of them know that it is time to close.
#[derive(Debug, Default)]
pub(super) struct Roster {
    draining: AtomicBool,
    closing: AtomicBool,
    wakers: Mutex<Wakers>,
}

#[derive(Debug, Default)]
struct Wakers {
    next: u64,
    waiting: HashMap<u64, Waker>,
}

impl Roster {
    /// Adds the calling task.
    pub(super) fn enter(&self) -> Entry<'_> {
        let mut wakers = self.wakers.lock().unwrap_or_else(PoisonError::into_inner);
        wakers.next += 1;
        Entry { roster: self, number: wakers.next, known: AtomicBool::new(false) }
    }

    /// Makes every connection, present and future, close with the end of its next answer.
    ///
    /// Whoever is told so goes elsewhere in good time. A client that keeps an idle connection would otherwise send its
    /// next request at the very moment when that is closed.
    pub(super) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Whether answers are to say that they are the last.
    pub(super) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Makes every connection, present and future, close.
    pub(super) fn close(&self) {
        let waiting = {
            let mut wakers = self.wakers.lock().unwrap_or_else(PoisonError::into_inner);
            self.closing.store(true, Ordering::Release);
            std::mem::take(&mut wakers.waiting)
        };
        waiting.into_values().for_each(Waker::wake);
    }
}

/// One connection's place on the [`Roster`], until dropped.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    roster: &'a Roster,
    number: u64,
    known: AtomicBool,
}

impl Entry<'_> {
    /// Whether to close now; if not, the task of `cx` is woken when that changes. Costs two loads after the first call.
    ///
    /// Always to be called from the same task: its waker is kept once.
    pub(super) fn must_close(&self, cx: &Context<'_>) -> bool {
        if !self.known.load(Ordering::Relaxed) {
            let mut wakers = self.roster.wakers.lock().unwrap_or_else(PoisonError::into_inner);
            wakers.waiting.insert(self.number, cx.waker().clone());
            self.known.store(true, Ordering::Relaxed);
        }
        self.roster.closing.load(Ordering::Acquire)
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        let waker = {
            let mut wakers = self.roster.wakers.lock().unwrap_or_else(PoisonError::into_inner);
            wakers.waiting.remove(&self.number)
        };
        // The last reference to a task may be its waker: dropped without the lock, as it may drop anything.
        drop(waker);
    }
}
