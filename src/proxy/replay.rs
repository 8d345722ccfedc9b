//! A request body that can be sent a second time, within bounds.
//!
//! Frames stream through as they arrive; a copy (a reference count, not the bytes) is kept until the answer is known not
//! to be a 401. Past the bounds streaming goes on and only the possibility of a replay is lost. A second attempt sends
//! the kept frames and then whatever the client has yet to send, so a body of which nothing was read needs no copy.
//!
//! The body has one reader at a time, the latest attempt. An earlier one that is still in the hands of its connection
//! gets an error instead of frames, which ends that connection or stream.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::idle::IdleTimer;

/// A kept frame counts as at least this much, because keeping it costs more than its bytes.
const LEAST_COST: usize = 128;
/// Frames shorter than this are kept as copies: the original is a part of a read buffer, and would keep all of it.
const COPIED_BELOW: usize = 4096;

/// What all requests together may keep.
#[derive(Debug)]
pub(super) struct Budget {
    per_request: usize,
    left: AtomicUsize,
}

impl Budget {
    pub(super) fn new(per_request: usize, total: usize) -> Self {
        Self { per_request, left: AtomicUsize::new(total) }
    }

    fn take(&self, bytes: usize) -> bool {
        let took =
            self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes));
        took.is_ok()
    }

    fn give_back(&self, bytes: usize) {
        self.left.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// The body of one client request, for as many attempts as it allows.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// No body: can be sent any number of times, and costs nothing.
    Empty,
    /// Shared between the attempts.
    Stream(Arc<Stream>),
}

#[derive(Debug)]
pub(crate) struct Stream {
    state: Mutex<State>,
    budget: Arc<Budget>,
    idle: Duration,
    hint: SizeHint,
}

#[derive(Debug)]
struct State {
    /// `None` once it has ended.
    incoming: Option<Incoming>,
    kept: Vec<Bytes>,
    /// What the budget is charged for them.
    charged: usize,
    keeping: Keeping,
    /// The attempt that may read; earlier ones may not any more.
    reader: u32,
    /// Nobody reads until it is known whether this attempt is the last.
    held: bool,
    /// Of the reader, while it waits.
    waiting: Option<Waker>,
    /// Frames handed out, to tell a slow upload from a stuck one.
    frames: u64,
    bytes: u64,
    failure: Option<ClientBodyError>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keeping {
    Yes,
    /// The answer is known; nobody will ask again.
    NoLonger,
    /// Over a bound: frames are missing.
    Lost,
}

/// What the client did wrong while sending its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum ClientBodyError {
    /// Paused for too long.
    #[error("the client paused for too long within its request body")]
    Idle,
    /// Ended early or sent something malformed.
    #[error("the client's request body broke off")]
    BrokeOff,
    /// Nothing: this attempt is over, and what is left of the body is not for it.
    #[error("the rest of the request body is not wanted")]
    Withdrawn,
}

impl Source {
    pub(super) fn new(incoming: Incoming, budget: &Arc<Budget>, idle: Duration) -> Self {
        if incoming.is_end_stream() {
            return Self::Empty;
        }
        let hint = incoming.size_hint();
        let state = State {
            incoming: Some(incoming),
            kept: Vec::new(),
            charged: 0,
            keeping: Keeping::Yes,
            reader: 0,
            held: false,
            waiting: None,
            frames: 0,
            bytes: 0,
            failure: None,
        };
        Self::Stream(Arc::new(Stream { state: Mutex::new(state), budget: Arc::clone(budget), idle, hint }))
    }

    /// The body for one attempt. Ask [`can_replay`](Self::can_replay) before the second.
    pub(super) fn attempt(&self) -> Attempt {
        match self {
            Self::Empty => Attempt(None),
            Self::Stream(stream) => Attempt(Some(Sending {
                stream: Arc::clone(stream),
                number: stream.next_reader(),
                next: 0,
                timer: IdleTimer::new(stream.idle),
            })),
        }
    }

    /// Ends the attempt so far: whatever still sends it fails.
    pub(super) fn withdraw(&self) {
        if let Self::Stream(stream) = self {
            stream.next_reader();
        }
    }

    /// If another attempt would send the same bytes, makes sure that this stays so until the guard is dropped: an upload
    /// that went on could outgrow what may be kept. `None` if there can be no other attempt.
    pub(super) fn hold(&self) -> Option<Hold<'_>> {
        if let Self::Stream(stream) = self {
            let mut state = stream.lock();
            if !state.can_replay() {
                return None;
            }
            state.held = true;
        }
        Some(Hold(self))
    }

    /// Whether another attempt would send the same bytes.
    pub(super) fn can_replay(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Stream(stream) => stream.lock().can_replay(),
        }
    }

    /// In bytes, unless it is not known before the end.
    pub(super) fn length(&self) -> Option<u64> {
        match self {
            Self::Empty => Some(0),
            Self::Stream(stream) => stream.hint.exact(),
        }
    }

    /// Whether there is no body at all.
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::Empty)
    }

    /// The answer is known; what was kept is let go.
    pub(super) fn settle(&self) {
        if let Self::Stream(stream) = self {
            let mut state = stream.lock();
            if state.keeping == Keeping::Yes {
                stream.let_go(&mut state, Keeping::NoLonger);
            }
        }
    }

    /// How far the upload has come: frames so far while there is more to send, `None` once all is sent.
    pub(super) fn progress(&self) -> Option<u64> {
        match self {
            Self::Empty => None,
            Self::Stream(stream) => {
                let state = stream.lock();
                state.incoming.is_some().then_some(state.frames)
            }
        }
    }

    /// Bytes that the client has sent so far.
    pub(super) fn bytes(&self) -> u64 {
        match self {
            Self::Empty => 0,
            Self::Stream(stream) => stream.lock().bytes,
        }
    }

    /// What the client did wrong, if it did.
    pub(super) fn failure(&self) -> Option<ClientBodyError> {
        match self {
            Self::Empty => None,
            Self::Stream(stream) => stream.lock().failure,
        }
    }
}

