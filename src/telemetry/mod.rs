//! Logs (human on a terminal, JSON otherwise; never blocks a request, never panics on a closed stream) and metrics.
//!
//! * `line`: one event → one line, with everything escaped that could fool a terminal or a reader of lines.
//! * `sink`: lines → a bounded buffer → one thread → standard error.
//! * [`Access`]: the one event per request; [`recent`] keeps the last ones.
//! * [`metrics`]: what is counted, for Prometheus.

use std::io::{self, IsTerminal};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anstream::{AutoStream, ColorChoice};
use arc_swap::ArcSwap;
use tracing::field::Visit;
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::{LookupSpan, Registry};

use crate::clock::Clock;

mod access;
mod line;
pub mod metrics;
pub mod recent;
mod sink;

pub use access::Access;
use line::Style;
use sink::Sink;

/// Validated settings of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// How events are written.
    pub format: Format,
    /// The least severe level written.
    pub level: LevelFilter,
}

/// How events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// [`Human`](Self::Human) on a terminal, [`Json`](Self::Json) otherwise.
    Auto,
    /// One readable line.
    Human,
    /// One JSON object a line.
    Json,
}

impl Default for Config {
    fn default() -> Self {
        Self { format: Format::Auto, level: LevelFilter::INFO }
    }
}

/// Where access lines go in JSON, once the log has begun. They are by far the most frequent events, and to ask each field
/// what it is costs more than to write it; the lines are the same.
static JSON: OnceLock<Arc<Sink>> = OnceLock::new();

/// How long the last lines have to get out when the process ends.
const LAST_LINES: Duration = Duration::from_millis(500);

/// Keeps the log running. Dropping it writes what is left, for half a second at most.
#[derive(Debug)]
#[must_use = "the log's last lines are lost without it"]
pub struct Guard {
    sink: Arc<Sink>,
    level: Arc<ArcSwap<LevelFilter>>,
}

impl Guard {
    /// From now on this is the least severe level written.
    pub fn set_level(&self, level: LevelFilter) {
        let before = self.level.swap(Arc::new(level));
        if *before != level {
            // Each place that logs remembers whether it is heard.
            tracing::callsite::rebuild_interest_cache();
        }
    }

    /// The least severe level written.
    pub fn level(&self) -> LevelFilter {
        **self.level.load()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.sink.flush(LAST_LINES);
    }
}

/// Starts the log of this process, on standard error. If it has one already, that one goes on and this call does
/// nothing.
///
/// Also takes over the panic hook: where a panic happened is logged, but of what it says only fixed text, since a
/// formatted message may contain anything. And a full pipe must not block the thread that panics.
pub fn init(config: &Config) -> Guard {
    let terminal = io::stderr().is_terminal();
    let colour = AutoStream::choice(&io::stderr()) != ColorChoice::Never;
    let style = match config.format {
        Format::Json => Style::Json,
        Format::Auto if !terminal => Style::Json,
        Format::Auto | Format::Human => Style::Human { colour: terminal && colour },
    };
    let sink = Sink::start(io::stderr(), sink::REST, move |number| line::dropped(style, number));
    let level = Arc::new(ArcSwap::from_pointee(config.level));
    let log = Log { style, clock: Clock::system(), sink: Arc::clone(&sink), level: Arc::clone(&level) };
    if tracing::subscriber::set_global_default(Registry::default().with(log)).is_ok() {
        std::panic::set_hook(Box::new(log_panic));
        if style == Style::Json {
            // Set once, as the log is.
            let _ = JSON.set(Arc::clone(&sink));
        }
    }
    Guard { sink, level }
}

fn log_panic(panic: &std::panic::PanicHookInfo<'_>) {
    let place = panic.location().map(tracing::field::display);
    let said = panic.payload().downcast_ref::<&'static str>().copied();
    let thread = std::thread::current();
    tracing::error!(place, said, thread = thread.name(), "panic");
}

/// Targets that are ours: this crate's modules, and the access log.
const OURS: [&str; 2] = [env!("CARGO_CRATE_NAME"), access::TARGET];

/// Whether an event is written where `level` is the least severe.
///
/// Other people's libraries may only warn, since their lower levels show what they send. Except at TRACE, which shows
/// everything there is.
fn allows(level: LevelFilter, metadata: &Metadata<'_>) -> bool {
    let ours = OURS.iter().any(|ours| {
        let rest = metadata.target().strip_prefix(ours);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    });
    let cap = if ours || level == LevelFilter::TRACE { level } else { level.min(LevelFilter::WARN) };
    *metadata.level() <= cap
}

/// Writes events to a [`Sink`].
#[derive(Debug)]
struct Log {
    style: Style,
    clock: Clock,
    sink: Arc<Sink>,
    level: Arc<ArcSwap<LevelFilter>>,
}

impl Log {
    fn level(&self) -> LevelFilter {
        **self.level.load()
    }

    fn write(&self, metadata: &Metadata<'_>, span: Option<&str>, record: impl FnOnce(&mut dyn Visit)) {
        line::with(self.style, self.clock.wall(), metadata, span, record, |line| self.sink.push(line));
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Log {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if allows(self.level(), metadata) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        allows(self.level(), metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.level())
    }

    /// Spans are other people's (our events say all that is to be said) and written only where everything is.
    fn on_new_span(&self, span: &Attributes<'_>, _: &Id, _: Context<'_, S>) {
        if self.level() == Level::TRACE {
            self.write(span.metadata(), Some(span.metadata().name()), |fields| span.record(fields));
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(metadata) = context.metadata(id).filter(|_| self.level() == Level::TRACE) {
            self.write(metadata, Some(metadata.name()), |fields| values.record(fields));
        }
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        self.write(event.metadata(), None, |fields| event.record(fields));
    }
}

#[cfg(test)]
mod tests;
