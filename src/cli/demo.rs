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
const DEFAULT_JOB: &str = "8s";
const JOBS: (Duration, Duration) = (Duration::from_millis(1), Duration::from_secs(86_400));
/// The requests of a whole test suite, and not of a day.
const RECORD: usize = 1000;
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
    let duration = |name, default: &str, limits| {
        let text = matches.get_one::<String>(name).map_or(default, String::as_str);
        parse_duration(&format!("--{name}"), text, limits)
    };
    let lifetime = duration(args::TOKEN_LIFETIME, DEFAULT_LIFETIME, LIFETIMES);
    let job = duration(args::JOB_DURATION, DEFAULT_JOB, JOBS);
    match (load_local(&flags, env), lifetime, job) {
        (Ok(config), Ok(token_lifetime), Ok(job_duration)) => {
            let seed = matches.get_one(args::SEED).copied().unwrap_or(Options::default().seed);
            let options = Options { token_lifetime, seed, job_duration, ..Options::default() };
            start(config, Options { controls: true, record: RECORD, ..options }, (&supervisor, passed))
        }
        (config, lifetime, job) => {
            if let Err(problems) = config {
                output::stderr(&problems.to_string());
            }
            for problem in [lifetime, job].into_iter().filter_map(Result::err) {
                output::stderr(&problem.to_string());
            }
            ExitCode::from(USAGE)
        }
    }
}

/// Starts the simulator and puts it in the place of upstream.
fn start(mut config: Config, options: Options, by: (&Supervisor, Passed)) -> ExitCode {
    let _log = telemetry::init(&config.log);
    let ended = block_on(async {
        let token_lifetime = options.token_lifetime;
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
        let banner =
            |addresses: &[Listen]| output::offer(banner(config.name.as_deref(), addresses, token_lifetime));
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

fn banner(name: Option<&str>, addresses: &[Listen], token_lifetime: Duration) -> String {
    let named = name.map(|name| format!(" \"{name}\"")).unwrap_or_default();
    let address = addresses.first().map_or(String::new(), reached_at);
    let curl = match addresses.first() {
        Some(Listen::Unix(path)) => {
            format!("curl --unix-socket '{}' http://localhost/v1/workspaces", path.display())
        }
        _ => format!("curl {address}/v1/workspaces"),
    };
    format!(
        "airbyte-proxy demo{named}: a simulated Airbyte, and the proxy in front of it at {address}\n\
         \n\
         Try it in another terminal:\n    {curl}\n\
         \n\
         Tokens live {} s here, and are renewed while you watch. Ctrl-C ends it.\n",
        token_lifetime.as_secs()
    )
}

/// As somebody on this machine asks for it. The address that stands for all of them is no name that the guard knows.
fn reached_at(listen: &Listen) -> String {
    match listen {
        Listen::Tcp(address) if address.ip().is_unspecified() => {
            format!("http://localhost:{}", address.port())
        }
        listen => listen.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_banner_says_to_type_is_answered() {
        for (listens, url) in [
            ("127.0.0.1:8484", "http://127.0.0.1:8484"),
            ("0.0.0.0:8484", "http://localhost:8484"),
            ("[::]:8485", "http://localhost:8485"),
        ] {
            let addresses = [Listen::Tcp(listens.parse().expect("an address"))];
            let banner = banner(None, &addresses, Duration::from_secs(30));
            assert!(banner.contains(&format!("curl {url}/v1/workspaces\n")), "{banner}");
            assert!(banner.contains(&format!("in front of it at {url}\n")), "{banner}");
        }
    }
}
