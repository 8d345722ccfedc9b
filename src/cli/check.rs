//! `airbyte-proxy check`: every problem, or the effective settings with the source of each.

use std::process::ExitCode;

use clap::ArgMatches;

use super::{USAGE, block_on, load_all, output, serve};
use crate::config::{Environment, Loaded, Origin, Problem, masked};
use crate::secret::{ClientCredentials, SecretError, Source};

pub(super) fn run(matches: &ArgMatches, env: &Environment) -> ExitCode {
    let loaded = match load_all(matches, env) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    // Also runs the secret command, which loading leaves alone.
    let fetched = async {
        match &loaded.credentials {
            Some(source) => Some((source, source.load().await)),
            None => None,
        }
    };
    let credentials = match block_on(fetched) {
        Ok(credentials) => credentials,
        Err(code) => return code,
    };
    output::stdout(&table(&loaded, credentials.as_ref()));
    for warning in &loaded.warnings {
        output::stderr(&format!("warning: {warning}"));
    }
    match credentials {
        Some((_, Ok(_))) => return ExitCode::SUCCESS,
        Some((_, Err(error))) => output::stderr(&Problem::from(&error).to_string()),
        None => output::stderr(serve::NO_CREDENTIALS),
    }
    ExitCode::from(USAGE)
}

type Fetched<'a> = (&'a Source, Result<ClientCredentials, SecretError>);

fn table(loaded: &Loaded, credentials: Option<&Fetched<'_>>) -> String {
    let file = loaded.file.as_ref().map_or_else(|| "none".to_owned(), |path| path.display().to_string());
    let mut lines = vec![format!("# configuration file: {file}")];
    lines.extend(loaded.rows.iter().map(|row| {
        let capped = row.capped.as_ref().map(ToString::to_string);
        let value = row.value.as_deref().unwrap_or("(not set)");
        // What nobody has set is not set by default either.
        let origin = (row.value.is_some() || row.origin != Origin::Default).then(|| row.origin.to_string());
        let notes: Vec<_> = origin.into_iter().chain(capped).collect();
        match notes.as_slice() {
            [] => format!("{} = {value}", row.key),
            notes => format!("{} = {value}   ({})", row.key, notes.join("; ")),
        }
    }));
    if let Some((source, fetched)) = credentials {
        let (id, secret) = match fetched {
            Ok(credentials) => (format!("\"{}\"", masked(&credentials.client_id)), "[redacted]"),
            Err(_) => ("(unavailable)".to_owned(), "(unavailable)"),
        };
        lines.push(format!("credentials.client_id = {id}   ({})", source.id().place));
        lines.push(format!("credentials.client_secret = {secret}   ({})", source.secret().place));
    }
    lines.join("\n")
}
