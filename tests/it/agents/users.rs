//! The proxy as one user, the agent as another.

use airbyte_proxy::demo::Options;

use super::{AGENT, GROUP, Ground, OTHER, PROXY, does, mode, status};
use crate::harness::process::{airbyte, private_file};
use crate::harness::trace;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_of_another_user_reaches_the_api_and_no_secret() {
    let Some(ground) = Ground::new() else { return };
    let airbyte = airbyte(Options::default());
    let secret = airbyte.client_secret();
    let proxy = ground.with_file(&airbyte, "--listen 127.0.0.1:0").start().await;
    let api = proxy.url("/v1");
    let asked = does(AGENT, &[], &format!("curl -sSf {api}/workspaces")).await;
    assert!(asked.code == Some(0) && asked.said.starts_with("{\"data\":["), "{}", asked.said);
    let pid = proxy.pid().as_raw_nonzero();
    for (script, says) in [
        (format!("cat {}/client-secret", ground.path().display()), "Permission denied"),
        (format!("cat /proc/{pid}/environ"), "Permission denied"),
        (format!("dd if=/proc/{pid}/mem bs=1 count=1"), "Permission denied"),
        (format!("ls /proc/{pid}/fd"), "Permission denied"),
        (format!("kill -TERM {pid}"), "not permitted"),
        // Nor by way of the API, where Airbyte would tell it.
        (format!("curl -sSf {api}/applications"), "403"),
    ] {
        let tried = does(AGENT, &[], &script).await;
        assert!(tried.code != Some(0) && tried.said.contains(says), "{script}: {}", tried.said);
        assert!(!tried.said.contains(secret.expose()), "{script}: the secret");
    }
    assert_eq!(airbyte.handle().counts().unauthorized(), 0);
    proxy.stop().await;
}

