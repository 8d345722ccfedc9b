//! Whole lists for clients that know nothing but their base URL.

use std::ffi::OsString;

use airbyte_proxy::demo::{Options, Sizes};
use tokio::process::Command;

use super::{python, script, succeeds};
use crate::harness::process::{airbyte, in_front_of};

/// The present SDK and that of the course, as far as they are installed.
fn both() -> impl Iterator<Item = OsString> {
    [crate::simulator::python(), python()].into_iter().flatten()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_its_own_base_url_one_call_of_either_sdk_gives_every_row_and_both_loops_end() {
    for python in both() {
        for jobs in [0, 20, 250] {
            let sizes = Sizes { jobs, ..Sizes::default() };
            let airbyte = airbyte(Options { sizes, ..Options::default() });
            let proxy = in_front_of(&airbyte).start().await;
            let (whole, pages) = (proxy.url("/-/all/v1"), proxy.url("/v1"));
            succeeds(Command::new(&python).arg(script("whole.py")).args([whole, pages])).await;
            assert_eq!(airbyte.handle().counts().unauthorized(), 0);
            proxy.stop().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_courses_lesson_runs_under_the_base_url_for_whole_lists() {
    let Some(python) = python() else { return };
    let airbyte = airbyte(Options::default());
    let proxy = in_front_of(&airbyte).start().await;
    succeeds(Command::new(&python).arg(script("course.py")).arg(proxy.url("/-/all/v1"))).await;
    proxy.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_terraform_sends_is_answered_under_the_base_url_for_whole_lists() {
    if !super::there_is("python3") || !super::there_is("curl") {
        return;
    }
    let airbyte = airbyte(Options::default());
    let proxy = in_front_of(&airbyte).start().await;
    let url = proxy.url("/-/all/v1");
    // Its own default token_url begins at the root.
    succeeds(Command::new("python3").arg(script("terraform.py")).args([&url, "--credentials"])).await;
    proxy.stop().await;
}

/// Not a test of anything but the script: what it prints is for docs/lists.md.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement: cargo test --test it clients::whole::what_it_saves -- --ignored --nocapture"]
async fn what_it_saves_beside_the_sdks_own_loop() {
    let Some(python) = crate::simulator::python() else { return };
    let sizes = Sizes { jobs: 5000, ..Sizes::default() };
    let latency = std::time::Duration::from_millis(50);
    let airbyte = airbyte(Options { sizes, latency, ..Options::default() });
    let proxy = in_front_of(&airbyte).at_its_own_level().start().await;
    let mut command = Command::new(&python);
    let ended =
        command.arg(script("compare.py")).arg(proxy.url("/v1")).args(["--rows", "5000"]).output().await;
    let ended = ended.expect("python");
    println!("{}{}", String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    assert!(ended.status.success());
    proxy.stop().await;
}
