//! `run`: what the command finds, what it does not, and how it ends.

use airbyte_proxy::demo::{Options, Simulator};
use http::StatusCode;
use rustix::process::Signal;

use crate::harness::daemon::got;
use crate::harness::process::{Start, airbyte, airbyte_proxy, client, private_file, wrapped};
use crate::simulator::python;

/// `run --`, in front of `airbyte`; the command is still to be added.
fn run(airbyte: &Simulator) -> Start {
    // What it says by itself is part of what is tested.
    let start = airbyte_proxy("run --").at_its_own_level();
    start.upstream(airbyte).credentials(&airbyte.credentials())
}

fn sh(airbyte: &Simulator, script: &str) -> Start {
    run(airbyte).arg("sh").arg("-c").arg(script)
}

/// A pipe that ends when it is dropped, for a script that is to wait until then.
fn gate(start: &Start) -> std::fs::File {
    let path = start.folder().join("gate");
    let made = std::process::Command::new("mkfifo").arg(&path).status();
    assert!(made.expect("mkfifo").success());
    // Both ends, so that opening waits for nobody.
    std::fs::File::options().read(true).write(true).open(path).expect("a pipe")
}

fn value<'a>(variables: &'a str, name: &str) -> &'a str {
    let values = variables.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    let values: Vec<_> = values.collect();
    assert_eq!(values.len(), 1, "{name} in {variables}");
    values[0]
}

#[tokio::test]
async fn the_command_sees_no_secret_no_file_of_one_and_no_setting_of_ours() {
    let airbyte = airbyte(Options::default());
    let secret = airbyte.client_secret();
    let start = run(&airbyte)
        .env("AIRBYTE_PROXY_READ_ONLY", "true")
        .env("AIRBYTE_CLOUD_CLIENT_SECRET", "of-airbyte")
        .env("A_COPY", format!("x={}", secret.expose()))
        .env("OTHER", "stays")
        .env("NO_PROXY", "corp");
    let ended = start.arg("env").run().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let seen = &ended.stdout;
    assert!(!seen.contains(secret.expose()) && !seen.contains(&airbyte.client_id()), "a secret");
    let ours = |line: &&str| line.starts_with("AIRBYTE_");
    let mut names: Vec<_> = seen.lines().filter(ours).filter_map(|line| line.split('=').next()).collect();
    names.sort_unstable();
    let expected = [
        "AIRBYTE_API_URL",
        "AIRBYTE_CLOUD_API_URL",
        "AIRBYTE_CLOUD_BEARER_TOKEN",
        "AIRBYTE_CLOUD_CONFIG_API_URL",
        "AIRBYTE_PROXY_KEY",
        "AIRBYTE_PROXY_URL",
    ];
    assert_eq!(names, expected);
    let (base, key) = (value(seen, "AIRBYTE_PROXY_URL"), value(seen, "AIRBYTE_PROXY_KEY"));
    let with_key = base.replace("http://", &format!("http://run:{key}@"));
    assert_eq!(value(seen, "AIRBYTE_API_URL"), format!("{with_key}/v1"));
    assert_eq!(value(seen, "TF_VAR_airbyte_server_url"), format!("{with_key}/v1"));
    assert_eq!(value(seen, "AIRBYTE_CLOUD_API_URL"), format!("{base}/api/public/v1"));
    assert_eq!(value(seen, "AIRBYTE_CLOUD_BEARER_TOKEN"), key);
    assert_eq!(value(seen, "OTHER"), "stays");
    for name in ["NO_PROXY", "no_proxy"] {
        assert_eq!(value(seen, name), "corp,localhost,127.0.0.1,::1");
    }
    assert!(key.len() == 64 && !seen.contains("A_COPY"), "{seen}");
}

