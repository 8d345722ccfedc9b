//! A keeper whose clock is moved by hand and whose minter follows a script.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::task::{JoinHandle, JoinSet, yield_now};

use crate::clock::{Clock, Hand, Jitter};
use crate::secret::{AccessToken, ClientCredentials, Secret};
use crate::token::{
    Config, Failure, FailureKind, Grant, Health, Keeper, Lease, Minter, Outcome, TokenHandle, Unavailable,
    Why,
};

/// Part of every token and secret, and of nothing else.
pub(super) const TELLTALE: &str = "tell-tale";
pub(super) const DOWN: Scripted = Scripted::Fails(FailureKind::Transient);

pub(super) enum Scripted {
    /// A token of this many seconds.
    Grants(u64),
    Fails(FailureKind),
    /// Whatever comes through the gate.
    Waits(oneshot::Receiver<Outcome>),
    /// In the middle of the request.
    Panics,
    /// Before there is a request.
    PanicsAtOnce,
}

/// Answers one call after another. One call too many fails the test.
pub(super) struct Script {
    pub(super) answers: Mutex<VecDeque<Scripted>>,
    pub(super) used: Mutex<Vec<String>>,
    pub(super) calls: watch::Sender<usize>,
    pub(super) unexpected: AtomicUsize,
}

impl Minter for Script {
    fn mint(&self, credentials: Arc<ClientCredentials>) -> Pin<Box<dyn Future<Output = Outcome> + Send>> {
        self.used.lock().unwrap().push(credentials.client_id.clone());
        let call = self.used.lock().unwrap().len();
        let answer = self.answers.lock().unwrap().pop_front();
        self.calls.send_replace(call);
        match answer {
            Some(Scripted::Grants(seconds)) => Box::pin(async move { Ok(grant(call, seconds)) }),
            Some(Scripted::Fails(kind)) => Box::pin(async move { Err(failure(kind)) }),
            Some(Scripted::Waits(gate)) => Box::pin(async move { gate.await.expect("the gate opens") }),
            Some(Scripted::Panics) => Box::pin(async { panic!("in the script") }),
            Some(Scripted::PanicsAtOnce) => panic!("in the script"),
            None => {
                self.unexpected.fetch_add(1, Ordering::Relaxed);
                panic!("unexpected call number {call}")
            }
        }
    }
}

pub(super) fn grant(call: usize, seconds: u64) -> Grant {
    Grant {
        token: AccessToken::parse(&format!("{TELLTALE}.{call}")).expect("valid"),
        expires_in: Some(Duration::from_secs(seconds)),
        expires_at: None,
        issued_at: None,
        date: None,
    }
}

pub(super) fn failure(kind: FailureKind) -> Failure {
    Failure { kind, retry_after: None, message: "scripted".to_owned() }
}

pub(super) fn credentials(id: &str) -> ClientCredentials {
    ClientCredentials { client_id: id.to_owned(), client_secret: Secret::new(format!("{TELLTALE}-{id}")) }
}

pub(super) struct Fixture {
    pub(super) handle: TokenHandle,
    pub(super) hand: Hand,
    pub(super) minter: Arc<Script>,
    pub(super) resumed: watch::Receiver<u64>,
    pub(super) keeper: JoinHandle<()>,
}

impl Fixture {
    pub(super) fn without_credentials(script: impl IntoIterator<Item = Scripted>) -> Self {
        let (clock, hand) = Clock::manual();
        let minter = Arc::new(Script {
            answers: Mutex::new(script.into_iter().collect()),
            used: Mutex::default(),
            calls: watch::Sender::new(0),
            unexpected: AtomicUsize::new(0),
        });
        let (keeper, handle) =
            Keeper::new(Config::default(), clock, Jitter::seeded(1), Arc::clone(&minter) as Arc<dyn Minter>);
        let resumed = keeper.resumed();
        Self { handle, hand, minter, resumed, keeper: tokio::spawn(keeper.run()) }
    }

    pub(super) fn new(script: impl IntoIterator<Item = Scripted>) -> Self {
        let fixture = Self::without_credentials(script);
        fixture.handle.credentials(credentials("first"));
        fixture
    }

    /// With a token of 900 s at hand; after that, the script.
    pub(super) async fn ready(script: impl IntoIterator<Item = Scripted>) -> Self {
        let fixture = Self::new([Scripted::Grants(900)].into_iter().chain(script));
        assert_eq!(generation(soon(fixture.handle.acquire()).await), Ok(1));
        fixture
    }

    /// Time passes, in steps that no keeper takes for a suspend.
    pub(super) async fn pass(&self, seconds: u64) {
        for _ in 0..seconds {
            self.hand.advance(Duration::from_secs(1));
            settle().await;
        }
    }

    pub(super) async fn called(&self, times: usize) {
        let mut calls = self.minter.calls.subscribe();
        soon(calls.wait_for(|calls| *calls >= times)).await.expect("the minter lives");
    }

    /// Time passes until the first token is renewed.
    pub(super) async fn renewing(&self) {
        for _ in 0..600 {
            if self.calls() > 1 {
                return;
            }
            self.pass(1).await;
        }
        panic!("not renewed");
    }

    pub(super) fn calls(&self) -> usize {
        *self.minter.calls.borrow()
    }

    pub(super) fn health(&self) -> Health {
        self.handle.status().health
    }

    /// That many callers at once.
    pub(super) fn callers(&self, number: usize) -> JoinSet<Result<Lease, Unavailable>> {
        let mut callers = JoinSet::new();
        for _ in 0..number {
            let handle = self.handle.clone();
            callers.spawn(async move { handle.acquire().await });
        }
        callers
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.keeper.abort();
        if !std::thread::panicking() {
            assert_eq!(
                self.minter.unexpected.load(Ordering::Relaxed),
                0,
                "calls that the script does not know"
            );
        }
    }
}

pub(super) fn generation(answer: Result<Lease, Unavailable>) -> Result<u64, Why> {
    answer.map(|lease| lease.generation()).map_err(|refusal| refusal.why)
}

pub(super) fn gate() -> (oneshot::Sender<Outcome>, Scripted) {
    let (open, gate) = oneshot::channel();
    (open, Scripted::Waits(gate))
}

/// A task that waits for ever fails its test at once: when nothing else can run, tokio's paused clock leaps.
pub(super) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("somebody waits for ever")
}

/// Lets every task do what it can: the runtime of these tests has one thread.
pub(super) async fn settle() {
    for _ in 0..32 {
        yield_now().await;
    }
}

/// Polls once.
pub(super) fn poll_once<F: Future>(future: F) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match future.as_mut().poll(&mut context) {
        std::task::Poll::Ready(output) => Some(output),
        std::task::Poll::Pending => None,
    }
}
