//! The `airbyte-proxy` binary: argv → `cli` → exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    airbyte_proxy::cli::run(std::env::args_os().collect(), &airbyte_proxy::config::Environment::capture())
}
