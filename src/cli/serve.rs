//! `airbyte-proxy`, `airbyte-proxy serve`: the proxy itself.

use std::process::ExitCode;

use clap::ArgMatches;

use super::{USAGE, load_all, output};
use crate::config::{Environment, Loaded};

/// The first thing most people read of us.
pub(super) const NO_CREDENTIALS: &str = "\
no credentials: the proxy needs the client id and secret of an Airbyte application

To try it without an account:
    airbyte-proxy demo

With an account, set both and start it again:
    export AIRBYTE_CLIENT_ID=…
    export AIRBYTE_CLIENT_SECRET=…
Airbyte shows them in its web UI under User settings → Applications (Cloud: https://cloud.airbyte.com).";

pub(super) fn run(matches: &ArgMatches, env: &Environment) -> ExitCode {
    let loaded = match load_all(matches, env) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    if loaded.credentials.is_none() {
        output::stderr(NO_CREDENTIALS);
        return ExitCode::from(USAGE);
    }
    for warning in &loaded.warnings {
        output::stderr(&format!("warning: {warning}"));
    }
    start(loaded)
}

/// Hands over to the composition root.
fn start(loaded: Loaded) -> ExitCode {
    drop(loaded);
    output::stderr("not built yet");
    ExitCode::FAILURE
}
