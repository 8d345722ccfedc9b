//! The state behind one simulated Airbyte.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use tokio::sync::{broadcast, watch};

use crate::clock::Clock;
use crate::secret::{ClientCredentials, Secret};

use super::data::{self, Store};
use super::faults::{ApiFault, Fault, Gate, Script};
use super::handle::{Counts, Event, Seen};
use super::issuer::Issuer;
use super::lists::List;
use super::pages::{self, Pages};
use super::{Options, Style, seed};

/// What happened longer ago than this many events, a slow listener does not get to know.
const EVENTS: usize = 256;

/// Everything there is, shared by all handlers.
pub(super) struct World {
    pub(super) options: Options,
    time: Time,
    store: RwLock<Store>,
    issuer: Mutex<Issuer>,
    token_script: Mutex<Script<Fault>>,
    api_script: Mutex<Script<ApiFault>>,
    pages: Mutex<Pages>,
    latency: Mutex<Duration>,
    counts: watch::Sender<Counts>,
    seen: Mutex<VecDeque<Seen>>,
    events: broadcast::Sender<Event>,
}

/// Airbyte's own clock, which nobody sets: it starts with the caller's wall clock plus a skew and then follows elapsed
/// time alone.
#[derive(Debug)]
struct Time {
    clock: Clock,
    /// Milliseconds to add to elapsed time for time since the epoch.
    offset: i64,
}

impl World {
    pub(super) fn new(mut options: Options) -> Self {
        let start = options.clock.now();
        let skew = options.clock_skew.saturating_mul(1000);
        let time = Time {
            clock: options.clock.clone(),
            offset: start.wall.saturating_add(skew).saturating_sub(start.boot),
        };
        let credentials = options.credentials.take().unwrap_or_else(|| ClientCredentials {
            client_id: data::uuid(&mut fastrand::Rng::new()),
            client_secret: Secret::new(data::random_text(&mut fastrand::Rng::new(), 32)),
        });
        let issuer = Issuer::new(credentials, options.style, options.token_lifetime);
        let store = seed::seed(options.sizes, options.seed, time.millis() / 1000);
        Self {
            time,
            store: RwLock::new(store),
            issuer: Mutex::new(issuer),
            token_script: Mutex::default(),
            api_script: Mutex::default(),
            pages: Mutex::new(Pages::new(options.seed)),
            latency: Mutex::new(options.latency),
            counts: watch::Sender::default(),
            seen: Mutex::default(),
            events: broadcast::Sender::new(EVENTS),
            options,
        }
    }

    /// Airbyte's time, in milliseconds since the epoch.
    pub(super) fn millis(&self) -> i64 {
        self.time.millis()
    }

    /// Airbyte's time, in seconds since the epoch.
    pub(super) fn seconds(&self) -> i64 {
        self.millis().div_euclid(1000)
    }

    pub(super) fn style(&self) -> Style {
        self.options.style
    }

    /// What links begin with.
    pub(super) fn link_base(&self) -> &str {
        self.options.link_base.as_deref().unwrap_or_default()
    }

    // === parts under locks; none is held across an await ===

    pub(super) fn read(&self) -> RwLockReadGuard<'_, Store> {
        self.store.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write(&self) -> RwLockWriteGuard<'_, Store> {
        self.store.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn issuer(&self) -> MutexGuard<'_, Issuer> {
        lock(&self.issuer)
    }

    pub(super) fn token_script(&self) -> MutexGuard<'_, Script<Fault>> {
        lock(&self.token_script)
    }

    pub(super) fn api_script(&self) -> MutexGuard<'_, Script<ApiFault>> {
        lock(&self.api_script)
    }

    pub(super) fn pages(&self) -> MutexGuard<'_, Pages> {
        lock(&self.pages)
    }

    /// How long every answer of the API takes.
    pub(super) fn latency(&self) -> Duration {
        *lock(&self.latency)
    }

    pub(super) fn set_latency(&self, latency: Duration) {
        *lock(&self.latency) = latency;
    }

    /// Nothing is wrong any more.
    pub(super) fn behave(&self) {
        *self.api_script() = Script::default();
        self.pages().clear();
        self.set_latency(self.options.latency);
    }

    /// The rows of the start, and nothing seen. Tokens live on.
    pub(super) fn begin_anew(&self) {
        *self.write() = seed::seed(self.options.sizes, self.options.seed, self.seconds());
        lock(&self.seen).clear();
    }

    /// One more page of `list` is on its way; its rows may change now.
    pub(super) fn page_answered(&self, list: &List) {
        self.count(|counts| counts.pages += 1);
        let due = self.pages().due();
        if let Some((changes, mut random)) = due {
            let mut store = self.write();
            for change in changes {
                pages::change(&mut store, list, change, &mut random);
            }
        }
    }

    // === telling ===

    pub(super) fn count(&self, change: impl FnOnce(&mut Counts)) {
        self.counts.send_modify(change);
    }

    pub(super) fn counts(&self) -> Counts {
        *self.counts.borrow()
    }

    pub(super) async fn until(&self, wanted: impl FnMut(&Counts) -> bool) -> Counts {
        let mut counts = self.counts.subscribe();
        // The sender lives in `self`, so there is no error to have.
        counts.wait_for(wanted).await.map_or_else(|_| self.counts(), |counts| *counts)
    }

    /// Waits at `gate`, counted for as long as it takes, also when the caller leaves.
    pub(super) async fn hold(&self, gate: &Gate) {
        struct Held<'a>(&'a World);
        impl Drop for Held<'_> {
            fn drop(&mut self) {
                self.0.count(|counts| counts.held -= 1);
            }
        }
        self.count(|counts| counts.held += 1);
        let _held = Held(self);
        gate.passed().await;
    }

    pub(super) fn tell(&self, event: Event) {
        // Nobody listening is the usual case.
        let _ = self.events.send(event);
    }

    pub(super) fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    pub(super) fn record(&self, seen: impl FnOnce() -> Seen) {
        if self.options.record == 0 {
            return;
        }
        let mut all = lock(&self.seen);
        if all.len() == self.options.record {
            all.pop_front();
        }
        all.push_back(seen());
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        lock(&self.seen).iter().cloned().collect()
    }
}

impl Time {
    fn millis(&self) -> i64 {
        self.clock.now().boot.saturating_add(self.offset)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
