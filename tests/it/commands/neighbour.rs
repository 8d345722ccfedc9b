//! `wait`, `healthcheck --ready` and `quit`: what asks a proxy that runs.

use airbyte_proxy::demo::{ApiFault, Gate, Options};
use http::{Method, StatusCode};

use crate::harness::daemon::got;
use crate::harness::process::{
    Process, Start, airbyte, airbyte_proxy, free_port, in_front_of, private_file, until,
};

fn ask(command: &str, proxy: &Process) -> Start {
    airbyte_proxy(&format!("{command} --listen {}", proxy.addr))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wait_ends_when_the_first_token_is_there() {
    let airbyte = airbyte(Options::default());
    let start = airbyte_proxy("--listen 127.0.0.1:0").upstream(&airbyte);
    let config = format!(
        "[credentials]\nclient_id = \"{}\"\nclient_secret_command = [\"cat\", \"unlocked\"]\n",
        airbyte.client_id()
    );
    let config = private_file(start.folder().join("x.toml"), &config);
    let proxy = start.arg("--config").arg(config).start().await;
    proxy.logged("cannot be read").await;
    let ended = ask("wait --timeout 1s", &proxy).run().await;
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("/-/ready: not ready within 1s: answers 503: broken: "),
        "{}",
        ended.stderr
    );
    let ended = ask("healthcheck --ready", &proxy).run().await;
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("the client id and secret could not be read"), "{}", ended.stderr);

    let waiting = ask("wait", &proxy).spawn().await;
    private_file(proxy.folder().join("unlocked"), airbyte.client_secret().expose());
    let ended = waiting.ended().await;
    assert_eq!((ended.code, ended.stdout.as_str(), ended.stderr.as_str()), (Some(0), "", ""));
    assert_eq!(ask("healthcheck --ready", &proxy).run().await.code, Some(0));
    proxy.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wait_may_begin_before_anything_listens() {
    let airbyte = airbyte(Options::default());
    let port = free_port();
    let nobody = airbyte_proxy(&format!("wait --timeout 300ms --listen 127.0.0.1:{port}")).run().await;
    assert_eq!(nobody.code, Some(1));
    assert!(nobody.stderr.contains("not ready within 300ms: cannot be reached"), "{}", nobody.stderr);

    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("s");
    let listen = format!("--listen=unix:{}", socket.display());
    let waiting = airbyte_proxy("wait").arg(&listen).spawn().await;
    let proxy = airbyte_proxy("").upstream(&airbyte).credentials(&airbyte.credentials()).arg(&listen);
    let proxy = proxy.spawn().await;
    let ended = waiting.ended().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    proxy.stop().await;
}

#[tokio::test]
async fn wait_says_what_can_never_be() {
    for (arguments, code, says) in [
        ("wait --timeout soon", 2, "--timeout"),
        ("wait --listen nonsense", 2, "no listener is configured"),
        ("wait --listen 127.0.0.1:0", 1, "port 0 is chosen anew"),
    ] {
        let ended = airbyte_proxy(arguments).run().await;
        assert_eq!(ended.code, Some(code), "{arguments}: {}", ended.stderr);
        assert!(ended.stderr.contains(says), "{arguments}: {}", ended.stderr);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quit_drains_as_a_signal_does() {
    let airbyte = airbyte(Options::default());
    let proxy = in_front_of(&airbyte).env("AIRBYTE_PROXY_CONTROL_ALLOW_QUIT", "true").start().await;
    assert_eq!(proxy.get("/v1/workspaces").await.status, StatusCode::OK);
    // A request under way ends as it should.
    let gate = Gate::new();
    airbyte.handle().set_api_fault(Some(ApiFault::Hold(gate.clone())));
    let asked = tokio::spawn(got(proxy.request(Method::GET, "/v1/jobs")));
    until(&airbyte, |counts| counts.requests == 2).await;
    assert_eq!(proxy.get("/-/quit").await.status, StatusCode::METHOD_NOT_ALLOWED, "no link ends it");
    let ended = ask("quit", &proxy).run().await;
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    proxy.logged("asked to quit").await;
    gate.open();
    assert_eq!(asked.await.expect("asked").status, StatusCode::OK);
    let ended = proxy.ended().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stderr.contains("drained"), "{}", ended.stderr);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quit_needs_leave_and_a_key_where_there_are_keys() {
    let airbyte = airbyte(Options::default());
    let proxy = in_front_of(&airbyte).start().await;
    let ended = ask("quit", &proxy).run().await;
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("answers 403: ") && ended.stderr.contains("control.allow_quit = true"));
    assert_eq!(proxy.get("/v1/workspaces").await.status, StatusCode::OK);
    let hostile = proxy.request(Method::POST, "/-/quit").header("origin", "https://evil.example");
    assert_eq!(got(hostile).await.problem(), "origin-not-allowed");
    proxy.stop().await;

    let start = in_front_of(&airbyte).env("AIRBYTE_PROXY_CONTROL_ALLOW_QUIT", "true");
    let keys = start.folder().join("keys");
    std::fs::create_dir(&keys).expect("a folder");
    private_file(keys.join("etl"), "etl-key-0123456789");
    let proxy = start.env("AIRBYTE_PROXY_GUARD_KEYS_DIR", keys).start().await;
    let ended = ask("quit", &proxy).run().await;
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("answers 401"), "{}", ended.stderr);
    let ended = ask("quit", &proxy).env("AIRBYTE_PROXY_KEY", "etl-key-0123456789").run().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(proxy.ended().await.code, Some(0));
}