/// What the page warns of. Where this fails, the warning can go.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_of_the_same_user_reads_the_file_but_not_the_memory() {
    let Some(ground) = Ground::new() else { return };
    let airbyte = airbyte(Options::default());
    let proxy = ground.with_file(&airbyte, "--listen 127.0.0.1:0").start().await;
    let tried = does(PROXY, &[], &format!("cat {}/client-secret", ground.path().display())).await;
    assert_eq!((tried.code, tried.said.as_str()), (Some(0), airbyte.client_secret().expose()));
    let pid = proxy.pid().as_raw_nonzero();
    for script in [format!("cat /proc/{pid}/environ"), format!("dd if=/proc/{pid}/mem bs=1 count=1")] {
        let tried = does(PROXY, &[], &script).await;
        assert!(
            tried.code != Some(0) && tried.said.contains("Permission denied"),
            "{script}: {}",
            tried.said
        );
    }
    // It can end it, and put another in its place.
    assert_eq!(does(PROXY, &[], &format!("kill -TERM {pid}")).await.code, Some(0));
    assert_eq!(proxy.ended().await.code, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_lets_in_who_is_listed_and_can_enter_its_folder() {
    let Some(ground) = Ground::new() else { return };
    let airbyte = airbyte(Options::default());
    // As `install -d -o airbyte-proxy -g agents -m 0750` makes it.
    let socket = ground.folder("run", PROXY, 0o750).join("api.sock");
    let start = ground.with_file(&airbyte, &format!("--listen unix:{}", socket.display()));
    let proxy = start.arg("--guard-socket-uids").arg(AGENT.to_string()).spawn().await;
    proxy.logged("\"listening\"").await;
    let ask = |more: &str| {
        let socket = socket.display();
        format!(
            "curl -sS -o /dev/null -w '%{{http_code}}' {more} --unix-socket {socket} http://airbyte/v1/workspaces"
        )
    };
    let member = does(AGENT, &[GROUP], &ask("")).await;
    assert_eq!(member.said, "200");
    let not_listed = does(OTHER, &[GROUP], &ask("")).await;
    assert_eq!(not_listed.said, "403");
    let no_member = does(AGENT, &[], &ask("")).await;
    assert!(no_member.code == Some(7), "curl cannot connect: {}", no_member.said);
    proxy.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_tells_the_agent_from_other_users_and_gives_it_less() {
    let Some(ground) = Ground::new() else { return };
    let airbyte = airbyte(Options::default());
    let keys = ground.folder("keys", PROXY, 0o700);
    let [agent, etl] = ["a-key-of-the-agent-0001", "a-key-of-the-pipelines-2"];
    for (name, key) in [("agent", agent), ("etl", etl)] {
        trace::secret(key);
        ground.private(&format!("keys/{name}"), PROXY, key);
    }
    ground.private("agent-key", AGENT, &format!("Airbyte-Proxy-Key: {agent}\n"));
    let header = format!("-H @{}/agent-key", ground.path().display());
    let start = ground.with_file(&airbyte, "--listen 127.0.0.1:0").arg("--guard-keys-dir").arg(keys);
    let rules = ["deny POST,PUT,PATCH,DELETE /** as agent", "deny * /users/** as agent"];
    let start = rules.iter().fold(start, |start, rule| start.arg("--policy-rules").arg(rule));
    let proxy = start.start().await;
    let api = proxy.url("/v1");
    assert_eq!(status(OTHER, &format!("{api}/jobs")).await, "401");
    let stolen = does(OTHER, &[], &format!("cat {}/agent-key", ground.path().display())).await;
    assert!(stolen.said.contains("Permission denied"), "{}", stolen.said);
    for (request, expected) in [
        (format!("{api}/jobs"), "200"),
        (format!("{api}/users"), "403"),
        (format!("-X POST -d '{{}}' {api}/jobs"), "403"),
        (format!("-X DELETE {api}/connections/x"), "403"),
    ] {
        assert_eq!(status(AGENT, &format!("{header} {request}")).await, expected, "{request}");
    }
    let more = format!("-H 'Airbyte-Proxy-Key: {etl}' -X DELETE {api}/connections/x");
    assert_eq!(status(OTHER, &more).await, "404", "it may, but there is no such connection");
    proxy.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_may_only_read_lists_and_deletes_nothing() {
    let Some(ground) = Ground::new() else { return };
    let airbyte = airbyte(Options { record: 64, ..Options::default() });
    for (more, syncs, others) in [("--read-only", "405", "405"), ("--policy-preset sync-only", "400", "403")]
    {
        let proxy = ground.with_file(&airbyte, &format!("--listen 127.0.0.1:0 {more}")).start().await;
        let api = proxy.url("/v1");
        for (request, expected) in [
            (format!("{api}/connections?limit=all"), "200"),
            (format!("-X POST -d '{{}}' {api}/jobs"), syncs),
            (format!("-X DELETE {api}/connections/x"), others),
            (format!("-X PATCH -d '{{}}' {api}/sources/x"), others),
            (format!("-H 'X-HTTP-Method-Override: DELETE' {api}/connections/x"), "404"),
        ] {
            assert_eq!(status(AGENT, &request).await, expected, "{more}: {request}");
        }
        proxy.stop().await;
    }
    let seen: Vec<_> = airbyte.handle().seen().iter().map(|seen| seen.method.to_string()).collect();
    assert!(seen.iter().all(|method| method == "GET" || method == "POST"), "{seen:?}");
}

/// The user has the secret here, and the owner of the machine has said what the installed program does with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_user_of_a_machine_with_a_ceiling_cannot_loosen_it() {
    let Some(ground) = Ground::new() else { return };
    let probe =
        std::process::Command::new("unshare").args(["-m", "mount", "-t", "tmpfs", "none", "/etc"]).output();
    if !probe.is_ok_and(|output| output.status.success()) {
        return println!("skipped: no mount namespaces here");
    }
    let airbyte = airbyte(Options::default());
    let secret = ground.private("client-secret", AGENT, airbyte.client_secret().expose());
    let policy = private_file(ground.path().join("policy.toml"), "preset = \"read-only\"\n");
    mode(&policy, 0o644);
    let as_agent = super::privileges(AGENT, &[]).join(" ");
    // In a namespace with an /etc of its own, which leaves this machine's as it is.
    let script = format!(
        "mount -t tmpfs -o mode=755 none /etc && mkdir -m 755 /etc/airbyte-proxy && \
         cp {} /etc/airbyte-proxy/policy.toml && chmod 644 /etc/airbyte-proxy/policy.toml && \
         exec {as_agent} sh -c 'for try in \"rm -f /etc/airbyte-proxy/policy.toml\" \"mv /etc/airbyte-proxy /etc/x\"; \
         do $try 2>/dev/null && echo it could >&2; done; echo > /etc/airbyte-proxy/policy.toml && echo it could >&2; \
         exec \"$@\"' x {} --policy-rules 'allow * /**' --read-only=false --policy-preset full --listen 127.0.0.1:0",
        policy.display(),
        ground.path().join("airbyte-proxy").display(),
    );
    let start =
        crate::harness::process::wrapped(&["unshare", "-m", "sh", "-c", &script], "").upstream(&airbyte);
    let start = start.env("AIRBYTE_CLIENT_ID", airbyte.client_id()).env("AIRBYTE_CLIENT_SECRET_FILE", secret);
    let proxy = start.env("HOME", ground.path()).start().await;
    let api = proxy.url("/v1");
    assert_eq!(status(AGENT, &format!("{api}/jobs")).await, "200");
    assert_eq!(status(AGENT, &format!("-X POST -d '{{}}' {api}/jobs")).await, "405");
    proxy.signal(rustix::process::Signal::TERM);
    let ended = proxy.ended().await;
    assert!(ended.code == Some(0) && !ended.stderr.contains("it could"), "{}", ended.stderr);
}
