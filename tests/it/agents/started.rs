//! Agents that the proxy starts.

use std::path::Path;

use airbyte_proxy::demo::{Options, Simulator};
use serde_json::{Value, json};

use super::{AGENT, Ground, privileges};
use crate::harness::process::{Start, airbyte, airbyte_proxy, wrapped};

/// `run` as root, which then becomes the agent's user.
fn for_another_user(ground: &Ground, airbyte: &Simulator, script: &str) -> Start {
    let binary = ground.path().join("airbyte-proxy").display().to_string();
    let exec = format!("exec '{binary}' \"$@\"");
    let start = wrapped(&["sh", "-c", &exec], "run --read-only --").at_its_own_level();
    let start = start.upstream(airbyte).credentials(&airbyte.credentials());
    let start = privileges(AGENT, &[]).iter().fold(start, Start::arg);
    start.arg("sh").arg("-c").arg(script)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_is_started_as_another_user_has_a_key_and_nothing_else() {
    let Some(ground) = Ground::new() else { return };
    let airbyte = airbyte(Options::default());
    let script = "id -u; exec 2>&1; curl -sSf -o /dev/null \"$AIRBYTE_API_URL/workspaces\" && echo reads\n\
                  curl -sS -o /dev/null -w '%{http_code}\\n' -X POST -d '{}' \"$AIRBYTE_API_URL/jobs\"\n\
                  cat /proc/$PPID/environ; dd if=/proc/$PPID/mem bs=1 count=1; env";
    let ended = for_another_user(&ground, &airbyte, script).run().await;
    assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
    let said = &ended.stdout;
    assert!(said.starts_with(&format!("{AGENT}\nreads\n405\n")), "{said}");
    assert_eq!(said.matches("Permission denied").count(), 2, "{said}");
    assert!(!said.contains(airbyte.client_secret().expose()), "the secret");
}

/// What the page says of `run` without another user: the process keeps its memory to itself, and that is all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_started_agent_of_the_same_user_finds_the_secret_where_it_was_left() {
    let Some(ground) = Ground::new() else { return };
    let airbyte = airbyte(Options::default());
    let script = format!(
        "exec 2>&1; cat /proc/$PPID/environ; dd if=/proc/$PPID/mem bs=1 count=1; wc -c < {}/client-secret",
        ground.path().display()
    );
    let start = ground.with_file(&airbyte, "run --").at_its_own_level();
    let ended = start.arg("sh").arg("-c").arg(script).run().await;
    let said = &ended.stdout;
    assert_eq!(said.matches("Permission denied").count(), 2, "{said}");
    // Its length, since what is said here is kept with all that must hold no secret.
    assert!(said.ends_with(&format!("\n{}\n", airbyte.client_secret().expose().len())), "{said}");
}

/// The first block of JSON of the page.
fn configuration() -> Value {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/agents.md");
    let page = std::fs::read_to_string(page).expect("a page");
    let block = page.split("```json\n").nth(1).and_then(|rest| rest.split("```").next());
    serde_json::from_str(block.expect("a block")).expect("JSON")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_mcp_server_behind_run_speaks_to_its_client_and_reads_airbyte() {
    let airbyte = airbyte(Options::default());
    let configuration = configuration();
    let server = &configuration["mcpServers"]["airbyte"];
    assert_eq!(server["command"], "airbyte-proxy");
    let arguments: Vec<_> =
        server["args"].as_array().expect("arguments").iter().filter_map(Value::as_str).collect();
    let (last, ours) = arguments.split_last().expect("some");
    assert_eq!(*last, "your-mcp-server");
    let message = |id: u32, method: &str, params: Value| {
        json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string() + "\n"
    };
    let call = |id, tool: &str| message(id, "tools/call", json!({"name": tool, "arguments": {}}));
    let conversation = [
        message(1, "initialize", json!({})),
        json!({"jsonrpc": "2.0", "method": "notifications/initialized"}).to_string() + "\n",
        message(2, "tools/list", json!({})),
        call(3, "list_connections"),
        call(4, "start_sync"),
    ]
    .concat();
    let stand_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/agents/mcp_server.py");
    let start = airbyte_proxy(&ours.join(" ")).at_its_own_level().arg("python3").arg(stand_in);
    let start = start.upstream(&airbyte).credentials(&airbyte.credentials());
    let ended = start.stdin(&conversation).run().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    // Nothing of ours among what the client reads.
    let answers: Vec<Value> =
        ended.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(
        answers.iter().map(|answer| answer["id"].as_u64()).collect::<Vec<_>>(),
        (1..=4).map(Some).collect::<Vec<_>>()
    );
    let text = |answer: &Value| {
        answer["result"]["content"][0]["text"].as_str().map(str::to_owned).unwrap_or_default()
    };
    let rows: Value = serde_json::from_str(&text(&answers[2])).expect("JSON");
    assert_eq!(rows["data"].as_array().map(Vec::len), Some(60), "every connection");
    assert_eq!(answers[3]["result"]["isError"], true);
    assert!(
        text(&answers[3]).contains("read-only") || text(&answers[3]).contains("read_only"),
        "{}",
        text(&answers[3])
    );
}
