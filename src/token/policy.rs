//! The numbers of a token's life, and the pure functions that turn an endpoint's answer into them.
//!
//! Every constant is here with its reason, so that the state machine has no arithmetic of its own.

use std::time::Duration;

use super::grant::Grant;
use crate::clock::{Jitter, Now, millis};

/// Nothing usable in the answer: the shortest life Airbyte has ever given its tokens.
pub(super) const FALLBACK_LIFETIME: Duration = Duration::from_secs(180);
/// `expires_in` outside 1 s … 24 h is taken for a mistake (an older server answered minutes for seconds).
pub(super) const LONGEST_EXPIRES_IN: Duration = Duration::from_secs(86_400);
/// How long a caller waits for a token when there is none.
pub(super) const CALLER_WAIT: Duration = Duration::from_secs(12);
/// How long a caller waits for the running mint while the token at hand is under suspicion.
pub(super) const SUSPECT_WAIT: Duration = Duration::from_secs(2);
/// An attempt that has not answered by now never will (the minter's own limit is 10 s; after a suspend its timer has
/// stood still).
pub(super) const ATTEMPT_LIMIT: Duration = Duration::from_secs(11);
/// Between two successful mints, whatever lifetime the endpoint claims.
pub(super) const SUCCESS_FLOOR: Duration = Duration::from_secs(5);
/// Between two mint starts.
pub(super) const START_FLOOR: Duration = Duration::from_secs(1);
/// Without a live token: this many starts at once …
pub(super) const BUCKET_BURST: u32 = 6;
/// … and one more each time this has passed.
pub(super) const BUCKET_REFILL: Duration = Duration::from_secs(5);
/// A token younger than this is not suspected: upstream's own caches may not know it yet.
pub(super) const SUSPECT_MIN_AGE: Duration = Duration::from_secs(10);
/// Between two mints caused by a 401, over all generations.
pub(super) const SUSPECT_INTERVAL: Duration = Duration::from_secs(30);
/// After a 401 even with a renewed token, 401-caused mints back off from this …
pub(super) const DISPROVED_FIRST: Duration = Duration::from_secs(60);
/// … to this.
pub(super) const DISPROVED_LAST: Duration = Duration::from_secs(900);
/// Retries are never further apart than this once a token is near its end.
pub(super) const MANDATORY_RETRY: Duration = Duration::from_secs(5);
/// Without a live token, what is drawn after a transient failure, on top of any other pause, is no longer than this …
pub(super) const LONGEST_TRANSIENT: Duration = Duration::from_secs(5);
/// … and with a pause that the endpoint asked for, no longer than this.
pub(super) const LONGEST_ASKED: Duration = Duration::from_secs(30);
/// The answer repeated the token we hold: the endpoint caches; look again after this.
pub(super) const SAME_TOKEN_RETRY: Duration = Duration::from_secs(30);
/// 500 this often in a row before any success: some servers answer wrong credentials that way.
pub(super) const REJECTED_500: u32 = 3;
/// The longest the keeper sleeps before it looks at the clocks again.
pub(super) const LONGEST_NAP: Duration = Duration::from_secs(5);
/// A larger gap between two looks at the clocks means that the machine was suspended.
pub(super) const RESUME_GAP: Duration = Duration::from_secs(10);

/// When things happen in the life of one token, as ages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Schedule {
    /// L, as believed.
    pub(super) lifetime: Duration,
    /// Background renewal starts. Drawn per token, so that a fleet does not renew in step.
    pub(super) advisory: Duration,
    /// Retries come closer together.
    pub(super) mandatory: Duration,
    /// Never sent after.
    pub(super) hard: Duration,
}

impl Schedule {
    /// Renewed in turn, however `late` after the time had come, a token is renewed again when it would have been without
    /// that delay: those whom an outage has held up fall back into their own rhythms, and all ask as often as ever.
    ///
    /// A mint that was not in turn has a cause that others are likely to have at the same moment (a deployment, the end of
    /// a long outage, a new secret, a revoked token), and a tenth of L would take hours to part them. Its token is renewed
    /// anywhere in a span as long as the time between renewals, which parts them at once.
    pub(super) fn new(lifetime: Duration, late: Option<Duration>, jitter: &Jitter) -> Self {
        let ms = |d: Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
        let share = |percent: u64| Duration::from_millis(ms(lifetime).saturating_mul(percent) / 100);
        let margin = share(10).clamp(Duration::from_secs(3), Duration::from_secs(60));
        // A token of a few seconds would have no usable life at all under a fixed margin.
        let last = share(3).clamp(Duration::from_secs(2), Duration::from_secs(10)).min(share(20));
        let advisory = match late {
            Some(late) => jitter.between(share(55), share(65)).saturating_sub(late).max(share(5)),
            None => jitter.between(share(5), share(65)),
        };
        Self {
            lifetime,
            advisory,
            mandatory: lifetime.saturating_sub(margin),
            hard: lifetime.saturating_sub(last),
        }
    }
}

