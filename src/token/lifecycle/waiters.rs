//! Callers that wait for a token, and which of them get an answer now.

use std::collections::BTreeMap;

use super::WaiterId;
use crate::clock::millis;
use crate::token::lease::Lease;
use crate::token::policy::{CALLER_WAIT, SUSPECT_WAIT};

#[derive(Debug, Default)]
pub(super) struct Waiters(BTreeMap<WaiterId, Waiter>);

#[derive(Debug, Clone, Copy)]
struct Waiter {
    since: i64,
    newer_than: Option<u64>,
}

impl Waiter {
    fn accepts(self, lease: &Lease) -> bool {
        self.newer_than.is_none_or(|than| lease.generation() > than)
    }

    /// When this caller's patience ends. Shorter while it could use the token at hand.
    fn bound(self, could_use_it: bool) -> i64 {
        self.since.saturating_add(millis(if could_use_it { SUSPECT_WAIT } else { CALLER_WAIT }))
    }
}

impl Waiters {
    pub(super) fn add(&mut self, id: WaiterId, now: i64, newer_than: Option<u64>) {
        self.0.insert(id, Waiter { since: now, newer_than });
    }

    pub(super) fn remove(&mut self, id: WaiterId) {
        self.0.remove(&id);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first moment at which somebody's patience ends.
    pub(super) fn next_bound(&self, lease: Option<&Lease>) -> Option<i64> {
        self.0.values().map(|w| w.bound(lease.is_some_and(|lease| w.accepts(lease)))).min()
    }

    /// Takes out everybody whose answer is known: a lease, or `None` for no.
    ///
    /// `hold`: the lease is under suspicion and a mint is running. `coming`: when the next mint starts or that one
    /// runs, on the boot clock; `None` if none will.
    pub(super) fn answer(
        &mut self,
        now: i64,
        lease: Option<&Lease>,
        hold: bool,
        coming: Option<i64>,
    ) -> Vec<(WaiterId, Option<Lease>)> {
        let mut answered = Vec::new();
        self.0.retain(|id, waiter| {
            let usable = lease.filter(|lease| waiter.accepts(lease));
            let bound = waiter.bound(usable.is_some());
            let answer = match usable {
                Some(_) if hold && now < bound => return true,
                Some(lease) => Some(lease.clone()),
                None if now < bound && coming.is_some_and(|at| at < bound) => return true,
                None => None,
            };
            answered.push((*id, answer));
            false
        });
        answered
    }
}
