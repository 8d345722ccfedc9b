//! The conversation: what flags have not said is asked at the terminal, if there is one.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::process::ExitCode;

use super::super::{USAGE, output};
use crate::airbyte::BaseUrl;
use crate::airbyte::paths::CLOUD_API_URL;
use crate::diagnose::lenient_url;
use crate::secret::Secret;

/// How often somebody may try.
const TRIES: usize = 3;

const WHERE: &str = "\
airbyte-proxy needs the client id and secret of an Airbyte application. Airbyte
shows both in its web UI, under User settings → Applications: create one, or
open one that is there. (Cloud: https://cloud.airbyte.com)
";

/// What to connect to, and as whom.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) url: Option<BaseUrl>,
    /// Whether some flag says the client id.
    pub(super) has_id: bool,
    /// Whether some flag says where the secret is.
    pub(super) has_secret: bool,
}

impl Given {
    /// What is still to be asked; where nobody can be, that is an error.
    pub(super) fn check(&self) -> Result<(), ExitCode> {
        let missing: Vec<_> = [
            (self.url.is_none(), "--url URL (Airbyte Cloud: https://api.airbyte.com/v1)"),
            (!self.has_id, "--client-id ID"),
            (!self.has_secret, "--client-secret-stdin, or --client-secret-file FILE"),
        ]
        .into_iter()
        .filter_map(|(missing, flag)| missing.then_some(flag))
        .collect();
        if missing.is_empty() || io::stdin().is_terminal() {
            return Ok(());
        }
        output::stderr("there is no terminal to ask at, and not everything is given:");
        for flag in missing {
            output::stderr(&format!("  hint: add {flag}"));
        }
        Err(ExitCode::from(USAGE))
    }

    /// Tells where Airbyte shows what is going to be asked for.
    pub(super) fn introduce(&self) {
        if !self.has_id || !self.has_secret {
            output::stdout(WHERE);
        }
    }
}

/// Airbyte's URL, as far as it is known.
pub(super) fn url() -> Result<BaseUrl, ExitCode> {
    asked(&format!("Airbyte's URL [{CLOUD_API_URL}]: "), |text| {
        lenient_url(if text.is_empty() { CLOUD_API_URL } else { text }).map_err(|error| error.to_string())
    })
}

pub(super) fn client_id() -> Result<String, ExitCode> {
    asked("Client id: ", |text| match text {
        "" => Err("it cannot be empty".to_owned()),
        text => Ok(text.to_owned()),
    })
}

/// Not shown while it is typed.
pub(super) fn client_secret() -> Result<Secret, ExitCode> {
    for _ in 0..TRIES {
        match rpassword::prompt_password("Client secret (nothing is shown): ") {
            Ok(text) if text.trim().is_empty() => output::stdout("  it cannot be empty"),
            Ok(text) => return Ok(Secret::new(text.trim().to_owned())),
            Err(_) => break,
        }
    }
    Err(gave_up())
}

fn asked<T>(question: &str, read: impl Fn(&str) -> Result<T, String>) -> Result<T, ExitCode> {
    for _ in 0..TRIES {
        let mut out = io::stdout().lock();
        let _ = write!(out, "{question}").and_then(|()| out.flush());
        drop(out);
        let mut line = String::new();
        match io::stdin().lock().read_line(&mut line) {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
        match read(line.trim()) {
            Ok(value) => return Ok(value),
            Err(why) => output::stdout(&format!("  {why}")),
        }
    }
    Err(gave_up())
}

fn gave_up() -> ExitCode {
    output::stderr("\nnothing was written");
    ExitCode::from(USAGE)
}
