//! `init`: the conversation, the flags, and what is left behind.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;

use airbyte_proxy::demo::{Options, Simulator};
use airbyte_proxy::secret::Secret;
use http::StatusCode;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::time::timeout;

use super::{Encrypted, flowing};
use crate::harness::process::{Ended, SOON, Start, airbyte, airbyte_proxy, private_file};
use crate::harness::{tls, trace};

/// `init` without a terminal.
fn init(arguments: &str, airbyte: &Simulator) -> Start {
    let secret = airbyte.client_secret();
    trace::secret(secret.expose());
    airbyte_proxy(&format!("init {arguments}"))
        .env("AIRBYTE_PROXY_LOG_LEVEL", "info")
        .arg("--client-id")
        .arg(airbyte.client_id())
        .arg("--client-secret-stdin")
        .stdin(secret.expose())
}

/// A folder that outlives the call, as the home of it.
fn home() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("there").permissions().mode() & 0o777
}

/// What the file leaves to be done: nothing.
async fn runs(home: &Path, more: &str) {
    let proxy = airbyte_proxy(&format!("--listen 127.0.0.1:0 {more}")).env("HOME", home).start().await;
    assert_eq!(proxy.get("/v1/workspaces").await.status, StatusCode::OK);
    proxy.stop().await;
}

/// A question, the answer, whether the answer is shown.
type Turn<'a> = (&'a str, &'a str, bool);

