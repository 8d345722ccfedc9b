//! One event per finished request.

use std::time::Duration;

use super::line;

/// The target of the access log; a level filter of its own, should somebody want to silence it.
pub(super) const TARGET: &str = "access";

/// One finished request: nothing in here may be a header, a query or any other value that a client chose freely, save
/// the method, what identifies it to us and what identifies the request to it.
#[derive(Debug, Clone, Copy)]
pub struct Access<'a> {
    /// `X-Request-Id`, the caller's or ours.
    pub request_id: &'a str,
    /// Of `traceparent`.
    pub trace_id: Option<&'a str>,
    /// As sent.
    pub method: &'a str,
    /// The pattern that matched, with no identifiers in it.
    pub route: &'a str,
    /// What the caller got.
    pub status: u16,
    /// From the end of its head to the last byte of the answer.
    pub duration: Duration,
    /// Of that, until the head of upstream's answer; none if upstream was not asked.
    pub upstream: Option<Duration>,
    /// Of the request body.
    pub bytes_in: u64,
    /// Of the response body.
    pub bytes_out: u64,
    /// Of the list, where the answer is a whole one.
    pub rows: Option<u64>,
    /// The token it was sent with.
    pub generation: Option<u64>,
    /// Whether it was sent twice, because upstream rejected the first token.
    pub replayed: bool,
    /// The name of the client key.
    pub client: Option<&'a str>,
    /// The type of the problem, if the answer is ours and one.
    pub error: Option<&'a str>,
    /// Which rule of the guard refused it: the name of a setting or a fixed word.
    pub rule: Option<&'a str>,
}

impl Access<'_> {
    /// Whether anybody would read it: worth asking before the values are gathered.
    pub fn enabled() -> bool {
        tracing::enabled!(target: TARGET, tracing::Level::INFO)
    }

    /// Keeps it for the status page and, if it is `enabled`, logs it. It ended at `wall`, in milliseconds since the epoch.
    pub fn tell(&self, wall: i64, enabled: bool) {
        super::recent::note(self, wall);
        if !enabled {
            return;
        }
        match super::JSON.get() {
            Some(sink) => line::access(self, wall, |line| sink.push(line)),
            None => self.emit(),
        }
    }

    /// Logs it as any other event.
    pub(super) fn emit(&self) {
        tracing::info!(
            target: TARGET,
            method = self.method,
            route = self.route,
            status = self.status,
            duration_ms = millis(self.duration),
            upstream_ms = self.upstream.map(millis),
            bytes_in = self.bytes_in,
            bytes_out = self.bytes_out,
            rows = self.rows,
            generation = self.generation,
            replayed = self.replayed.then_some(true),
            client = self.client,
            error = self.error,
            rule = self.rule,
            request_id = self.request_id,
            trace_id = self.trace_id,
        );
    }
}

/// To the tenth: most requests that we answer ourselves take less than one.
pub(super) fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 10_000.0).round() / 10.0
}
