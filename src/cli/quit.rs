//! `airbyte-proxy quit`: asks the proxy of the same configuration to drain and end, where it may be asked.

use std::process::ExitCode;

use clap::ArgMatches;

use super::ask::{Question, ask, base};
use super::{USAGE, args, block_on, output};
use crate::config::{Environment, listeners};

const PATH: &str = "/-/quit";
/// As `run` sets it, and as people set it for clients of a proxy with client keys.
const KEY: &str = "AIRBYTE_PROXY_KEY";

pub(super) fn run(matches: &ArgMatches, env: &Environment) -> ExitCode {
    let listen = listeners(&args::flags(matches), env);
    let Some(listen) = listen.first() else {
        output::stderr("no listener is configured; airbyte-proxy check tells why");
        return ExitCode::from(USAGE);
    };
    let question = Question { method: "POST", path: PATH, key: env.text(KEY) };
    match block_on(ask(listen, question)) {
        Err(code) => code,
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(sick)) => {
            output::stderr(&format!("{}{PATH}: {sick}", base(listen)));
            ExitCode::FAILURE
        }
    }
}
