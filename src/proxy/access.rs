//! What is known about one request, told once, when its response has ended.

use std::borrow::Cow;
use std::time::Duration;

use http::{Method, StatusCode};

use super::authorize::Authorized;
use super::replay::Source;
use crate::airbyte::known;
use crate::clock::Stopwatch;
use crate::guard::{Admitted, Api, Client, Refusal, Route};
use crate::telemetry::Access;

/// nginx's convention for a caller that left before there was an answer.
const CLIENT_LEFT: u16 = 499;

/// Collects; dropping it writes the access event.
#[derive(Debug)]
pub(super) struct Record {
    started: Stopwatch,
    enabled: bool,
    method: Method,
    route: Cow<'static, str>,
    status: u16,
    upstream: Option<Duration>,
    sending: Option<Source>,
    bytes_out: u64,
    rows: Option<u64>,
    generation: Option<u64>,
    replayed: bool,
    error: Option<&'static str>,
    client: Option<Client>,
    /// Which rule of the guard refused. As many as there are settings and rules of the policy.
    rule: Option<Cow<'static, str>>,
    complete: bool,
}

impl Record {
    pub(super) fn start(method: &Method) -> Self {
        Self {
            started: Stopwatch::start(),
            enabled: Access::enabled(),
            method: method.clone(),
            // Refused before it was known.
            route: "-".into(),
            status: CLIENT_LEFT,
            upstream: None,
            sending: None,
            bytes_out: 0,
            rows: None,
            generation: None,
            replayed: false,
            error: None,
            client: None,
            rule: None,
            complete: false,
        }
    }

    /// Who may go on, and where to.
    pub(super) fn admitted(&mut self, admitted: &Admitted, path: &str) {
        if self.enabled {
            self.client.clone_from(&admitted.client);
            self.route(admitted.route, path);
        }
    }

    /// Who may not, and why.
    pub(super) fn refused(&mut self, refusal: &Refusal) {
        if self.enabled {
            self.client = refusal.client().cloned();
            self.rule = Some(refusal.rule().to_owned().into());
        }
    }

    /// By a rule that is no refusal of the guard's.
    pub(super) fn denied(&mut self, kind: &'static str, rule: &'static str) {
        self.error = Some(kind);
        self.rule = Some(rule.into());
    }

    /// The key was in the body.
    pub(super) fn client(&mut self, client: Client) {
        self.client = Some(client);
    }

    /// Without ids: they are the business of whoever asked.
    fn route(&mut self, route: Route, path: &str) {
        self.route = match route {
            Route::Root => "/".into(),
            Route::Control => "/-/".into(),
            Route::Token => "token".into(),
            Route::Asterisk => "*".into(),
            Route::Api { api: Api::Public, prefix, .. } => {
                known::shape(path.get(prefix..).unwrap_or_default()).into()
            }
            // The guard lets only operations through whose paths are names throughout.
            Route::Api { api: Api::Config, .. } => path.to_owned().into(),
        };
    }

    pub(super) fn answered_by_upstream(&mut self, answered: &Authorized, body: &Source) {
        self.upstream = Some(self.started.elapsed());
        self.generation = Some(answered.generation);
        self.replayed = answered.replayed;
        self.sending = Some(body.clone());
    }

    pub(super) fn answered(&mut self, status: StatusCode) {
        self.status = status.as_u16();
    }

    pub(super) fn problem(&mut self, kind: &'static str) {
        self.error = Some(kind);
    }

    pub(super) fn sent(&mut self, bytes: usize) {
        self.bytes_out += bytes as u64;
    }

    /// Of a whole list, so far.
    pub(super) fn rows(&mut self, rows: u64) {
        self.rows = Some(rows);
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
        if !self.enabled {
            return;
        }
        let left = (!self.complete).then_some("caller-left");
        Access {
            method: self.method.as_str(),
            route: &self.route,
            status: self.status,
            duration: self.started.elapsed(),
            upstream: self.upstream,
            bytes_in: self.sending.as_ref().map_or(0, Source::bytes),
            bytes_out: self.bytes_out,
            rows: self.rows,
            generation: self.generation,
            replayed: self.replayed,
            client: self.client.as_ref().map(Client::name),
            rule: self.rule.as_deref(),
            error: self.error.or(left),
        }
        .emit();
    }
}
