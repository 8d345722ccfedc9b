//! One event a request, written when its response has ended. No header, no query value, no body.

use std::time::Duration;

use http::{Method, StatusCode};

use crate::clock::Stopwatch;

/// Collects what is known about one request; dropping it writes the event.
#[derive(Debug)]
pub(super) struct Record {
    started: Stopwatch,
    method: Method,
    path: String,
    enabled: bool,
    status: StatusCode,
    pub(super) upstream: Option<Duration>,
    pub(super) generation: Option<u64>,
    pub(super) replayed: bool,
    pub(super) problem: Option<&'static str>,
    bytes: u64,
    complete: bool,
    error: Option<String>,
}

impl Record {
    pub(super) fn start(method: &Method, path: &str) -> Self {
        let enabled = tracing::enabled!(target: "access", tracing::Level::INFO);
        Self {
            started: Stopwatch::start(),
            method: method.clone(),
            path: if enabled { path.to_owned() } else { String::new() },
            enabled,
            // What a caller who leaves before an answer got; 499 is the convention for it.
            status: StatusCode::from_u16(499).unwrap_or_default(),
            upstream: None,
            generation: None,
            replayed: false,
            problem: None,
            bytes: 0,
            complete: false,
            error: None,
        }
    }

    /// Time since the request head was there.
    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    pub(super) fn answered(&mut self, status: StatusCode) {
        self.status = status;
    }

    pub(super) fn sent(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }

    pub(super) fn complete(&mut self) {
        self.complete = true;
    }

    pub(super) fn broke_off(&mut self, error: &(dyn std::error::Error + 'static)) {
        self.error = Some(error.to_string());
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if !self.enabled {
            return;
        }
        let ms = |d: Duration| d.as_secs_f64() * 1000.0;
        tracing::info!(
            target: "access",
            method = self.method.as_str(),
            path = self.path,
            status = self.status.as_u16(),
            duration_ms = ms(self.started.elapsed()),
            upstream_ms = self.upstream.map(ms),
            bytes = self.bytes,
            generation = self.generation,
            replayed = self.replayed,
            problem = self.problem,
            complete = self.complete,
            error = self.error,
        );
    }
}
