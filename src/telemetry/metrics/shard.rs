//! What one worker counts.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::histogram::Histogram;
use super::{Counter, Labels};

/// Methods that are told apart. The rest is one, or a caller could make up as many as it likes.
pub(super) static METHODS: [&str; 8] =
    ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", super::report::OTHER];

/// Classes of status.
pub(super) static CLASSES: [&str; 4] = ["2xx", "3xx", "4xx", "5xx"];

/// Who answered, as written.
pub(super) static ANSWERERS: [&str; 3] = ["airbyte", "proxy", "nobody"];

/// Who answered a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// Upstream.
    Airbyte,
    /// We.
    Proxy,
    /// The caller left before there was an answer.
    Nobody,
}

/// A request whose answer has ended.
#[derive(Debug, Clone, Copy)]
pub struct Finished<'a> {
    /// As sent.
    pub method: &'a str,
    /// Its number among [`Labels::routes`].
    pub route: usize,
    /// Of the answer.
    pub status: u16,
    /// Who gave it.
    pub by: By,
    /// From its head to the end of the answer.
    pub duration: Duration,
    /// Of that, until the head of upstream's answer.
    pub upstream: Option<Duration>,
    /// Of its body.
    pub bytes_in: u64,
    /// Of the answer's body.
    pub bytes_out: u64,
    /// Sent twice.
    pub replayed: bool,
    /// Rows and pages, where the answer is a whole list.
    pub walked: Option<(u64, u64)>,
    /// What went wrong.
    pub error: Option<&'a str>,
    /// The rule that refused it, by its number among [`Labels::rules`].
    pub rule: Option<usize>,
}

/// What one worker counts. Nobody else writes to it.
#[derive(Debug)]
pub struct Shard {
    labels: Arc<Labels>,
    /// Made when first used: most routes never are.
    routes: Box<[OnceLock<Box<Route>>]>,
    pub(super) upstream: Histogram,
    errors: Box<[Counter]>,
    /// By rule, then by error.
    refusals: Box<[Counter]>,
    pub(super) bytes_in: Counter,
    pub(super) bytes_out: Counter,
    pub(super) replays: Counter,
    pub(super) lists: Counter,
    pub(super) rows: Counter,
    pub(super) pages: Counter,
}

#[derive(Debug, Default)]
pub(super) struct Route {
    requests: [[[Counter; ANSWERERS.len()]; CLASSES.len()]; METHODS.len()],
    pub(super) duration: Histogram,
}

impl Shard {
    pub(super) fn new(labels: Arc<Labels>) -> Self {
        let counters = |number: usize| (0..number).map(|_| Counter::default()).collect();
        // One more each, for what is not foreseen.
        let (errors, rules) = (labels.errors.len() + 1, labels.rules.len() + 1);
        Self {
            routes: labels.routes.iter().map(|_| OnceLock::new()).collect(),
            upstream: Histogram::default(),
            errors: counters(errors),
            refusals: counters(rules * errors),
            bytes_in: Counter::default(),
            bytes_out: Counter::default(),
            replays: Counter::default(),
            lists: Counter::default(),
            rows: Counter::default(),
            pages: Counter::default(),
            labels,
        }
    }

    /// The route with this number, as written.
    pub fn route(&self, number: usize) -> &str {
        self.labels.routes.get(number).map_or(super::report::OTHER, String::as_str)
    }

    /// The rule with this number, as written.
    pub fn rule(&self, number: usize) -> &str {
        self.labels.rules.get(number).map_or(super::report::OTHER, String::as_str)
    }

    /// The number of a rule.
    pub fn rule_number(&self, rule: &str) -> usize {
        let rules = &self.labels.rules;
        rules.iter().position(|known| known == rule).unwrap_or(rules.len())
    }

    /// Counts a request.
    pub fn count(&self, request: &Finished<'_>) {
        if let Some(route) = self.routes.get(request.route) {
            let route = route.get_or_init(Box::default);
            if let Some(counter) = route.requests(request) {
                counter.add(1);
            }
            route.duration.observe(request.duration);
        }
        if let Some(head) = request.upstream {
            self.upstream.observe(head);
        }
        // Most requests have no body.
        if request.bytes_in > 0 {
            self.bytes_in.add(request.bytes_in);
        }
        self.bytes_out.add(request.bytes_out);
        if request.replayed {
            self.replays.add(1);
        }
        if let Some((rows, pages)) = request.walked {
            self.lists.add(1);
            self.rows.add(rows);
            self.pages.add(pages);
        }
        if let Some(error) = request.error {
            self.failed(error, request.rule);
        }
    }

    fn failed(&self, error: &str, rule: Option<usize>) {
        let errors = &self.labels.errors;
        let error = errors.iter().position(|known| *known == error).unwrap_or(errors.len());
        if let Some(counter) = self.errors.get(error) {
            counter.add(1);
        }
        if let Some(counter) = rule.and_then(|rule| self.refusals.get(rule * self.errors.len() + error)) {
            counter.add(1);
        }
    }

    /// What is counted of a route, if it was ever used.
    pub(super) fn of_route(&self, number: usize) -> Option<&Route> {
        self.routes.get(number)?.get().map(Box::as_ref)
    }

    pub(super) fn errors(&self) -> impl Iterator<Item = u64> {
        self.errors.iter().map(Counter::get)
    }

    /// By rule, then by error.
    pub(super) fn refusals(&self) -> impl Iterator<Item = u64> {
        self.refusals.iter().map(Counter::get)
    }
}

impl Route {
    fn requests(&self, request: &Finished<'_>) -> Option<&Counter> {
        let others = METHODS.len() - 1;
        let method = METHODS.iter().position(|known| *known == request.method).unwrap_or(others);
        let class = usize::from(request.status / 100).clamp(2, 5) - 2;
        self.requests.get(method)?.get(class)?.get(request.by as usize)
    }

    /// In the order of methods, classes and answerers.
    pub(super) fn counts(&self) -> impl Iterator<Item = u64> {
        self.requests.as_flattened().as_flattened().iter().map(Counter::get)
    }
}
