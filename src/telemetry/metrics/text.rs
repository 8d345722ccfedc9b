//! The two text formats: `OpenMetrics` 1.0, and what Prometheus read before (0.0.4).

use std::fmt::{Display, Write as _};

/// How the metrics are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `OpenMetrics` 1.0.
    OpenMetrics,
    /// Prometheus' older one, 0.0.4.
    Plain,
}

impl Format {
    /// What a scraper prefers by the values of its `Accept`; `OpenMetrics` where it has no preference.
    pub fn preferred<'a>(accept: impl Iterator<Item = &'a str>) -> Self {
        let (mut open, mut plain) = (0.0_f32, 0.0_f32);
        for range in accept.flat_map(|value| value.split(',')) {
            let mut parts = range.split(';').map(str::trim);
            let kind = parts.next().unwrap_or_default();
            let weight = parts.find_map(|part| part.strip_prefix("q=")).map_or(Ok(1.0), str::parse);
            let weight: f32 = weight.unwrap_or(0.0);
            if kind.eq_ignore_ascii_case("application/openmetrics-text") {
                open = open.max(weight);
            } else if kind.eq_ignore_ascii_case("text/plain") {
                plain = plain.max(weight);
            }
        }
        if plain > open { Self::Plain } else { Self::OpenMetrics }
    }

    /// The value of `Content-Type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Plain => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// What a family of samples is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
    Info,
}

/// Writes family after family.
pub(super) struct Text {
    out: String,
    format: Format,
    name: &'static str,
    kind: Kind,
}

impl Text {
    pub(super) fn new(format: Format) -> Self {
        Self { out: String::with_capacity(16 * 1024), format, name: "", kind: Kind::Gauge }
    }

    /// Begins a family, whose name has no suffix.
    pub(super) fn family(&mut self, name: &'static str, kind: Kind, help: &str) {
        (self.name, self.kind) = (name, kind);
        // The older format knows no families of counters: there the name of the sample is the name.
        let (suffix, word) = match (self.format, kind) {
            (Format::Plain, Kind::Counter) => ("_total", "counter"),
            (Format::Plain, Kind::Info) => ("_info", "gauge"),
            (_, Kind::Counter) => ("", "counter"),
            (_, Kind::Gauge) => ("", "gauge"),
            (_, Kind::Histogram) => ("", "histogram"),
            (_, Kind::Info) => ("", "info"),
        };
        // Writing to a string cannot fail; here and below.
        let _ = writeln!(self.out, "# HELP {name}{suffix} {help}.\n# TYPE {name}{suffix} {word}");
    }

    /// One number of the family begun last.
    pub(super) fn value(&mut self, labels: &[(&str, &str)], value: impl Display) {
        let suffix = match self.kind {
            Kind::Counter => "_total",
            Kind::Info => "_info",
            Kind::Gauge | Kind::Histogram => "",
        };
        self.sample(suffix, labels, value);
    }

    /// One histogram of the family begun last.
    pub(super) fn histogram(&mut self, labels: &[(&str, &str)], seen: &super::histogram::Seen) {
        let mut with_bound = labels.to_vec();
        with_bound.push(("le", ""));
        for (bound, count) in seen.cumulative() {
            if let Some(last) = with_bound.last_mut() {
                last.1 = bound;
            }
            self.sample("_bucket", &with_bound, count);
        }
        self.sample("_sum", labels, seen.seconds());
        self.sample("_count", labels, seen.count());
    }

    fn sample(&mut self, suffix: &str, labels: &[(&str, &str)], value: impl Display) {
        self.out.push_str(self.name);
        self.out.push_str(suffix);
        for (at, (name, value)) in labels.iter().enumerate() {
            let _ = write!(self.out, "{}{name}=\"", if at == 0 { '{' } else { ',' });
            for c in value.chars() {
                match c {
                    '"' | '\\' => self.out.extend(['\\', c]),
                    '\n' => self.out.push_str("\\n"),
                    c => self.out.push(c),
                }
            }
            self.out.push('"');
        }
        let _ = writeln!(self.out, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }

    pub(super) fn end(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.out.push_str("# EOF\n");
        }
        self.out
    }
}
