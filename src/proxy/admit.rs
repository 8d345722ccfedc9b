//! How many requests may be under way at the same time, over all workers. Refuses, never queues.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

#[derive(Debug)]
pub(super) struct Admission {
    under_way: AtomicUsize,
    most: usize,
}

/// Counts as one request until dropped, which is when the response body has ended.
#[derive(Debug)]
pub(super) struct Permit(Arc<Admission>);

impl Admission {
    pub(super) fn new(most: usize) -> Self {
        Self { under_way: AtomicUsize::new(0), most }
    }

    pub(super) fn admit(self: &Arc<Self>) -> Option<Permit> {
        if self.under_way.fetch_add(1, Ordering::Relaxed) >= self.most {
            self.under_way.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(Permit(Arc::clone(self)))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_too_many_is_refused_and_room_returns() {
        let admission = Arc::new(Admission::new(2));
        let (first, second) = (admission.admit(), admission.admit());
        assert!(first.is_some() && second.is_some());
        assert!(admission.admit().is_none());
        assert!(admission.admit().is_none(), "a refusal takes no room");
        drop(first);
        assert!(admission.admit().is_some());
    }
}
