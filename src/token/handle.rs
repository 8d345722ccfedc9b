//! What the request path holds: answers from memory while a live token exists, asks the keeper otherwise.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, oneshot, watch};

use super::grant::FailureKind;
use super::history::{Happening, History};
use super::lease::{Lease, Unavailable, Why};
use super::lifecycle::{View, WaiterId};
use crate::clock::{Clock, Now, millis};
use crate::secret::ClientCredentials;

pub(super) type Reply = oneshot::Sender<Result<Lease, Unavailable>>;

/// What the keeper is told.
#[derive(Debug)]
pub(super) enum Message {
    Acquire { waiter: WaiterId, newer_than: Option<u64>, reply: Reply },
    Gone { waiter: WaiterId },
    Unauthorized { generation: u64, replayed: bool },
    Accepted,
    Credentials(ClientCredentials),
    NoCredentials,
    RetryNow,
    Drain,
    Close,
}

/// Borrows the token. Cheap to clone; every worker has one.
#[derive(Debug, Clone)]
pub struct TokenHandle {
    shared: Arc<Shared>,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) clock: Clock,
    pub(super) view: ArcSwap<View>,
    pub(super) changed: watch::Sender<()>,
    pub(super) history: History,
    pub(super) keeper: mpsc::UnboundedSender<Message>,
    pub(super) next_waiter: AtomicU64,
    pub(super) tally: Tally,
}

/// What came of the attempts to mint.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) granted: AtomicU64,
    pub(super) rejected: AtomicU64,
    pub(super) misconfigured: AtomicU64,
    pub(super) transient: AtomicU64,
    /// On the wall clock, in milliseconds; zero if never.
    pub(super) last_success: AtomicI64,
}

impl Tally {
    pub(super) fn granted(&self, wall: i64) {
        self.granted.fetch_add(1, Ordering::Relaxed);
        self.last_success.store(wall, Ordering::Relaxed);
    }

    pub(super) fn failed(&self, kind: FailureKind) {
        let counter = match kind {
            FailureKind::Rejected => &self.rejected,
            FailureKind::Misconfigured => &self.misconfigured,
            FailureKind::Transient | FailureKind::ServerError => &self.transient,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// How many attempts to mint there were, by what came of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mints {
    /// A token, or the one at hand again.
    pub granted: u64,
    /// The credentials were refused.
    pub rejected: u64,
    /// What answered is no token endpoint.
    pub misconfigured: u64,
    /// Anything that may pass.
    pub transient: u64,
    /// When there was a grant last, in milliseconds since the Unix epoch.
    pub last_success: Option<i64>,
}

/// How the token is, for people and probes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// In one word.
    pub health: Health,
    /// Why it is not better, where there is a reason.
    pub reason: Option<String>,
    /// Whether the last attempt may have failed because of the credentials.
    pub refused: bool,
    /// Generation of the live token.
    pub generation: Option<u64>,
    /// How long the live token may still be sent.
    pub expires_in: Option<Duration>,
    /// When the next attempt to mint starts, after a failed one.
    pub next_attempt: Option<Duration>,
}

/// How the token is, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// The first token has not arrived, and nothing has failed.
    Starting,
    /// A live token, and no trouble in getting the next.
    Ready,
    /// A live token, but the last attempt to renew it failed.
    Degraded,
    /// No live token, and the last attempt failed.
    Broken,
}

impl TokenHandle {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// The clock by which leases are judged.
    pub fn clock(&self) -> &Clock {
        &self.shared.clock
    }

    /// A token that may be sent now: at once while there is one, else after the keeper has got one, within 12 s.
    pub async fn acquire(&self) -> Result<Lease, Unavailable> {
        self.lend().await.map(|(lease, _)| lease)
    }

    /// The same, and when that was.
    pub async fn lend(&self) -> Result<(Lease, Now), Unavailable> {
        let now = self.now();
        match self.at_hand(now) {
            Some(lease) => Ok((lease, now)),
            None => self.ask(None).await.map(|lease| (lease, self.now())),
        }
    }

    fn at_hand(&self, now: Now) -> Option<Lease> {
        let view = self.shared.view.load();
        let lease = view.lease.as_ref().filter(|_| !view.hold)?;
        lease.is_live(now).then(|| lease.clone())
    }

    /// Upstream answered 401 to a request with the token of `generation`. Returns a newer one, if there is one or one
    /// is on its way; `Err` means that the 401 stands.
    pub async fn renewed(&self, generation: u64) -> Result<Lease, Unavailable> {
        self.send(Message::Unauthorized { generation, replayed: false });
        self.ask(Some(generation)).await
    }

    /// Upstream answered 401 to a request with the token of `generation`, which cannot be repeated.
    pub fn refused(&self, generation: u64) {
        self.send(Message::Unauthorized { generation, replayed: false });
    }

