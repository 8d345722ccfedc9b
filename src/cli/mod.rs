//! The command line: argv → a command → an exit code. The only room that names clap and writes to a terminal.
//!
//! Exit codes: 0 done, 1 failed while running, 2 for anything that the user wrote wrongly.

use std::ffi::OsString;
use std::io::Read as _;
use std::process::ExitCode;

use clap::ArgMatches;

use crate::config::{Environment, Loaded, load};
use crate::secret::{self, Secret};
use crate::server::Listen;

mod args;
mod ask;
mod check;
mod demo;
mod doctor;
mod export;
mod generated;
mod healthcheck;
mod init;
mod output;
mod quit;
mod refuse;
mod run;
mod serve;
mod supervisor;
mod token;
mod wait;

/// What the user wrote is wrong.
const USAGE: u8 = 2;
/// More than a secret may have; enough to notice that there is more.
const MAX_STDIN: u64 = 64 * 1024 + 1;

/// Runs the command in `args`, of which the first is the program's name.
pub fn run(args: Vec<OsString>, env: &Environment) -> ExitCode {
    secret::keep_to_ourselves();
    // Docker reserves 2 in a health check.
    let ours = args.split(|arg| arg == "--").next().unwrap_or_default();
    let usage = if ours.iter().any(|arg| arg == "healthcheck") { 1 } else { USAGE };
    // What stands behind `run --` is somebody else's line.
    if let Some(refusal) = refuse::secret_on_command_line(ours) {
        output::stderr(&refusal);
        return ExitCode::from(usage);
    }
    let matches = match args::command().try_get_matches_from(args) {
        Ok(matches) => matches,
        Err(error) => {
            // Help goes to stdout, which may be closed by now.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(usage) } else { ExitCode::SUCCESS };
        }
    };
    match matches.subcommand() {
        Some(("demo", matches)) => demo::run(matches, env),
        Some(("check", matches)) => check::run(matches, env),
        Some(("export", matches)) => export::run(matches, env),
        Some(("doctor", matches)) => doctor::run(matches, env),
        Some(("run", matches)) => run::run(matches, env),
        Some(("token", matches)) => token::run(matches, env),
        Some(("init", matches)) => init::run(matches, env),
        Some(("healthcheck", matches)) => healthcheck::run(matches, env),
        Some(("wait", matches)) => wait::run(matches, env),
        Some(("quit", matches)) => quit::run(matches, env),
        Some(("completions", matches)) => generated::completions(matches),
        Some(("man", matches)) => generated::man(matches),
        Some((_, matches)) => serve::run(matches, env),
        None => serve::run(&matches, env),
    }
}

/// Loads the configuration with everything it asks for; the problems are told already where it fails.
fn load_all(matches: &ArgMatches, env: &Environment) -> Result<Loaded, ExitCode> {
    load_on(matches, env, Vec::new())
}

/// The same for whoever listens on sockets that were passed, if any were.
fn load_on(matches: &ArgMatches, env: &Environment, passed: Vec<Listen>) -> Result<Loaded, ExitCode> {
    let mut flags = args::flags(matches);
    flags.passed = passed;
    if args::wants_stdin(matches) {
        flags.client_secret = Some(secret_from_stdin()?);
    }
    load(&flags, env).map_err(|problems| {
        output::stderr(&problems.to_string());
        ExitCode::from(USAGE)
    })
}

fn secret_from_stdin() -> Result<Secret, ExitCode> {
    use std::io::IsTerminal as _;

    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        output::stderr("reading the client secret from this terminal; end it with Enter and Ctrl-D");
    }
    let mut text = String::new();
    match stdin.lock().take(MAX_STDIN).read_to_string(&mut text) {
        Ok(_) => Ok(Secret::new(text)),
        Err(error) => {
            output::stderr(&format!("--client-secret-stdin: cannot be read: {}", error.kind()));
            Err(ExitCode::from(USAGE))
        }
    }
}

/// Runs `work` to its end on a runtime of this thread.
///
/// What it leaves on the blocking pool is left there: a name lookup or a read from a network's disk cannot be cancelled,
/// and to wait for it would hold up the end of the process.
fn block_on<T>(work: impl Future<Output = T>) -> Result<T, ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
        output::stderr(&format!("cannot start: {error}"));
        ExitCode::FAILURE
    })?;
    let done = runtime.block_on(work);
    runtime.shutdown_background();
    Ok(done)
}
