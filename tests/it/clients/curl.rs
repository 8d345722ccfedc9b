//! curl, with the options that change what goes over the wire.

use airbyte_proxy::demo::Options;
use serde_json::Value;
use tokio::process::Command;

use super::{output, there_is};
use crate::harness::process::{Process, airbyte, in_front_of};

async fn curl(proxy: &Process, path: &str, options: &[&str]) -> (u16, Value) {
    let mut client = Command::new("curl");
    client
        .args(["--silent", "--show-error", "--write-out", "\n%{http_code}"])
        .args(options)
        .arg(proxy.url(path));
    let output = output(&mut client).await;
    let said = String::from_utf8(output.stdout).expect("text");
    let (body, status) = said.rsplit_once('\n').unwrap_or_else(|| panic!("{options:?}: {:?}", output.stderr));
    let body = serde_json::from_str(body).unwrap_or_else(|e| panic!("{options:?}: {e}: {body:?}"));
    (status.parse().expect("a status"), body)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_reads_and_writes_whatever_its_options() {
    if !there_is("curl") {
        return;
    }
    let airbyte = airbyte(Options::default());
    let proxy = in_front_of(&airbyte).start().await;

    let ways: [&[&str]; 8] = [
        &[],
        &["--http1.0"],
        &["--http1.1"],
        &["--http2"],
        &["--compressed"],
        &["--user", "any:any"],
        &["--header", "Authorization: Bearer any"],
        &["--header", "User-Agent:"],
    ];
    for options in ways {
        let (status, page) = curl(&proxy, "/v1/workspaces", options).await;
        assert!(status == 200 && page["data"].is_array(), "{options:?}: {status} {page}");
    }

    let by_query = ["--get", "--data-urlencode", "limit=2", "--data-urlencode", "orderBy=createdAt|DESC"];
    let (status, page) = curl(&proxy, "/v1/jobs", &by_query).await;
    assert_eq!((status, page["data"].as_array().map(Vec::len)), (200, Some(2)), "{page}");

    let (_, page) = curl(&proxy, "/v1/connections?limit=4", &[]).await;
    let ids =
        page["data"].as_array().expect("rows").iter().map(|row| row["connectionId"].as_str().expect("an id"));
    let waits = ["--header", "Expect: 100-continue"];
    let chunked = ["--header", "Transfer-Encoding: chunked"];
    for (id, options) in ids.zip([&[][..], &["--http2"], &waits, &chunked]) {
        let body = format!("{{\"connectionId\":\"{id}\",\"jobType\":\"sync\"}}");
        let json = ["--header", "Content-Type: application/json", "--data", &body];
        let (status, job) = curl(&proxy, "/v1/jobs", &[options, &json].concat()).await;
        assert_eq!((status, job["connectionId"].as_str()), (200, Some(id)), "{options:?}: {job}");
    }

    assert_eq!(airbyte.handle().counts().unauthorized(), 0);
    proxy.stop().await;
}
