//! The grammar of the command line, derived from the table of keys.
//!
//! clap gets neither defaults nor variables: both are layers of `config`, and clap would print the variables' values.

use std::path::PathBuf;
use std::sync::LazyLock;

use clap::builder::ValueParser;
use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::config::keys::{Flag, KEYS, Key, Kind};
use crate::config::{Flags, is_local};

/// Every subcommand.
pub(super) const COMMANDS: [&str; 14] = [
    "serve",
    "demo",
    "run",
    "init",
    "check",
    "doctor",
    "token",
    "export",
    "healthcheck",
    "wait",
    "quit",
    "completions",
    "man",
    "help",
];

const CONFIG: &str = "config";
const STDIN: &str = "client-secret-stdin";
pub(super) const TOKEN_LIFETIME: &str = "token-lifetime";
pub(super) const SEED: &str = "seed";
pub(super) const JOB_DURATION: &str = "job-duration";
pub(super) const READY: &str = "ready";
pub(super) const DOCUMENT: &str = "DOCUMENT";
pub(super) const DOTENV: &str = "dotenv";
pub(super) const URL: &str = "url";
pub(super) const JSON: &str = "json";
pub(super) const COMMAND: &str = "COMMAND";
pub(super) const SHELL: &str = "SHELL";
pub(super) const TIMEOUT: &str = "timeout";
pub(super) const HEADER: &str = "header";
pub(super) const FORCE: &str = "force";
pub(super) const SECRET_STORE: &str = "secret-store";

const ABOUT: &str = "\
kubectl proxy for the Airbyte API: requests without a token go in, Airbyte's answers come out.

Try it without an account, in two terminals:
  airbyte-proxy demo
  curl http://localhost:8484/v1/workspaces

With an account:
  airbyte-proxy init";

const AFTER: &str = "\
Every key of the configuration file is a variable too, and a flag (but for
credentials.client_secret_command): upstream.api_url is --upstream-api-url and
AIRBYTE_PROXY_UPSTREAM_API_URL. `airbyte-proxy check` shows them all.";

/// clap keeps names for as long as the program runs.
static FLAGS: LazyLock<Vec<(&'static Key, String)>> = LazyLock::new(|| {
    let keys = KEYS.iter().filter(|key| key.on_command_line != Flag::None);
    keys.map(|key| (key, key.flag().trim_start_matches('-').to_owned())).collect()
});

/// The whole grammar.
pub(super) fn command() -> Command {
    let ready = Arg::new(READY)
        .long(READY)
        .action(ArgAction::SetTrue)
        .help("Ask whether it can serve requests, not only whether it runs");
    Command::new("airbyte-proxy")
        .version(env!("CARGO_PKG_VERSION"))
        .about(ABOUT)
        .after_help(AFTER)
        .arg(config())
        .args(FLAGS.iter().map(|(key, flag)| arg(key, flag)))
        .arg(stdin())
        .subcommand(Command::new("serve").about("Run the proxy (what happens without a command)"))
        .subcommand(demo())
        .subcommand(run())
        .subcommand(init())
        .subcommand(
            Command::new("check")
                .about("Tell every configuration problem, or the effective settings and their sources"),
        )
        .subcommand(doctor())
        .subcommand(token())
        .subcommand(export())
        .subcommand(
            Command::new("healthcheck")
                .about("Ask the running proxy how it is; exit code 0 or 1, for containers without curl")
                .arg(ready),
        )
        .subcommand(wait())
        .subcommand(
            Command::new("quit")
                .about("Ask the running proxy to end as at SIGTERM, if control.allow_quit is set"),
        )
        .subcommand(completions())
        .subcommand(man())
}

