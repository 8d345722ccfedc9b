//! The files in `config/systemd`: by systemd's own tools, and under a real systemd.

use std::net::{Ipv6Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use airbyte_proxy::demo::Options;
use tokio::process::Command;

use super::there_is;
use crate::harness::process::{airbyte, free_port, private_file};

/// `systemd-analyze security` counts to 100, most of which is for what a proxy needs: the network.
const EXPOSURE: u32 = 15;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The units as they are, but that the program is the one that has been built.
fn units(folder: &Path) -> [PathBuf; 2] {
    let binary = env!("CARGO_BIN_EXE_airbyte-proxy");
    ["airbyte-proxy.service", "airbyte-proxy.socket"].map(|name| {
        let unit = std::fs::read_to_string(root().join("config/systemd").join(name)).expect("a unit");
        let path = folder.join(name);
        std::fs::write(&path, unit.replace("/usr/bin/airbyte-proxy", binary)).expect("written");
        path
    })
}

async fn analyze(arguments: &[&str], units: &[PathBuf]) -> (bool, String) {
    let mut command = Command::new("systemd-analyze");
    let command = command.arg("--no-pager").args(arguments).args(units).kill_on_drop(true).output();
    let output = tokio::time::timeout(Duration::from_secs(60), command).await;
    let output = output.expect("it ends").expect("it runs");
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

#[tokio::test]
async fn systemd_finds_nothing_wrong_with_the_units() {
    if !there_is("systemd-analyze") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let units = units(folder.path());
    let (good, said) = analyze(&["verify", "--man=no"], &units).await;
    // A key that it does not know is only a warning to it.
    assert!(good && said.is_empty(), "{said}");
}

#[tokio::test]
async fn the_service_is_exposed_to_little() {
    if !there_is("systemd-analyze") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let units = units(folder.path());
    let threshold = format!("--threshold={EXPOSURE}");
    let (good, said) = analyze(&["security", "--offline=true", &threshold], &units[..1]).await;
    println!("{}", said.lines().last().unwrap_or_default());
    assert!(good, "{said}");
    // That it would say so.
    let unit = std::fs::read_to_string(&units[0]).expect("a unit").replace("SystemCallFilter=", "#");
    std::fs::write(&units[0], unit).expect("written");
    let (good, said) = analyze(&["security", "--offline=true", &threshold], &units[..1]).await;
    assert!(!good, "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_a_real_systemd_the_units_do_what_they_say() {
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        return println!("skipped: no IPv6 here");
    }
    let airbyte = airbyte(Options::default());
    let folder = tempfile::tempdir().expect("a folder");
    private_file(folder.path().join("client-id"), &airbyte.client_id());
    private_file(folder.path().join("client-secret"), airbyte.client_secret().expose());
    let port = free_port();
    let config =
        format!("listen = [\"localhost:{port}\"]\n[upstream]\napi_url = \"{}\"\n", airbyte.api_url());
    std::fs::write(folder.path().join("config.toml"), config).expect("written");
    let mut command = Command::new(root().join("tests/systemd/boot.sh"));
    command.arg(folder.path()).arg(env!("CARGO_BIN_EXE_airbyte-proxy")).arg(port.to_string());
    let output = tokio::time::timeout(Duration::from_secs(90), command.kill_on_drop(true).output()).await;
    let output = output.expect("it ends").expect("it runs");
    let said = [&output.stdout[..], &output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    if output.status.code() == Some(77) {
        return println!("{}", said.trim());
    }
    assert!(output.status.success(), "{said}");
    let read = |name| std::fs::read_to_string(folder.path().join(name)).unwrap_or_default();
    let (steps, log) = (read("steps.log"), read("service.log"));
    let expected = "\
        before anybody asks: inactive\n\
        the first request: 200\n\
        by IPv6: 200\n\
        then: active, ready\n\
        a user of its own: yes\n\
        capabilities, filter: 0000000000000000 0000000000000000 1 2 \n\
        somebody else reads them: 1\n\
        the environment holds the secret: 0\n\
        reload: 0, active\n\
        the same process\n\
        during restarts: 200 60\n\
        another process\n\
        stop: success, 0\n\
        started again by a request: 200, active\n\
        without the socket: 200, active\n\
        a wrong configuration: exit-code, 2, restarts 0\n\
        without the file of the secret: exit-code, 243\n\
        all steps done\n";
    assert_eq!(steps, expected, "{log}");
    assert!(!log.contains(airbyte.client_secret().expose()), "a secret");
    assert_eq!(airbyte.handle().counts().unauthorized(), 0);
}
