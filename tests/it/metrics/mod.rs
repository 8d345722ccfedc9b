//! What is counted, and that it is what was done.
//!
//! * `counts`: a scenario, and its numbers
//! * `files`: the dashboard, the alert rules and the page that explains them
//! * `probes`: the listener for probes, and every state of readiness
//! * `series`: what adds series and what does not

mod counts;
mod files;
mod probes;
mod series;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::harness::daemon::{Daemon, Got};
use crate::harness::talk::soon;

/// What one scrape told.
#[derive(Debug)]
struct Scrape {
    text: String,
    values: BTreeMap<String, f64>,
}

impl Scrape {
    fn of(got: &Got) -> Self {
        assert_eq!(got.status, 200, "{}", got.text());
        let text = got.text();
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        let samples = samples.map(|line| line.rsplit_once(' ').expect("a value"));
        let values = samples.map(|(name, value)| (name.to_owned(), value.parse().expect("a number")));
        let values = values.collect();
        Self { text, values }
    }

    /// The value of a series; zero if there is no such one, as for Prometheus' `sum`.
    fn of_series(&self, series: &str) -> f64 {
        self.values.get(series).copied().unwrap_or_default()
    }

    /// Values by what stands between the braces, for one name.
    fn all(&self, name: &str) -> BTreeMap<&str, f64> {
        let labels = |series: &'_ str| -> Option<(usize, usize)> {
            let rest = series.strip_prefix(name)?.strip_prefix('{')?;
            rest.ends_with('}').then_some((name.len() + 1, series.len() - 1))
        };
        let all = self.values.iter();
        all.filter_map(|(series, value)| labels(series).map(|(from, to)| (&series[from..to], *value)))
            .collect()
    }

    /// Finished requests, scrapes and probes aside.
    fn requests(&self) -> BTreeMap<&str, f64> {
        let mut all = self.all("airbyte_proxy_requests_total");
        all.retain(|labels, _| !labels.contains("route=\"/-/\""));
        all
    }
}

async fn scrape(proxy: &Daemon) -> Scrape {
    Scrape::of(&proxy.get("/-/metrics").await)
}

/// A request is counted when its answer has ended, which its caller may see a moment before.
async fn until(proxy: &Daemon, wanted: impl Fn(&Scrape) -> bool) -> Scrape {
    let mut last = None;
    let seeing = async {
        loop {
            let seen = scrape(proxy).await;
            if wanted(&seen) {
                return seen;
            }
            last = Some(seen);
        }
    };
    let seen = tokio::time::timeout(Duration::from_secs(10), seeing).await.ok();
    seen.unwrap_or_else(|| panic!("never: {}", last.map(|seen| seen.text).unwrap_or_default()))
}

/// Waits for everybody.
async fn all_of(calls: Vec<tokio::task::JoinHandle<Got>>) -> Vec<Got> {
    let mut answers = Vec::new();
    for call in calls {
        answers.push(soon(call).await.expect("a task"));
    }
    answers
}
