//! What `init` leaves behind: the configuration, and the secret apart from it.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::ArgMatches;

use super::super::{args, block_on, output};
use super::{Draft, Offered, exists};
use crate::airbyte::paths::TOKEN_ENDPOINT;
use crate::config::{self, Environment, Origin, quoted};
use crate::mint::BodyFormat;
use crate::secret::{ClientCredentials, Keychain, KeychainError, write_private};

/// Beside the configuration.
const SECRET_FILE: &str = "client-secret";
/// Without it, nobody answers for the keychain.
const SESSION_BUS: &str = "DBUS_SESSION_BUS_ADDRESS";

/// Where the secret is to be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Store {
    /// The keychain where there is one, else a file.
    Auto,
    Keychain,
    File,
}

/// `--secret-store`.
pub(super) fn store(matches: &ArgMatches) -> Store {
    match matches.get_one::<String>(args::SECRET_STORE).map(String::as_str) {
        Some("keychain") => Store::Keychain,
        Some("file") => Store::File,
        _ => Store::Auto,
    }
}

/// What became of it, in words.
pub(super) struct Written {
    pub(super) secret: String,
}

/// How the proxy gets the secret: a key, its value, and the words for it.
type Kept = (&'static str, String, String);

/// Keeps the secret, then writes the configuration that says where.
pub(super) fn all(
    path: &Path,
    draft: &Draft<'_>,
    credentials: &ClientCredentials,
    offered: &Offered,
    store: Store,
    force: bool,
    env: &Environment,
) -> Result<Written, ExitCode> {
    let path = absolute(path);
    let (key, value, secret) = match &offered.secret_file {
        Some(file) => in_file(&absolute(file)),
        None => kept(&path, credentials, store, force, env)?,
    };
    let mut file = settings(draft);
    file.set("credentials.client_id", quoted(&credentials.client_id));
    file.set(key, value);
    write_private(&path, &file.text(), force).map_err(|error| cannot(&path, &error))?;
    Ok(Written { secret })
}

/// What was found, and what flags say besides.
fn settings(draft: &Draft<'_>) -> config::Draft {
    let way = draft.way;
    let mut file = config::Draft::default();
    for row in &draft.loaded.rows {
        let by_flag = matches!(row.origin, Origin::Flag(_));
        let value = row.value.clone().filter(|value| by_flag && !value.contains("[redacted]"));
        if let Some(value) = value {
            file.set(row.key, value);
        }
    }
    // Relative to where `init` ran, which is not where the file is.
    if let Some(ca_file) =
        draft.loaded.config.upstream.ca_file.as_ref().filter(|_| given(draft, "upstream.ca_file"))
    {
        file.set("upstream.ca_file", quoted(&absolute(ca_file).display().to_string()));
    }
    if let Some(keys) = draft.loaded.config.keys.as_ref().filter(|_| given(draft, "guard.keys_dir")) {
        file.set("guard.keys_dir", quoted(&absolute(keys.path()).display().to_string()));
    }
    file.set("upstream.api_url", quoted(&way.api_url.to_string()));
    if way.token_url != way.api_url.join(TOKEN_ENDPOINT) {
        file.set("token.url", quoted(&way.token_url.to_string()));
    }
    if way.token_url.host() != way.api_url.host() {
        file.set("token.allow_other_host", "true".to_owned());
    }
    if way.body == BodyFormat::Form {
        file.set("token.body", quoted("form"));
    }
    file
}

fn given(draft: &Draft<'_>, name: &str) -> bool {
    draft.flags.values.iter().any(|(key, _)| key.name == name)
}

fn kept(
    path: &Path,
    credentials: &ClientCredentials,
    store: Store,
    force: bool,
    env: &Environment,
) -> Result<Kept, ExitCode> {
    let keychain = Keychain::of_session(env.text(SESSION_BUS).is_some()).filter(|_| store != Store::File);
    let why = match keychain.map(|keychain| (keychain, block_on(keychain.keep(credentials)))) {
        Some((keychain, Ok(Ok(command)))) => {
            let items: Vec<_> = command.iter().map(|item| quoted(item)).collect();
            let words = format!("in the keychain of this session ({})", keychain.program());
            return Ok(("credentials.client_secret_command", format!("[{}]", items.join(", ")), words));
        }
        Some((_, Ok(Err(error)))) => Some(error),
        Some((_, Err(code))) => return Err(code),
        None => None,
    };
    if store == Store::Keychain {
        let why = why.map_or_else(
            || format!("there is no session to have one ({SESSION_BUS} is not set)"),
            |error| error.to_string(),
        );
        output::stderr(&format!("no keychain: {why}\n  hint: --secret-store file\nnothing was written"));
        return Err(ExitCode::FAILURE);
    }
    // That none is installed is nothing to tell anybody who did not ask for it.
    if let Some(error) = why.filter(|error| !matches!(error, KeychainError::Missing(_))) {
        output::stderr(&format!("warning: not in the keychain: {error}; in a file instead"));
    }
    let file = path.with_file_name(SECRET_FILE);
    let content = format!("{}\n", credentials.client_secret.expose());
    write_private(&file, &content, force).map_err(|error| cannot(&file, &error))?;
    Ok(in_file(&file))
}

fn in_file(file: &Path) -> Kept {
    let file = file.display().to_string();
    let words = format!("in {file}, which only you can read");
    ("credentials.client_secret_file", quoted(&file), words)
}

fn cannot(path: &Path, error: &io::Error) -> ExitCode {
    if error.kind() == io::ErrorKind::AlreadyExists {
        return exists(path);
    }
    output::stderr(&format!("{}: cannot be written: {}", path.display(), error.kind()));
    ExitCode::FAILURE
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// For a line that is to be copied into a shell.
pub(super) fn shell_quoted(path: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:".contains(c);
    if path.chars().all(plain) { path.to_owned() } else { format!("'{}'", path.replace('\'', r"'\''")) }
}