/// How long the granted token lives from just before it was asked for: the least of what the answer and the token
/// itself say, because each alone has been wrong (`expires_in` is read from the server's configuration, not from the
/// token). `None` if it is dead on arrival.
pub(super) fn lifetime(grant: &Grant, now: Now, longest: Duration) -> Option<Duration> {
    let said = grant.expires_in.filter(|d| (Duration::from_secs(1)..=LONGEST_EXPIRES_IN).contains(d));
    let own = match (grant.expires_at, grant.issued_at) {
        (Some(exp), Some(iat)) => Some(exp.saturating_sub(iat)),
        (Some(exp), None) => match grant.date {
            Some(date) => Some(exp.saturating_sub(date)),
            // A local clock that is far ahead would declare every token dead; then it is not believed.
            None => Some(exp.saturating_sub(now.wall / 1000)).filter(|left| *left > 0),
        },
        (None, _) => None,
    };
    let own = match own {
        Some(seconds) if seconds <= 0 => return None,
        own => own.and_then(|s| u64::try_from(s).ok()).map(Duration::from_secs),
    };
    Some(said.into_iter().chain(own).min().unwrap_or(FALLBACK_LIFETIME).min(longest))
}

/// Full jitter: somewhere between 0.2 s and a ceiling that doubles.
pub(super) fn transient_backoff(failures: u32, live: bool, jitter: &Jitter) -> Duration {
    let (first, last) = if live { (1000, 30_000) } else { (500, 5000) };
    let ceiling = (first << failures.saturating_sub(1).min(10)).min(last);
    jitter.between(Duration::from_millis(200), Duration::from_millis(ceiling))
}

/// 30, 60, 120, 300 s and up to a fifth more: whoever was told no does not hammer. At most a minute while a live
/// token still gives the chance to recover unnoticed.
pub(super) fn rejected_backoff(failures: u32, live: bool, jitter: &Jitter) -> Duration {
    let base = Duration::from_secs([30, 60, 120, 300][(failures.saturating_sub(1) as usize).min(3)]);
    let drawn = jitter.between(base, base + base / 5);
    if live { drawn.min(Duration::from_secs(60)) } else { drawn }
}

/// What `Retry-After` may make us do, before a back-off of our own. Without a live token both together are at most
/// [`LONGEST_ASKED`].
pub(super) fn honoured_retry_after(asked: Duration, live: bool) -> Duration {
    let longest =
        if live { Duration::from_secs(60) } else { LONGEST_ASKED.saturating_sub(LONGEST_TRANSIENT) };
    asked.clamp(Duration::from_secs(1), longest)
}

/// A token bucket in one number (GCRA): the theoretical arrival time of the next start.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bucket {
    next: i64,
}

impl Bucket {
    pub(super) fn full() -> Self {
        Self { next: i64::MIN / 2 }
    }

    /// The first moment, on the boot clock, at which a start is allowed.
    pub(super) fn allowed_at(self) -> i64 {
        self.next.saturating_sub(millis(BUCKET_REFILL) * i64::from(BUCKET_BURST - 1))
    }

