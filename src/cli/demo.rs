//! `airbyte-proxy demo`: a simulated Airbyte and the proxy in front of it, in one process.

use std::process::ExitCode;
use std::time::Duration;

use clap::ArgMatches;

use super::supervisor::{self, Supervisor};
use super::{USAGE, args, block_on, output, serve};
use crate::airbyte::BaseUrl;
use crate::airbyte::paths::{CONFIG_API_PATH, TOKEN_ENDPOINT};
use crate::config::{Config, Environment, load_local, parse_duration};
use crate::demo::{Options, Simulator};
use crate::secret::{Half, Origin, Secret, Source, Trusted};
use crate::server::{Listen, Passed};
use crate::{mint, telemetry};

/// Short enough to be renewed while one watches.
const DEFAULT_LIFETIME: &str = "30s";
const LIFETIMES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(86_400));

pub(super) fn run(matches: &ArgMatches, env: &Environment) -> ExitCode {
    let (supervisor, passed) = match supervisor::find(env) {
        Ok(found) => found,
        Err(code) => return code,
    };
    let mut flags = args::flags(matches);
    flags.passed = passed.addresses();
    // Not read: the loader refuses the flag, whatever it would bring.
    flags.client_secret = args::wants_stdin(matches).then(|| Secret::new(String::new()));
    let lifetime = matches.get_one::<String>(args::TOKEN_LIFETIME).map_or(DEFAULT_LIFETIME, String::as_str);
    let lifetime = parse_duration("--token-lifetime", lifetime, LIFETIMES);
    match (load_local(&flags, env), lifetime) {
        (Ok(config), Ok(lifetime)) => start(config, lifetime, (&supervisor, passed)),
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

/// Starts the simulator and puts it in the place of upstream.
fn start(mut config: Config, token_lifetime: Duration, by: (&Supervisor, Passed)) -> ExitCode {
    let _log = telemetry::init(&config.log);
    let ended = block_on(async {
        let options = Options { token_lifetime, ..Options::default() };
        let simulator = match Simulator::start(options) {
            Ok(simulator) => simulator,
            Err(error) => {
                output::stderr(&format!("cannot start the simulated Airbyte: {error}"));
                return ExitCode::FAILURE;
            }
        };
        let Ok(api_url) = BaseUrl::parse(&simulator.api_url()) else { return ExitCode::FAILURE };
        config.mint = mint::Config { url: api_url.join(TOKEN_ENDPOINT), ..config.mint };
        config.upstream.config_api_url = Some(api_url.with_path(CONFIG_API_PATH));
        config.upstream.api_url = api_url;
        let banner = |addresses: &[Listen]| output::offer(banner(addresses, token_lifetime));
        let code = serve::serve(&config, source(&simulator), by, banner, || {}).await;
        let counts = simulator.handle().counts();
        output::offer(format!(
            "\nThe simulated Airbyte saw {} requests, {} of them without a live token, and minted {} tokens.",
            counts.requests,
            counts.unauthorized(),
            counts.mints
        ));
        code
    });
    ended.unwrap_or_else(|code| code)
}

fn source(simulator: &Simulator) -> Source {
    let half = |value: Secret| Half { place: "demo".to_owned(), origin: Origin::Value(value) };
    let id = half(Secret::new(simulator.client_id()));
    Source::new(id, half(simulator.client_secret()), Trusted::default())
}

fn banner(addresses: &[Listen], token_lifetime: Duration) -> String {
    let address = addresses.first().map_or(String::new(), ToString::to_string);
    let curl = match addresses.first() {
        Some(Listen::Unix(path)) => {
            format!("curl --unix-socket '{}' http://localhost/v1/workspaces", path.display())
        }
        _ => format!("curl {address}/v1/workspaces"),
    };
    format!(
        "airbyte-proxy demo: a simulated Airbyte, and the proxy in front of it at {address}\n\
         \n\
         Try it in another terminal:\n    {curl}\n\
         \n\
         Tokens live {} s here, and are renewed while you watch. Ctrl-C ends it.\n",
        token_lifetime.as_secs()
    )
}
