//! What happened, second by second, and the questions that are asked of it.

use super::SECOND;

/// Events in each second.
#[derive(Debug, Clone)]
pub struct Series(Vec<u32>);

impl Series {
    fn new(until: i64) -> Self {
        Self(vec![0; (until / SECOND) as usize + 1])
    }

    fn add(&mut self, at: i64) {
        if let Some(second) = self.0.get_mut((at / SECOND) as usize) {
            *second += 1;
        }
    }

    fn part(&self, from: i64, to: i64) -> &[u32] {
        let end = ((to / SECOND) as usize).min(self.0.len());
        &self.0[((from / SECOND) as usize).min(end)..end]
    }

    pub fn sum(&self, from: i64, to: i64) -> u64 {
        self.part(from, to).iter().map(|n| u64::from(*n)).sum()
    }

    /// In the worst second.
    pub fn peak(&self, from: i64, to: i64) -> u32 {
        self.part(from, to).iter().copied().max().unwrap_or(0)
    }

    /// A second.
    pub fn mean(&self, from: i64, to: i64) -> f64 {
        self.sum(from, to) as f64 * SECOND as f64 / (to - from) as f64
    }

    /// A second, in the worst minute.
    pub fn busiest_minute(&self, from: i64, to: i64) -> f64 {
        let minutes = self.part(from, to).windows(60).map(|minute| minute.iter().sum::<u32>());
        f64::from(minutes.max().unwrap_or(0)) / 60.0
    }
}

/// A time without a token.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gap {
    pub(super) who: usize,
    pub(super) from: i64,
    pub(super) to: i64,
}

/// What happened in one run.
#[derive(Debug, Clone)]
pub struct Record {
    /// Requests that the endpoint got.
    pub asked: Series,
    /// Of these, answered with a token.
    pub granted: Series,
    /// Requests (or scripts) of applications that failed for want of a token.
    pub failed: Series,
    /// Those that had to wait for one, and got it.
    pub late: Series,
    pub(super) gaps: Vec<Gap>,
    until: i64,
}

impl Record {
    pub(super) fn new(until: i64) -> Self {
        let empty = Series::new(until);
        Self {
            asked: empty.clone(),
            granted: empty.clone(),
            failed: empty.clone(),
            late: empty,
            gaps: Vec::new(),
            until,
        }
    }

    pub(super) fn asked(&mut self, at: i64, granted: bool) {
        self.asked.add(at);
        if granted {
            self.granted.add(at);
        }
    }

    pub(super) fn failed(&mut self, at: i64) {
        self.failed.add(at);
    }

    pub(super) fn late(&mut self, at: i64) {
        self.late.add(at);
    }

    /// How many clients had no token at some time from `from` on.
    pub fn ever_without(&self, from: i64) -> usize {
        let mut who: Vec<_> = self.gaps.iter().filter(|gap| gap.to > from).map(|gap| gap.who).collect();
        who.sort_unstable();
        who.dedup();
        who.len()
    }

    /// The longest that one was without, of the times that ended after `from`.
    pub fn longest_without(&self, from: i64) -> i64 {
        self.gaps.iter().filter(|gap| gap.to > from).map(|gap| gap.to - gap.from).max().unwrap_or(0)
    }

    /// How long, from `from` on, this share of those who had no token waited for one at most; none if for ever.
    pub fn waited(&self, from: i64, share: f64) -> Option<i64> {
        let gaps = self.gaps.iter().filter(|gap| gap.to > from);
        let mut waits: Vec<_> = gaps
            .map(|gap| if gap.to < self.until { gap.to - gap.from.max(from) } else { i64::MAX })
            .collect();
        waits.sort_unstable();
        let last = (waits.len() as f64 * share).ceil() as usize;
        last.checked_sub(1).map_or(Some(0), |at| Some(waits[at]).filter(|wait| *wait < i64::MAX))
    }
}
