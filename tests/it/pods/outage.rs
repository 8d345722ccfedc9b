//! The cable between the pod and Airbyte is pulled, and put back.

use std::time::Duration;

use super::network::{Network, possible, two};
use crate::harness::talk::soon;

/// A request by curl, which would wait for longer than the proxy does.
async fn asked(pod: &Network) -> (u16, String) {
    let ended = pod
        .run("curl --silent --max-time 50 --write-out ' %{http_code}' \"$AIRBYTE_API_URL/workspaces\"")
        .await;
    let (body, status) = ended.stdout.rsplit_once(' ').unwrap_or_default();
    (status.parse().unwrap_or_default(), body.to_owned())
}

/// Whether a connection to Airbyte has sent something of which Airbyte has not said that it has it (proc(5): `net/tcp`).
fn is_unacknowledged() -> bool {
    let sockets = std::fs::read_to_string("/proc/thread-self/net/tcp").expect("Linux");
    let mut sockets = sockets.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    // 10.88.0.1:8001, as the kernel writes it.
    sockets
        .any(|socket| socket.len() > 4 && socket[2] == "0100580A:1F41" && !socket[4].starts_with("00000000"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_is_a_problem_with_a_name_and_its_end_needs_no_restart() {
    if !possible() {
        return;
    }
    let (cluster, airbyte) = two();
    let pod = &cluster.networks[1];
    let proxy = pod.proxy(&airbyte).start().await;
    assert_eq!(asked(pod).await.0, 200);

    // On a connection that was good a moment ago: nothing says that it no longer is, but that nothing comes.
    pod.cable("down");
    let (status, body) = asked(pod).await;
    println!("{status} {body}");
    assert!(status == 502 && body.contains("upstream-"), "{status} {body}");
    // On a new one.
    let (status, body) = asked(pod).await;
    println!("{status} {body}");
    assert!(status == 502 && body.contains("upstream-refused"), "{status} {body}");
    assert_eq!(pod.asks("healthcheck").await, Some(0), "it lives");
    assert_eq!(pod.asks("healthcheck --ready").await, Some(0), "and its token is good");
    pod.cable("up");
    assert_eq!(asked(pod).await.0, 200, "there is nothing to restart");

    // For a moment only: TCP sends it once more, and nobody notices.
    pod.cable("down");
    let asking = pod
        .application("curl --silent --fail --max-time 50 --output /dev/null \"$AIRBYTE_API_URL/workspaces\"")
        .spawn();
    let mut asking = asking.expect("curl");
    soon(async {
        while !pod.inside(is_unacknowledged) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    pod.cable("up");
    assert_eq!(soon(asking.wait()).await.expect("curl").code(), Some(0));
    proxy.stop().await;
}
