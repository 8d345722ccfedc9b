//! Clients as people have them, with nothing changed but their base URL.
//!
//! * `course`: the Python SDK in the version of Airbyte Academy's course
//! * `curl`: options that change what a request looks like
//! * `dagster`: its tables, from the Configuration API
//! * `httpie`: `HTTPie`'s shorthands
//! * `prometheus`: the parsers of its own client
//! * `terraform`: what the Terraform provider sends
//!
//! The present SDK is in `process::sdk`. What is too heavy for every run is run by `tests/clients/heavy.sh`.

#![cfg(target_os = "linux")]

mod course;
mod curl;
mod dagster;
mod httpie;
mod prometheus;
mod terraform;
mod whole;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::process::Command;

/// An interpreter with what `tests/clients/requirements-more.txt` lists, if there is one.
#[expect(clippy::disallowed_methods, reason = "a switch of the test run, not a setting of the program")]
fn python() -> Option<OsString> {
    let python = std::env::var_os("AIRBYTE_PROXY_TEST_CLIENTS_PYTHON").filter(|path| !path.is_empty());
    if python.is_none() {
        println!("skipped: AIRBYTE_PROXY_TEST_CLIENTS_PYTHON names no interpreter with the clients");
    }
    python
}

/// Whether `program` can be started at all; if not, that is said.
fn there_is(program: &str) -> bool {
    let found = std::process::Command::new(program).arg("--version").output().is_ok();
    if !found {
        println!("skipped: there is no {program} here");
    }
    found
}

/// A script of `tests/clients`.
fn script(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests/clients", name].iter().collect()
}

/// Runs a client to its end. It has a home of its own, and no proxy but the one it is told.
async fn output(client: &mut Command) -> Output {
    let home = tempfile::tempdir().expect("a folder");
    client.env("HOME", home.path()).env("NO_PROXY", "*").env("DO_NOT_TRACK", "1");
    client.stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(Duration::from_secs(120), client.output()).await;
    output.expect("it ends").expect("it runs")
}

/// Runs a script that says "ok" when all was as it should be.
async fn succeeds(client: &mut Command) {
    let output = output(client).await;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success() && said.lines().any(|line| line == "ok"), "{client:?}: {said}");
}
