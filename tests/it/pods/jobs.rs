//! Pods that end by themselves: the container of the job, and the proxy with it.

use rustix::process::Signal;

use super::network::{possible, two};
use crate::harness::process::until;
use crate::harness::talk::soon;

/// The first script of a manifest: what stands below `- |`, deeper than it.
fn script_of(manifest: &str) -> String {
    let mut lines = manifest.lines().skip_while(|line| line.trim() != "- |").skip(1).peekable();
    let indent = lines.peek().map_or(0, |line| line.len() - line.trim_start().len());
    let script = lines
        .map_while(|line| (line.len() > indent && line[..indent].trim().is_empty()).then(|| &line[indent..]));
    script.collect::<Vec<_>>().join("\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_beside_a_native_sidecar_is_done_when_its_own_container_is() {
    if !possible() {
        return;
    }
    let (cluster, airbyte) = two();
    let pod = &cluster.networks[1];
    // As the kubelet does it: the sidecar, its startup probe, the job; and after that SIGTERM for the sidecar.
    let proxy = pod.proxy(&airbyte).start().await;
    assert_eq!(pod.asks("wait --timeout 20s").await, Some(0));
    let (curl, url) = ("curl --silent --show-error --fail", "http://localhost:8484/v1/workspaces");
    let manifest = include_str!("../../../config/kubernetes/job/job.yaml");
    let command = format!("command: [{}, \"{url}\"]", curl.replace(' ', ", "));
    assert!(manifest.contains(&command), "the manifest runs something else than {command}");
    let ended = pod.run(&format!("{curl} {url}")).await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stdout.contains("\"data\""), "{}", ended.stdout);
    proxy.signal(Signal::TERM);
    let ended = proxy.ended().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(airbyte.handle().counts().unauthorized(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_native_sidecars_the_job_ends_the_proxy_whatever_became_of_it() {
    if !possible() {
        return;
    }
    let script = script_of(include_str!("../../../config/kubernetes/job-quit/job.yaml"));
    assert!(script.contains("/-/quit") && script.contains("/v1/workspaces"), "{script}");
    for (script, code) in [(script.clone(), 0), (script.replace("/v1/workspaces", "/v1/no-such-path"), 22)] {
        let (cluster, airbyte) = two();
        let pod = &cluster.networks[1];
        // Both containers are started at once; here, the job even first.
        let mut job = pod.application(&script);
        let job = job.stdout(std::process::Stdio::null()).spawn().expect("a shell");
        let proxy = pod.proxy(&airbyte).env("AIRBYTE_PROXY_CONTROL_ALLOW_QUIT", "true").start().await;
        let job = soon(job.wait_with_output()).await.expect("the job ends");
        assert_eq!(job.status.code(), Some(code), "the job's own exit code");
        let ended = proxy.ended().await;
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        assert!(ended.stderr.contains("asked to quit"), "{}", ended.stderr);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_script_of_the_sidecars_manifest_asks_and_ends_when_told() {
    if !possible() {
        return;
    }
    let (cluster, airbyte) = two();
    let pod = &cluster.networks[1];
    let proxy = pod.proxy(&airbyte).start().await;
    let script = script_of(include_str!("../../../config/kubernetes/sidecar/deployment.yaml"));
    let mut application = pod.application(&script);
    let mut application = application.stdout(std::process::Stdio::null()).spawn().expect("a shell");
    until(&airbyte, |counts| counts.requests == 1).await;
    // The kubelet's order: the application, then, when it has ended, the sidecar.
    let pid =
        application.id().and_then(|pid| i32::try_from(pid).ok()).and_then(rustix::process::Pid::from_raw);
    rustix::process::kill_process(pid.expect("it runs"), Signal::TERM).expect("sent");
    let ended = soon(application.wait()).await.expect("ended");
    assert_eq!(ended.code(), Some(0));
    proxy.stop().await;
}
