//! One event → one line.
//!
//! Whatever a value contains, it ends up on one line and moves no cursor: control characters of both sets, line
//! separators and the marks that reorder text are written as escapes.

use std::cell::RefCell;
use std::error::Error;
use std::fmt::{self, Write as _};
use std::time::Duration;

use tracing::field::{Field, Visit};
use tracing::{Level, Metadata};

use super::Access;
use super::access::millis;

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Human { colour: bool },
    Json,
}

thread_local! {
    /// Reused, so that a line in the steady state allocates nothing.
    static BUFFERS: RefCell<Buffers> = RefCell::default();
}

#[derive(Debug, Default)]
struct Buffers {
    line: String,
    fields: String,
    stamp: Stamp,
}

/// The time up to its second, which many lines have in common.
#[derive(Debug, Default)]
struct Stamp {
    /// Since the epoch.
    second: i64,
    text: String,
}

impl Stamp {
    /// RFC 3339 with milliseconds, of a time in milliseconds since the epoch.
    fn write(&mut self, line: &mut String, wall: i64) {
        let (second, milli) = (wall.div_euclid(1000), wall.rem_euclid(1000));
        if self.text.is_empty() || self.second != second {
            self.second = second;
            self.text.clear();
            if let Ok(time) = jiff::Timestamp::from_second(second) {
                let _ = write!(self.text, "{time:.0}");
            }
            self.text.truncate(self.text.trim_end_matches('Z').len());
        }
        line.push_str(&self.text);
        // 1049 for 049: the first digit is not written.
        line.push('.');
        line.push_str(itoa::Buffer::new().format(1000 + milli).get(1..).unwrap_or_default());
        line.push('Z');
    }
}

/// Formats one event, or one span if it has a name, and hands the line (with its end) to `take`.
pub(super) fn with(
    style: Style,
    wall: i64,
    metadata: &Metadata<'_>,
    span: Option<&str>,
    record: impl FnOnce(&mut dyn Visit),
    take: impl FnOnce(&str),
) {
    BUFFERS.with(|buffers| {
        // Formatting a value may log, in principle; that inner event then does without.
        let Ok(mut buffers) = buffers.try_borrow_mut() else { return };
        let Buffers { line, fields, stamp } = &mut *buffers;
        line.clear();
        fields.clear();
        match style {
            Style::Human { colour } => human(line, fields, colour, wall, metadata, span, record),
            Style::Json => json(line, stamp, wall, metadata, span, record),
        }
        line.push('\n');
        take(line);
    });
}

/// The line of one request as [`Style::Json`] has it, without asking each field what it is.
pub(super) fn access(access: &Access<'_>, wall: i64, take: impl FnOnce(&str)) {
    BUFFERS.with(|buffers| {
        let Ok(mut buffers) = buffers.try_borrow_mut() else { return };
        let Buffers { line, stamp, .. } = &mut *buffers;
        line.clear();
        line.push_str("{\"ts\":\"");
        stamp.write(line, wall);
        line.push_str("\",\"level\":\"INFO\",\"target\":\"access\"");
        let mut line = Members(line);
        line.text(",\"method\":", Some(access.method));
        line.text(",\"route\":", Some(access.route));
        line.whole(",\"status\":", Some(access.status.into()));
        line.millis(",\"duration_ms\":", Some(access.duration));
        line.millis(",\"upstream_ms\":", access.upstream);
        line.whole(",\"bytes_in\":", Some(access.bytes_in));
        line.whole(",\"bytes_out\":", Some(access.bytes_out));
        line.whole(",\"rows\":", access.rows);
        line.whole(",\"generation\":", access.generation);
        if access.replayed {
            line.0.push_str(",\"replayed\":true");
        }
        line.text(",\"client\":", access.client);
        line.text(",\"error\":", access.error);
        line.text(",\"rule\":", access.rule);
        line.text(",\"request_id\":", Some(access.request_id));
        line.text(",\"trace_id\":", access.trace_id);
        line.0.push_str("}\n");
        take(line.0);
    });
}

