//! `docs/ci.md`: what other people's tests do with the demo, as it stands there.

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use http::StatusCode;
use tokio::process::Command;

use crate::harness::daemon::got;
use crate::harness::process::{airbyte_proxy, client, free_port};
use crate::simulator::python;

fn page() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/ci.md")).expect("a page")
}

/// The blocks of this language.
fn blocks<'a>(page: &'a str, language: &str) -> Vec<&'a str> {
    let start = format!("```{language}\n");
    page.split(start.as_str()).skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

/// The texts behind a `|` at the end of a line of YAML.
fn scripts(yaml: &str) -> Vec<String> {
    let lines: Vec<_> = yaml.lines().collect();
    let indent = |line: &str| line.len() - line.trim_start().len();
    let starts = lines.iter().enumerate().filter(|(_, line)| line.ends_with('|'));
    let script = |(at, start): (usize, &&str)| {
        let inner = lines[at + 1..].iter().take_while(|line| indent(line) > indent(start));
        inner.flat_map(|line| [line.trim_start(), "\n"]).collect()
    };
    starts.map(script).collect()
}

/// `command` in `folder`, with the proxy on its path.
async fn run(command: &mut Command, folder: &Path) -> Output {
    let ours = Path::new(env!("CARGO_BIN_EXE_airbyte-proxy")).parent().expect("a folder").display();
    command.current_dir(folder).env_clear().env("PATH", format!("{ours}:/usr/bin:/bin"));
    command.env("HOME", folder).env("NO_PROXY", "*").env("GITHUB_ENV", folder.join("env"));
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let output = tokio::time::timeout(Duration::from_secs(120), output).await;
    output.expect("it ends").expect("it runs")
}

fn said(output: &Output) -> String {
    let both = [&output.stdout[..], &output.stderr].concat();
    String::from_utf8_lossy(&both).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_fixture_of_the_page_is_one_and_its_tests_pass() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    for block in blocks(&page(), "python") {
        let name = block.lines().next().and_then(|line| line.strip_prefix("# ")).expect("its name");
        std::fs::write(folder.path().join(name), block).expect("written");
    }
    let mut command = Command::new(python);
    command.args(["-m", "pytest", "-q", "-p", "no:cacheprovider"]);
    let output = run(&mut command, folder.path()).await;
    assert!(output.status.success() && said(&output).contains("3 passed"), "{}", said(&output));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lines_of_each_pipeline_lead_to_an_airbyte_that_is_ready() {
    let page = page();
    let scripts: Vec<_> = blocks(&page, "yaml").into_iter().flat_map(scripts).collect();
    assert_eq!(scripts.len(), 2, "GitHub's and GitLab's");
    for script in scripts {
        let folder = tempfile::tempdir().expect("a folder");
        let port = free_port().to_string();
        let end = "cat \"$GITHUB_ENV\" || echo \"is $AIRBYTE_API_URL\"\nkill $!; wait";
        // Where the page has the usual port, which may be taken here.
        let script =
            format!("export AIRBYTE_PROXY_LISTEN=localhost:8484\n{script}{end}").replace("8484", &port);
        let mut command = Command::new("bash");
        let output = run(command.args(["-ec", &script]), folder.path()).await;
        let told = said(&output);
        assert!(told.contains(&format!("http://localhost:{port}/v1")), "{script}{told}");
        let log = std::fs::read_to_string(folder.path().join("airbyte.log")).unwrap_or_default();
        assert!(log.contains("without a live token"), "it has ended: {log}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_neighbour_reaches_the_demo_by_the_name_of_its_service() {
    let page = page();
    let line = page.lines().find_map(|line| line.trim().strip_prefix("command: ")).expect("a command");
    let arguments: Vec<String> = serde_json::from_str(line).expect("flow style is JSON");
    // On all addresses as there, but on a port that is free here.
    let start = airbyte_proxy(&arguments.join(" ")).arg("--listen").arg("0.0.0.0:0");
    let demo = start.start().await;
    let url = format!("http://127.0.0.1:{}/v1/workspaces", demo.addr.port());
    let asked = |name: &str| client().get(&url).header("host", format!("{name}:8484"));
    assert_eq!(got(asked("airbyte")).await.status, StatusCode::OK);
    assert_eq!(got(asked("elsewhere")).await.status, StatusCode::FORBIDDEN);
    demo.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_seed_decides_the_rows_and_the_first_line_ends_with_the_url() {
    let mut all = Vec::new();
    for seed in ["7", "7", "8"] {
        let demo = airbyte_proxy(&format!("demo --listen 127.0.0.1:0 --seed {seed}")).start().await;
        let first = demo.said("http://").await;
        assert!(first.ends_with(&format!(" http://{}", demo.addr)), "{first}");
        all.push(demo.get("/v1/connections?limit=all").await.json()["data"][0]["connectionId"].clone());
        demo.stop().await;
    }
    assert!(all[0].is_string() && all[0] == all[1], "{all:?}");
    assert_ne!(all[0], all[2]);
}
