//! How long things took, by a few bounds.

use std::time::Duration;

use super::Counter;

/// Upper bounds, in microseconds and as they are written (in seconds). From what we answer ourselves to what
/// `upstream.response_timeout` allows by default.
#[rustfmt::skip]
static BOUNDS: [(u64, &str); 17] = [
    (1_000, "0.001"), (2_500, "0.0025"), (5_000, "0.005"), (10_000, "0.01"), (25_000, "0.025"), (50_000, "0.05"),
    (100_000, "0.1"), (250_000, "0.25"), (500_000, "0.5"), (1_000_000, "1.0"), (2_500_000, "2.5"), (5_000_000, "5.0"),
    (10_000_000, "10.0"), (30_000_000, "30.0"), (60_000_000, "60.0"), (300_000_000, "300.0"), (600_000_000, "600.0"),
];

/// The last is for what is beyond all bounds.
const BUCKETS: usize = BOUNDS.len() + 1;

/// Counts durations.
#[derive(Debug, Default)]
pub(super) struct Histogram {
    buckets: [Counter; BUCKETS],
    micros: Counter,
}

impl Histogram {
    pub(super) fn observe(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS.iter().take_while(|(bound, _)| micros > *bound).count();
        if let Some(bucket) = self.buckets.get(bucket) {
            bucket.add(1);
        }
        self.micros.add(micros);
    }
}

/// The sum of some of them at one moment.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Seen {
    buckets: [u64; BUCKETS],
    micros: u64,
}

impl Seen {
    pub(super) fn add(&mut self, histogram: &Histogram) {
        for (sum, bucket) in self.buckets.iter_mut().zip(&histogram.buckets) {
            *sum += bucket.get();
        }
        self.micros += histogram.micros.get();
    }

    /// Bounds, each with how many took no longer; the last is the number of all.
    pub(super) fn cumulative(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let bounds = BOUNDS.iter().map(|(_, written)| *written).chain(["+Inf"]);
        let counts = self.buckets.iter().scan(0, |sum, bucket| {
            *sum += bucket;
            Some(*sum)
        });
        bounds.zip(counts)
    }

    pub(super) fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    pub(super) fn seconds(&self) -> f64 {
        Duration::from_micros(self.micros).as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_grow_and_are_written_as_they_are() {
        assert!(BOUNDS.is_sorted_by(|a, b| a.0 < b.0));
        for (micros, written) in BOUNDS {
            let seconds: f64 = written.parse().expect("a number");
            assert_eq!(Duration::from_secs_f64(seconds), Duration::from_micros(micros));
            assert!(written.contains('.'), "{written}: OpenMetrics writes bounds with a point");
        }
    }

    #[test]
    fn a_duration_counts_below_the_first_bound_that_it_does_not_pass() {
        let histogram = Histogram::default();
        for micros in [0, 1_000, 1_001, 600_000_000, 600_000_001] {
            histogram.observe(Duration::from_micros(micros));
        }
        let mut seen = Seen::default();
        seen.add(&histogram);
        let counts: Vec<_> = seen.cumulative().collect();
        assert_eq!((counts[0], counts[1]), (("0.001", 2), ("0.0025", 3)));
        assert_eq!((counts[16], counts[17], seen.count()), (("600.0", 4), ("+Inf", 5), 5));
        assert!((seen.seconds() - 1_200.002_002).abs() < 1e-6);
    }
}