    pub(super) fn take(&mut self, now: Now) {
        self.next = self.next.max(now.boot).saturating_add(millis(BUCKET_REFILL));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::secret::AccessToken;

    const NOW: Now = Now { boot: 0, wall: 1_700_000_000_000 };
    const T: i64 = 1_700_000_000;
    const DAY: Duration = Duration::from_secs(86_400);

    fn grant(expires_in: Option<u64>, exp: Option<i64>, iat: Option<i64>, date: Option<i64>) -> Grant {
        Grant {
            token: AccessToken::parse("t").expect("valid"),
            expires_in: expires_in.map(Duration::from_secs),
            expires_at: exp,
            issued_at: iat,
            date,
        }
    }

    fn seconds(grant: &Grant) -> Option<u64> {
        lifetime(grant, NOW, DAY).map(|d| d.as_secs())
    }

    #[test]
    fn the_shorter_of_claim_and_answer_counts() {
        assert_eq!(
            seconds(&grant(Some(900), Some(T + 180), Some(T), None)),
            Some(180),
            "airbyte-api-python-sdk#118"
        );
        assert_eq!(seconds(&grant(Some(60), Some(T + 900), Some(T), None)), Some(60));
    }

    #[test]
    fn without_iat_the_servers_date_counts_before_the_local_clock() {
        assert_eq!(seconds(&grant(Some(900), Some(T + 700), None, Some(T + 100))), Some(600));
        assert_eq!(seconds(&grant(Some(900), Some(T + 700), None, None)), Some(700));
    }

    #[test]
    fn a_local_clock_that_is_far_ahead_is_not_believed() {
        assert_eq!(seconds(&grant(Some(900), Some(T - 5000), None, None)), Some(900));
        assert_eq!(seconds(&grant(None, Some(T - 5000), None, None)), Some(180));
    }

    #[test]
    fn a_token_that_is_dead_on_arrival_has_no_lifetime() {
        assert_eq!(seconds(&grant(Some(900), Some(T), Some(T), None)), None);
        assert_eq!(seconds(&grant(Some(900), Some(T), None, Some(T + 1))), None);
    }

    #[test]
    fn nonsense_in_expires_in_is_as_if_absent() {
        for nonsense in [None, Some(0), Some(86_401), Some(u64::MAX)] {
            assert_eq!(seconds(&grant(nonsense, None, None, None)), Some(180), "{nonsense:?}");
        }
    }

    #[test]
    fn the_configured_maximum_caps() {
        let capped = lifetime(&grant(Some(900), None, None, None), NOW, Duration::from_secs(300));
        assert_eq!(capped, Some(Duration::from_secs(300)));
    }

    #[test]
    fn schedule_of_the_lifetimes_airbyte_has_used() {
        for (life, advisory, mandatory, hard) in [
            (900, (495, 585), 840_000, 890_000),
            (180, (99, 117), 162_000, 174_600),
            (60, (33, 39), 54_000, 58_000),
            (10, (5, 7), 7_000, 8_000),
            (1, (0, 1), 0, 800),
        ] {
            let s = Schedule::new(Duration::from_secs(life), Some(Duration::ZERO), &Jitter::seeded(life));
            assert_eq!((s.mandatory.as_millis(), s.hard.as_millis()), (mandatory, hard), "L = {life} s");
            assert!((advisory.0..=advisory.1).contains(&s.advisory.as_secs()), "L = {life} s");
        }
    }

    #[test]
    fn the_bucket_gives_six_then_one_every_five_seconds() {
        let mut bucket = Bucket::full();
        for _ in 0..6 {
            assert!(bucket.allowed_at() <= 0);
            bucket.take(NOW);
        }
        assert_eq!(bucket.allowed_at(), 5000);
    }

    proptest! {
        #[test]
        fn points_of_a_life_are_in_order(life in 1u64..=86_400, late in prop::option::of(any::<u32>()), seed: u64) {
            let late = late.map(|late| Duration::from_millis(late.into()));
            let s = Schedule::new(Duration::from_secs(life), late, &Jitter::seeded(seed));
            prop_assert!(s.advisory < s.hard && s.mandatory <= s.hard && s.hard < s.lifetime);
        }

        #[test]
        fn any_answer_gives_a_bounded_lifetime_or_none(
            expires_in in prop::option::of(any::<u64>()), exp in prop::option::of(any::<i64>()),
            iat in prop::option::of(any::<i64>()), date in prop::option::of(any::<i64>()), wall: i64,
        ) {
            let life = lifetime(&grant(expires_in, exp, iat, date), Now { boot: 0, wall }, DAY);
            prop_assert!(life.is_none_or(|l| l <= DAY && l >= Duration::from_secs(1)));
        }

        #[test]
        fn backoffs_stay_within_their_bounds(n: u32, live: bool, seed: u64) {
            let jitter = Jitter::seeded(seed);
            let t = transient_backoff(n, live, &jitter);
            let (longest_t, longest_r) = if live { (30, 60) } else { (5, 360) };
            prop_assert!(t >= Duration::from_millis(200) && t <= Duration::from_secs(longest_t));
            let r = rejected_backoff(n, live, &jitter);
            prop_assert!(r >= Duration::from_secs(30) && r <= Duration::from_secs(longest_r));
        }
    }
}
