//! How many clients, and how many from one place.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use super::Peer;
use crate::clock::Clock;
use crate::telemetry::metrics::Connections;

/// Counts open connections.
///
/// One address may hold at most half of them, so that one neighbour cannot lock out the others. Clients on this
/// machine are exempt: they all come from the same address, and are often everybody there is.
#[derive(Debug)]
pub(super) struct Limits {
    max: usize,
    count: Arc<Connections>,
    by_address: Mutex<HashMap<IpAddr, usize>>,
    empty: Notify,
    refused: Occasional,
}

/// One open connection; gives its place back when dropped.
#[derive(Debug)]
pub(super) struct Slot {
    limits: Arc<Limits>,
    address: Option<IpAddr>,
}

impl Limits {
    pub(super) fn new(max: usize, count: Arc<Connections>) -> Arc<Self> {
        Arc::new(Self {
            max,
            count,
            by_address: Mutex::default(),
            empty: Notify::new(),
            refused: Occasional::new(),
        })
    }

    /// A place for `peer`, or none, which is logged at most once a second.
    pub(super) fn take(self: &Arc<Self>, peer: &Peer) -> Option<Slot> {
        // The slot is dropped again, and so given back, on every way out that refuses.
        let before = self.count.open.fetch_add(1, Ordering::Relaxed);
        let mut slot = Slot { limits: Arc::clone(self), address: None };
        if before >= self.max {
            self.count.refused.add(1);
            if let Some(refused) = self.refused.tell() {
                tracing::warn!(
                    limit = self.max,
                    refused,
                    "too many connections; new ones are closed at once"
                );
            }
            return None;
        }
        if let Some(address) = peer.neighbour() {
            if !self.take_from(address) {
                self.count.refused.add(1);
                if let Some(refused) = self.refused.tell() {
                    let limit = self.share();
                    tracing::warn!(%address, limit, refused, "too many connections from one address; new ones are closed at once");
                }
                return None;
            }
            slot.address = Some(address);
        }
        self.count.accepted.add(1);
        Some(slot)
    }

    /// Connections open now.
    pub(super) fn open(&self) -> usize {
        self.count.open.load(Ordering::Acquire)
    }

    /// Returns when no connection is open.
    pub(super) async fn emptied(&self) {
        while self.open() > 0 {
            self.empty.notified().await;
        }
    }

    fn share(&self) -> usize {
        (self.max / 2).max(1)
    }

    fn take_from(&self, address: IpAddr) -> bool {
        let mut by_address = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        let held = by_address.entry(address).or_insert(0);
        let free = *held < self.share();
        if free {
            *held += 1;
        }
        free
    }

    fn give_back(&self, address: IpAddr) {
        let mut by_address = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut held) = by_address.entry(address) {
            *held.get_mut() -= 1;
            if *held.get() == 0 {
                held.remove();
            }
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(address) = self.address {
            self.limits.give_back(address);
        }
        if self.limits.count.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.limits.empty.notify_one();
        }
    }
}

/// Something that happens often and is told at most once a second.
#[derive(Debug)]
pub(super) struct Occasional {
    clock: Clock,
    told: AtomicI64,
    since: AtomicU64,
}

impl Occasional {
    pub(super) fn new() -> Self {
        Self { clock: Clock::system(), told: AtomicI64::new(i64::MIN), since: AtomicU64::new(0) }
    }

    /// Counts one more. If it is time to tell: how many since the last time.
    pub(super) fn tell(&self) -> Option<u64> {
        self.since.fetch_add(1, Ordering::Relaxed);
        let now = self.clock.now().boot;
        let told = self.told.load(Ordering::Relaxed);
        let due = now.saturating_sub(told) >= 1000
            && self.told.compare_exchange(told, now, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        due.then(|| self.since.swap(0, Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    fn peer(remote: &str) -> Peer {
        let remote: SocketAddr = remote.parse().expect("an address");
        Peer::Tcp { remote, local: SocketAddr::from(([10, 0, 0, 1], 8484)) }
    }

    #[test]
    fn one_neighbour_holds_at_most_half_and_gives_it_back() {
        let limits = Limits::new(4, Arc::default());
        let held: Vec<_> = (1..=3).map(|port| limits.take(&peer(&format!("10.0.0.9:{port}")))).collect();
        assert_eq!(held.iter().flatten().count(), 2);
        let other = limits.take(&peer("10.0.0.8:1"));
        assert!(other.is_some());
        assert_eq!(limits.open(), 3);
        assert_eq!((limits.count.accepted.get(), limits.count.refused.get()), (3, 1));
        drop((held, other));
        assert_eq!(limits.open(), 0);
        assert!(limits.by_address.lock().expect("whole").is_empty(), "addresses are forgotten");
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one_neighbour_and_mapped_ones_are_ipv4() {
        let limits = Limits::new(2, Arc::default());
        let _first = limits.take(&peer("[2001:db8::1]:1")).expect("free");
        assert!(limits.take(&peer("[2001:db8::2]:1")).is_none());
        assert!(limits.take(&peer("[2001:db8:0:1::2]:1")).is_some());
        assert_eq!(peer("[::ffff:127.0.0.1]:1").neighbour(), None);
        assert_eq!(peer("[::ffff:10.0.0.9]:1").neighbour(), Some(IpAddr::from([10, 0, 0, 9])));
    }

    #[test]
    fn clients_of_this_machine_may_hold_all_and_no_more() {
        let limits = Limits::new(2, Arc::default());
        let held: Vec<_> = (1..=3).map(|port| limits.take(&peer(&format!("127.0.0.1:{port}")))).collect();
        assert_eq!(held.iter().flatten().count(), 2);
    }

    #[test]
    fn a_flood_is_told_once_a_second_with_its_count() {
        let (clock, hand) = Clock::manual();
        let flood = Occasional { clock, ..Occasional::new() };
        assert_eq!(flood.tell(), Some(1));
        assert!((0..50).all(|_| flood.tell().is_none()));
        hand.advance(std::time::Duration::from_secs(1));
        assert_eq!(flood.tell(), Some(51));
    }
}
