//! The configuration file: which one, and what stands in it on which line.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::environment::Environment;
use super::keys::{KEYS, Key, find};
use super::problem::{Origin, Problem, Problems, Wrong};
use super::raw::Raw;
use super::suggest;

const MAX_FILE: u64 = 1024 * 1024;
/// How the parser calls it, sections included.
const DUPLICATE: &str = "duplicate key";
const SYSTEM_WIDE: &str = "/etc/airbyte-proxy/config.toml";

/// A file that was read.
#[derive(Debug)]
pub(crate) struct File {
    pub(crate) path: PathBuf,
    pub(crate) entries: Vec<(&'static Key, Raw, Origin)>,
    /// An unknown key stands in `[credentials]`, so the known ones may look incomplete.
    pub(crate) slip_in_credentials: bool,
}

/// Finds and reads the file: `named`, else the user's, else the system's, else none.
pub(crate) fn read(named: Option<&Path>, env: &Environment, problems: &mut Problems) -> Option<File> {
    let text = if let Some(path) = named {
        load(path).map(|text| Some((path.to_owned(), text))).map_err(|wrong| (path.to_owned(), wrong))
    } else {
        first_existing(&default_paths(env))
    };
    match text {
        Ok(found) => found.map(|(path, text)| parse(path, &text, problems)),
        Err((path, Wrong { what, hint })) => {
            problems.add(Problem { place: Some(path.display().to_string()), what, hint });
            None
        }
    }
}

/// Where a file is looked for when none is named. Never in the current directory: a cloned repository must not be
/// able to say where the secret is posted or which command prints it.
pub(crate) fn default_paths(env: &Environment) -> Vec<PathBuf> {
    user_path(env).into_iter().chain([PathBuf::from(SYSTEM_WIDE)]).collect()
}

/// The user's own.
pub(crate) fn user_path(env: &Environment) -> Option<PathBuf> {
    // The XDG base directory specification tells to ignore a relative value.
    let absolute = |name| env.text(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let user = absolute("XDG_CONFIG_HOME").or_else(|| absolute("HOME").map(|home| home.join(".config")));
    user.map(|folder| folder.join("airbyte-proxy/config.toml"))
}

type Found = Result<Option<(PathBuf, String)>, (PathBuf, Wrong)>;

fn first_existing(paths: &[PathBuf]) -> Found {
    for path in paths {
        if path.try_exists().unwrap_or(true) {
            return load(path).map(|text| Some((path.clone(), text))).map_err(|wrong| (path.clone(), wrong));
        }
    }
    Ok(None)
}

fn load(path: &Path) -> Result<String, Wrong> {
    let unreadable = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            Wrong::new("no such file").hint("--config or AIRBYTE_PROXY_CONFIG names it")
        }
        std::io::ErrorKind::PermissionDenied => {
            Wrong::new("permission denied").hint("the user who runs the proxy must be able to read it")
        }
        std::io::ErrorKind::IsADirectory => {
            Wrong::new("is a directory, not a file").hint("name the file in it")
        }
        _ => Wrong::new(format!("cannot be read: {error}")),
    };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(Wrong::new("is larger than 1 MiB").hint("is it the right file?"));
    }
    String::from_utf8(bytes).map_err(|_| Wrong::new("is not UTF-8 text").hint("save it as UTF-8"))
}

fn parse(path: PathBuf, text: &str, problems: &mut Problems) -> File {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut walk = Walk { path: &path, text, entries: Vec::new(), slip_in_credentials: false, problems };
    for error in &errors {
        // Its message only: its `Display` quotes the line, which may hold a secret.
        let place = walk.origin(error.span().map(|span| span.start)).to_string();
        let hint = if error.message() == DUPLICATE {
            "keep one of the two"
        } else {
            "text is quoted: key = \"value\""
        };
        let (what, hint) = (error.message().to_owned(), Some(hint.to_owned()));
        walk.problems.add(Problem { place: Some(place), what, hint });
    }
    // What the parser guesses behind a syntax error is not what the user wrote; behind a duplicate it is.
    if errors.iter().all(|error| error.message() == DUPLICATE) {
        walk.table("", table.get_ref());
    }
    let Walk { entries, slip_in_credentials, .. } = walk;
    File { path, entries, slip_in_credentials }
}

struct Walk<'a> {
    path: &'a Path,
    text: &'a str,
    entries: Vec<(&'static Key, Raw, Origin)>,
    slip_in_credentials: bool,
    problems: &'a mut Problems,
}

impl Walk<'_> {
    fn origin(&self, at: Option<usize>) -> Origin {
        let line = at.map(|at| 1 + self.text.bytes().take(at).filter(|b| *b == b'\n').count());
        Origin::File { path: self.path.to_owned(), line }
    }

    fn table(&mut self, prefix: &str, table: &DeTable<'_>) {
        let mut rows: Vec<_> = table.iter().collect();
        rows.sort_by_key(|(name, _)| name.span().start);
        for (name, value) in rows {
            let key = if prefix.is_empty() {
                name.get_ref().to_string()
            } else {
                format!("{prefix}.{}", name.get_ref())
            };
            self.row(&key, name.span().start, value);
        }
    }

    fn row(&mut self, name: &str, at: usize, value: &Spanned<DeValue<'_>>) {
        let origin = self.origin(Some(at));
        let value = value.get_ref();
        if let Some(key) = find(name) {
            self.entries.push((key, Raw::from_toml(value), origin));
        } else if KEYS.iter().any(|key| key.name.strip_prefix(name).is_some_and(|rest| rest.starts_with('.')))
        {
            if let DeValue::Table(table) = value {
                self.table(name, table);
            } else {
                let found = Raw::from_toml(value).describe(true);
                let wrong = Wrong::new(format!("is a section, found {found}")).hint(format!("[{name}]"));
                self.problems.add(wrong.at(&origin, name));
            }
        } else {
            self.slip_in_credentials |= name.starts_with("credentials.");
            self.problems.add(unknown(name).at(&origin, name));
        }
    }
}

fn unknown(name: &str) -> Wrong {
    let last = name.rsplit('.').next().unwrap_or(name);
    if matches!(last, "client_secret" | "clientSecret" | "client-secret" | "secret" | "password") {
        return Wrong::new("a secret does not belong in this file").hint(
            "credentials.client_secret_file, credentials.client_secret_command or the variable \
             AIRBYTE_CLIENT_SECRET;\nif the file was shared or committed, replace the secret in Airbyte",
        );
    }
    let same_end = || {
        let mut ends = KEYS.iter().filter(|key| key.name.rsplit('.').next() == Some(last));
        ends.next().filter(|_| ends.next().is_none()).map(|key| key.name)
    };
    let names = KEYS.iter().map(|key| key.name);
    let wrong = Wrong::new("unknown key");
    match suggest::nearest(name, names).or_else(same_end) {
        Some(known) => wrong.hint(format!("did you mean {known}?")),
        None => wrong.hint("airbyte-proxy check lists all keys"),
    }
}
