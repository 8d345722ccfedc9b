//! `airbyte-proxy wait`: returns once the proxy of the same configuration is ready. Exit code 1 where it does not become so.

use std::process::ExitCode;
use std::time::Duration;

use clap::ArgMatches;
use tokio::time::{sleep, timeout};

use super::ask::{Question, Sick, ask, base};
use super::{USAGE, args, block_on, output};
use crate::config::{Environment, listeners, parse_duration};
use crate::server::Listen;

const DEFAULT: &str = "60s";
const LIMITS: (Duration, Duration) = (Duration::from_millis(1), Duration::from_secs(86_400));
/// Between two questions.
const PAUSE: Duration = Duration::from_millis(100);
const READY: &str = "/-/ready";

pub(super) fn run(matches: &ArgMatches, env: &Environment) -> ExitCode {
    let limit = matches.get_one::<String>(args::TIMEOUT).map_or(DEFAULT, String::as_str);
    let limit = match parse_duration("--timeout", limit, LIMITS) {
        Ok(limit) => limit,
        Err(problem) => {
            output::stderr(&problem.to_string());
            return ExitCode::from(USAGE);
        }
    };
    let listen = listeners(&args::flags(matches), env);
    let Some(listen) = listen.first() else {
        output::stderr("no listener is configured; airbyte-proxy check tells why");
        return ExitCode::from(USAGE);
    };
    match block_on(ready(listen, limit)) {
        Err(code) => code,
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(last)) => {
            let last = last.map(|sick| format!(": {sick}")).unwrap_or_default();
            output::stderr(&format!("{}{READY}: not ready within {limit:?}{last}", base(listen)));
            ExitCode::FAILURE
        }
    }
}

/// Fails with the last answer, if there was any.
async fn ready(listen: &Listen, limit: Duration) -> Result<(), Option<Sick>> {
    let mut last = None;
    let asking = async {
        loop {
            match ask(listen, Question::get(READY)).await {
                Ok(()) => return Ok(()),
                // That will not change.
                Err(sick @ Sick::UnknownPort) => return Err(sick),
                Err(sick) => last = Some(sick),
            }
            sleep(PAUSE).await;
        }
    };
    match timeout(limit, asking).await {
        Ok(answer) => answer.map_err(Some),
        Err(_) => Err(last),
    }
}
