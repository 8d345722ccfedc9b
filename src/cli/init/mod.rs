//! `airbyte-proxy init`: from nothing to a configuration that works.
//!
//! Asks for what flags do not say (`ask`), finds out how this Airbyte is to be asked, and writes what it found, the
//! secret apart from the rest (`write`). Nothing is written before it has worked.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::ArgMatches;

use super::{USAGE, args, block_on, doctor, output, secret_from_stdin};
use crate::clock::Clock;
use crate::config::{self, Environment, Flags, Loaded, Problem, load_unwritten};
use crate::diagnose::{self, Report, Subject, Way};
use crate::secret::{ClientCredentials, Half, Origin, Secret, Source};

mod ask;
mod write;

use ask::Given;
use write::Written;

/// How often another pair may be typed after Airbyte has refused one.
const PAIRS: usize = 3;
/// Variables that beat what is written.
const OVERRULING: [&str; 5] = [
    "AIRBYTE_CLIENT_ID",
    "AIRBYTE_CLIENT_SECRET",
    "AIRBYTE_PROXY_UPSTREAM_API_URL",
    "AIRBYTE_PROXY_TOKEN_URL",
    "AIRBYTE_PROXY_TOKEN_BODY",
];

pub(super) fn run(matches: &ArgMatches, env: &Environment) -> ExitCode {
    match set_up(matches, env) {
        Ok(()) => ExitCode::SUCCESS,
        Err(code) => code,
    }
}

fn set_up(matches: &ArgMatches, env: &Environment) -> Result<(), ExitCode> {
    let mut flags = args::flags(matches);
    let force = matches.get_flag(args::FORCE);
    let path = destination(&flags, env, force)?;
    let mut given = take(&mut flags, matches)?;
    let loaded = load_unwritten(&flags, env).map_err(|problems| usage(&problems.to_string()))?;
    given.told.check()?;
    given.told.introduce();
    let url = match given.told.url.take() {
        Some(url) => url,
        None => ask::url()?,
    };
    let mut tries = PAIRS;
    let (credentials, way) = loop {
        let credentials = given.pair(env)?;
        let place = given.place();
        let subject = Subject {
            config: &loaded.config,
            rows: &loaded.rows,
            warnings: &[],
            secret_place: place.as_deref(),
            by_hand: Some(&url),
        };
        let report = found_out(&subject, &credentials)?;
        tell(&report);
        match report.way() {
            Some(way) => break (credentials, way.clone()),
            None if report.is_rejected() && given.can_ask_again() && tries > 1 => tries -= 1,
            None => {
                output::stderr("nothing was written; a setting above can be given to init as a flag");
                return Err(ExitCode::FAILURE);
            }
        }
    };
    let draft = Draft { flags: &flags, loaded: &loaded, way: &way };
    let written = write::all(&path, &draft, &credentials, &given, write::store(matches), force, env)?;
    end(&path, &written, &loaded, &flags, env);
    Ok(())
}

/// What the file is made of.
struct Draft<'a> {
    flags: &'a Flags,
    loaded: &'a Loaded,
    way: &'a Way,
}

/// What flags say of what is asked for otherwise.
struct Offered {
    told: Given,
    client_id: Option<String>,
    id_file: Option<PathBuf>,
    secret_file: Option<PathBuf>,
    secret: Option<Secret>,
}

impl Offered {
    /// Fetches both halves, asking for what is not given.
    fn pair(&self, env: &Environment) -> Result<ClientCredentials, ExitCode> {
        let half = |place: &str, origin| Half { place: place.to_owned(), origin };
        let file = |path: &Path| Origin::File { path: path.to_owned(), bare: false };
        let id = match (&self.client_id, &self.id_file) {
            (_, Some(path)) => half("--client-id-file", file(path)),
            (Some(id), _) => half("--client-id", Origin::Value(Secret::new(id.clone()))),
            _ => half("the client id", Origin::Value(Secret::new(ask::client_id()?))),
        };
        let secret = match (&self.secret_file, &self.secret) {
            (Some(path), _) => half("--client-secret-file", file(path)),
            (_, Some(secret)) => half("--client-secret-stdin", Origin::Value(secret.clone())),
            _ => half("the client secret", Origin::Value(ask::client_secret()?)),
        };
        let source = Source::new(id, secret, config::trusted(env));
        block_on(source.load())?.map_err(|error| usage(&Problem::from(&error).to_string()))
    }

    fn can_ask_again(&self) -> bool {
        self.secret.is_none() && self.secret_file.is_none()
    }