#[tokio::test]
async fn files_of_secrets_are_not_named_to_the_command() {
    let airbyte = airbyte(Options::default());
    let start = airbyte_proxy("run --").upstream(&airbyte);
    let (id, secret) = (start.folder().join("client-id"), start.folder().join("client-secret"));
    private_file(id.clone(), &airbyte.client_id());
    private_file(secret.clone(), airbyte.client_secret().expose());
    let start = start.env("AIRBYTE_CLIENT_ID_FILE", &id).env("AIRBYTE_CLIENT_SECRET_FILE", &secret);
    let ended = start.arg("env").run().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(
        !ended.stdout.contains("client-") && !ended.stdout.contains("AIRBYTE_CLIENT"),
        "{}",
        ended.stdout
    );

    let start = airbyte_proxy("run --").upstream(&airbyte);
    private_file(start.folder().join("client-id"), &airbyte.client_id());
    private_file(start.folder().join("client-secret"), airbyte.client_secret().expose());
    let folder = start.folder().to_owned();
    let ended = start.env("CREDENTIALS_DIRECTORY", folder).arg("env").run().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(!ended.stdout.contains("CREDENTIALS_DIRECTORY"), "{}", ended.stdout);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_needs_nothing_but_the_url() {
    let airbyte = airbyte(Options::default());
    // The way out of this network is no way to loopback.
    let script = "curl -sSf \"$AIRBYTE_API_URL/workspaces\" && \
                  curl -sSf -H \"Airbyte-Proxy-Key: $AIRBYTE_PROXY_KEY\" \"$AIRBYTE_PROXY_URL/v1/jobs\" >&2";
    let ended = sh(&airbyte, script).env("http_proxy", "http://127.0.0.1:1").run().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stdout.starts_with("{\"data\":["), "{}", ended.stdout);
    assert!(ended.stderr.starts_with("{\"data\":["), "its own log is silent: {}", ended.stderr);
    assert_eq!((airbyte.handle().counts().mints, airbyte.handle().counts().unauthorized()), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_else_gets_in_and_nothing_is_left_behind() {
    let airbyte = airbyte(Options::default());
    let start = sh(&airbyte, "exec 3< gate; echo at $AIRBYTE_PROXY_URL; read line <&3");
    let gate = gate(&start);
    let process = start.spawn().await;
    let at = process.said("at ").await;
    let url = at.trim().trim_start_matches("at ").to_owned();
    let asked = got(client().get(format!("{url}/v1/workspaces"))).await;
    assert_eq!((asked.status, asked.problem().as_str()), (StatusCode::UNAUTHORIZED, "key-required"));
    let asked = got(client().get(format!("{url}/v1/workspaces")).basic_auth("run", Some("guessed"))).await;
    assert_eq!(asked.status, StatusCode::UNAUTHORIZED);
    assert_eq!(airbyte.handle().counts().requests, 0);
    drop(gate);
    let ended = process.ended().await;
    assert_eq!(ended.code, Some(1), "that of read: {}", ended.stderr);
    assert!(client().get(url).send().await.is_err(), "it still listens");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_exit_code_is_that_of_the_command() {
    let airbyte = airbyte(Options::default());
    for (script, code) in [("exit 0", 0), ("exit 7", 7), ("kill -KILL $$", 137), ("kill -TERM $$", 143)] {
        let ended = sh(&airbyte, script).run().await;
        assert_eq!(ended.code, Some(code), "{script}: {}", ended.stderr);
    }
    let ended = run(&airbyte).arg("no-such-program-anywhere").run().await;
    assert_eq!(ended.code, Some(127));
    assert_eq!(ended.stderr, "cannot start no-such-program-anywhere: no such program\n");
    let ended = run(&airbyte).arg("/").run().await;
    assert_eq!(ended.code, Some(126), "{}", ended.stderr);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signals_reach_the_command_and_its_own_end_counts() {
    let airbyte = airbyte(Options::default());
    for (signal, name, code) in [
        (Signal::TERM, "TERM", 41),
        (Signal::INT, "INT", 42),
        (Signal::HUP, "HUP", 43),
        (Signal::USR1, "USR1", 44),
        (Signal::QUIT, "QUIT", 45),
    ] {
        let start = sh(&airbyte, &format!("trap 'exit {code}' {name}; echo ready; read line < gate"));
        let gate = gate(&start);
        let process = start.spawn().await;
        process.said("ready").await;
        process.signal(signal);
        let ended = process.ended().await;
        assert_eq!(ended.code, Some(code), "{name}: {}", ended.stderr);
        drop(gate);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_nohup_the_command_ignores_hangup_too() {
    let airbyte = airbyte(Options::default());
    let script = "grep SigIgn /proc/self/status";
    let start = wrapped(&["nohup"], "run --").upstream(&airbyte).credentials(&airbyte.credentials());
    let ended = start.arg("sh").arg("-c").arg(script).run().await;
    let mask = ended.stdout.trim().rsplit('\t').next().unwrap_or_default().to_owned();
    let mask = u64::from_str_radix(&mask, 16).unwrap_or_else(|_| panic!("{}{}", ended.stdout, ended.stderr));
    assert_eq!(mask & 1, 1, "{}", ended.stdout);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_credentials_are_told_beside_what_the_command_says() {
    let airbyte = airbyte(Options::default());
    let start = airbyte_proxy("run --").upstream(&airbyte);
    let start = start.env("AIRBYTE_CLIENT_ID", airbyte.client_id()).env("AIRBYTE_CLIENT_SECRET", "wrong-one");
    let script = "curl -sS \"$AIRBYTE_API_URL/workspaces\"";
    let ended = start.arg("sh").arg("-c").arg(script).run().await;
    assert_eq!(ended.code, Some(0), "that of curl: {}", ended.stderr);
    assert!(ended.stdout.contains("credentials-rejected"), "{}", ended.stdout);
    assert!(ended.stderr.contains("the client id or secret is wrong"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("wrong-one"), "{}", ended.stderr);
}

#[tokio::test]
async fn a_secret_of_the_commands_own_is_no_concern_of_ours() {
    let airbyte = airbyte(Options::default());
    let ended = run(&airbyte).arg("echo").arg("--client-secret").arg("mine").run().await;
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), "--client-secret mine\n"));
    let ended = airbyte_proxy("run echo").run().await;
    assert_eq!(ended.code, Some(2), "without -- nobody knows whose flags are whose: {}", ended.stdout);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sdk_reads_its_url_from_the_environment() {
    let Some(python) = python() else { return };
    let airbyte = airbyte(Options::default());
    let script = "import os\nfrom airbyte_api import AirbyteAPI, api\n\
                  airbyte = AirbyteAPI(server_url=os.environ['AIRBYTE_API_URL'])\n\
                  listed = airbyte.workspaces.list_workspaces(request=api.ListWorkspacesRequest())\n\
                  print(len(listed.workspaces_response.data))\n";
    let ended = run(&airbyte).arg(python).arg("-c").arg(script).run().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stdout.trim().parse::<u32>().is_ok_and(|n| n > 0), "{}", ended.stdout);
}
