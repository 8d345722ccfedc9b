//! Dagster, whose tables come from the Configuration API.

use std::time::Duration;

use airbyte_proxy::demo::{Options, Sizes};
use tokio::process::Command;

use super::{python, script, succeeds};
use crate::harness::process::{airbyte, in_front_of};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dagster_loads_its_tables_and_runs_a_sync() {
    let Some(python) = python() else { return };
    // A connection with a job under way is one that Dagster refuses to sync.
    let sizes = Sizes { connections: 9, jobs: 0, ..Sizes::default() };
    let job_duration = Duration::from_millis(400);
    let airbyte = airbyte(Options { sizes, job_duration, ..Options::default() });
    let proxy = in_front_of(&airbyte).env("AIRBYTE_PROXY_UPSTREAM_CONFIG_API_URL", "auto");
    let proxy = proxy.start().await;
    succeeds(Command::new(&python).arg(script("dagster_workspace.py")).arg(proxy.url(""))).await;
    let counts = airbyte.handle().counts();
    assert_eq!((counts.mints, counts.unauthorized()), (1, 0), "its own tokens never leave: {counts:?}");
    proxy.stop().await;
}
