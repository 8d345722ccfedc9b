//! Latencies, to within one percent.

/// Counts by size: each power of two in 128 steps.
pub(crate) struct Histogram {
    counts: Vec<u64>,
    total: u64,
}

const STEPS: u64 = 128;
const BITS: u32 = STEPS.trailing_zeros();

impl Histogram {
    pub(crate) fn new() -> Self {
        Self { counts: vec![0; place(u64::MAX) + 1], total: 0 }
    }

    pub(crate) fn record(&mut self, value: u64) {
        self.counts[place(value)] += 1;
        self.total += 1;
    }

    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// The value that `share` of all are not above.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "counts are far below 2^52"
    )]
    pub(crate) fn quantile(&self, share: f64) -> u64 {
        let wanted = ((self.total as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        let reached = self.counts.iter().position(|count| {
            seen += count;
            seen >= wanted
        });
        reached.map_or(0, value)
    }
}

fn place(value: u64) -> usize {
    let power = (value | 1).ilog2();
    let place = if power < BITS {
        value
    } else {
        u64::from(power - BITS + 1) * STEPS + ((value >> (power - BITS)) & (STEPS - 1))
    };
    usize::try_from(place).unwrap_or(usize::MAX)
}

/// The middle of what is counted at `place`.
fn value(place: usize) -> u64 {
    let place = place as u64;
    if place < STEPS {
        return place;
    }
    let shift = place / STEPS - 1;
    ((STEPS + place % STEPS) << shift) + ((1 << shift) >> 1)
}
