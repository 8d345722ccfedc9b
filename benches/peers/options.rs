//! What to run, from the command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use crate::Result;

#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) mode: String,
    pub(crate) quick: bool,
    pub(crate) only: Vec<String>,
    pub(crate) repeat: usize,
    pub(crate) warm: Duration,
    pub(crate) seconds: Duration,
    pub(crate) proxies: Vec<String>,
    /// The first is ours; any further one is compared with it.
    pub(crate) binaries: Vec<String>,
    pub(crate) round_trip: Duration,
    pub(crate) pause: Duration,
    pub(crate) token_bytes: usize,
    pub(crate) out: Option<PathBuf>,
}

/// The modes, each with what it shows.
pub(crate) const MODES: [(&str, &str); 7] = [
    ("table", "CPU, throughput, latency and memory, by connections, bodies and protocols"),
    ("cold", "the first request after start and after a pause, in round trips"),
    ("refresh", "latency while tokens are renewed and while they are not"),
    ("idle", "memory, wake-ups and size at rest, and memory per idle client"),
    ("streams", "256 slow answers at the same time"),
    ("scale", "two workers against one at equal load"),
    ("scrape", "full load while the metrics are asked for and while they are not"),
];

const LONG: &str = "\
Words of --only: 1, 64, 512 (connections); 1k, 1m (body); h1, h2 (upstream); get, post.
Of one kind any may hold, of different kinds all must.";

fn command() -> Command {
    let number = |name: &'static str, default: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_parser(value_parser!(f64)).default_value(default).help(help)
    };
    let list = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_delimiter(',').action(ArgAction::Append).help(help)
    };
    let modes = MODES.iter().map(|(name, _)| *name).chain(["all"]);
    let help: Vec<_> = MODES.iter().map(|(name, shows)| format!("{name}: {shows}")).collect();
    Command::new("peers")
        .about("airbyte-proxy beside other proxies, on this machine")
        .after_help(LONG)
        .arg(
            Arg::new("mode")
                .value_parser(modes.collect::<Vec<_>>())
                .default_value("table")
                .help(help.join("\n")),
        )
        .arg(Arg::new("quick").long("quick").action(ArgAction::SetTrue).help("A few cells, once, briefly"))
        .arg(list("only", "Part of the table: words, separated by commas"))
        .arg(list("proxies", "Some of airbyte-proxy, nginx, haproxy, envoy, caddy"))
        .arg(
            Arg::new("repeat")
                .long("repeat")
                .value_parser(value_parser!(u16).range(1..=100))
                .default_value("5")
                .help("Runs of each, interleaved; medians are shown"),
        )
        .arg(number("warm", "1", "Seconds before anything counts"))
        .arg(number("seconds", "4", "Seconds that count"))
        .arg(number("rtt", "50", "Milliseconds to the pretended upstream (cold)"))
        .arg(number("pause", "60", "Seconds without a request (cold)"))
        .arg(
            Arg::new("token-bytes")
                .long("token-bytes")
                .value_parser(value_parser!(u16).range(16..=4000))
                .default_value("900")
                .help("Length of tokens; Airbyte's are JWTs of about this length"),
        )
        .arg(
            list(
                "binary",
                "dist (if none is named), release or dev, to build it so, or the path of one; several are \
             compared with each other. AIRBYTE_PROXY_BINARY is the same",
            )
            .default_value("dist"),
        )
        .arg(
            Arg::new("out")
                .long("out")
                .value_parser(value_parser!(PathBuf))
                .help("Also write the report here"),
        )
        // Said by cargo.
        .arg(Arg::new("bench").long("bench").action(ArgAction::SetTrue).hide(true))
}

pub(crate) fn parse() -> Result<Options> {
    let matches = command().get_matches();
    let seconds = |name: &str| {
        let seconds: f64 = matches.get_one(name).copied().unwrap_or_default();
        Duration::try_from_secs_f64(seconds).ok().filter(|it| *it <= Duration::from_secs(3600))
    };
    let seconds = |name: &str| seconds(name).ok_or_else(|| format!("--{name}: between 0 and 3600"));
    let quick = matches.get_flag("quick");
    let given = |name: &str| matches.value_source(name) == Some(clap::parser::ValueSource::CommandLine);
    let or_quick = |name: &str, brief: Duration| {
        if quick && !given(name) { Ok(brief) } else { seconds(name) }
    };
    let repeat = matches.get_one::<u16>("repeat").copied().unwrap_or(1);
    let variable = std::env::var("AIRBYTE_PROXY_BINARY").ok().filter(|_| !given("binary"));
    Ok(Options {
        mode: word(&matches, "mode"),
        quick,
        only: words(&matches, "only"),
        repeat: if quick && !given("repeat") { 1 } else { usize::from(repeat) },
        warm: or_quick("warm", Duration::from_millis(500))?,
        seconds: or_quick("seconds", Duration::from_secs(1))?,
        proxies: words(&matches, "proxies"),
        binaries: variable.map_or_else(|| words(&matches, "binary"), |one| vec![one]),
        round_trip: seconds("rtt")? / 1000,
        pause: or_quick("pause", Duration::from_secs(2))?,
        token_bytes: usize::from(matches.get_one::<u16>("token-bytes").copied().unwrap_or(900)),
        out: matches.get_one("out").cloned(),
    })
}

fn word(matches: &ArgMatches, name: &str) -> String {
    matches.get_one::<String>(name).cloned().unwrap_or_default()
}

fn words(matches: &ArgMatches, name: &str) -> Vec<String> {
    matches.get_many::<String>(name).into_iter().flatten().cloned().collect()
}
