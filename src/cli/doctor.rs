//! `airbyte-proxy doctor`: why there are no tokens, and what to write.

use std::process::ExitCode;

use clap::ArgMatches;

use super::{USAGE, args, block_on, load_all, output, serve};
use crate::airbyte::BaseUrl;
use crate::clock::Clock;
use crate::config::{Environment, Problem};
use crate::diagnose::{self, Subject};

pub(super) fn run(matches: &ArgMatches, env: &Environment) -> ExitCode {
    let by_hand = match url(matches) {
        Ok(url) => url,
        Err(code) => return code,
    };
    let loaded = match load_all(matches, env) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    let Some(source) = &loaded.credentials else {
        output::stderr(serve::NO_CREDENTIALS);
        return ExitCode::from(USAGE);
    };
    let examined = block_on(async {
        let credentials = source.load().await.map_err(|error| {
            output::stderr(&Problem::from(&error).to_string());
            ExitCode::from(USAGE)
        })?;
        let subject = Subject {
            config: &loaded.config,
            rows: &loaded.rows,
            warnings: &loaded.warnings,
            secret_place: Some(&source.secret().place),
            by_hand: by_hand.as_ref(),
        };
        diagnose::diagnose(&subject, &credentials, &Clock::system()).await.map_err(|error| {
            output::stderr(&format!("cannot ask Airbyte: {error}"));
            ExitCode::FAILURE
        })
    });
    let report = match examined {
        Ok(Ok(report)) => report,
        Ok(Err(code)) | Err(code) => return code,
    };
    if matches.get_flag(args::JSON) {
        output::stdout(&format!("{:#}", report.json()));
    } else {
        output::coloured(&report.text());
    }
    if report.is_well() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// `--url`, which may be what people call a URL.
pub(super) fn url(matches: &ArgMatches) -> Result<Option<BaseUrl>, ExitCode> {
    let given = matches.get_one::<String>(args::URL);
    given.map(|text| diagnose::lenient_url(text)).transpose().map_err(|error| {
        output::stderr(&format!("--url: {error}"));
        ExitCode::from(USAGE)
    })
}
