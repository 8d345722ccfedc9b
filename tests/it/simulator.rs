//! The simulated Airbyte answers the official Python SDK, so what it says of real clients can be believed.
//!
//! Needs an interpreter with `airbyte-api==1.0.1`, named by `AIRBYTE_PROXY_TEST_SDK_PYTHON`; without it nothing is
//! tested, and that is said.
#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "helpers of tests are not seen as tests by the lints"
)]

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use airbyte_proxy::demo::{Options, Simulator, Style};
use tokio::process::Command;

/// The interpreter, if there is one.
#[expect(clippy::disallowed_methods, reason = "a switch of the test run, not a setting of the program")]
pub(crate) fn python() -> Option<std::ffi::OsString> {
    let python = std::env::var_os("AIRBYTE_PROXY_TEST_SDK_PYTHON").filter(|path| !path.is_empty());
    if python.is_none() {
        println!("skipped: AIRBYTE_PROXY_TEST_SDK_PYTHON names no interpreter with airbyte-api");
    }
    python
}

/// Runs the script against `url`, with nothing in the environment that could lead it elsewhere.
async fn sdk(python: &std::ffi::OsStr, simulator: &Simulator, url: &str, more: &[&str]) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/sdk.py");
    let mut command = Command::new(python);
    command
        .arg(script)
        .arg(url)
        .args(["--client-id", &simulator.client_id(), "--client-secret-env", "CLIENT_SECRET"])
        .args(more)
        .env("CLIENT_SECRET", simulator.client_secret().expose())
        .env("NO_PROXY", "*")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    tokio::time::timeout(Duration::from_secs(120), command.output())
        .await
        .expect("the script ends")
        .expect("the interpreter runs")
}

fn start(style: Style) -> Simulator {
    let job_duration = Duration::from_millis(400);
    Simulator::start(Options { style, job_duration, ..Options::default() }).expect("a free port")
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_official_sdk_builds_its_pipeline_on_the_simulator() {
    let Some(python) = python() else { return };
    for style in [Style::Cloud, Style::Core] {
        let simulator = start(style);
        let url = match style {
            Style::Cloud => simulator.api_url(),
            Style::Core => simulator.self_managed_url(),
        };
        let output = sdk(&python, &simulator, &url, &[]).await;
        assert!(output.status.success(), "{style:?}: {}", said(&output));
        assert!(said(&output).ends_with("ok\n"), "{style:?}: {}", said(&output));
        let counts = simulator.handle().counts();
        assert_eq!((counts.mints, counts.unauthorized()), (1, 0), "{style:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sdk_without_security_gets_nothing_from_airbyte_itself() {
    let Some(python) = python() else { return };
    let simulator = start(Style::Cloud);
    let output = sdk(&python, &simulator, &simulator.api_url(), &["--mode", "none"]).await;
    assert!(!output.status.success(), "{}", said(&output));
    assert_eq!(simulator.handle().counts().missing, 1);
}