/// The upload stands still.
#[derive(Debug)]
pub(super) struct Hold<'a>(&'a Source);

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        if let Source::Stream(stream) = self.0 {
            let mut state = stream.lock();
            state.held = false;
            state.wake();
        }
    }
}

impl State {
    fn can_replay(&self) -> bool {
        self.failure.is_none() && (self.keeping == Keeping::Yes || self.frames == 0)
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waiting.take() {
            waker.wake();
        }
    }

    /// The body gives the next frame to whoever asked last, so the reader is known by its waker.
    fn wait(&mut self, cx: &Context<'_>) {
        match &mut self.waiting {
            Some(waker) => waker.clone_from(cx.waker()),
            None => self.waiting = Some(cx.waker().clone()),
        }
    }
}

impl Stream {
    fn next_reader(&self) -> u32 {
        let mut state = self.lock();
        state.reader += 1;
        state.held = false;
        state.wake();
        state.reader
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, state: &mut State, data: &Bytes) {
        state.frames += 1;
        state.bytes += data.len() as u64;
        if state.keeping != Keeping::Yes {
            return;
        }
        let cost = data.len().max(LEAST_COST);
        if state.charged + cost > self.budget.per_request || !self.budget.take(cost) {
            self.let_go(state, Keeping::Lost);
            return;
        }
        state.charged += cost;
        let small = data.len() < COPIED_BELOW;
        state.kept.push(if small { Bytes::copy_from_slice(data) } else { data.clone() });
    }

    fn let_go(&self, state: &mut State, why: Keeping) {
        self.budget.give_back(state.charged);
        state.charged = 0;
        state.kept = Vec::new();
        state.keeping = why;
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let charged = self.lock().charged;
        self.budget.give_back(charged);
    }
}

/// The body of one attempt.
#[derive(Debug)]
pub(super) struct Attempt(Option<Sending>);

#[derive(Debug)]
struct Sending {
    stream: Arc<Stream>,
    /// Which attempt this is.
    number: u32,
    /// Index of the next kept frame.
    next: usize,
    /// Runs only while we wait for the client.
    timer: IdleTimer,
}

impl Body for Attempt {
    type Data = Bytes;
    type Error = ClientBodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ClientBodyError>>> {
        match &mut self.0 {
            None => Poll::Ready(None),
            Some(sending) => sending.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(|s| {
            let state = s.stream.lock();
            let is_reader = state.reader == s.number && !state.held;
            is_reader && state.incoming.is_none() && state.failure.is_none() && s.next >= state.kept.len()
        })
    }
}

impl Sending {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, ClientBodyError>>> {
        let stream = Arc::clone(&self.stream);
        let mut state = stream.lock();
        if state.reader != self.number {
            return Poll::Ready(Some(Err(ClientBodyError::Withdrawn)));
        }
        if state.held {
            state.wait(cx);
            return Poll::Pending;
        }
        if let Some(data) = state.kept.get(self.next) {
            self.next += 1;
            return Poll::Ready(Some(Ok(Frame::data(data.clone()))));
        }
        loop {
            let Some(incoming) = &mut state.incoming else {
                return Poll::Ready(state.failure.map(Err));
            };
            let Poll::Ready(frame) = Pin::new(&mut *incoming).poll_frame(cx) else {
                state.wait(cx);
                return self.timer.poll(cx).map(|()| Some(Err(fail(&mut state, ClientBodyError::Idle))));
            };
            self.timer.progress();
            match frame {
                None => state.incoming = None,
                Some(Err(_)) => return Poll::Ready(Some(Err(fail(&mut state, ClientBodyError::BrokeOff)))),
                // Request trailers are dropped: RFC 9110 §6.5.1 forbids to merge them, and Airbyte reads none.
                Some(Ok(frame)) => {
                    let Ok(data) = frame.into_data() else { continue };
                    // Nobody asks for more once a body of known length is whole.
                    if incoming.is_end_stream() {
                        state.incoming = None;
                    }
                    stream.keep(&mut state, &data);
                    self.next = state.kept.len();
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
            }
        }
    }
}

fn fail(state: &mut State, error: ClientBodyError) -> ClientBodyError {
    state.incoming = None;
    state.failure = Some(error);
    error
}