    /// Upstream answered 401 although the token was renewed for this very request: it is not about the token.
    pub fn not_the_token(&self, generation: u64) {
        self.send(Message::Unauthorized { generation, replayed: true });
    }

    /// Upstream accepted a token. Costs nothing unless there was doubt.
    pub fn accepted(&self) {
        if self.shared.view.load().doubted {
            self.send(Message::Accepted);
        }
    }

    /// New credentials: tried first; the old ones stay until these have worked.
    pub fn credentials(&self, credentials: ClientCredentials) {
        self.send(Message::Credentials(credentials));
    }

    /// The source of the credentials has failed. Until told so, or given some, callers wait for it.
    pub fn no_credentials(&self) {
        self.send(Message::NoCredentials);
    }

    /// Forget back-off: somebody says that things are mended.
    pub fn retry_now(&self) {
        self.send(Message::RetryNow);
    }

    /// From now on a mint needs somebody who waits for it.
    pub fn drain(&self) {
        self.send(Message::Drain);
    }

    /// Nothing more is lent; the keeper ends.
    pub fn close(&self) {
        self.send(Message::Close);
    }

    /// What time it is, by the clock that tokens age by.
    pub fn now(&self) -> Now {
        self.shared.clock.now()
    }

    /// How the token is.
    pub fn status(&self) -> Status {
        let now = self.shared.clock.now();
        let view = self.shared.view.load();
        let lease = view.lease.as_ref().filter(|lease| lease.is_live(now));
        let failed = view.last_failure.as_ref();
        let health = match (lease, failed) {
            (Some(_), None) => Health::Ready,
            (Some(_), Some(_)) => Health::Degraded,
            (None, None) if view.has_credentials => Health::Starting,
            (None, _) => Health::Broken,
        };
        let no_credentials = || (!view.has_credentials).then(|| Why::NoCredentials.to_string());
        Status {
            health,
            reason: failed.map(|f| f.message.clone()).or_else(no_credentials),
            // Some servers answer wrong credentials with a 500.
            refused: failed
                .is_some_and(|f| matches!(f.kind, FailureKind::Rejected | FailureKind::ServerError)),
            generation: lease.map(Lease::generation),
            expires_in: lease.map(|lease| lease.remaining(now)),
            next_attempt: view
                .next_attempt
                .map(|at| Duration::from_millis(u64::try_from(at.boot - now.boot).unwrap_or(0))),
        }
    }

    /// How often a token was asked for.
    pub fn mints(&self) -> Mints {
        let tally = &self.shared.tally;
        let number = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let last = tally.last_success.load(Ordering::Relaxed);
        Mints {
            granted: number(&tally.granted),
            rejected: number(&tally.rejected),
            misconfigured: number(&tally.misconfigured),
            transient: number(&tally.transient),
            last_success: (last > 0).then_some(last),
        }
    }

    /// When the live token was asked for and when it will no longer be sent, in milliseconds since the Unix epoch by
    /// the wall clock of now.
    pub fn life(&self) -> Option<(i64, i64)> {
        let now = self.shared.clock.now();
        let view = self.shared.view.load();
        let lease = view.lease.as_ref().filter(|lease| lease.is_live(now))?;
        Some((now.wall - millis(lease.age(now)), now.wall + millis(lease.remaining(now))))
    }

    /// The last things that became of the token, oldest first.
    pub fn history(&self) -> Vec<Happening> {
        self.shared.history.all()
    }

    /// Ends when [`status`](Self::status) may have changed.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.shared.changed.subscribe()
    }

    async fn ask(&self, newer_than: Option<u64>) -> Result<Lease, Unavailable> {
        let waiter = self.shared.next_waiter.fetch_add(1, Ordering::Relaxed);
        let (reply, answer) = oneshot::channel();
        self.send(Message::Acquire { waiter, newer_than, reply });
        let leaving = Leaving { handle: self, waiter: Some(waiter) };
        let answer = answer.await;
        leaving.answered();
        answer.unwrap_or(Err(Unavailable { why: Why::Closed, next_attempt: Duration::ZERO }))
    }

    fn send(&self, message: Message) {
        // The keeper outlives every handle in use; after it, nothing needs telling.
        let _ = self.shared.keeper.send(message);
    }
}

/// Tells the keeper when a caller goes away before its answer.
struct Leaving<'a> {
    handle: &'a TokenHandle,
    waiter: Option<WaiterId>,
}

impl Leaving<'_> {
    fn answered(mut self) {
        self.waiter = None;
    }
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        if let Some(waiter) = self.waiter {
            self.handle.send(Message::Gone { waiter });
        }
    }
}