/// Members of an object, each with its name as it is written.
struct Members<'a>(&'a mut String);

impl Members<'_> {
    fn text(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.0.push_str(name);
            quoted_text(self.0, value);
        }
    }

    fn whole(&mut self, name: &str, value: Option<u64>) {
        if let Some(value) = value {
            self.0.push_str(name);
            self.0.push_str(itoa::Buffer::new().format(value));
        }
    }

    fn millis(&mut self, name: &str, value: Option<Duration>) {
        if let Some(value) = value {
            self.0.push_str(name);
            float(self.0, millis(value));
        }
    }
}

/// The line that says that others are missing.
pub(super) fn dropped(style: Style, number: u64) -> String {
    match style {
        Style::Human { .. } => {
            format!("{number} log lines were dropped: nobody reads standard error fast enough\n")
        }
        Style::Json => {
            format!(
                "{{\"level\":\"WARN\",\"target\":\"telemetry\",\"message\":\"log lines were dropped\",\"dropped\":{number}}}\n"
            )
        }
    }
}

fn human(
    line: &mut String,
    fields: &mut String,
    colour: bool,
    wall: i64,
    metadata: &Metadata<'_>,
    span: Option<&str>,
    record: impl FnOnce(&mut dyn Visit),
) {
    let seconds = wall.div_euclid(1000).rem_euclid(86_400);
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let target = metadata.target();
    let target = target.strip_prefix(concat!(env!("CARGO_CRATE_NAME"), "::")).unwrap_or(target);
    let level = metadata.level();
    // Writing to a string cannot fail; here and below.
    let _ = if colour {
        let code = colour_of(*level);
        write!(
            line,
            "\x1b[2m{hours:02}:{minutes:02}:{seconds:02}\x1b[0m \x1b[{code}m{level:>5}\x1b[0m \x1b[2m{target}:\x1b[0m"
        )
    } else {
        write!(line, "{hours:02}:{minutes:02}:{seconds:02} {level:>5} {target}:")
    };
    if let Some(span) = span {
        let _ = write!(line, " [{span}]");
    }
    record(&mut Human { line, fields });
    line.push_str(fields);
}

fn colour_of(level: Level) -> u8 {
    match level {
        Level::ERROR => 31,
        Level::WARN => 33,
        Level::INFO => 32,
        Level::DEBUG => 34,
        Level::TRACE => 35,
    }
}

/// The message goes to the line; fields, wherever they come, behind it.
struct Human<'a> {
    line: &'a mut String,
    fields: &'a mut String,
}

impl Visit for Human<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.record_debug(field, &format_args!("{}", Chain(value)));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.line.push(' ');
            let _ = write!(Escaped(self.line, escape_human), "{value:?}");
            return;
        }
        let _ = write!(self.fields, " {}=", field.name());
        let start = self.fields.len();
        let _ = write!(Escaped(self.fields, escape_value), "{value:?}");
        let written = self.fields.get(start..).unwrap_or_default();
        if written.is_empty() || written.contains([' ', '=']) {
            self.fields.insert(start, '"');
            self.fields.push('"');
        }
    }
}

fn json(
    line: &mut String,
    stamp: &mut Stamp,
    wall: i64,
    metadata: &Metadata<'_>,
    span: Option<&str>,
    record: impl FnOnce(&mut dyn Visit),
) {
    line.push_str("{\"ts\":\"");
    stamp.write(line, wall);
    line.push_str("\",\"level\":\"");
    line.push_str(metadata.level().as_str());
    line.push_str("\",\"target\":");
    quoted_text(line, metadata.target());
    if let Some(span) = span {
        line.push_str(",\"span\":");
        quoted_text(line, span);
    }
    record(&mut Json(line));
    line.push('}');
}

fn quoted(line: &mut String, value: impl fmt::Display) {
    line.push('"');
    let _ = write!(Escaped(line, escape_json), "{value}");
    line.push('"');
}

