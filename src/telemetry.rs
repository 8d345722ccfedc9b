//! Logs: human on a terminal, JSON otherwise; never blocks a request, never panics on a closed stream.

use tracing::level_filters::LevelFilter;

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
