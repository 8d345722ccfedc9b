//! SIGHUP on a terminal, in a service, under nohup.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use airbyte_proxy::demo::{Options, Simulator};
use airbyte_proxy::secret::Secret;
use http::StatusCode;
use rustix::process::Signal;
use tokio::process::Command;

use crate::harness::process::{Start, airbyte, airbyte_proxy, in_front_of, private_file, until, wrapped};
use crate::harness::trace;

/// Credentials from a program that notes each of its runs: nothing but SIGHUP makes it run again.
fn by_command(start: Start, airbyte: &Simulator) -> Start {
    let folder = start.folder().to_owned();
    private_file(folder.join("secret"), airbyte.client_secret().expose());
    let command = r#"["sh", "-c", "echo run >> runs; cat secret"]"#;
    let config = format!(
        "[credentials]\nclient_id = \"{}\"\nclient_secret_command = {command}\n",
        airbyte.client_id()
    );
    private_file(folder.join("x.toml"), &config);
    start.upstream(airbyte).arg("--config=x.toml")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_gets_its_secret_again() {
    let airbyte = airbyte(Options::default());
    let proxy = by_command(airbyte_proxy("--listen 127.0.0.1:0"), &airbyte).start().await;
    assert_eq!(proxy.get("/v1/workspaces").await.status, StatusCode::OK);
    let new = Secret::new("a-new-secret-after-hangup".to_owned());
    trace::secret(new.expose());
    airbyte.handle().rotate_secret(new.clone());
    private_file(proxy.folder().join("secret"), new.expose());
    proxy.signal(Signal::HUP);
    until(&airbyte, |counts| counts.mints == 2).await;
    assert_eq!(airbyte.handle().counts().refused, 0);
    assert_eq!(proxy.get("/v1/workspaces").await.status, StatusCode::OK);
    proxy.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_logs_at_the_level_that_is_written_by_then() {
    let airbyte = airbyte(Options::default());
    let start = in_front_of(&airbyte).at_its_own_level().arg("--config=x.toml");
    let file = start.folder().join("x.toml");
    let level = |level: &str| private_file(file.clone(), &format!("[log]\nlevel = \"{level}\"\n"));
    level("info");
    let proxy = start.start().await;
    let ask = async |path: &str| assert_eq!(proxy.get(path).await.status, StatusCode::OK);
    ask("/v1/workspaces").await;
    proxy.logged("\"route\":\"/v1/workspaces\"").await;
    level("warn");
    proxy.signal(Signal::HUP);
    let said = proxy.logged("log.level has changed").await;
    assert!(said.contains("\"now\":\"warn\""), "{said}");
    ask("/v1/jobs").await;
    // A mistake is told and changes nothing.
    level("lots");
    proxy.signal(Signal::HUP);
    let said = proxy.logged("log.level stays").await;
    assert!(said.contains("x.toml:2"), "{said}");
    ask("/v1/sources").await;
    level("debug");
    proxy.signal(Signal::HUP);
    proxy.logged("\"now\":\"debug\"").await;
    ask("/v1/destinations").await;
    proxy.logged("\"route\":\"/v1/destinations\"").await;
    proxy.signal(Signal::TERM);
    let ended = proxy.ended().await;
    for silent in ["/v1/jobs", "/v1/sources"] {
        assert!(!ended.stderr.contains(silent), "{}", ended.stderr);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_nohup_it_means_nothing() {
    let airbyte = airbyte(Options::default());
    let start = wrapped(&["nohup"], "--listen 127.0.0.1:0");
    let proxy = by_command(start, &airbyte).start().await;
    assert_eq!(proxy.get("/v1/workspaces").await.status, StatusCode::OK);
    proxy.signal(Signal::HUP);
    assert_eq!(proxy.get("/v1/workspaces").await.status, StatusCode::OK);
    let noted = proxy.folder().join("runs");
    assert_eq!(std::fs::read_to_string(noted).expect("it ran"), "run\n");
    proxy.stop().await;
}

/// Runs `hangup.py`, which gives the binary a terminal, takes it away, and tells what became of it.
async fn on_a_terminal(nohup: bool) -> String {
    let airbyte = airbyte(Options::default());
    let _tokens = trace::Tokens::of(airbyte.handle());
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = Command::new("python3");
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/process/hangup.py"));
    command.args(nohup.then_some("nohup")).arg(env!("CARGO_BIN_EXE_airbyte-proxy"));
    let child = command
        .args(["--listen", "127.0.0.1:0"])
        .current_dir(&folder)
        .env_clear()
        .env("PATH", std::env::join_paths(["/usr/local/bin", "/usr/bin", "/bin"]).expect("a path"))
        .env("HOME", folder.path())
        .env("AIRBYTE_PROXY_UPSTREAM_API_URL", airbyte.api_url())
        .env("AIRBYTE_CLIENT_ID", airbyte.client_id())
        .env("AIRBYTE_CLIENT_SECRET", airbyte.client_secret().expose())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .output();
    let output =
        tokio::time::timeout(Duration::from_secs(30), child).await.expect("it ends").expect("it runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_terminal_that_goes_away_takes_the_proxy_along() {
    assert_eq!(on_a_terminal(false).await, "ended with 0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_terminal_that_goes_away_leaves_it_under_nohup() {
    assert_eq!(on_a_terminal(true).await, "still answers");
}
