//! The one task that owns the lifecycle: performs its actions and feeds events back.
//!
//! No arithmetic and no decision is here. A mint runs in a task of its own, so a caller that leaves cancels nothing.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::Config;
use super::grant::{Failure, FailureKind, Minter, Outcome};
use super::handle::{Message, Reply, Shared, Tally, TokenHandle};
use super::history::History;
use super::lifecycle::{Action, Event, Lifecycle, Note, WaiterId};
use crate::clock::{Clock, Jitter};
use crate::secret::ClientCredentials;

/// Keeps the token fresh while [`run`](Self::run) is polled.
pub struct Keeper {
    lifecycle: Lifecycle,
    clock: Clock,
    minter: Arc<dyn Minter>,
    messages: mpsc::UnboundedReceiver<Message>,
    shared: Arc<Shared>,
    replies: HashMap<WaiterId, Reply>,
    credentials: BTreeMap<u64, Arc<ClientCredentials>>,
    versions: u64,
    flight: JoinSet<(u64, Outcome)>,
    attempt: u64,
    resumed: watch::Sender<u64>,
}

impl std::fmt::Debug for Keeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keeper").field("lifecycle", &self.lifecycle).finish_non_exhaustive()
    }
}

impl Keeper {
    /// A keeper without credentials; give it some through [`TokenHandle::credentials`].
    pub fn new(config: Config, clock: Clock, jitter: Jitter, minter: Arc<dyn Minter>) -> (Self, TokenHandle) {
        let lifecycle = Lifecycle::new(config.max_lifetime, jitter, clock.now());
        let (keeper, messages) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            clock: clock.clone(),
            view: ArcSwap::from_pointee(lifecycle.view()),
            changed: watch::Sender::new(()),
            history: History::default(),
            keeper,
            next_waiter: AtomicU64::new(0),
            tally: Tally::default(),
        });
        let handle = TokenHandle::new(Arc::clone(&shared));
        let keeper = Self {
            lifecycle,
            clock,
            minter,
            messages,
            shared,
            replies: HashMap::new(),
            credentials: BTreeMap::new(),
            versions: 0,
            flight: JoinSet::new(),
            attempt: 0,
            resumed: watch::Sender::new(0),
        };
        (keeper, handle)
    }

    /// Counts the times that the machine woke from a suspend: connections made before are dead.
    pub fn resumed(&self) -> watch::Receiver<u64> {
        self.resumed.subscribe()
    }

    /// Runs until [`TokenHandle::close`]. No error ends it.
    pub async fn run(mut self) {
        loop {
            let nap = self.lifecycle.next_look(self.clock.now());
            let event = tokio::select! {
                // First what is rare: callers who are refused and ask again must not keep the token from arriving.
                biased;
                Some(ended) = self.flight.join_next() => match ended {
                    Ok((attempt, outcome)) => Event::Answered { attempt, outcome },
                    Err(error) if error.is_cancelled() => Event::Tick,
                    Err(_) => Event::Answered { attempt: self.attempt, outcome: Err(panicked()) },
                },
                message = self.messages.recv() => match message {
                    Some(message) => self.event(message),
                    None => Event::Close,
                },
                () = self.clock.nap(nap) => Event::Tick,
            };
            let closing = matches!(event, Event::Close);
            self.step(event);
            if closing {
                return;
            }
        }
    }

    fn event(&mut self, message: Message) -> Event {
        match message {
            Message::Acquire { waiter, newer_than, reply } => {
                self.replies.insert(waiter, reply);
                Event::Acquire { waiter, newer_than }
            }
            Message::Gone { waiter } => {
                self.replies.remove(&waiter);
                Event::Gone { waiter }
            }
            Message::Unauthorized { generation, replayed } => Event::Unauthorized { generation, replayed },
            Message::Accepted => Event::Accepted,
            Message::Credentials(credentials) => {
                self.versions += 1;
                self.credentials.insert(self.versions, Arc::new(credentials));
                Event::NewCredentials { version: self.versions }
            }
            Message::NoCredentials => Event::NoCredentials,
            Message::RetryNow => Event::RetryNow,
            Message::Drain => Event::Drain,
            Message::Close => Event::Close,
        }
    }

    fn step(&mut self, event: Event) {
        let actions = self.lifecycle.step(self.clock.now(), event);
        // Readers first: whoever is woken below finds what it was woken for.
        let view = self.lifecycle.view();
        if **self.shared.view.load() != view {
            self.shared.view.store(Arc::new(view));
            self.shared.changed.send_replace(());
        }
        for action in actions {
            self.perform(action);
        }
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Mint { attempt, credentials } => {
                let Some(credentials) = self.credentials.get(&credentials).map(Arc::clone) else { return };
                self.attempt = attempt;
                let minter = Arc::clone(&self.minter);
                self.flight.spawn(async move { (attempt, minter.mint(credentials).await) });
            }
            Action::Abort { .. } => self.flight.abort_all(),
            Action::Grant { waiter, lease } => self.reply(waiter, Ok(lease)),
            Action::Refuse { waiter, error } => self.reply(waiter, Err(error)),
            Action::Promote { version } => self.credentials.retain(|v, _| *v >= version),
            Action::DropConnections => self.resumed.send_modify(|n| *n += 1),
            Action::Note(note) => {
                self.count(&note);
                self.shared.history.add(self.clock.now().wall, &note);
                log(&note);
            }
        }
    }

    /// Every attempt that comes to an end is noted once.
    fn count(&self, note: &Note) {
        match note {
            Note::Minted { .. } | Note::SameToken => self.shared.tally.granted(self.clock.now().wall),
            Note::Failed { failure, .. } | Note::CandidateRejected { failure } => {
                self.shared.tally.failed(failure.kind);
            }
            _ => {}
        }
    }

    fn reply(&mut self, waiter: WaiterId, answer: Result<super::Lease, super::Unavailable>) {
        if let Some(reply) = self.replies.remove(&waiter) {
            // A caller that left in this very moment needs no answer.
            let _ = reply.send(answer);
        }
    }
}

