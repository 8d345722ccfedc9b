//! What the lifecycle is told, what it answers, and what readers see of it.

use std::time::Duration;

use crate::clock::Now;
use crate::token::grant::{Failure, Outcome};
use crate::token::lease::{Lease, Unavailable};

/// Names one caller that waits.
pub(in crate::token) type WaiterId = u64;

/// What happened.
#[derive(Debug)]
pub(in crate::token) enum Event {
    /// Nothing but time.
    Tick,
    /// A caller found no token it may use. With `newer_than`, only a later generation will do.
    Acquire { waiter: WaiterId, newer_than: Option<u64> },
    /// That caller no longer waits.
    Gone { waiter: WaiterId },
    /// An attempt ended.
    Answered { attempt: u64, outcome: Outcome },
    /// Upstream answered 401 to a request with this generation; `replayed` if the request had already been sent with
    /// an older one, which proves that the token was not the reason.
    Unauthorized { generation: u64, replayed: bool },
    /// Upstream accepted a token.
    Accepted,
    /// New credentials are at hand: tried first, the old ones kept until these have worked.
    NewCredentials { version: u64 },
    /// The source of the credentials has none to give. Until it has said so, callers wait for it.
    NoCredentials,
    /// Somebody says that whatever was wrong may be mended (SIGHUP).
    RetryNow,
    /// No new mint unless somebody waits for it.
    Drain,
    /// The end: nothing more is lent.
    Close,
}

/// What is to be done about it.
#[derive(Debug, PartialEq)]
pub(in crate::token) enum Action {
    /// Start this attempt, with the credentials of this version.
    Mint { attempt: u64, credentials: u64 },
    /// Give up on it.
    Abort { attempt: u64 },
    /// The answer to a waiter.
    Grant { waiter: WaiterId, lease: Lease },
    /// The other answer to a waiter.
    Refuse { waiter: WaiterId, error: Unavailable },
    /// The credentials of this version have worked: forget the others.
    Promote { version: u64 },
    /// The machine was suspended: connections made before are dead.
    DropConnections,
    /// Worth a line in the log.
    Note(Note),
}

/// State changes, each told once.
#[derive(Debug, PartialEq)]
pub(in crate::token) enum Note {
    Minted { generation: u64, lifetime: Duration },
    SameToken,
    Failed { failure: Failure, next: Duration, live_for: Option<Duration> },
    CandidateRejected { failure: Failure },
    Suspected { generation: u64 },
    NotTheToken { quiet: Duration },
    Died { generation: u64 },
    Resumed { gap: Duration },
}

/// What readers see without asking.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::token) struct View {
    pub(in crate::token) lease: Option<Lease>,
    /// The token is under suspicion and a mint is running: callers wait for it, briefly.
    pub(in crate::token) hold: bool,
    pub(in crate::token) last_failure: Option<Failure>,
    pub(in crate::token) next_attempt: Option<Now>,
    /// Or they may still come.
    pub(in crate::token) has_credentials: bool,
    pub(in crate::token) doubted: bool,
}
