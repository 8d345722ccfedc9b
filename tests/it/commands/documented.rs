//! The commands of the documents, as they stand there, one after the other, against a simulated Airbyte.
//!
//! A command that is new in a document is run; if it cannot be, it goes below, with the reason.

use std::path::Path;

use airbyte_proxy::demo::{Options, Simulator};

use crate::harness::process::{Start, airbyte, airbyte_proxy, wrapped};

/// What is not run, by how it begins, and why.
const NOT_RUN: [(&str, &str); 6] = [
    ("cargo test", "that is this"),
    ("cargo run --release -- demo", "process::first_contact starts it"),
    ("cargo install", "this has been built already"),
    ("airbyte-proxy\n", "it does not end; terminal types it"),
    ("airbyte-proxy init", "it asks questions; terminal and diagnose::init answer them"),
    ("newman ", "documents runs it, where there is one"),
];

/// The lines of a page that are to be typed: behind `$` in a block of a console, or indented and beginning with a program.
fn commands(page: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut fenced = false;
    for line in page.lines() {
        let typed = if line.starts_with("```") {
            fenced = !fenced;
            continue;
        } else if fenced {
            line.strip_prefix("$ ")
        } else {
            line.strip_prefix("    ").filter(|line| {
                let programs = ["airbyte-proxy", "curl", "… |", "pkill", "export"];
                programs.iter().any(|program| line.starts_with(program))
            })
        };
        found.extend(typed.map(str::to_owned));
    }
    found
}

fn is_run(command: &str) -> bool {
    // With its end, so that a command without arguments is not the start of every other.
    let command = format!("{command}\n");
    NOT_RUN.iter().all(|(start, _)| !command.starts_with(start))
}

/// Before each command. Two programs are not the real ones: a person's curl shows errors by itself, and pkill would reach
/// every proxy of this machine, so the signal goes to the one that it would find too.
const BEFORE: &str = r#"PATH="$(dirname "$0"):$PWD/bin:$PATH"
curl() { command curl --silent --show-error --fail "$@"; }
pkill() {
    test "$*" = "-HUP -x airbyte-proxy"
    test ! -e /proc/self/comm || test "$(cat "/proc/$PROXY/comm")" = airbyte-proxy
    kill -HUP "$PROXY"
}
"#;

/// What the commands of the pages expect to be there: a script that `run` has told where to ask, and its interpreter.
fn furnish(folder: &Path) {
    let script = "import os\nassert os.environ['AIRBYTE_API_URL'].startswith('http://run:')\n";
    std::fs::write(folder.join("script.py"), script).expect("written");
    std::fs::create_dir(folder.join("bin")).expect("made");
    std::os::unix::fs::symlink("/usr/bin/python3", folder.join("bin/python")).expect("linked");
}

/// With what stands for something else replaced by it.
fn filled_in(command: &str, airbyte: &Simulator, at: &str, connection: &str) -> String {
    command
        .replace("\"connectionId\": \"…\"", &format!("\"connectionId\": \"{connection}\""))
        .replace("localhost:8484", at)
        .replace("https://airbyte.corp", &format!("http://{}", airbyte.addr()))
        .replace(" ID ", &format!(" {} ", airbyte.client_id()))
        .replace("… |", "printf %s \"$AIRBYTE_CLIENT_SECRET\" |")
}

fn typed(command: &str, airbyte: &Simulator, at: &str) -> Start {
    let script = format!("{BEFORE}{command}");
    started(wrapped(&["sh", "-ec", &script], ""), airbyte).env("AIRBYTE_PROXY_LISTEN", at)
}

/// In front of `airbyte`, but not as an upstream whose tokens must not be seen: `token` is among the commands.
fn started(start: Start, airbyte: &Simulator) -> Start {
    let at = airbyte.api_url();
    start.env("AIRBYTE_PROXY_UPSTREAM_API_URL", at).credentials(&airbyte.credentials())
}

async fn all_of(page: &str) -> usize {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(page)).expect("a page");
    // As the demo's.
    let airbyte = airbyte(Options { controls: true, ..Options::default() });
    let start = started(airbyte_proxy("--listen 127.0.0.1:0"), &airbyte);
    let proxy = start.env("AIRBYTE_PROXY_CONTROL_ALLOW_QUIT", "true").start().await;
    let at = proxy.addr.to_string();
    let folder = tempfile::tempdir().expect("a folder");
    furnish(folder.path());
    let connections = proxy.get("/v1/connections").await.json();
    let connection = connections["data"][0]["connectionId"].as_str().expect("a connection");
    let mut run = 0;
    for command in commands(&text).iter().filter(|command| is_run(command)) {
        let line = filled_in(command, &airbyte, &at, connection);
        let typed = typed(&line, &airbyte, &at)
            .within(folder.path())
            .env("PROXY", proxy.pid().as_raw_nonzero().to_string());
        let ended = typed.run().await;
        assert_eq!(ended.code, Some(0), "{page}: {command}\n{}{}", ended.stdout, ended.stderr);
        run += 1;
    }
    run
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_of_the_readme_work() {
    assert!(all_of("README.md").await >= 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_of_the_page_on_operations_work() {
    assert!(all_of("docs/operations.md").await >= 12);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_of_the_other_pages_work() {
    for (page, least) in [
        ("docs/lists.md", 3),
        ("docs/documents.md", 3),
        ("docs/clients.md", 4),
        ("docs/metrics.md", 1),
        ("docs/ci.md", 1),
    ] {
        assert!(all_of(page).await >= least, "{page}");
    }
}

#[test]
fn what_is_typed_is_told_from_what_is_shown() {
    let page =
        "text\n\n    airbyte-proxy x\n    {\"a\": 1}\n\n```console\n$ curl y\nits answer\n```\n    $ z\n";
    assert_eq!(commands(page), ["airbyte-proxy x", "curl y"]);
    assert!(is_run("… | airbyte-proxy init --url x") && !is_run("airbyte-proxy init"));
}