fn demo() -> Command {
    let lifetime = Arg::new(TOKEN_LIFETIME)
        .long(TOKEN_LIFETIME)
        .value_name("DURATION")
        .help("How long the simulated Airbyte's tokens live [default: 30s]");
    let job_duration = Arg::new(JOB_DURATION)
        .long(JOB_DURATION)
        .value_name("DURATION")
        .help("How long its jobs take [default: 8s]");
    let seed = Arg::new(SEED)
        .long(SEED)
        .value_name("N")
        .value_parser(clap::value_parser!(u64))
        .help("Which rows it has: the same for the same number [default: 1]");
    // It has an upstream and credentials of its own, so what sets them is not shown.
    let elsewhere =
        FLAGS.iter().filter(|(key, _)| !is_local(key)).map(|(key, flag)| arg(key, flag).hide(true));
    Command::new("demo")
        .about("Run the proxy in front of a simulated Airbyte, no account needed")
        .args(elsewhere)
        .args([config().hide(true), stdin().hide(true)])
        .args([lifetime, job_duration, seed])
}

fn export() -> Command {
    let document = Arg::new(DOCUMENT)
        .required(true)
        .value_parser(["openapi", "postman", "env"])
        .hide_possible_values(true)
        .help("openapi: the API described; postman: a collection; env: variables for known clients");
    let dotenv = Arg::new(DOTENV)
        .long(DOTENV)
        .action(ArgAction::SetTrue)
        .help("With env: lines for a .env file instead of a shell");
    Command::new("export")
        .about("Print a document for other tools, with the address of this proxy in it")
        .args([document, dotenv])
}

fn init() -> Command {
    let force = Arg::new(FORCE).long(FORCE).action(ArgAction::SetTrue).help("Replace files that are there");
    let store = Arg::new(SECRET_STORE)
        .long(SECRET_STORE)
        .value_name("WHERE")
        .value_parser(["auto", "keychain", "file"])
        .help("Where the secret is kept: auto is the keychain where there is one, else a file");
    Command::new("init")
        .about("Ask for what is needed, try it, and write a configuration")
        .arg(url("Airbyte's URL, as far as you know it: https://airbyte.corp will do"))
        .args([force, store])
}

fn doctor() -> Command {
    let json = Arg::new(JSON).long(JSON).action(ArgAction::SetTrue).help("Tell it to programs, in JSON");
    Command::new("doctor")
        .about("Find out why there are no tokens, and what to write")
        .arg(url("Airbyte's URL, as far as you know it, instead of the configured one"))
        .arg(json)
}

fn run() -> Command {
    let command = Arg::new(COMMAND)
        .required(true)
        .num_args(1..)
        .last(true)
        .value_parser(ValueParser::os_string())
        .help("What to run, with its arguments");
    Command::new("run").about("Run a command with a proxy of its own, which ends with it").arg(command)
}

fn wait() -> Command {
    let timeout = Arg::new(TIMEOUT)
        .long(TIMEOUT)
        .value_name("DURATION")
        .help("How long to wait before exit code 1 [default: 60s]");
    Command::new("wait").about("Return once the running proxy is ready to serve requests").arg(timeout)
}

fn completions() -> Command {
    let shell = Arg::new(SHELL)
        .required(true)
        .value_parser(clap::value_parser!(clap_complete::Shell))
        .help("Whose script to print");
    Command::new("completions").about("Print a script that completes this command line in a shell").arg(shell)
}

fn man() -> Command {
    let command = Arg::new(COMMAND).help("The command that it is about, instead of the whole program");
    Command::new("man").about("Print a manual page, for man -l").arg(command)
}

fn token() -> Command {
    let header = Arg::new(HEADER)
        .long(HEADER)
        .action(ArgAction::SetTrue)
        .help("Print a line for curl -H @FILE: Authorization: Bearer …");
    let json = Arg::new(JSON)
        .long(JSON)
        .action(ArgAction::SetTrue)
        .conflicts_with(HEADER)
        .help("Print token and expires_at, in JSON");
    Command::new("token")
        .about("Print one new access token, for what cannot go through the proxy")
        .args([header, json])
}

