//! The promises, one check each.

use super::{Expected, Flight, Model, Planned, Start};
use crate::clock::{Now, millis};
use crate::token::lease::{Lease, Unavailable, Why};
use crate::token::lifecycle::{Action, Note, View, WaiterId};

impl Model {
    /// The machine starts a mint; `planned` is what will come of it.
    pub(in super::super) fn started(&mut self, now: Now, attempt: u64, credentials: u64, planned: Planned) {
        let start = Start { at: now.boot, live: self.token.is_some(), credentials };
        self.check_single_flight(attempt);
        self.check_floors(start);
        self.check_backoff(start);
        self.check_cause(now);
        self.check_credentials(start);
        self.starts.push(start);
        self.flight = Some(Flight { attempt, credentials, started: now, planned });
    }

    /// Everything else the machine does, in order.
    pub(in super::super) fn performed(&mut self, now: Now, action: &Action) {
        match action {
            Action::Abort { attempt } => {
                assert_eq!(
                    self.abort.take(),
                    Some(*attempt),
                    "gives up on what is overdue, and on nothing else"
                );
            }
            Action::Grant { waiter, lease } => {
                let (_, newer_than) = self.answered_once(*waiter);
                assert!(
                    newer_than.is_none_or(|than| lease.generation() > than),
                    "only a newer token was asked for"
                );
                self.lent(now, lease);
            }
            Action::Refuse { waiter, error } => {
                let (since, newer_than) = self.answered_once(*waiter);
                self.check_refusal(now, since, newer_than, error);
            }
            Action::Promote { version } => {
                assert_eq!(self.current, Some(*version), "promotes what has worked");
            }
            Action::Note(Note::Minted { generation, lifetime }) => {
                assert_eq!(self.expected, Expected::Minted(*generation), "installs a usable token, once");
                let life = self.token.as_ref().map(|t| t.life);
                assert_eq!(
                    Some(millis(*lifetime)),
                    life,
                    "believes the shortest of what was said about its life"
                );
                self.expected = Expected::NotMinted;
            }
            Action::Note(Note::SameToken) => {
                assert_eq!(self.expected, Expected::Same, "notices a repeated token");
                self.expected = Expected::NotMinted;
            }
            Action::Note(_) | Action::Mint { .. } | Action::DropConnections => {}
        }
    }

    /// At the end of a step.
    pub(in super::super) fn after(&mut self, now: Now, view: &View) {
        assert_eq!(self.abort, None, "invariant 3: an overdue attempt is given up");
        assert_eq!(self.expected, Expected::NotMinted, "an answer is used as it should be");
        let shown = view.lease.as_ref().map(Lease::generation);
        let live = self.token.as_ref().map(|t| t.generation);
        assert_eq!(shown, live, "invariants 2, 10: readers see the token exactly as long as it lives");
        let suspect = self.token.as_ref().is_some_and(|t| t.suspect);
        assert_eq!(view.hold, suspect && self.flight.is_some(), "callers are held for a suspect token only");
        self.check_waiters(now);
        self.check_recovery(now);
    }

    /// Somebody sends this token now.
    pub(in super::super) fn lent(&mut self, now: Now, lease: &Lease) {
        let token = self.token.as_ref().expect("invariant 1: only a live token is lent");
        assert_eq!(lease.generation(), token.generation, "invariant 5: the newest token is lent");
        assert!(lease.generation() >= self.granted, "invariant 5: generations only grow");
        self.granted = lease.generation();
        let sent = lease.authorization();
        let sent = sent.to_str().expect("text").strip_prefix("Bearer ");
        assert_eq!(sent, Some(token.name.as_str()), "the token is the one of its generation");
        assert!(token.live_at(now), "invariant 2: never sent past its deadline");
        assert!(
            token.ends.is_none_or(|ends| now.boot < ends),
            "invariant 2: nor once the endpoint has dropped it"
        );
    }

    /// What the driver may sleep: every bound falls due on time.
    pub(in super::super) fn check_nap(&self, now: Now, nap: i64) {
        assert!((1..=5000).contains(&nap), "naps are short, and not nothing: {nap} ms");
        for (since, newer_than) in self.waiters.values() {
            let usable =
                self.token.as_ref().is_some_and(|t| newer_than.is_none_or(|than| t.generation > than));
            let bound = since + if usable { 2000 } else { 12_000 };
            assert!(now.boot + nap <= bound.max(now.boot + 1), "invariant 9: wakes before a caller's bound");
        }
    }

    fn check_single_flight(&self, attempt: u64) {
        assert!(self.flight.is_none() && self.abort.is_none(), "invariant 3: one mint at a time ({attempt})");
        assert!(!self.closed, "no mint after the end");
        assert!(
            !self.draining || !self.waiters.is_empty(),
            "while draining, a mint needs somebody who waits"
        );
    }

