//! `airbyte-proxy`, `airbyte-proxy serve`: the proxy itself.

use std::process::ExitCode;
use std::sync::Arc;

use clap::ArgMatches;
use tokio::sync::Notify;

use super::supervisor::{self, Supervisor};
use super::{USAGE, args, block_on, load_on, output};
use crate::app::{App, Fallen, StartError};
use crate::clock::Clock;
use crate::config::{Config, Environment, Flags, Loaded, log_level};
use crate::secret::Source;
use crate::server::{Drained, Listen, Outcome, Passed, Stop, signals};
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
    let (supervisor, passed) = match supervisor::find(env) {
        Ok(found) => found,
        Err(code) => return code,
    };
    let loaded = match load_on(matches, env, passed.addresses()) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    start(loaded, &args::flags(matches), env, (&supervisor, passed))
}

/// Hands over to the composition root.
fn start(loaded: Loaded, flags: &Flags, env: &Environment, by: (&Supervisor, Passed)) -> ExitCode {
    let Some(credentials) = loaded.credentials else {
        output::stderr(NO_CREDENTIALS);
        return ExitCode::from(USAGE);
    };
    let log = telemetry::init(&loaded.config.log);
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let reloaded = || level_again(&log, flags, env);
    block_on(serve(&loaded.config, credentials, by, |_| {}, reloaded)).unwrap_or_else(|code| code)
}

/// At SIGHUP `log.level` may be another.
fn level_again(log: &telemetry::Guard, flags: &Flags, env: &Environment) {
    match log_level(flags, env) {
        Ok(level) if level == log.level() => {}
        Ok(level) => {
            let told = || tracing::info!(now = %level, "log.level has changed");
            // While it can be heard, whichever way it goes.
            if level < log.level() {
                told();
                log.set_level(level);
            } else {
                log.set_level(level);
                told();
            }
        }
        Err(problems) => {
            tracing::warn!(reason = %problems, "the configuration is wrong by now; log.level stays");
        }
    }
}

/// Binds, tells `bound` where, and serves until a signal ends it. At SIGHUP `reloaded` is called, and the credentials
/// are read again.
pub(super) async fn serve(
    config: &Config,
    credentials: Source,
    (supervisor, passed): (&Supervisor, Passed),
    bound: impl FnOnce(&[Listen]),
    reloaded: impl Fn(),
) -> ExitCode {
    // First of all: until then a signal kills.
    let signals = match signals::listen() {
        Ok(signals) => signals,
        Err(error) => {
            output::stderr(&format!("cannot listen to signals: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let stop = Stop::new();
    let by_us = passed.is_empty();
    let app = match App::bind_or(config, credentials, Clock::system(), stop.clone(), passed).await {
        Ok(app) => app,
        Err(error) => return refused(&error),
    };
    for address in app.addresses() {
        let (name, passed) = (config.name.as_deref(), (!by_us).then_some(true));
        tracing::info!(address = %address, upstream = %config.upstream.api_url, name, passed, "listening");
    }
    bound(&app.addresses());
    let (reloads, credentials) = (signals.reloads(), Arc::new(Notify::new()));
    let reloading = async {
        loop {
            reloads.notified().await;
            supervisor.reloading().await;
            reloaded();
            credentials.notify_one();
            supervisor.reloaded().await;
        }
    };
    let following = supervisor.follow(app.tokens().clone(), stop.clone());
    let running = async { tokio::join!(app.run(Arc::clone(&credentials)), following).0 };
    tokio::select! {
        () = reloading => ExitCode::FAILURE,
        drained = running => ended(drained),
        code = signals.drive(stop) => ExitCode::from(code),
    }
}

fn ended(drained: Result<Drained, Fallen>) -> ExitCode {
    match drained.map(|drained| drained.outcome) {
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