/// Without the detour over formatting, which costs more than all the rest of a line.
fn quoted_text(line: &mut String, value: &str) {
    line.push('"');
    escaped(line, value, escape_json);
    line.push('"');
}

struct Json<'a>(&'a mut String);

impl Json<'_> {
    /// The fields are flat, beside ours: a field of somebody's that has the name of one of ours is set apart.
    fn key(&mut self, field: &Field) {
        let ours = matches!(field.name(), "ts" | "level" | "target" | "span");
        self.0.push_str(if ours { ",\"_" } else { ",\"" });
        escaped(self.0, field.name(), escape_json);
        self.0.push_str("\":");
    }

    fn whole(&mut self, field: &Field, value: impl itoa::Integer) {
        self.key(field);
        self.0.push_str(itoa::Buffer::new().format(value));
    }
}

impl Visit for Json<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.key(field);
        float(self.0, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.whole(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.whole(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.key(field);
        self.0.push_str(if value { "true" } else { "false" });
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.key(field);
        quoted_text(self.0, value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.key(field);
        quoted(self.0, Chain(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.key(field);
        quoted(self.0, format_args!("{value:?}"));
    }
}

fn float(line: &mut String, value: f64) {
    if let Some((whole, tenth)) = tenths(value) {
        line.push_str(itoa::Buffer::new().format(whole));
        if tenth != 0 {
            line.push('.');
            line.push(char::from(b'0' + tenth));
        }
    } else if value.is_finite() {
        let _ = write!(line, "{value}");
    } else {
        line.push_str("null");
    }
}

/// A number of few digits whose last one is of tenths, as durations in the log are: `(12, 3)` for 12.3.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "in range, and whole where it counts"
)]
fn tenths(value: f64) -> Option<(u64, u8)> {
    let tenths = (value * 10.0).round();
    // What this prints must be what was given: 0.1 + 0.2 is not 0.3.
    let same = (tenths / 10.0).to_bits() == value.to_bits();
    ((0.0..1e15).contains(&tenths) && same).then_some(((tenths as u64) / 10, (tenths as u64 % 10) as u8))
}

/// An error and its causes: each `Display` says its own level only.
struct Chain<'a>(&'a (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

/// Escapes what is written through it, without a copy in between.
struct Escaped<'a>(&'a mut String, fn(&mut String, char) -> bool);

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        escaped(self.0, s, self.1);
        Ok(())
    }
}

fn escaped(out: &mut String, text: &str, escape: fn(&mut String, char) -> bool) {
    // Nearly everything is of this kind. Looked at to its end, since that can be done many bytes at a time.
    let plain = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
    if text.bytes().fold(true, |all, byte| all & plain(byte)) {
        out.push_str(text);
        return;
    }
    let mut rest = text;
    while let Some(at) = rest.find(special) {
        let (plain, tail) = rest.split_at(at);
        out.push_str(plain);
        let mut characters = tail.chars();
        if let Some(c) = characters.next()
            && !escape(out, c)
        {
            out.push(c);
        }
        rest = characters.as_str();
    }
    out.push_str(rest);
}

/// Whatever some style escapes.
fn special(c: char) -> bool {
    c == '"' || c == '\\' || harmful(c)
}

fn harmful(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn escape_human(out: &mut String, c: char) -> bool {
    if harmful(c) {
        out.extend(c.escape_default());
    }
    harmful(c)
}

fn escape_value(out: &mut String, c: char) -> bool {
    if c == '"' {
        out.push_str("\\\"");
        return true;
    }
    escape_human(out, c)
}

fn escape_json(out: &mut String, c: char) -> bool {
    match c {
        '"' | '\\' => {
            out.push('\\');
            out.push(c);
        }
        // All of them are below U+10000.
        _ => {
            let _ = write!(out, "\\u{:04x}", u32::from(c));
        }
    }
    true
}
