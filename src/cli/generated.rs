//! `airbyte-proxy completions` and `airbyte-proxy man`: what follows from the grammar of the command line.

use std::process::ExitCode;

use clap::ArgMatches;
use clap_complete::Shell;
use clap_mangen::Man;

use super::{USAGE, args, output};

pub(super) fn completions(matches: &ArgMatches) -> ExitCode {
    let Some(&shell) = matches.get_one::<Shell>(args::SHELL) else { return ExitCode::from(USAGE) };
    let mut command = args::command();
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut script);
    output::stdout(String::from_utf8_lossy(&script).trim_end());
    ExitCode::SUCCESS
}

/// A page in roff: of the program, or of one of its commands.
pub(super) fn man(matches: &ArgMatches) -> ExitCode {
    let mut command = args::command();
    command.build();
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let name = about.lines().next().unwrap_or_default().to_owned();
    command = command.about(name).long_about(about);
    if let Some(name) = matches.get_one::<String>(args::COMMAND) {
        let Some(wanted) = command.find_subcommand(name) else {
            output::stderr(&format!("there is no command {name}; airbyte-proxy --help names them"));
            return ExitCode::from(USAGE);
        };
        let title = format!("airbyte-proxy-{}", wanted.get_name());
        command = wanted.clone().display_name(title);
    }
    let mut page = Vec::new();
    if let Err(error) = Man::new(command).render(&mut page) {
        output::stderr(&format!("the page cannot be made: {error}"));
        return ExitCode::FAILURE;
    }
    output::stdout(String::from_utf8_lossy(&page).trim_end());
    ExitCode::SUCCESS
}
