//! The official Python SDK, unmodified, with nothing but its URL changed.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use airbyte_proxy::demo::Options;
use tokio::process::Command;

use crate::harness::process::{airbyte, airbyte_proxy, in_front_of};
use crate::simulator::python;

/// Runs the Academy's lesson against `url`.
async fn lesson(python: &std::ffi::OsStr, url: &str, more: &[&str]) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/sdk.py");
    let output = Command::new(python)
        .arg(script)
        .arg(url)
        .args(more)
        .env("NO_PROXY", "*")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(Duration::from_secs(120), output).await;
    let output = output.expect("the script ends").expect("the interpreter runs");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success() && said.ends_with("ok\n"), "{url} {more:?}: {said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sdk_builds_its_pipeline_with_any_id_and_secret_and_without() {
    let Some(python) = python() else { return };
    let airbyte = airbyte(Options { job_duration: Duration::from_millis(400), ..Options::default() });
    let proxy = in_front_of(&airbyte).start().await;
    for base in ["/v1", "/api/public/v1"] {
        for mode in ["credentials", "none"] {
            lesson(&python, &proxy.url(base), &["--mode", mode]).await;
        }
    }
    let token_url = "/api/v1/applications/token";
    lesson(&python, &proxy.url("/v1"), &["--token-url", token_url]).await;
    let counts = airbyte.handle().counts();
    assert_eq!((counts.mints, counts.unauthorized()), (1, 0), "its own tokens never leave: {counts:?}");
    proxy.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sdk_builds_its_pipeline_on_the_demo() {
    let Some(python) = python() else { return };
    let demo = airbyte_proxy("demo --listen 127.0.0.1:0 --token-lifetime 5s").start().await;
    lesson(&python, &demo.url("/v1"), &[]).await;
    demo.stop().await;
}
