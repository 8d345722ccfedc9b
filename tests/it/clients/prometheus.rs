//! What Prometheus makes of `/-/metrics`.

use airbyte_proxy::demo::Options;
use http::Method;
use tokio::process::Command;

use super::{python, script, succeeds};
use crate::harness::daemon::got;
use crate::harness::process::{airbyte, in_front_of};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prometheus_own_parsers_accept_the_metrics_in_both_formats() {
    let Some(python) = python() else { return };
    let airbyte = airbyte(Options::default());
    let proxy = in_front_of(&airbyte).start().await;
    for path in ["/v1/jobs?limit=all", "/v1/jobs/1", "/v1/applications", "/nowhere", "/v1/made/up"] {
        proxy.get(path).await;
    }
    got(proxy.request(Method::from_bytes(b"MADE-UP").expect("a method"), "/v1/jobs")).await;
    succeeds(Command::new(&python).arg(script("prometheus_parser.py")).arg(proxy.url(""))).await;
    proxy.stop().await;
}