/// `init` on a terminal: what that showed, and the exit code.
async fn conversation(home: &Path, path: &str, turns: &[Turn<'_>]) -> String {
    let mut child = Command::new("python3")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/diagnose/init.py"))
        .args([env!("CARGO_BIN_EXE_airbyte-proxy"), "init"])
        .current_dir(home)
        .env_clear()
        .env("PATH", path)
        .env("HOME", home)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("started");
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(json!(turns).to_string().as_bytes()).await.expect("written");
    drop(stdin);
    let output = timeout(SOON * 2, child.wait_with_output()).await.expect("it ends").expect("it runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

const PATH: &str = "/usr/local/bin:/usr/bin:/bin";
const URL: &str = "Airbyte's URL [https://api.airbyte.com/v1]: ";
const SECRET: &str = "Client secret (nothing is shown): ";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversation_ends_with_a_configuration_that_works() {
    let airbyte = airbyte(Options { self_managed_only: true, ..Options::default() });
    let (home, secret, id) = (home(), airbyte.client_secret(), airbyte.client_id());
    let host = airbyte.addr().to_string();
    let turns = [(URL, host.as_str(), true), ("Client id: ", &id, true), (SECRET, secret.expose(), false)];
    let transcript = conversation(home.path(), PATH, &turns).await;
    let config = home.path().join(".config/airbyte-proxy/config.toml");
    let expected = format!(
        "\
airbyte-proxy needs the client id and secret of an Airbyte application. Airbyte
shows both in its web UI, under User settings → Applications: create one, or
open one that is there. (Cloud: https://cloud.airbyte.com)

{URL}{host}
Client id: {id}
{SECRET}

asked at http://{host}
  ok POST /api/public/v1/applications/token  json 200 a token
  ok GET  /api/public/v1/workspaces               200 a list with rows

written: {config}
secret:  in {folder}/client-secret, which only you can read

Start the proxy:
    airbyte-proxy
and ask it, in another terminal:
    curl http://localhost:8484/v1/workspaces
Or give one command a proxy of its own:
    airbyte-proxy run -- COMMAND
ended with 0
",
        config = config.display(),
        folder = config.parent().expect("a folder").display(),
    );
    assert_eq!(transcript, expected);
    assert_eq!((mode(&config), mode(&config.with_file_name("client-secret"))), (0o600, 0o600));
    let text = fs::read_to_string(&config).expect("written");
    assert!(!text.contains(secret.expose()), "{text}");
    assert!(text.contains(&format!("api_url = \"{}\"", airbyte.self_managed_url())), "{text}");
    runs(home.path(), "").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_pair_may_be_typed_again_and_a_slip_in_the_url_too() {
    let airbyte = airbyte(Options::default());
    let (home, secret, id) = (home(), airbyte.client_secret(), airbyte.client_id());
    let url = airbyte.api_url();
    let turns = [
        (URL, "ftp://x", true),
        (URL, &url, true),
        ("Client id: ", &id, true),
        (SECRET, "not-the-one", false),
        ("Client id: ", &id, true),
        (SECRET, secret.expose(), false),
    ];
    let transcript = conversation(home.path(), PATH, &turns).await;
    assert!(transcript.contains("  scheme must be http or https, found \"ftp\"\n"), "{transcript}");
    assert!(transcript.contains("wrong: the client id or the client secret is wrong:"), "{transcript}");
    assert!(transcript.ends_with("    airbyte-proxy run -- COMMAND\nended with 0\n"), "{transcript}");
    assert!(!transcript.contains("not-the-one") && !transcript.contains(secret.expose()), "{transcript}");
    runs(home.path(), "").await;
}

/// Keeps what it is given in a file, as the real one does in a keyring.
const SECRET_TOOL: &str = r#"#!/bin/sh
kept="$HOME/keyring"
case "$1" in
    store) echo "$@" >"$kept.arguments"; exec cat >"$kept" ;;
    lookup) [ "$2 $3 $4" = "service airbyte-proxy client-id" ] && exec cat "$kept" ;;
esac
exit 1
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_with_a_keychain_gets_the_secret_and_the_file_a_command() {
    let airbyte = airbyte(Options::default());
    let home = home();
    let tools = home.path().join("bin");
    fs::create_dir(&tools).expect("made");
    fs::write(tools.join("secret-tool"), SECRET_TOOL).expect("written");
    fs::set_permissions(tools.join("secret-tool"), fs::Permissions::from_mode(0o755)).expect("chmod");
    let path = format!("{}:/usr/bin:/bin", tools.display());
    let ended = init(&format!("--url {}", airbyte.api_url()), &airbyte)
        .env("HOME", home.path())
        .env("PATH", &path)
        .env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nowhere")
        .run()
        .await;
    assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
    assert!(
        ended.stdout.contains("secret:  in the keychain of this session (secret-tool)\n"),
        "{}",
        ended.stdout
    );
    let folder = home.path().join(".config/airbyte-proxy");
    let text = fs::read_to_string(folder.join("config.toml")).expect("written");
    let command = format!(
        "client_secret_command = [\"secret-tool\", \"lookup\", \"service\", \"airbyte-proxy\", \"client-id\", \"{}\"]",
        airbyte.client_id()
    );
    assert!(text.contains(&command), "{text}");
    assert!(!folder.join("client-secret").exists());
    let arguments = fs::read_to_string(home.path().join("keyring.arguments")).expect("called");
    assert!(!arguments.contains(airbyte.client_secret().expose()), "{arguments}");
    let proxy =
        airbyte_proxy("--listen 127.0.0.1:0").env("HOME", home.path()).env("PATH", &path).start().await;
    assert_eq!(proxy.get("/v1/workspaces").await.status, StatusCode::OK);
    proxy.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_keychain_that_does_not_work_is_told_and_a_file_does_instead() {
    let airbyte = airbyte(Options::default());
    let home = home();
    let tools = home.path().join("bin");
    fs::create_dir(&tools).expect("made");
    fs::write(tools.join("secret-tool"), "#!/bin/sh\nexit 1\n").expect("written");
    fs::set_permissions(tools.join("secret-tool"), fs::Permissions::from_mode(0o755)).expect("chmod");
    let path = format!("{}:/usr/bin:/bin", tools.display());
    let run = |store: &str| {
        init(&format!("--url {} --secret-store {store}", airbyte.api_url()), &airbyte)
            .env("HOME", home.path())
            .env("PATH", &path)
            .env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nowhere")
            .run()
    };
    let insisted = run("keychain").await;
    assert_eq!(insisted.code, Some(1), "{}", insisted.stdout);
    assert!(insisted.stderr.contains("no keychain: secret-tool did not take it"), "{}", insisted.stderr);
    assert!(!home.path().join(".config").exists(), "nothing was written");
    let either = run("auto").await;
    assert_eq!(either.code, Some(0), "{}", either.stderr);
    assert!(
        either.stderr.contains("warning: not in the keychain: secret-tool did not take it"),
        "{}",
        either.stderr
    );
    runs(home.path(), "").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flags_are_written_too_and_paths_made_absolute() {
    let airbyte = airbyte(Options { refuse_json: true, ..Options::default() });
    let encrypted = Encrypted::of(&airbyte).await;
    let home = home();
    let arguments =
        "--read-only --limits-idle-timeout 20s --config made/of/parts.toml --upstream-ca-file ca.pem";
    fs::copy(tls::ca_file(), home.path().join("ca.pem")).expect("copied");
    let ended = init(&format!("--url https://localhost:{} {arguments}", encrypted.port), &airbyte)
        .within(home.path())
        .run()
        .await;
    assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
    assert!(ended.stdout.contains("    airbyte-proxy --config made/of/parts.toml\n"), "{}", ended.stdout);
    let path = home.path().join("made/of/parts.toml");
    let text = fs::read_to_string(&path).expect("written");
    let ca_file = format!("ca_file = \"{}\"", home.path().join("ca.pem").display());
    for line in ["read_only = true", "idle_timeout = \"20s\"", "body = \"form\"", &ca_file] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    runs(home.path(), &format!("--config {}", path.display())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_file_that_is_named_stays_where_it_is() {
    let airbyte = airbyte(Options::default());
    let home = home();
    let secret = private_file(home.path().join("mine"), airbyte.client_secret().expose());
    let ended = airbyte_proxy("init --client-id")
        .arg(airbyte.client_id())
        .arg("--client-secret-file")
        .arg(&secret)
        .arg(format!("--url={}", airbyte.api_url()))
        .env("HOME", home.path())
        .run()
        .await;
    assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
    let folder = home.path().join(".config/airbyte-proxy");
    let text = fs::read_to_string(folder.join("config.toml")).expect("written");
    assert!(text.contains(&format!("client_secret_file = \"{}\"", secret.display())), "{text}");
    assert!(!folder.join("client-secret").exists());
    runs(home.path(), "").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_there_stays_without_force_and_nobody_is_asked() {
    let airbyte = airbyte(Options::default());
    let home = home();
    let folder = home.path().join(".config/airbyte-proxy");
    fs::create_dir_all(&folder).expect("made");
    let config = folder.join("config.toml");
    fs::write(&config, "# mine\n").expect("written");
    let run = |force: &str| {
        init(&format!("--url {} {force}", airbyte.api_url()), &airbyte).env("HOME", home.path()).run()
    };
    let kept = run("").await;
    assert_eq!(kept.code, Some(2), "{}", kept.stdout);
    assert!(kept.stderr.contains("config.toml: is there already, and stays\n  hint: --force replaces it"));
    assert_eq!(fs::read_to_string(&config).expect("read"), "# mine\n");
    assert_eq!(airbyte.handle().counts().token_requests, 0);
    // A secret of somebody else's making is not replaced either.
    fs::remove_file(&config).expect("removed");
    private_file(folder.join("client-secret"), "of another");
    let kept = run("").await;
    assert_eq!(kept.code, Some(2), "{}{}", kept.stdout, kept.stderr);
    assert!(kept.stderr.contains("client-secret: is there already, and stays"), "{}", kept.stderr);
    assert!(!config.exists());
    let replaced = run("--force").await;
    assert_eq!(replaced.code, Some(0), "{}", replaced.stderr);
    runs(home.path(), "").await;
}

async fn nothing_written(start: Start) -> Ended {
    let home = home();
    let ended = start.env("HOME", home.path()).run().await;
    assert_eq!(fs::read_dir(home.path()).expect("a folder").count(), 0, "{}", ended.stdout);
    ended
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_terminal_what_is_missing_is_named() {
    let ended = nothing_written(airbyte_proxy("init --client-id x")).await;
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    let told = "there is no terminal to ask at, and not everything is given:\n  \
                hint: add --url URL (Airbyte Cloud: https://api.airbyte.com/v1)\n  \
                hint: add --client-secret-stdin, or --client-secret-file FILE\n";
    assert_eq!(ended.stderr, told);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_written_before_it_has_worked() {
    let airbyte = airbyte(Options::default());
    let other = Secret::new("the-secret-of-somebody-else".to_owned());
    airbyte.handle().rotate_secret(other);
    let old = airbyte_proxy(&format!("init --url {} --client-id {}", airbyte.api_url(), airbyte.client_id()));
    let ended = nothing_written(old.arg("--client-secret-stdin").stdin("an-old-one")).await;
    assert_eq!(ended.code, Some(1), "{}", ended.stdout);
    assert!(
        flowing(&ended).contains("wrong: the client id or the client secret is wrong"),
        "{}",
        ended.stdout
    );
    assert!(ended.stderr.contains("nothing was written"), "{}", ended.stderr);
}
