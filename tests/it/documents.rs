//! The documents for other tools, by those tools: what is served and exported is valid, works, and is true.
//!
//! Needs an interpreter with `tests/documents/requirements.txt`, named by `AIRBYTE_PROXY_TEST_DOCUMENTS_PYTHON`, and newman,
//! named by `AIRBYTE_PROXY_TEST_NEWMAN`; without them only that is tested which needs none, and that is said.

#![cfg(target_os = "linux")]

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;

use crate::harness::process::{Process, airbyte_proxy};

/// What is closed otherwise is open, so that it can be looked at as well; the credentials are the simulator's.
const OPEN: [&str; 3] = ["allow * /applications/**", "allow * /embedded/**", "allow * /dataplanes/**"];

/// What the run names, if it names it.
#[expect(clippy::disallowed_methods, reason = "a switch of the test run, not a setting of the program")]
fn tool(name: &str) -> Option<OsString> {
    let tool = std::env::var_os(name).filter(|path| !path.is_empty());
    if tool.is_none() {
        println!("skipped: {name} is not set");
    }
    tool
}

async fn demo() -> Process {
    airbyte_proxy("demo --listen 127.0.0.1:0").start().await
}

/// What `command` says and how it ends, which it does.
async fn run(command: &mut Command) -> Output {
    let output = command.env("NO_PROXY", "*").stdin(Stdio::null()).kill_on_drop(true).output();
    let output = tokio::time::timeout(Duration::from_secs(120), output).await;
    output.expect("it ends").expect("it runs")
}

fn said(output: &Output) -> String {
    let both = [&output.stdout[..], &output.stderr].concat();
    String::from_utf8_lossy(&both).into_owned()
}

async fn export(document: &str, listen: &str) -> String {
    let ended = airbyte_proxy(&format!("export {document} --listen {listen}")).run().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    ended.stdout
}

/// The file `name` in the folder of `process`.
fn saved(process: &Process, name: &str, content: &str) -> PathBuf {
    let path = process.folder().join(name);
    std::fs::write(&path, content).expect("written");
    path
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_exported_is_what_is_served() {
    let proxy = demo().await;
    let listen = proxy.addr.to_string();
    for (document, path) in [("openapi", "/-/openapi.json"), ("postman", "/-/postman_collection.json")] {
        let served = proxy.get(path).await;
        assert_eq!(served.status, 200);
        assert_eq!(export(document, &listen).await.trim_end(), served.text(), "{document}");
    }
    let shell = export("env", &listen).await;
    assert!(shell.contains(&format!("export AIRBYTE_API_URL=http://{listen}/v1\n")), "{shell}");
    let plain = export("env --dotenv", &listen).await;
    assert!(plain.contains(&format!("\nAIRBYTE_API_URL=http://{listen}/v1\n")), "{plain}");
    proxy.stop().await;
}

#[tokio::test]
async fn there_is_no_document_without_an_address() {
    for arguments in ["export openapi --listen 127.0.0.1:0", "export env --listen unix:/nowhere/socket"] {
        let ended = airbyte_proxy(arguments).run().await;
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{arguments}");
        assert!(
            ended.stderr.contains("hint: --listen 127.0.0.1:8484, or set public_url"),
            "{}",
            ended.stderr
        );
    }
    let public = "export env --listen unix:/nowhere/socket --public-url https://airbyte.corp.example";
    let ended = airbyte_proxy(public).run().await;
    assert!(ended.stdout.contains("=https://airbyte.corp.example/v1\n"), "{}", ended.stderr);
}

#[tokio::test]
async fn the_openapi_document_is_one() {
    let Some(python) = tool("AIRBYTE_PROXY_TEST_DOCUMENTS_PYTHON") else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("openapi.json");
    std::fs::write(&file, export("openapi", "127.0.0.1:8484").await).expect("written");
    let output = run(Command::new(python).args(["-m", "openapi_spec_validator"]).arg(&file)).await;
    assert!(output.status.success(), "{}", said(&output));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_postman_collection_runs_on_the_demo() {
    let Some(newman) = tool("AIRBYTE_PROXY_TEST_NEWMAN") else { return };
    let proxy = demo().await;
    let collection = export("postman", &proxy.addr.to_string()).await;
    let collection = saved(&proxy, "collection.json", &collection);
    let report = proxy.folder().join("report.json");
    let mut command = Command::new(newman);
    command.arg("run").arg(&collection).args(["--reporters", "json", "--reporter-json-export"]).arg(&report);
    let output = run(&mut command).await;
    let report = std::fs::read_to_string(&report).unwrap_or_else(|_| panic!("{}", said(&output)));
    let report: Value = serde_json::from_str(&report).expect("JSON");
    let failed: Vec<_> = report["run"]["failures"]
        .as_array()
        .expect("failures")
        .iter()
        .map(|failure| (failure["source"]["name"].as_str(), &failure["error"]["message"]))
        .collect();
    assert!(failed.is_empty(), "{failed:?}");
    let sent = report["run"]["stats"]["requests"]["total"].as_u64();
    assert!(sent.is_some_and(|sent| sent >= 80), "only {sent:?} requests were sent");
    proxy.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_answer_contradicts_the_openapi_document() {
    let Some(python) = tool("AIRBYTE_PROXY_TEST_DOCUMENTS_PYTHON") else { return };
    let start = airbyte_proxy("demo --listen 127.0.0.1:0");
    let proxy = OPEN.iter().fold(start, |start, rule| start.arg("--policy-rules").arg(rule)).start().await;
    let document = export("openapi", &proxy.addr.to_string()).await;
    let document = saved(&proxy, "openapi.json", &document);
    let succeeded = proxy.folder().join("succeeded");
    let hooks = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/documents");
    let mut command = Command::new(python);
    command
        .args(["-m", "schemathesis.cli", "run"])
        .arg(&document)
        .args(["--url", &proxy.url("/v1"), "--phases", "examples,coverage,fuzzing", "--max-examples", "3"])
        .args(["--checks", "status_code_conformance,content_type_conformance"])
        .args(["--checks", "response_headers_conformance,response_schema_conformance"])
        .args(["--mode", "positive", "--generation-deterministic", "--no-shrink", "--no-color"])
        .args(["--max-redirects", "0", "--warnings", "off"])
        .current_dir(proxy.folder())
        .env("SCHEMATHESIS_HOOKS", "hooks")
        .env("PYTHONPATH", hooks)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("AIRBYTE_API", proxy.url("/v1"))
        .env("SUCCEEDED", &succeeded);
    let output = run(&mut command).await;
    assert!(output.status.success(), "{}", said(&output));
    // Refusals alone would prove little.
    let succeeded = std::fs::read_to_string(succeeded).expect("some have succeeded");
    let succeeded: BTreeSet<_> = succeeded.lines().collect();
    for name in ["listWorkspaces", "listGroupMembers", "listJobs", "createSource", "createJob", "getSource"] {
        assert!(succeeded.contains(name), "{name} never succeeds: {succeeded:?}");
    }
    assert!(succeeded.len() >= 85, "{succeeded:?}");
    proxy.stop().await;
}
