//! `airbyte-proxy run -- COMMAND`: a proxy for one command, on a port and with a client key that nobody else knows.
//!
//! The command starts as soon as the proxy listens; its requests wait for the first token, as any do. It inherits
//! everything but what would let it do without the proxy (`variables`). Signals reach it (`signals`), and its end is ours.

use std::ffi::OsString;
use std::io;
use std::process::{ExitCode, ExitStatus};
use std::sync::Arc;

use clap::ArgMatches;
use tokio::process::Child;

use super::{USAGE, args, block_on, load_all, output, serve, supervisor};
use crate::app::App;
use crate::clock::Clock;
use crate::config::{Config, Environment, Loaded, Origin};
use crate::secret::{ClientKeys, Secret, Source};
use crate::server::{Listen, Stop};
use crate::telemetry;

mod signals;
mod variables;

/// The name of the only client, for logs and for rules.
const CLIENT: &str = "run";
/// As shells have it: found, but no program.
const NOT_EXECUTABLE: u8 = 126;
/// As shells have it.
const NOT_FOUND: u8 = 127;

pub(super) fn run(matches: &ArgMatches, env: &Environment) -> ExitCode {
    let Some(command) = matches.get_many::<OsString>(args::COMMAND) else { return ExitCode::from(USAGE) };
    let command: Vec<_> = command.cloned().collect();
    // Closes sockets that were passed: neither this proxy nor the command listens on them.
    if let Err(code) = supervisor::find(env) {
        return code;
    }
    let Loaded { config, credentials, rows, warnings, .. } = match load_all(matches, env) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    let Some(credentials) = credentials else {
        output::stderr(serve::NO_CREDENTIALS);
        return ExitCode::from(USAGE);
    };
    let given = |key: &str| rows.iter().any(|row| row.key == key && row.origin != Origin::Default);
    let config = private(config, given("log.level"), given("log.format"));
    let _log = telemetry::init(&config.log);
    for warning in &warnings {
        // About serving others, mostly, which this does not.
        tracing::info!("{warning}");
    }
    block_on(serving(&config, credentials, &command, env)).unwrap_or_else(|code| code)
}

/// For one command on this machine. Its own output is what people want to see, so the log only warns, in words.
fn private(mut config: Config, own_level: bool, own_format: bool) -> Config {
    config.server.listen = vec![Listen::Tcp(([127, 0, 0, 1], 0).into())];
    config.server.published_port = false;
    config.keys = None;
    // What leads back to the proxy must lead to this one.
    config.guard.public_url = None;
    config.proxy.lists.public_url = None;
    if !own_level {
        config.log.level = tracing::level_filters::LevelFilter::WARN;
    }
    if !own_format {
        config.log.format = telemetry::Format::Human;
    }
    config
}

async fn serving(config: &Config, credentials: Source, command: &[OsString], env: &Environment) -> ExitCode {
    let signals = match signals::listen() {
        Ok(signals) => signals,
        Err(error) => {
            output::stderr(&format!("cannot listen to signals: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let key = match Secret::random() {
        Ok(key) => key,
        Err(error) => {
            output::stderr(&format!("there are no random numbers for a client key: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let secret = credentials.secret().clone();
    let keys = ClientKeys::from([(CLIENT.to_owned(), key.clone())]);
    let (stop, clock) = (Stop::new(), Clock::system());
    let app = match App::bind_for(config, credentials, clock, stop.clone(), &keys).await {
        Ok(app) => app,
        Err(error) => return serve::refused(&error),
    };
    let Some(Listen::Tcp(address)) = app.addresses().into_iter().next() else { return ExitCode::FAILURE };
    let mut child = variables::command(command, env, &secret, address, &key);
    let proxy = tokio::spawn(app.run(Arc::default()));
    let code = match child.spawn() {
        Ok(child) => ended(child, signals).await,
        Err(error) => not_started(command, &error),
    };
    // Whoever is left behind by the command has no business with the account.
    stop.abort();
    let _ = proxy.await;
    code
}

/// Waits for the end of the command, handing on what we are told meanwhile.
async fn ended(mut child: Child, mut signals: signals::Signals) -> ExitCode {
    loop {
        tokio::select! {
            status = child.wait() => return match status {
                Ok(status) => ExitCode::from(code(status)),
                Err(error) => {
                    output::stderr(&format!("cannot wait for the command: {error}"));
                    ExitCode::FAILURE
                }
            },
            signal = signals.next() => signals::send(&child, signal),
        }
    }
}

/// That of the command, or as shells tell of a signal.
fn code(status: ExitStatus) -> u8 {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return u8::try_from(128 + signal).unwrap_or(u8::MAX);
    }
    status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

fn not_started(command: &[OsString], error: &io::Error) -> ExitCode {
    let program = command.first().map(|program| program.to_string_lossy().into_owned()).unwrap_or_default();
    let (why, code) = match error.kind() {
        io::ErrorKind::NotFound => ("no such program".to_owned(), NOT_FOUND),
        io::ErrorKind::PermissionDenied => ("permission denied".to_owned(), NOT_EXECUTABLE),
        _ => (error.to_string(), NOT_EXECUTABLE),
    };
    output::stderr(&format!("cannot start {program}: {why}"));
    ExitCode::from(code)
}
