//! When the next mint may start: floors between attempts, the bucket, back-off after failures.
//!
//! Judged by the boot clock alone: it counts suspend and never jumps.

use std::time::Duration;

use crate::clock::{Jitter, Now, millis};
use crate::token::grant::FailureKind;
use crate::token::policy::{self, Bucket};

#[derive(Debug)]
pub(super) struct Pace {
    jitter: Jitter,
    last_start: Option<i64>,
    last_success: Option<i64>,
    bucket: Bucket,
    backoff: Option<Backoff>,
    /// Failures in a row of the kind that `backoff` has.
    row: u32,
    /// 500s in a row, and the version of the credentials they were for.
    server_errors: (u64, u32),
}

#[derive(Debug, Clone, Copy)]
struct Backoff {
    until: i64,
    /// What `Retry-After` asked for.
    asked_until: i64,
    rejected: bool,
}

impl Pace {
    pub(super) fn new(jitter: Jitter) -> Self {
        Self {
            jitter,
            last_start: None,
            last_success: None,
            bucket: Bucket::full(),
            backoff: None,
            row: 0,
            server_errors: (0, 0),
        }
    }

    /// The first moment, on the boot clock, at which a mint may start.
    pub(super) fn earliest(&self, live: bool) -> i64 {
        let after = |at: Option<i64>, floor| at.map_or(i64::MIN, |at| at.saturating_add(millis(floor)));
        let bucket = if live { i64::MIN } else { self.bucket.allowed_at() };
        self.backoff
            .map_or(i64::MIN, |b| b.until)
            .max(after(self.last_start, policy::START_FLOOR))
            .max(after(self.last_success, policy::SUCCESS_FLOOR))
            .max(bucket)
    }

    pub(super) fn start(&mut self, now: Now, live: bool) {
        self.last_start = Some(now.boot);
        if !live {
            self.bucket.take(now);
        }
    }

    pub(super) fn succeeded(&mut self, now: Now) {
        self.last_success = Some(now.boot);
        self.forgive();
    }

    /// Whether waiting will not mend it. Counts 500s in a row, of which enough for credentials that have never worked
    /// mean the same.
    pub(super) fn is_lasting(&mut self, kind: FailureKind, credentials: u64, proven: bool) -> bool {
        if kind == FailureKind::Transient || self.server_errors.0 != credentials {
            self.server_errors = (credentials, 0);
        }
        match kind {
            FailureKind::Rejected | FailureKind::Misconfigured => true,
            FailureKind::Transient => false,
            FailureKind::ServerError => {
                self.server_errors.1 = self.server_errors.1.saturating_add(1);
                !proven && self.server_errors.1 >= policy::REJECTED_500
            }
        }
    }

    pub(super) fn failed(&mut self, now: Now, rejected: bool, live: bool, asked: Duration) {
        if self.backoff.is_none_or(|b| b.rejected != rejected) {
            self.row = 0;
        }
        self.row = self.row.saturating_add(1);
        let after = |pause| now.boot.saturating_add(millis(pause));
        let until = if rejected {
            after(policy::rejected_backoff(self.row, live, &self.jitter).max(asked))
        } else {
            // On top of what must be waited for anyway: a pause that the endpoint asks for is the same for everybody, and so
            // is the bucket's for all who started together. They would be back together, again and again.
            let failures = if asked.is_zero() { self.row } else { u32::MAX };
            let allowed = if live { i64::MIN } else { self.bucket.allowed_at() };
            let drawn = policy::transient_backoff(failures, live, &self.jitter);
            after(asked).max(allowed).saturating_add(millis(drawn))
        };
        self.backoff = Some(Backoff { until, asked_until: after(asked), rejected });
    }

    pub(super) fn is_rejected(&self) -> bool {
        self.backoff.is_some_and(|b| b.rejected)
    }

    pub(super) fn wait_until(&mut self, until: i64) {
        self.row = 0;
        self.backoff = Some(Backoff { until, asked_until: i64::MIN, rejected: false });
    }

    pub(super) fn wait_at_most_until(&mut self, until: i64) {
        if let Some(backoff) = &mut self.backoff {
            backoff.until = backoff.until.min(until);
        }
    }

    /// Somebody may be waiting now. A pause that was drawn for a token with a future (a wall clock set forward took it
    /// away) must not outlast the longest drawn without one.
    pub(super) fn token_died(&mut self, now: Now) {
        let Some(backoff) = self.backoff.filter(|b| !b.rejected) else { return };
        let asked = backoff.asked_until.min(now.boot.saturating_add(millis(policy::LONGEST_ASKED)));
        self.wait_at_most_until(asked.max(now.boot.saturating_add(millis(policy::LONGEST_TRANSIENT))));
    }

    /// No back-off; the floors and the bucket stay.
    pub(super) fn forgive(&mut self) {
        self.backoff = None;
        self.row = 0;
    }
}