    /// None where it was typed.
    fn place(&self) -> Option<String> {
        match (&self.secret_file, &self.secret) {
            (Some(path), _) => Some(path.display().to_string()),
            (_, Some(_)) => Some("--client-secret-stdin".to_owned()),
            _ => None,
        }
    }
}

/// Where to write. Asked first: an answer typed in vain is worse than a question that was never put.
fn destination(flags: &Flags, env: &Environment, force: bool) -> Result<PathBuf, ExitCode> {
    let Some(path) = config::user_file(flags, env) else {
        return Err(usage("there is no home folder to write to\n  hint: --config FILE says where"));
    };
    if !force && path.symlink_metadata().is_ok() {
        return Err(exists(&path));
    }
    Ok(path)
}

fn exists(path: &Path) -> ExitCode {
    usage(&format!(
        "{}: is there already, and stays\n  hint: --force replaces it, --config FILE writes another",
        path.display()
    ))
}

fn usage(said: &str) -> ExitCode {
    output::stderr(said);
    ExitCode::from(USAGE)
}

/// Takes out of `flags` what is not simply written down.
fn take(flags: &mut Flags, matches: &ArgMatches) -> Result<Offered, ExitCode> {
    let mut taken = |name: &str| {
        let at = flags.values.iter().position(|(key, _)| key.name == name)?;
        flags.values.remove(at).1.pop()
    };
    let (api_url, _, _) = (taken("upstream.api_url"), taken("token.url"), taken("token.body"));
    let client_id = taken("credentials.client_id");
    let id_file = taken("credentials.client_id_file").map(PathBuf::from);
    let secret_file = taken("credentials.client_secret_file").map(PathBuf::from);
    let stdin = args::wants_stdin(matches);
    for (twice, said) in [
        (client_id.is_some() && id_file.is_some(), "--client-id and --client-id-file: keep one of the two"),
        (
            stdin && secret_file.is_some(),
            "--client-secret-stdin and --client-secret-file: keep one of the two",
        ),
    ] {
        if twice {
            return Err(usage(said));
        }
    }
    let url = match (doctor::url(matches)?, api_url) {
        (Some(url), _) => Some(url),
        (None, Some(text)) => {
            let url = diagnose::lenient_url(&text);
            Some(url.map_err(|error| usage(&format!("--upstream-api-url: {error}")))?)
        }
        (None, None) => None,
    };
    let told = Given {
        url,
        has_id: client_id.is_some() || id_file.is_some(),
        has_secret: stdin || secret_file.is_some(),
    };
    let secret = if stdin { Some(secret_from_stdin()?) } else { None };
    Ok(Offered { told, client_id, id_file, secret_file, secret })
}

fn found_out(subject: &Subject<'_>, credentials: &ClientCredentials) -> Result<Report, ExitCode> {
    block_on(diagnose::diagnose(subject, credentials, &Clock::system()))?.map_err(|error| {
        output::stderr(&format!("cannot ask Airbyte: {error}\nnothing was written"));
        ExitCode::FAILURE
    })
}

fn tell(report: &Report) {
    output::coloured(&format!("{}\n{}", report.table(), report.complaints()));
}

/// The next command to type.
fn end(path: &Path, written: &Written, loaded: &Loaded, flags: &Flags, env: &Environment) {
    let named = if config::user_file(&Flags::default(), env).is_some_and(|usual| usual == path) {
        String::new()
    } else {
        format!(" --config {}", write::shell_quoted(&path.display().to_string()))
    };
    let at = match loaded.config.server.listen.first() {
        Some(crate::server::Listen::Unix(socket)) => {
            format!("--unix-socket {} http://localhost", write::shell_quoted(&socket.display().to_string()))
        }
        Some(crate::server::Listen::Tcp(address))
            if flags.values.iter().any(|(key, _)| key.name == "listen") =>
        {
            format!("http://{address}")
        }
        // Set by a variable, or nowhere: all of loopback, where nothing is said.
        Some(crate::server::Listen::Tcp(address)) if !address.ip().is_loopback() => {
            format!("http://{address}")
        }
        Some(crate::server::Listen::Tcp(address)) => format!("http://localhost:{}", address.port()),
        None => "http://localhost:8484".to_owned(),
    };
    output::stdout(&format!(
        "written: {}\nsecret:  {}\n\nStart the proxy:\n    airbyte-proxy{named}\nand ask it, in another \
         terminal:\n    curl {at}/v1/workspaces\nOr give one command a proxy of its own:\n    airbyte-proxy run{named} -- COMMAND",
        path.display(),
        written.secret
    ));
    for name in OVERRULING {
        if env.text(name).is_some() {
            output::stderr(&format!("warning: {name} is set, and a variable beats the file; unset it"));
        }
    }
}
