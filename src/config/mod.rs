//! What the user wrote (raw) → values that cannot be wrong.
//!
//! * `keys`: the one table of keys; `environment`, `file`: the layers; `raw`, `value`, `listen`: one value;
//! * `settings`: the layers merged; `validate`: settings → [`Config`]; `credentials`: layers → a secret source;
//! * `draft`: a file to be written;
//! * `problem`: what is wrong, all of it at once; `warnings`: what is merely odd.
//!
//! Flag beats environment beats file beats default. This room reads files and runs nothing.

use std::path::PathBuf;
use std::time::Duration;

use tracing::level_filters::LevelFilter;

use crate::airbyte::BaseUrl;
use crate::guard::{Access, Ceiling};
use crate::secret::{KeysDir, Secret, Source};
use crate::server::Listen;
use crate::{guard, mint, proxy, server, telemetry, token};

mod ceiling;
mod credentials;
mod draft;
mod environment;
mod file;
pub mod keys;
mod listen;
mod lists;
mod problem;
mod raw;
mod settings;
mod suggest;
mod validate;
mod value;
mod warnings;

pub use ceiling::CeilingFile;
pub(crate) use credentials::{trusted, trusted_variable};
pub use draft::Draft;
pub use environment::Environment;
pub use keys::{KEYS, Key};
pub use problem::{Origin, Problem, Problems};
pub(crate) use raw::{masked, quoted};
pub use validate::is_own;

use file::File;
use problem::Wrong;
use raw::Raw;
use settings::Settings;
use value::Value;

/// Everything the daemon needs to run, valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// What people call this proxy, where they call it anything.
    pub name: Option<String>,
    /// Listeners, connections, drain.
    pub server: server::Config,
    /// Where probes alone are answered, without keys.
    pub probes: Vec<Listen>,
    /// The request stack.
    pub proxy: proxy::Config,
    /// Who may call, and what, without what follows from the other settings: open APIs, a published port, and that
    /// whoever runs the proxy may use its sockets.
    pub guard: guard::Config,
    /// `POST /-/quit` ends the proxy.
    pub allow_quit: bool,
    /// The keys that TCP clients must show; none where they need none.
    pub keys: Option<KeysDir>,
    /// Where requests go.
    pub upstream: proxy::upstream::Config,
    /// How a token is asked for.
    pub mint: mint::Config,
    /// How a token is kept.
    pub token: token::Config,
    /// Logs.
    pub log: telemetry::Config,
}

/// What was given on the command line.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    /// `--config`.
    pub config: Option<PathBuf>,
    /// Keys, with all values in the order in which they were given.
    pub values: Vec<(&'static Key, Vec<String>)>,
    /// What `--client-secret-stdin` has read.
    pub client_secret: Option<Secret>,
    /// Where whoever started us listens already, and has passed the sockets: instead of `listen`, whatever it says.
    pub passed: Vec<Listen>,
}

/// A valid configuration, and what is worth telling about it.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What to run with.
    pub config: Config,
    /// Where the credentials come from; none were given anywhere if this is none. Files have been looked at and are
    /// fine; a command has not been run.
    pub credentials: Option<Source>,
    /// Lines for the user at start-up, without secrets.
    pub warnings: Vec<String>,
    /// Every key but those of the credentials, as `check` shows it.
    pub rows: Vec<Row>,
    /// The configuration file, if there is one.
    pub file: Option<PathBuf>,
}

/// One effective setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// `upstream.api_url`.
    pub key: &'static str,
    /// In TOML, with secrets cut out. None: not set.
    pub value: Option<String>,
    /// Where it was written.
    pub origin: Origin,
    /// What the ceiling of this machine makes of it, where it says something.
    pub capped: Option<String>,
}

/// Loads and checks everything. Reads the configuration file, the secret files and `upstream.ca_file`.
pub fn load(flags: &Flags, env: &Environment) -> Result<Loaded, Problems> {
    load_below(&CeilingFile::system(), flags, env)
}