fn panicked() -> Failure {
    let message = "the token request ended unexpectedly; this is a bug in airbyte-proxy".to_owned();
    Failure { kind: FailureKind::Transient, retry_after: None, message }
}

fn seconds(d: Duration) -> f64 {
    d.as_secs_f64()
}

fn log(note: &Note) {
    match note {
        Note::Minted { generation, lifetime } => {
            tracing::info!(generation, lifetime_seconds = seconds(*lifetime), "token minted");
        }
        Note::SameToken => {
            tracing::info!("the token endpoint repeated the token at hand; asking again later");
        }
        Note::Failed { failure, next, live_for: Some(left) } => tracing::warn!(
            reason = failure.message,
            next_attempt_seconds = seconds(*next),
            token_lives_seconds = seconds(*left),
            "token not renewed; the one at hand is still good"
        ),
        Note::Failed { failure, next, live_for: None } => tracing::error!(
            reason = failure.message,
            next_attempt_seconds = seconds(*next),
            "no token; requests are answered 503 until there is one"
        ),
        Note::CandidateRejected { failure } => {
            tracing::warn!(
                reason = failure.message,
                "new credentials were refused; the old ones stay in use"
            );
        }
        Note::Suspected { generation } => {
            tracing::info!(generation, "upstream refused the token; asking for another");
        }
        Note::NotTheToken { quiet } => tracing::warn!(
            quiet_seconds = seconds(*quiet),
            "upstream answers 401 even with a new token, so the token is not the reason"
        ),
        Note::Died { generation } => tracing::warn!(generation, "token expired before it could be renewed"),
        Note::Resumed { gap } => tracing::info!(gap_seconds = seconds(*gap), "resumed after a pause"),
    }
}

#[cfg(test)]
#[path = "keeper_tests/mod.rs"]
mod tests;
