//! How many requests may be under way at the same time, over all workers. Refuses, never queues.
//!
//! One client may have at most half of them, or as many as is configured, so that it cannot lock the others out. Clients are told apart by their
//! keys or, without one, by their addresses; whoever comes from this host without a key is not counted apart, because
//! all its programs look the same.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::guard::Client;
use crate::server::Peer;

#[derive(Debug)]
pub(super) struct Admission {
    under_way: Arc<AtomicUsize>,
    most: usize,
    /// Of one caller.
    share: usize,
    by_caller: Mutex<HashMap<Caller, usize>>,
}

/// Whom requests are counted under.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Caller {
    Key(Client),
    Address(IpAddr),
}

/// Why there is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    /// For anybody.
    All,
    /// For this caller.
    Share,
}

/// Counts as one request until dropped, which is when the response body has ended.
#[derive(Debug)]
pub(super) struct Permit {
    admission: Arc<Admission>,
    caller: Option<Caller>,
}

impl Caller {
    pub(super) fn of(peer: &Peer, client: Option<&Client>) -> Option<Self> {
        if let Some(client) = client {
            return Some(Self::Key(client.clone()));
        }
        peer.neighbour().map(Self::Address)
    }
}

impl Admission {
    /// Counts in `under_way`; `share` is what one client may have at most, half if it is not given.
    pub(super) fn new(most: usize, share: Option<usize>, under_way: Arc<AtomicUsize>) -> Self {
        let share = share.unwrap_or(most.div_ceil(2));
        Self { under_way, most, share, by_caller: Mutex::default() }
    }

    pub(super) fn admit(self: &Arc<Self>, caller: Option<Caller>) -> Result<Permit, Full> {
        if self.under_way.fetch_add(1, Ordering::Relaxed) >= self.most {
            self.under_way.fetch_sub(1, Ordering::Relaxed);
            return Err(Full::All);
        }
        // From here on its drop gives back what was taken.
        let mut permit = Permit { admission: Arc::clone(self), caller: None };
        if let Some(caller) = caller {
            let mut by_caller = self.lock();
            let held = by_caller.entry(caller.clone()).or_insert(0);
            // Whoever is refused has some, so an entry of nobody is not left behind.
            if *held >= self.share {
                return Err(Full::Share);
            }
            *held += 1;
            permit.caller = Some(caller);
        }
        Ok(permit)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Caller, usize>> {
        self.by_caller.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.admission.under_way.fetch_sub(1, Ordering::Relaxed);
        let Some(caller) = self.caller.take() else { return };
        if let Entry::Occupied(mut held) = self.admission.lock().entry(caller) {
            *held.get_mut() -= 1;
            if *held.get() == 0 {
                held.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(remote: &str) -> Option<Caller> {
        let remote = remote.parse().expect("an address");
        Caller::of(&Peer::Tcp { remote, local: ([10, 0, 0, 1], 8484).into() }, None)
    }

    #[test]
    fn the_one_too_many_is_refused_and_room_returns() {
        let admission = Arc::new(Admission::new(2, None, Arc::default()));
        let (first, second) = (admission.admit(None), admission.admit(None));
        assert!(first.is_ok() && second.is_ok());
        assert_eq!(admission.admit(None).err(), Some(Full::All));
        assert_eq!(admission.admit(None).err(), Some(Full::All), "a refusal takes no room");
        drop(first);
        assert!(admission.admit(None).is_ok());
    }

    #[test]
    fn one_caller_has_at_most_half_and_gives_it_back() {
        let admission = Arc::new(Admission::new(4, None, Arc::default()));
        let ask = |remote| admission.admit(caller(remote));
        let held = [ask("10.0.0.9:1"), ask("[::ffff:10.0.0.9]:2")];
        assert!(held.iter().all(Result::is_ok));
        assert_eq!(ask("10.0.0.9:3").err(), Some(Full::Share));
        let others = [ask("[2001:db8::1]:1"), ask("[2001:db8::2]:1")];
        assert!(others.iter().all(Result::is_ok), "a refusal takes no room");
        assert_eq!(ask("10.0.0.8:1").err(), Some(Full::All));
        drop(held);
        assert_eq!(ask("[2001:db8::3]:1").err(), Some(Full::Share), "one network");
        assert!(ask("10.0.0.9:3").is_ok());
        drop(others);
        assert!(admission.lock().is_empty());
    }

    #[test]
    fn the_share_of_one_caller_can_be_set() {
        let admission = Arc::new(Admission::new(4, Some(1), Arc::default()));
        let held = admission.admit(caller("10.0.0.9:1"));
        assert!(held.is_ok());
        assert_eq!(admission.admit(caller("10.0.0.9:2")).err(), Some(Full::Share));
        assert!(admission.admit(caller("10.0.0.8:1")).is_ok());
    }

    #[test]
    fn programs_of_this_host_share_everything() {
        assert_eq!(caller("127.0.0.1:1"), None);
        assert_eq!(caller("[::1]:1"), None);
        assert_eq!(Caller::of(&Peer::Unix { uid: Some(0) }, None), None);
    }
}
