//! One application and the proxy beside it.

use std::time::Duration;

use airbyte_proxy::demo::{ApiFault, Fault, Gate, Options};
use airbyte_proxy::secret::Secret;
use rustix::process::Signal;

use super::network::{Cluster, possible, two};
use crate::harness::process::{private_file, until};
use crate::harness::talk::soon;
use crate::harness::trace;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_application_needs_no_token_and_nobody_outside_the_pod_is_served() {
    if !possible() {
        return;
    }
    let (cluster, airbyte) = two();
    let [elsewhere, pod] = &cluster.networks[..] else { panic!("two") };
    let proxy = pod.proxy(&airbyte).start().await;
    let (status, body) = pod.curl("/v1/workspaces").await;
    let body: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!((status, body["data"].as_array().map(Vec::is_empty)), (200, Some(false)), "{body}");
    let counts = airbyte.handle().counts();
    assert_eq!((counts.mints, counts.unauthorized()), (1, 0), "{counts:?}");

    // The pod's own address, from within and from outside: nothing listens there.
    for network in [pod, elsewhere] {
        let ended = network.run("curl --silent --max-time 5 http://10.88.0.2:8484/v1/workspaces").await;
        assert_eq!(ended.code, Some(7), "curl's code for a refused connection: {}", ended.stdout);
    }
    // And the application has no way to Airbyte but with a token of its own.
    let ended = pod
        .run("curl --silent http://10.88.0.1:8001/v1/workspaces --output /dev/null -w '%{http_code}'")
        .await;
    assert_eq!(ended.stdout, "401");
    proxy.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_startup_probe_holds_the_application_until_there_is_a_token() {
    if !possible() {
        return;
    }
    let cluster = Cluster::new(2);
    let [upstream, pod] = &cluster.networks[..] else { panic!("two") };
    let airbyte = upstream.airbyte(Options::default());
    let gate = Gate::new();
    airbyte.handle().set_fault(Some(Fault::Hang(gate.clone())));
    assert_eq!(pod.asks("healthcheck").await, Some(1), "nothing listens yet");
    let waiting = pod.airbyte_proxy("wait --timeout 30s").spawn().await;
    let proxy = pod.proxy(&airbyte).start().await;
    assert_eq!(pod.asks("healthcheck").await, Some(0), "it lives");
    assert_eq!(pod.asks("healthcheck --ready").await, Some(1), "and has no token");
    gate.open();
    let ended = waiting.ended().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(pod.asks("healthcheck --ready").await, Some(0));
    proxy.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_sigterm_it_is_unready_at_once_serves_what_comes_and_finishes_what_is_open() {
    if !possible() {
        return;
    }
    let (cluster, airbyte) = two();
    let pod = &cluster.networks[1];
    let proxy = pod.proxy(&airbyte).env("AIRBYTE_PROXY_DRAIN_DELAY", "8s").start().await;
    assert_eq!(pod.curl("/v1/workspaces").await.0, 200);
    let gate = Gate::new();
    airbyte.handle().next_api_answers([Some(ApiFault::Hold(gate.clone()))]);
    let mut slow = pod.application("curl --silent --fail --output /dev/null \"$AIRBYTE_API_URL/jobs\"");
    let slow = slow.spawn().expect("curl");
    until(&airbyte, |counts| counts.requests == 2).await;

    proxy.signal(Signal::TERM);
    // A signal is sent, and then seen.
    let unready = async { while pod.asks("healthcheck --ready").await != Some(1) {} };
    tokio::time::timeout(Duration::from_secs(2), unready).await.expect("unready at once");
    assert_eq!(pod.asks("healthcheck").await, Some(0), "and not to be killed for it");
    assert_eq!(pod.curl("/v1/workspaces").await.0, 200, "who has not heard of it is served");

    // The listener closes after the delay, with the slow request still open.
    let refused = async {
        while pod.curl("/-/live").await.0 != 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), refused).await.expect("the listener closes");
    gate.open();
    let slow = soon(slow.wait_with_output()).await.expect("curl");
    assert_eq!(slow.status.code(), Some(0), "the slow request has its answer");
    let ended = proxy.ended().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

/// As the kubelet does it: a folder by time, a link to it, and a link for each file into that.
fn mount(folder: &std::path::Path, number: u32, id: &str, secret: &str) {
    let data = folder.join(format!("..{number}"));
    std::fs::create_dir_all(&data).expect("a folder");
    for (name, content) in [("client-id", id), ("client-secret", secret)] {
        private_file(data.join(name), content);
        // From the second time on they are there, and lead to the new ones.
        let _ = std::os::unix::fs::symlink(format!("..data/{name}"), folder.join(name));
    }
    std::os::unix::fs::symlink(format!("..{number}"), folder.join("..data_tmp")).expect("a link");
    std::fs::rename(folder.join("..data_tmp"), folder.join("..data")).expect("swapped");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotated_secret_is_in_use_soon_and_the_application_notices_nothing() {
    if !possible() {
        return;
    }
    let (cluster, airbyte) = two();
    let pod = &cluster.networks[1];
    let folder = tempfile::tempdir().expect("a folder");
    let old = airbyte.credentials();
    mount(folder.path(), 1, &old.client_id, old.client_secret.expose());
    trace::secret(old.client_secret.expose());
    let start =
        pod.airbyte_proxy("serve").upstream(&airbyte).env("AIRBYTE_PROXY_UPSTREAM_ALLOW_HTTP", "true");
    let start = start.env("AIRBYTE_CLIENT_ID_FILE", folder.path().join("client-id"));
    let proxy = start.env("AIRBYTE_CLIENT_SECRET_FILE", folder.path().join("client-secret")).start().await;
    // Asks on and on, and ends at the first failure.
    let script =
        "while curl --silent --fail --output /dev/null \"$AIRBYTE_API_URL/workspaces\"; do sleep 0.05; done";
    let mut application = pod.application(script).spawn().expect("a shell");
    until(&airbyte, |counts| counts.requests > 5).await;

    let new = "a-new-secret-that-is-mounted-in-the-pod";
    trace::secret(new);
    airbyte.handle().rotate_secret(Secret::new(new.to_owned()));
    let before = airbyte.handle().counts();
    mount(folder.path(), 2, &old.client_id, new);
    // A look every 2 s, and no token within 5 s of the last.
    let after = until(&airbyte, |counts| counts.mints > before.mints).await;
    until(&airbyte, |counts| counts.requests > after.requests + 5).await;
    assert!(application.try_wait().expect("a child").is_none(), "no request failed");
    assert_eq!(airbyte.handle().counts().unauthorized(), 0);
    application.kill().await.expect("ended");
    proxy.stop().await;
}
