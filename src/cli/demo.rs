//! `airbyte-proxy demo`: a simulated Airbyte and the proxy in front of it, in one process.

use std::process::ExitCode;
use std::time::Duration;

use clap::ArgMatches;

use super::{USAGE, args, output};
use crate::config::{Config, Environment, load_local, parse_duration};
use crate::secret::Secret;

/// Short enough to be renewed while one watches.
const DEFAULT_LIFETIME: &str = "30s";
const LIFETIMES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(86_400));

pub(super) fn run(matches: &ArgMatches, env: &Environment) -> ExitCode {
    let mut flags = args::flags(matches);
    // Not read: the loader refuses the flag, whatever it would bring.
    flags.client_secret = args::wants_stdin(matches).then(|| Secret::new(String::new()));
    let lifetime = matches.get_one::<String>(args::TOKEN_LIFETIME).map_or(DEFAULT_LIFETIME, String::as_str);
    let lifetime = parse_duration("--token-lifetime", lifetime, LIFETIMES);
    match (load_local(&flags, env), lifetime) {
        (Ok(config), Ok(lifetime)) => start(config, lifetime),
        (config, lifetime) => {
            if let Err(problems) = config {
                output::stderr(&problems.to_string());
            }
            if let Err(problem) = lifetime {
                output::stderr(&problem.to_string());
            }
            ExitCode::from(USAGE)
        }
    }
}

/// Hands over to the simulator. `config` has the listeners, limits and logs; its upstream and token endpoint are the
/// defaults, to be replaced by the simulator's.
fn start(config: Config, token_lifetime: Duration) -> ExitCode {
    drop(config);
    output::stderr(&format!("not built yet (tokens of {token_lifetime:?})"));
    ExitCode::FAILURE
}
