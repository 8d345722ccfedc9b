//! `airbyte-proxy`, `airbyte-proxy serve`: the proxy itself.

use std::process::ExitCode;

use clap::ArgMatches;

use super::{USAGE, block_on, load_all, output};
use crate::app::{App, StartError};
use crate::clock::Clock;
use crate::config::{Config, Environment, Loaded};
use crate::secret::Source;
use crate::server::{Listen, Outcome, Stop, signals};
use crate::telemetry;

/// The first thing most people read of us.
pub(super) const NO_CREDENTIALS: &str = "\
no credentials: the proxy needs the client id and secret of an Airbyte application

To try it without an account:
    airbyte-proxy demo

With an account, write a configuration that has been tried:
    airbyte-proxy init

Or set both, and start it again:
    export AIRBYTE_CLIENT_ID=…
    export AIRBYTE_CLIENT_SECRET=…
Airbyte shows them in its web UI under User settings → Applications (Cloud: https://cloud.airbyte.com).";

pub(super) fn run(matches: &ArgMatches, env: &Environment) -> ExitCode {
    let loaded = match load_all(matches, env) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    start(loaded)
}

/// Hands over to the composition root.
fn start(loaded: Loaded) -> ExitCode {
    let Some(credentials) = loaded.credentials else {
        output::stderr(NO_CREDENTIALS);
        return ExitCode::from(USAGE);
    };
    let _log = telemetry::init(&loaded.config.log);
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    block_on(serve(&loaded.config, credentials, |_| {})).unwrap_or_else(|code| code)
}

/// Binds, tells `bound` where, and serves until a signal ends it.
pub(super) async fn serve(config: &Config, credentials: Source, bound: impl FnOnce(&[Listen])) -> ExitCode {
    // First of all: until then a signal kills.
    let signals = match signals::listen() {
        Ok(signals) => signals,
        Err(error) => {
            output::stderr(&format!("cannot listen to signals: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let stop = Stop::new();
    let app = match App::bind(config, credentials, Clock::system(), stop.clone()).await {
        Ok(app) => app,
        Err(error) => return refused(&error),
    };
    for address in app.addresses() {
        let name = config.name.as_deref();
        tracing::info!(address = %address, upstream = %config.upstream.api_url, name, "listening");
    }
    bound(&app.addresses());
    let reloads = signals.reloads();
    tokio::select! {
        drained = app.run(reloads) => match drained.map(|drained| drained.outcome) {
            Ok(Outcome::Clean) => {
                tracing::info!("drained");
                ExitCode::SUCCESS
            }
            Ok(Outcome::Aborted { open_requests }) => {
                tracing::warn!(open_requests, "the grace ran out with requests open");
                ExitCode::FAILURE
            }
            // Logged when it happened.
            Err(_) => ExitCode::FAILURE,
        },
        code = signals.drive(stop) => ExitCode::from(code),
    }
}

/// Says why it cannot start.
pub(super) fn refused(error: &StartError) -> ExitCode {
    output::stderr(&format!("cannot start: {error}"));
    if let Some(hint) = error.hint() {
        output::stderr(&format!("  hint: {hint}"));
    }
    if error.is_configuration() { ExitCode::from(USAGE) } else { ExitCode::FAILURE }
}