    fn check_floors(&self, start: Start) {
        let since = |at: Option<i64>| at.map_or(i64::MAX, |at| start.at - at);
        assert!(since(self.starts.last().map(|s| s.at)) >= 1000, "invariant 4: a second between starts");
        assert!(since(self.last_success) >= 5000, "invariant 4: five seconds after a success");
        if start.live {
            return;
        }
        let earlier = self.starts.iter().rev().filter(|s| !s.live).map(|s| s.at);
        for (refills, at) in (1..).zip(earlier.skip(5).take(30)) {
            assert!(
                start.at - at >= refills * 5000,
                "invariant 4: a burst of six, then one every five seconds"
            );
        }
    }

    fn check_backoff(&self, start: Start) {
        let early = self.not_before.saturating_sub(start.at);
        assert!(start.at >= self.not_before, "invariant 4: backs off; {early} ms early");
    }

    /// Before the advisory point somebody must have asked for it.
    fn check_cause(&self, now: Now) {
        let Some(token) = &self.token else { return };
        let candidate = self.candidate.as_ref().is_some_and(|c| c.not_before <= now.boot);
        let due = token.age_at(now) >= token.advisory;
        assert!(due || token.suspect || candidate, "invariant 6: no mint without a cause");
    }

    fn check_credentials(&self, start: Start) {
        let due = self.candidate.as_ref().filter(|c| c.not_before <= start.at || self.current.is_none());
        let allowed = due.is_some_and(|c| c.version == start.credentials);
        let fresh = due.is_some_and(|c| c.rejections == 0);
        let current = self.current == Some(start.credentials) && !fresh;
        assert!(allowed || current, "new credentials are tried first, the old ones while they are refused");
    }

    fn answered_once(&mut self, waiter: WaiterId) -> (i64, Option<u64>) {
        self.waiters.remove(&waiter).expect("invariant 9: one answer, to somebody who waits")
    }

    fn check_refusal(&self, now: Now, since: i64, newer_than: Option<u64>, error: &Unavailable) {
        if self.closed {
            return assert_eq!(error.why, Why::Closed);
        }
        if self.current.is_none() && self.candidate.is_none() {
            if now.boot < since + 12_000 {
                assert!(self.sourceless, "nobody is refused early while credentials may still come");
            }
            return assert_eq!(error.why, if self.sourceless { Why::NoCredentials } else { Why::NotYet });
        }
        let usable = self.token.as_ref().is_some_and(|t| newer_than.is_none_or(|than| t.generation > than));
        assert!(!usable, "nobody is refused while there is a token");
        let bound = since + 12_000;
        if now.boot >= bound {
            return;
        }
        assert!(self.flight.is_none(), "nobody is refused early while a mint is running");
        let hopeless = now.boot + millis(error.next_attempt) >= bound;
        assert!(hopeless || self.token.is_some(), "nobody is refused while a mint is near");
    }

    fn check_waiters(&self, now: Now) {
        for (since, newer_than) in self.waiters.values() {
            assert!(now.boot < since + 12_000, "invariant 9: an answer within twelve seconds");
            let usable = self.token.as_ref().filter(|t| newer_than.is_none_or(|than| t.generation > than));
            let Some(token) = usable else { continue };
            let held = token.suspect && self.flight.is_some() && now.boot < since + 2000;
            assert!(held, "nobody waits while there is a token, or two seconds for a suspect one");
        }
    }

    fn check_recovery(&mut self, now: Now) {
        let Some(fair_since) = self.fair_since.filter(|_| self.token.is_none()) else {
            self.lacking_since = now.boot;
            return;
        };
        if self.closed || self.draining {
            return;
        }
        let lacking = now.boot - self.lacking_since.max(fair_since);
        // 16 s until an attempt starts, which takes its time.
        assert!(
            lacking <= 16_600 || now.boot <= self.excused_until + 1000,
            "invariant 13: without a token for {lacking} ms although the endpoint is healthy"
        );
    }

    /// The token dies.
    pub(super) fn check_last_chance(&self) {
        let token = self.token.as_ref().expect("just seen");
        let ordinary = token.undisturbed && token.life >= 60_000 && !self.draining && !self.closed;
        if ordinary && self.last_was_lasting && self.flight.is_none() {
            let last = self.starts.last().map_or(i64::MIN, |s| s.at);
            let mandatory = token.moment(token.mandatory());
            assert!(
                last >= mandatory,
                "one attempt between mandatory and hard, {} ms early",
                mandatory - last
            );
        }
    }
}
