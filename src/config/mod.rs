//! What the user wrote (raw) → values that cannot be wrong.

use crate::{mint, proxy, server, telemetry, token};

/// Everything the daemon needs to run, valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Listeners, connections, drain.
    pub server: server::Config,
    /// The request stack.
    pub proxy: proxy::Config,
    /// Where requests go.
    pub upstream: proxy::upstream::Config,
    /// How a token is asked for.
    pub mint: mint::Config,
    /// How a token is kept.
    pub token: token::Config,
    /// Logs.
    pub log: telemetry::Config,
}
