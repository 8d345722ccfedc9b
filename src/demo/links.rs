//! `next` and `previous` as Airbyte writes them, mistakes included.
//!
//! Upstream keeps one URL builder for both links and appends to it, which explains what is odd about them:
//! `previous` repeats `limit` whenever `next` came first, and a parameter that was given no value still costs an `&`.

use super::params::Window;

/// A parameter that the links keep. Without a value it leaves a stray `&`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Keep(pub(super) &'static str, pub(super) Option<String>);

/// Absolute URLs; empty where there is no page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Links {
    pub(super) previous: String,
    pub(super) next: String,
}

/// The links of a page of the list at `url`.
///
/// There is a `previous` whenever the offset is not 0. Whether a page is the last is for the caller to say, since servers
/// have come to think differently about it.
pub(super) fn links(url: &str, keep: &[Keep], window: Window, last: bool) -> Links {
    let mut builder = Builder::new(url, keep);
    let next = if last { String::new() } else { builder.page(window.limit, window.offset + window.limit) };
    let previous = if window.offset == 0 {
        String::new()
    } else {
        builder.page(window.limit, window.offset.saturating_sub(window.limit))
    };
    Links { previous, next }
}

struct Builder<'a> {
    url: &'a str,
    params: Vec<(&'static str, Vec<String>)>,
}

impl<'a> Builder<'a> {
    fn new(url: &'a str, keep: &[Keep]) -> Self {
        let params = keep.iter().map(|Keep(name, value)| (*name, value.iter().map(|v| encoded(v)).collect()));
        Self { url, params: params.collect() }
    }

    /// Appends to `limit`, replaces `offset`.
    fn page(&mut self, limit: usize, offset: usize) -> String {
        self.values("limit").push(limit.to_string());
        *self.values("offset") = vec![offset.to_string()];
        let query: Vec<String> = self
            .params
            .iter()
            .map(|(name, values)| {
                let pairs: Vec<_> = values.iter().map(|value| format!("{name}={value}")).collect();
                pairs.join("&")
            })
            .collect();
        format!("{}?{}", self.url, query.join("&"))
    }

    fn values(&mut self, name: &'static str) -> &mut Vec<String> {
        let at = self.params.iter().position(|(known, _)| *known == name).unwrap_or_else(|| {
            self.params.push((name, Vec::new()));
            self.params.len() - 1
        });
        &mut self.params[at].1
    }
}

/// Ids, commas and words are all that is ever kept.
fn encoded(value: &str) -> String {
    value.replace(',', "%2C")
}