fn url(help: &'static str) -> Arg {
    Arg::new(URL).long(URL).value_name("URL").help(help)
}

fn config() -> Arg {
    Arg::new(CONFIG)
        .long("config")
        .value_name("FILE")
        .value_parser(ValueParser::path_buf())
        .global(true)
        .help("Configuration file, instead of ~/.config/airbyte-proxy/config.toml")
}

fn stdin() -> Arg {
    Arg::new(STDIN)
        .long(STDIN)
        .action(ArgAction::SetTrue)
        .global(true)
        .help("Read the client secret from standard input")
}

fn arg(key: &'static Key, flag: &'static str) -> Arg {
    let arg = Arg::new(key.name)
        .long(flag)
        .help(key.doc)
        .value_name(placeholder(key.kind))
        .global(true)
        .hide(key.on_command_line == Flag::Hidden);
    match key.kind {
        Kind::Listen | Kind::Hosts | Kind::Origins | Kind::Users | Kind::Rules => {
            arg.action(ArgAction::Append)
        }
        Kind::Switch => {
            arg.num_args(0..=1).require_equals(true).default_missing_value("true").hide_possible_values(true)
        }
        _ => arg,
    }
}

fn placeholder(kind: Kind) -> &'static str {
    match kind {
        Kind::Switch => "BOOL",
        Kind::Count(..) => "N",
        Kind::Duration(..) => "DURATION",
        Kind::Size(_) => "SIZE",
        Kind::Word(_) => "WORD",
        Kind::Url | Kind::UrlOr(_) | Kind::OwnUrl | Kind::Proxy => "URL",
        Kind::Path => "FILE",
        Kind::Listen => "ADDRESS",
        Kind::Name | Kind::Hosts => "NAME",
        Kind::Origins => "ORIGIN",
        Kind::Users => "UID",
        Kind::Rules => "RULE",
        Kind::Id => "ID",
        Kind::Command => "COMMAND",
    }
}

/// What was given, without what stands on stdin.
pub(super) fn flags(matches: &ArgMatches) -> Flags {
    let given = |key: &'static Key| {
        let values = matches.try_get_many::<String>(key.name).ok()??;
        Some((key, values.cloned().collect()))
    };
    Flags {
        config: matches.get_one::<PathBuf>(CONFIG).cloned(),
        values: FLAGS.iter().filter_map(|(key, _)| given(key)).collect(),
        ..Flags::default()
    }
}

/// Whether the client secret is to be read from stdin.
pub(super) fn wants_stdin(matches: &ArgMatches) -> bool {
    matches.get_flag(STDIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grammar_is_sound() {
        command().debug_assert();
        let names: Vec<_> = command().get_subcommands().map(|c| c.get_name().to_owned()).collect();
        assert!(names.iter().all(|name| COMMANDS.contains(&name.as_str())), "{names:?}");
    }

    #[test]
    fn every_key_with_a_flag_is_taken_before_and_after_the_command() {
        for (key, flag) in FLAGS.iter() {
            for line in [
                vec!["airbyte-proxy".to_owned(), format!("--{flag}=x"), "check".to_owned()],
                vec!["airbyte-proxy".to_owned(), "check".to_owned(), format!("--{flag}=x")],
            ] {
                let matches = command().try_get_matches_from(&line).expect(flag);
                let (_, matches) = matches.subcommand().expect("check");
                let values = flags(matches).values;
                assert_eq!(values.len(), 1, "{line:?}");
                assert_eq!((values[0].0.name, &values[0].1[..]), (key.name, &["x".to_owned()][..]));
            }
        }
    }

    #[test]
    fn a_switch_needs_no_value() {
        let matches =
            command().try_get_matches_from(["airbyte-proxy", "--published-port", "serve"]).expect("valid");
        let (_, matches) = matches.subcommand().expect("serve");
        assert_eq!(flags(matches).values[0].1, ["true"]);
    }
}