/// The same, below another ceiling than this machine's.
pub fn load_below(ceiling: &CeilingFile, flags: &Flags, env: &Environment) -> Result<Loaded, Problems> {
    let mut problems = Problems::default();
    let (mut settings, file) = layers(flags, env, &mut problems);
    let mut config = validate::build(&mut settings, env, &mut problems);
    match ceiling.read() {
        Ok(ceiling) => {
            if let Some(config) = &mut config {
                config.guard.policy.ceiling = ceiling;
            }
        }
        Err(problem) => problems.add(problem),
    }
    trusted_certificates(&settings, &mut problems);
    let credentials = credentials::choose(&settings, flags.client_secret.as_ref(), env, &mut problems);
    let mut warnings = Vec::new();
    match credentials.as_ref().map_or(Ok(Vec::new()), Source::inspect) {
        Ok(found) => warnings.extend(found),
        Err(errors) => errors.iter().for_each(|error| problems.add(error.into())),
    }
    let Some(config) = config.filter(|_| problems.is_empty()) else {
        return Err(problems);
    };
    warnings.extend(warnings::all(&config, file.as_ref(), env));
    let rows = rows(&settings, config.guard.policy.ceiling.as_ref());
    Ok(Loaded { config, credentials, warnings, rows, file: file.map(|file| file.path) })
}

/// What flags and variables say, for somebody who is about to write a file: none is read, and credentials are not asked
/// for.
pub fn load_unwritten(flags: &Flags, env: &Environment) -> Result<Loaded, Problems> {
    let mut problems = Problems::default();
    let mut settings = merged(None, flags, env, &mut problems);
    let config = validate::build(&mut settings, env, &mut problems);
    trusted_certificates(&settings, &mut problems);
    let Some(config) = config.filter(|_| problems.is_empty()) else {
        return Err(problems);
    };
    let warnings = warnings::all(&config, None, env);
    Ok(Loaded { config, credentials: None, warnings, rows: rows(&settings, None), file: None })
}

/// Where a file is to be written: the one that is named, else the user's. None: there is no home.
pub fn user_file(flags: &Flags, env: &Environment) -> Option<PathBuf> {
    let named = flags.config.clone().or_else(|| env.get(settings::CONFIG_VARIABLE).map(PathBuf::from));
    named.filter(|path| !path.as_os_str().is_empty()).or_else(|| file::user_path(env))
}

/// The configuration of a proxy whose upstream and credentials somebody else provides (`demo`): no file is read, and
/// only listeners, limits, drain and logs may be set.
pub fn load_local(flags: &Flags, env: &Environment) -> Result<Config, Problems> {
    let mut problems = Problems::default();
    let mut settings = Settings::defaults(&mut problems);
    settings.add_environment(env, &mut problems, is_local);
    let elsewhere = |flag: String| {
        let wrong =
            Wrong::new("does nothing here").hint("the demo brings an Airbyte and credentials of its own");
        wrong.at(&Origin::Flag(flag), "")
    };
    if flags.config.is_some() {
        problems.add(elsewhere("--config".to_owned()));
    }
    if flags.client_secret.is_some() {
        problems.add(elsewhere("--client-secret-stdin".to_owned()));
    }
    for (key, texts) in &flags.values {
        if is_local(key) {
            settings.add_texts(key, texts, Origin::Flag(key.flag()), &mut problems);
        } else {
            problems.add(elsewhere(key.flag()));
        }
    }
    settings.take_over(&flags.passed);
    let config = validate::build(&mut settings, env, &mut problems);
    config.filter(|_| problems.is_empty()).ok_or(problems)
}

/// A duration that is not a key but is written like one, on the command line.
pub fn parse_duration(flag: &str, text: &str, (min, max): (Duration, Duration)) -> Result<Duration, Problem> {
    let kind = keys::Kind::Duration(min, max);
    match Raw::from_texts(kind, &[text.to_owned()]).and_then(|raw| value::parse(kind, &raw, None)) {
        Ok(Value::Duration(duration)) => Ok(duration),
        Ok(_) => Ok(min),
        Err(wrong) => Err(wrong.at(&Origin::Flag(flag.to_owned()), "")),
    }
}

/// What `log.level` says now, for a daemon that runs already. Fails where anything written is wrong.
pub fn log_level(flags: &Flags, env: &Environment) -> Result<LevelFilter, Problems> {
    let mut problems = Problems::default();
    let (settings, _) = layers(flags, env, &mut problems);
    if problems.is_empty() { Ok(validate::log(&settings).level) } else { Err(problems) }
}

