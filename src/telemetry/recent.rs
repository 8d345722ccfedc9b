//! The last requests, for people who look: a small ring for each thread that serves, read by the status page.
//!
//! Of the process, as the log is. A thread writes into a ring of its own, so its lock is free but while somebody reads;
//! slots keep their memory, so that a request which is noted allocates nothing. Whoever shows them asks again and
//! again: nobody has to be woken, and nobody is waited for.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Access;
use super::access::millis;

/// As many threads write without sharing a ring.
const RINGS: usize = 16;

/// How many each ring keeps: more than one page shows, so that one busy thread can fill it.
const KEPT: usize = 64;

/// The longest text that is kept. What is noted is short; a rule may be as long as whoever wrote it liked.
const LONGEST: usize = 120;

/// One finished request.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Seen {
    /// Numbers the requests of this process, without order between threads.
    pub id: u64,
    /// When it ended, in milliseconds since the Unix epoch.
    pub at: i64,
    /// As sent.
    pub method: String,
    /// The pattern that matched, with no identifiers in it.
    pub route: String,
    /// What the caller got.
    pub status: u16,
    /// How long it took.
    pub millis: f64,
    /// Of the list, where the answer is a whole one.
    pub rows: Option<u64>,
    /// Whether it was sent twice.
    pub replayed: bool,
    /// The name of the client key; empty without.
    pub client: String,
    /// Which rule refused it; empty if none.
    pub rule: String,
    /// The type of the problem; empty if there is none.
    pub error: String,
}

/// Counts since the start of the process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Requests that ended, without those for our own pages.
    pub requests: u64,
    /// Of those, refused by a rule.
    pub refused: u64,
    /// Sent a second time, with a newer token.
    pub replayed: u64,
    /// Answered with 500 or more, by Airbyte or by us.
    pub failed: u64,
}

#[derive(Debug)]
struct Ring {
    seen: Vec<Seen>,
    totals: Totals,
}

static THREADS: AtomicUsize = AtomicUsize::new(0);
static ALL: [Mutex<Ring>; RINGS] = [const {
    Mutex::new(Ring { seen: Vec::new(), totals: Totals { requests: 0, refused: 0, replayed: 0, failed: 0 } })
}; RINGS];

thread_local! {
    static MINE: Cell<usize> = Cell::new(THREADS.fetch_add(1, Ordering::Relaxed) % RINGS);
}

/// Notes a request, unless it was for our own pages: those ask without end and would fill the list.
pub(super) fn note(access: &Access<'_>, at: i64) {
    if matches!(access.route, "/" | "/-/") {
        return;
    }
    let ring = MINE.get();
    lock(&ALL[ring]).note(access, ring, at);
}

impl Ring {
    fn note(&mut self, access: &Access<'_>, number: usize, at: i64) {
        let totals = &mut self.totals;
        let before = totals.requests;
        totals.requests += 1;
        totals.refused += u64::from(access.rule.is_some());
        totals.replayed += u64::from(access.replayed);
        totals.failed += u64::from(access.status >= 500);
        let slot = usize::try_from(before).unwrap_or(usize::MAX) % KEPT;
        if slot == self.seen.len() {
            self.seen.push(Seen::default());
        }
        let Some(seen) = self.seen.get_mut(slot) else { return };
        seen.id = before * RINGS as u64 + number as u64;
        seen.at = at;
        seen.status = access.status;
        seen.millis = millis(access.duration);
        seen.rows = access.rows;
        seen.replayed = access.replayed;
        set(&mut seen.method, Some(access.method));
        set(&mut seen.route, Some(access.route));
        set(&mut seen.client, access.client);
        set(&mut seen.rule, access.rule);
        set(&mut seen.error, access.error);
    }
}

fn set(kept: &mut String, text: Option<&str>) {
    let text = text.unwrap_or_default();
    kept.clear();
    kept.push_str(&text[..text.floor_char_boundary(LONGEST)]);
}

fn lock(ring: &Mutex<Ring>) -> MutexGuard<'_, Ring> {
    ring.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where a reader is in each ring.
#[derive(Debug, Clone, Copy, Default)]
pub struct Place([u64; RINGS]);

impl Place {
    /// What has come since the last call, oldest first and `most` at most: the newest, where there are more.
    pub fn read_on(&mut self, most: usize) -> Vec<Seen> {
        let mut news = Vec::new();
        for (read, ring) in self.0.iter_mut().zip(&ALL) {
            let ring = lock(ring);
            // A ring is in order but for where it begins, so its number tells what is new.
            let from = *read;
            news.extend(ring.seen.iter().filter(|seen| seen.id / RINGS as u64 >= from).cloned());
            *read = ring.totals.requests;
        }
        news.sort_by_key(|seen| (seen.at, seen.id));
        news.split_off(news.len().saturating_sub(most))
    }
}

/// What has been counted so far.
pub fn totals() -> Totals {
    let mut sum = Totals::default();
    for ring in &ALL {
        let one = lock(ring).totals;
        sum.requests += one.requests;
        sum.refused += one.refused;
        sum.replayed += one.replayed;
        sum.failed += one.failed;
    }
    sum
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn access(route: &str, status: u16) -> Access<'_> {
        Access {
            request_id: "",
            trace_id: None,
            method: "GET",
            route,
            status,
            duration: Duration::from_micros(1_260),
            upstream: None,
            bytes_in: 0,
            bytes_out: 0,
            rows: None,
            generation: None,
            replayed: false,
            client: None,
            error: None,
            rule: None,
        }
    }

    fn routes(news: &[Seen]) -> Vec<&str> {
        news.iter().map(|seen| seen.route.as_str()).filter(|route| route.starts_with("/test/")).collect()
    }

    #[test]
    fn readers_see_each_request_once_and_the_last_ones_later() {
        let mut early = Place::default();
        early.read_on(50);
        note(&access("/test/1", 200), 1);
        note(&access("/-/", 200), 1);
        let news = early.read_on(50);
        assert_eq!(routes(&news), ["/test/1"], "our own pages are not listed");
        assert_eq!(news.last().map(|seen| (seen.status, seen.millis)), Some((200, 1.3)));
        assert_eq!(routes(&early.read_on(50)), [""; 0]);
        note(&access("/test/2", 200), 1);
        assert_eq!(routes(&early.read_on(50)), ["/test/2"]);
        assert_eq!(routes(&Place::default().read_on(50)), ["/test/1", "/test/2"]);
    }

    #[test]
    fn a_ring_keeps_the_newest_and_counts_all() {
        let mut ring = Ring { seen: Vec::new(), totals: Totals::default() };
        for n in 0..KEPT + 3 {
            ring.note(&access("/x", if n == 0 { 503 } else { 200 }), 5, 0);
        }
        assert_eq!(ring.seen.len(), KEPT);
        let numbers: Vec<_> = ring.seen.iter().map(|seen| seen.id / RINGS as u64).collect();
        assert_eq!(numbers[..4], [64, 65, 66, 3]);
        let refused = Access { rule: Some("read_only"), replayed: true, ..access("/x", 403) };
        ring.note(&refused, 5, 0);
        let wanted = Totals { requests: KEPT as u64 + 4, refused: 1, replayed: 1, failed: 1 };
        assert_eq!(ring.totals, wanted);
    }

    #[test]
    fn what_is_kept_is_cut_between_characters() {
        let mut kept = "before".to_owned();
        set(&mut kept, Some(&"ä".repeat(LONGEST)));
        assert_eq!(kept, "ä".repeat(LONGEST / 2));
        set(&mut kept, None);
        assert_eq!(kept, "");
    }
}
