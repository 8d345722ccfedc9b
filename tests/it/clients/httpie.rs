//! `HTTPie`, which has its own ideas of what a URL, a body and a success are.

use airbyte_proxy::demo::Options;
use serde_json::Value;
use tokio::process::Command;

use super::{output, python};
use crate::harness::process::{Process, airbyte, in_front_of};

/// Runs `http` with its URL in its shorthand for this machine; answers the exit code and the body.
async fn http(
    python: &std::ffi::OsStr,
    proxy: &Process,
    method: &str,
    path: &str,
    more: &[&str],
) -> (i32, Value) {
    let url = format!(":{}{path}", proxy.addr.port());
    let mut client = Command::new(python);
    client
        .args(["-m", "httpie", "--ignore-stdin", "--check-status", "--body"])
        .args([method, &url])
        .args(more);
    let output = output(&mut client).await;
    let body = serde_json::from_slice(&output.stdout);
    (output.status.code().expect("a code"), body.unwrap_or_else(|e| panic!("{method} {url}: {e} {output:?}")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn httpie_reads_and_writes_by_its_shorthands() {
    let Some(python) = python() else { return };
    let airbyte = airbyte(Options::default());
    let proxy = in_front_of(&airbyte).start().await;

    let (code, page) = http(&python, &proxy, "GET", "/v1/connections", &["limit==3"]).await;
    assert_eq!((code, page["data"].as_array().map(Vec::len)), (0, Some(3)), "{page}");
    let idle = page["data"][0]["connectionId"].as_str().expect("an id");

    let fields = [&format!("connectionId={idle}"), "jobType=sync"];
    let (code, job) = http(&python, &proxy, "POST", "/v1/jobs", &fields).await;
    assert_eq!((code, job["connectionId"].as_str()), (0, Some(idle)), "{job}");

    // Credentials of its own are replaced like everybody's.
    for more in [["--auth", "any:any"], ["--auth-type=bearer", "--auth=any"]] {
        let (code, page) = http(&python, &proxy, "GET", "/v1/workspaces", &more).await;
        assert!(code == 0 && page["data"].is_array(), "{more:?}: {page}");
    }

    // Its exit code is the first digit of the status, for Airbyte's refusals and for ours.
    let (code, _) = http(&python, &proxy, "GET", "/v1/jobs/999999999", &[]).await;
    assert_eq!(code, 4);
    let (code, problem) = http(&python, &proxy, "GET", "/workspaces", &[]).await;
    assert_eq!((code, problem["status"].as_u64()), (4, Some(404)), "{problem}");

    assert_eq!(airbyte.handle().counts().unauthorized(), 0);
    proxy.stop().await;
}