/// Where a daemon with this configuration listens. Problems are that daemon's to tell.
pub fn listeners(flags: &Flags, env: &Environment) -> Vec<Listen> {
    let mut problems = Problems::default();
    let (mut settings, _) = layers(flags, env, &mut problems);
    validate::listeners(&mut settings, &mut problems)
}

/// The address under which people know a daemon with this configuration, if it is told. Problems are that daemon's to
/// tell.
pub fn public_url(flags: &Flags, env: &Environment) -> Option<BaseUrl> {
    let (settings, _) = layers(flags, env, &mut Problems::default());
    settings.url("public_url").cloned()
}

/// Whether the key concerns this side of the proxy alone, so that `demo` has it too.
pub(crate) fn is_local(key: &Key) -> bool {
    !["upstream.", "token.", "credentials."].iter().any(|section| key.name.starts_with(section))
}

/// Defaults, then file, environment, flags: each replaces what came before.
fn layers(flags: &Flags, env: &Environment, problems: &mut Problems) -> (Settings, Option<File>) {
    let named = flags.config.clone().or_else(|| env.get(settings::CONFIG_VARIABLE).map(PathBuf::from));
    let file = if named.as_ref().is_some_and(|path| path.as_os_str().is_empty()) {
        let origin = Origin::Env(format!("--config or {}", settings::CONFIG_VARIABLE));
        problems.add(Wrong::new("is empty").hint("leave it out to use the default places").at(&origin, ""));
        None
    } else {
        file::read(named.as_deref(), env, problems)
    };
    (merged(file.as_ref(), flags, env, problems), file)
}

fn merged(file: Option<&File>, flags: &Flags, env: &Environment, problems: &mut Problems) -> Settings {
    let mut settings = Settings::defaults(problems);
    if let Some(file) = file {
        settings.add_file(file, problems);
    }
    settings.add_environment(env, problems, |_| true);
    for (key, texts) in &flags.values {
        settings.add_texts(key, texts, Origin::Flag(key.flag()), problems);
    }
    settings.take_over(&flags.passed);
    settings
}

fn trusted_certificates(settings: &Settings, problems: &mut Problems) {
    const NAME: &str = "upstream.ca_file";
    let Some(path) = settings.path(NAME) else { return };
    let wrong = match std::fs::read(path) {
        Ok(pem) if pem.windows(27).any(|window| window == b"-----BEGIN CERTIFICATE-----") => return,
        Ok(_) => Wrong::new(format!("{} holds no certificate", path.display()))
            .hint("PEM: it contains -----BEGIN CERTIFICATE-----"),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Wrong::new(format!("{}: no such file", path.display())).hint("create it, or correct the path")
        }
        Err(error) => Wrong::new(format!("{}: cannot be read: {}", path.display(), error.kind()))
            .hint("the user who runs the proxy must be able to read it"),
    };
    problems.add(settings.problem(NAME, wrong));
}

fn rows(settings: &Settings, ceiling: Option<&Ceiling>) -> Vec<Row> {
    let keys = KEYS.iter().filter(|key| key.credential().is_none());
    keys.map(|key| {
        let entry = settings.entry(key.name);
        Row {
            key: key.name,
            value: entry.map(|entry| entry.shown.clone()),
            origin: entry.map_or(Origin::Default, |entry| entry.origin.clone()),
            capped: ceiling.and_then(|ceiling| capped(key.name, ceiling)),
        }
    })
    .collect()
}

fn capped(key: &str, ceiling: &Ceiling) -> Option<String> {
    let rules = || match (ceiling.rules.len(), ceiling.allow_credentials) {
        (0, true) => None,
        (0, false) => Some("no default denial can be lifted".to_owned()),
        (_, true) => Some("denials".to_owned()),
        (_, false) => Some("denials, and no default denial can be lifted".to_owned()),
    };
    let what = match (key, ceiling.access) {
        ("read_only", Access::ReadOnly) => "true".to_owned(),
        ("policy.preset", Access::ReadOnly) => "\"read-only\"".to_owned(),
        ("policy.preset", Access::SyncOnly) => "\"sync-only\"".to_owned(),
        ("policy.rules", _) => rules()?,
        _ => return None,
    };
    Some(format!("capped by {}: {what}", ceiling.source))
}

#[cfg(test)]
mod tests;
