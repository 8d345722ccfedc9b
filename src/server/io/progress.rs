//! What the socket and the service of one connection tell each other.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Waker};

/// Where a connection is between two requests; shared by the socket and the service of one connection.
///
/// Both run in the same task, so relaxed ordering is enough.
#[derive(Debug, Default)]
pub(in crate::server) struct Progress {
    step: AtomicU8,
    /// The connection ends with the answer, and the client may still be sending its request.
    cut: AtomicBool,
    /// Whether the last request had a body, which may not have come to its end yet.
    upload: AtomicBool,
    rest: AtomicU8,
    /// The client's end of stream is held back until the request is answered; then somebody has to look again.
    held_back: AtomicBool,
    waiting: Mutex<Option<Waker>>,
}

/// Nothing of the next request has been seen.
pub(super) const WAITING: u8 = 0;
/// Some bytes of a head have.
pub(super) const HEAD: u8 = 1;
/// A request is being answered.
const BUSY: u8 = 2;

/// There is nothing to rest from, or it is not certain that all of the last exchange is over.
const AWAKE: u8 = 0;
/// The last request is read to its end, and the socket has taken all of its answer.
pub(super) const DONE: u8 = 1;
/// That is a moment ago, or the client is not busy.
const SETTLED: u8 = 2;
/// The connection is being taken apart; its socket goes on.
pub(super) const PARTING: u8 = 3;
/// It cannot be, and ends with what it is doing.
const LEFT: u8 = 4;

impl Progress {
    /// Something of the next request has come.
    pub(super) fn began(&self) {
        self.step.store(HEAD, Ordering::Relaxed);
        self.stirred();
    }

    /// The head is complete and the handler has it.
    pub(in crate::server) fn handling(&self, upload: bool) {
        self.upload.store(upload, Ordering::Relaxed);
        self.rest.store(AWAKE, Ordering::Relaxed);
        self.step.store(BUSY, Ordering::Relaxed);
    }

    /// All of the answer is out.
    ///
    /// An upload may outlive its answer, and nobody says when it has come to its end: such a client does not rest
    /// before the answer to a request without one.
    pub(super) fn flushed(&self, busy: bool) {
        if self.rest() == AWAKE && !self.has_upload() {
            self.rest.store(if busy { DONE } else { SETTLED }, Ordering::Relaxed);
        }
    }

    /// Whether the client may rest, with nothing half-read and nothing half-written.
    pub(in crate::server) fn is_settled(&self) -> bool {
        self.rest() == SETTLED
    }

    /// Something goes on that only ends with a flush.
    pub(super) fn stirred(&self) {
        if matches!(self.rest(), DONE | SETTLED) {
            self.rest.store(AWAKE, Ordering::Relaxed);
        }
    }

    /// Until [`Self::stay`] or [`Self::rested`], a shutdown of the socket is only said to be one.
    pub(in crate::server) fn part(&self) {
        self.rest.store(PARTING, Ordering::Relaxed);
    }

    /// There is no parting: the connection goes on to its end.
    pub(in crate::server) fn stay(&self) {
        self.rest.store(LEFT, Ordering::Relaxed);
    }

    /// The client has been silent for a moment.
    pub(super) fn settled(&self) {
        self.rest.store(SETTLED, Ordering::Relaxed);
    }

    /// The connection has been taken apart.
    pub(super) fn rested(&self) {
        self.rest.store(AWAKE, Ordering::Relaxed);
    }

    pub(super) fn rest(&self) -> u8 {
        self.rest.load(Ordering::Relaxed)
    }

    /// The last of the response has been handed to hyper.
    ///
    /// What remains of an upload after that is on the deadline of a head, but is given it anew while it moves.
    pub(in crate::server) fn answered(&self) {
        self.step.store(WAITING, Ordering::Relaxed);
        if self.held_back.swap(false, Ordering::Relaxed)
            && let Some(waker) = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).take()
        {
            waker.wake();
        }
    }

    pub(super) fn hold_back(&self, cx: &Context<'_>) {
        *self.waiting.lock().unwrap_or_else(PoisonError::into_inner) = Some(cx.waker().clone());
        self.held_back.store(true, Ordering::Relaxed);
    }

    /// Whether a request is being answered.
    pub(in crate::server) fn is_busy(&self) -> bool {
        self.get() == BUSY
    }

    /// The answer is the last one, and was given to a request whose body has perhaps not been read.
    pub(in crate::server) fn cut(&self) {
        self.cut.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Relaxed)
    }

    pub(super) fn get(&self) -> u8 {
        self.step.load(Ordering::Relaxed)
    }

    pub(super) fn has_upload(&self) -> bool {
        self.upload.load(Ordering::Relaxed)
    }
}
