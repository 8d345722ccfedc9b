//! One event → one line.
//!
//! Whatever a value contains, it ends up on one line and moves no cursor: control characters of both sets, line
//! separators and the marks that reorder text are written as escapes.

use std::cell::RefCell;
use std::error::Error;
use std::fmt::{self, Write as _};

use tracing::field::{Field, Visit};
use tracing::{Level, Metadata};

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
        let Buffers { line, fields } = &mut *buffers;
        line.clear();
        fields.clear();
        match style {
            Style::Human { colour } => human(line, fields, colour, wall, metadata, span, record),
            Style::Json => json(line, wall, metadata, span, record),
        }
        line.push('\n');
        take(line);
    });
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
    wall: i64,
    metadata: &Metadata<'_>,
    span: Option<&str>,
    record: impl FnOnce(&mut dyn Visit),
) {
    line.push_str("{\"ts\":\"");
    if let Ok(time) = jiff::Timestamp::from_millisecond(wall) {
        let _ = write!(line, "{time:.3}");
    }
    let _ = write!(line, "\",\"level\":\"{}\",\"target\":", metadata.level());
    quoted(line, metadata.target());
    if let Some(span) = span {
        line.push_str(",\"span\":");
        quoted(line, span);
    }
    record(&mut Json(line));
    line.push('}');
}

fn quoted(line: &mut String, value: impl fmt::Display) {
    line.push('"');
    let _ = write!(Escaped(line, escape_json), "{value}");
    line.push('"');
}

struct Json<'a>(&'a mut String);

impl Json<'_> {
    /// The fields are flat, beside ours: a field of somebody's that has the name of one of ours is set apart.
    fn key(&mut self, field: &Field) {
        let ours = matches!(field.name(), "ts" | "level" | "target" | "span");
        self.0.push(',');
        quoted(self.0, format_args!("{}{}", if ours { "_" } else { "" }, field.name()));
        self.0.push(':');
    }

    fn bare(&mut self, field: &Field, value: impl fmt::Display) {
        self.key(field);
        let _ = write!(self.0, "{value}");
    }
}

impl Visit for Json<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        if value.is_finite() {
            self.bare(field, value);
        } else {
            self.bare(field, "null");
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.bare(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.bare(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.bare(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.key(field);
        quoted(self.0, value);
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
        let mut rest = s;
        while let Some(at) = rest.find(special) {
            let (plain, tail) = rest.split_at(at);
            self.0.push_str(plain);
            let mut characters = tail.chars();
            if let Some(c) = characters.next()
                && !(self.1)(self.0, c)
            {
                self.0.push(c);
            }
            rest = characters.as_str();
        }
        self.0.push_str(rest);
        Ok(())
    }
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
