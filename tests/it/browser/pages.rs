//! Our own pages, used as people use them.

use std::time::Duration;

use airbyte_proxy::demo::Options;

use super::playwright::Script;
use crate::harness::process::{Process, airbyte, airbyte_proxy, free_port, in_front_of, private_file};

async fn run(script: &str, proxy: &Process, more: &[&str]) {
    let address = proxy.url("");
    let Some(script) = Script::start(script, &[&[address.as_str()], more].concat()) else { return };
    script.ends().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_status_page_shows_renewals_and_requests_without_reload() {
    let airbyte = airbyte(Options { token_lifetime: Duration::from_secs(15), ..Options::default() });
    let proxy = in_front_of(&airbyte).env("AIRBYTE_PROXY_NAME", "stage 2").start().await;
    run("status.mjs", &proxy, &[]).await;
    // With a page open, and after it.
    proxy.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_status_page_survives_a_restart_of_the_proxy() {
    let airbyte = airbyte(Options::default());
    let listen = format!("--listen 127.0.0.1:{}", free_port());
    let start = || airbyte_proxy(&listen).upstream(&airbyte).credentials(&airbyte.credentials()).start();
    let proxy = start().await;
    let Some(mut script) = Script::start("restart.mjs", &[&proxy.url("")]) else { return };
    script.wants("stop it").await;
    // Exits with 0 while the page listens: it does not hold up the end.
    proxy.stop().await;
    script.did("stop it").await;
    script.wants("start it").await;
    let proxy = start().await;
    script.did("start it").await;
    script.ends().await;
    proxy.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_explorer_finds_tries_and_turns_pages() {
    let airbyte = airbyte(Options::default());
    let proxy = in_front_of(&airbyte).start().await;
    run("explorer.mjs", &proxy, &[]).await;
    proxy.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_explorer_explains_what_is_denied_and_asks_before_it_deletes() {
    let airbyte = airbyte(Options::default());
    let proxy = in_front_of(&airbyte).start().await;
    run("denied.mjs", &proxy, &[]).await;
    proxy.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_client_keys_the_pages_know_whom_they_are_for() {
    const KEY: &str = "0123456789abcdef-admin";
    let keys = tempfile::tempdir().expect("a folder");
    private_file(keys.path().join("admin"), KEY);
    let airbyte = airbyte(Options::default());
    let proxy = in_front_of(&airbyte)
        .env("AIRBYTE_PROXY_GUARD_KEYS_DIR", keys.path())
        .arg("--policy-rules")
        .arg("allow GET /applications/** as admin")
        .arg("--policy-rules")
        .arg("deny * /tags/* as admin")
        .start()
        .await;
    run("keys.mjs", &proxy, &[KEY]).await;
    proxy.stop().await;
}
