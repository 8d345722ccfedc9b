//! `airbyte-proxy healthcheck`: asks the proxy of the same configuration how it is. Exit codes 0 and 1 only.

use std::process::ExitCode;

use clap::ArgMatches;

use super::ask::{Question, ask, base};
use super::{args, block_on, output};
use crate::config::{Environment, listeners};

pub(super) fn run(matches: &ArgMatches, env: &Environment) -> ExitCode {
    let path = if matches.get_flag(args::READY) { "/-/ready" } else { "/-/live" };
    let listen = listeners(&args::flags(matches), env);
    let Some(listen) = listen.first() else {
        output::stderr("no listener is configured; airbyte-proxy check tells why");
        return ExitCode::FAILURE;
    };
    match block_on(ask(listen, Question::get(path))) {
        Err(code) => code,
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(sick)) => {
            output::stderr(&format!("{}{path}: {sick}", base(listen)));
            ExitCode::FAILURE
        }
    }
}
