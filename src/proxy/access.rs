//! What is known about one request, told once, when its response has ended.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, StatusCode};

use super::authorize::Authorized;
use super::labels;
use super::replay::Source;
use super::request_id::{TraceId, request_id};
use crate::clock::{Clock, Stopwatch};
use crate::guard::{Admitted, Client, Refusal};
use crate::telemetry::Access;
use crate::telemetry::metrics::{By, Finished, Shard};

/// nginx's convention for a caller that left before there was an answer.
const CLIENT_LEFT: u16 = 499;

/// Collects; dropping it counts the request, writes the access event, and keeps it for people who look.
#[derive(Debug)]
pub(super) struct Record {
    started: Stopwatch,
    /// Whether there will be an event.
    enabled: bool,
    shard: Arc<Shard>,
    request_id: HeaderValue,
    trace: Option<TraceId>,
    method: Method,
    route: usize,
    status: u16,
    by: By,
    upstream: Option<Duration>,
    sending: Option<Source>,
    bytes_out: u64,
    /// Rows and pages, of a whole list.
    walked: Option<(u64, u64)>,
    generation: Option<u64>,
    replayed: bool,
    error: Option<&'static str>,
    client: Option<Client>,
    /// Which rule refused, by its number.
    rule: Option<usize>,
    complete: bool,
}

impl Record {
    pub(super) fn start(method: &Method, headers: &HeaderMap, shard: &Arc<Shard>) -> Self {
        let enabled = Access::enabled();
        Self {
            started: Stopwatch::start(),
            enabled,
            request_id: request_id(headers),
            trace: if enabled { TraceId::of(headers) } else { None },
            shard: Arc::clone(shard),
            method: method.clone(),
            route: labels::NOWHERE,
            status: CLIENT_LEFT,
            by: By::Nobody,
            upstream: None,
            sending: None,
            bytes_out: 0,
            walked: None,
            generation: None,
            replayed: false,
            error: None,
            client: None,
            rule: None,
            complete: false,
        }
    }

    /// By which the caller, upstream and the log know the request.
    pub(super) fn request_id(&self) -> HeaderValue {
        self.request_id.clone()
    }

    /// Who may go on, and where to.
    pub(super) fn admitted(&mut self, admitted: &Admitted, path: &str) {
        self.route = labels::route(admitted.route, path);
        self.client.clone_from(&admitted.client);
    }

    /// Who may not, and why.
    pub(super) fn refused(&mut self, refusal: &Refusal, path: &str) {
        if let Some(route) = refusal.route() {
            self.route = labels::route(route, path);
        }
        self.rule = Some(self.shard.rule_number(refusal.rule()));
        self.client = refusal.client().cloned();
    }

    /// By a rule that is no refusal of the guard's.
    pub(super) fn denied(&mut self, kind: &'static str, rule: &'static str) {
        self.error = Some(kind);
        self.rule = Some(self.shard.rule_number(rule));
    }

    /// The key was in the body.
    pub(super) fn client(&mut self, client: Client) {
        self.client = Some(client);
    }

    pub(super) fn answered_by_upstream(&mut self, answered: &Authorized, body: &Source) {
        self.upstream = Some(self.started.elapsed());
        self.generation = Some(answered.generation);
        self.replayed = answered.replayed;
        self.sending = Some(body.clone());
    }

    pub(super) fn answered(&mut self, status: StatusCode) {
        self.status = status.as_u16();
        if self.by == By::Nobody {
            self.by = if self.upstream.is_some() { By::Airbyte } else { By::Proxy };
        }
    }

    /// The answer will be ours, whatever upstream has said.
    pub(super) fn problem(&mut self, kind: &'static str) {
        self.error = Some(kind);
        self.by = By::Proxy;
    }

    pub(super) fn sent(&mut self, bytes: usize) {
        self.bytes_out += bytes as u64;
    }

    /// Of a whole list, so far.
    pub(super) fn walked(&mut self, rows: u64, pages: u64) {
        self.walked = Some((rows, pages));
    }

    pub(super) fn complete(&mut self) {
        self.complete = true;
    }

    pub(super) fn broke_off(&mut self, kind: &'static str) {
        self.error = Some(kind);
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let duration = self.started.elapsed();
        let bytes_in = self.sending.as_ref().map_or(0, Source::bytes);
        let left = (!self.complete).then_some(labels::CALLER_LEFT);
        let error = self.error.or(left);
        self.shard.count(&Finished {
            method: self.method.as_str(),
            route: self.route,
            status: self.status,
            by: self.by,
            duration,
            upstream: self.upstream,
            bytes_in,
            bytes_out: self.bytes_out,
            replayed: self.replayed,
            walked: self.walked,
            error,
            rule: self.rule,
        });
        let access = Access {
            request_id: self.request_id.to_str().unwrap_or_default(),
            trace_id: self.trace.as_ref().map(TraceId::as_str),
            method: self.method.as_str(),
            route: self.shard.route(self.route),
            status: self.status,
            duration,
            upstream: self.upstream,
            bytes_in,
            bytes_out: self.bytes_out,
            rows: self.walked.map(|(rows, _)| rows),
            generation: self.generation,
            replayed: self.replayed,
            client: self.client.as_ref().map(Client::name),
            rule: self.rule.map(|rule| self.shard.rule(rule)),
            error,
        };
        access.tell(Clock::system().wall(), self.enabled);
    }
}
