//! The listener for probes, and every state of readiness.

use std::time::Duration;

use airbyte_proxy::demo::{ApiFault, Fault, Gate, Handle};
use airbyte_proxy::server::Listen;
use http::{Method, StatusCode};

use super::Scrape;
use crate::harness::daemon::{Daemon, got};
use crate::harness::process::{airbyte, airbyte_proxy, in_front_of};
use crate::harness::simulated::{Stage, stage_with};
use crate::harness::talk::{Talk, soon};

async fn with_probes(prepare: impl FnOnce(&Handle)) -> Stage {
    let anywhere = vec![Listen::Tcp(([127, 0, 0, 1], 0).into())];
    stage_with(prepare, |settings| settings.probes = anywhere).await
}

/// Waits until both listeners tell this word, and so do the metrics; answers the reason.
async fn told(stage: &Stage, word: &str, status: u16, step: Duration) -> Option<String> {
    let proxy = &stage.proxy;
    let telling = async {
        loop {
            let ready = proxy.get("/-/ready").await;
            if ready.json()["status"] == word {
                return ready;
            }
            stage.hand.advance(step);
        }
    };
    let ready = soon(telling).await;
    assert_eq!(ready.status, status, "{word}");
    let probed = proxy.probe(Method::GET, "/-/ready").await;
    assert_eq!((probed.status, &probed.json()["status"]), (ready.status, &ready.json()["status"]));
    assert_eq!(probed.json()["reason"], ready.json()["reason"]);
    assert_eq!(proxy.probe(Method::GET, "/-/live").await.status, 200, "whatever the token does");
    let seen = Scrape::of(&proxy.probe(Method::GET, "/-/metrics").await);
    let one: Vec<_> = seen.all("airbyte_proxy_state").into_iter().filter(|(_, value)| *value > 0.5).collect();
    assert_eq!(one.iter().map(|(labels, _)| *labels).collect::<Vec<_>>(), [format!("state=\"{word}\"")]);
    ready.json()["reason"].as_str().map(str::to_owned)
}

#[tokio::test]
async fn readiness_tells_each_state_of_the_token_and_why() {
    const NOW: Duration = Duration::ZERO;
    let gate = Gate::new();
    let first = Some(Fault::Hang(gate.clone()));
    let stage = with_probes(|airbyte| airbyte.next_token_answers([first])).await;
    assert_eq!(told(&stage, "starting", 503, NOW).await, None);
    gate.open();
    assert_eq!(told(&stage, "ready", 200, NOW).await, None);
    stage.airbyte.set_fault(Some(Fault::Html(StatusCode::BAD_GATEWAY)));
    // Of 15 minutes, more than the 65 % after which a token is renewed at the latest.
    stage.hand.advance(Duration::from_secs(600));
    let reason = told(&stage, "degraded", 200, NOW).await.expect("a reason");
    assert!(reason.contains("502"), "{reason}");
    assert_eq!(stage.proxy.get("/v1/tags").await.status, 200, "the old token is still good");
    stage.hand.advance(Duration::from_secs(300));
    let reason = told(&stage, "broken", 503, NOW).await.expect("a reason");
    assert!(reason.contains("502"), "{reason}");
    stage.airbyte.set_fault(None);
    told(&stage, "ready", 200, Duration::from_secs(5)).await;
}

#[tokio::test]
async fn readiness_does_not_ask_the_api() {
    let stage = with_probes(|_| {}).await;
    told(&stage, "ready", 200, Duration::ZERO).await;
    for fault in [ApiFault::Html(StatusCode::SERVICE_UNAVAILABLE), ApiFault::Close, ApiFault::Forbidden] {
        stage.airbyte.set_api_fault(Some(fault));
        assert!(stage.proxy.get("/v1/tags").await.status.as_u16() >= 400);
        assert_eq!(told(&stage, "ready", 200, Duration::ZERO).await, None);
    }
    let before = stage.airbyte.counts().requests;
    told(&stage, "ready", 200, Duration::ZERO).await;
    assert_eq!(stage.airbyte.counts().requests, before);
}

#[tokio::test]
async fn probes_are_answered_until_the_last_request_has_ended() {
    let stage = with_probes(|_| {}).await;
    let proxy = &stage.proxy;
    let gate = Gate::new();
    stage.airbyte.set_api_fault(Some(ApiFault::Hold(gate.clone())));
    let call = proxy.begin(Method::GET, "/v1/tags");
    soon(stage.airbyte.until(|counts| counts.held == 1)).await;
    proxy.drain();
    let ready = soon(async {
        loop {
            let ready = proxy.probe(Method::GET, "/-/ready").await;
            if ready.status == 503 {
                return ready;
            }
        }
    })
    .await;
    assert_eq!(ready.json()["status"], "draining");
    gate.open();
    assert_eq!(soon(call).await.expect("a task").status, 200);
}

#[tokio::test]
async fn the_listener_for_probes_takes_any_host_and_has_nothing_but_probes() {
    let stage = with_probes(|_| {}).await;
    let proxy: &Daemon = &stage.proxy;
    let before = stage.airbyte.counts();
    for path in
        ["/", "/-/", "/v1/jobs", "/v1/applications/token", "/-/all/v1/jobs", "/api/v1/jobs/list", "/-/x"]
    {
        for method in [Method::GET, Method::POST, Method::DELETE] {
            let answer = proxy.probe(method.clone(), path).await;
            assert_eq!(
                (answer.status.as_u16(), answer.problem().as_str()),
                (404, "unknown-path"),
                "{method} {path}"
            );
        }
    }
    let answer = proxy.probe(Method::POST, "/-/ready").await;
    assert_eq!(answer.problem(), "method-not-allowed");
    let probes = proxy.probes.expect("an address");
    for host in ["evil.example", "10.1.2.3:8485", ""] {
        let mut talk = Talk::with(probes).await;
        talk.say(format!("GET /-/live HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n")).await;
        assert_eq!(talk.head().await.first_line(), "HTTP/1.1 200 OK", "{host}");
    }
    assert_eq!(stage.airbyte.counts().requests, before.requests, "nothing is proxied");
    let seen = Scrape::of(&proxy.probe(Method::GET, "/-/metrics").await);
    assert!(seen.requests().is_empty(), "probes are not counted: {}", seen.text);
    // What is asked with a body is closed, and the body is no request.
    let mut talk = Talk::with(probes).await;
    talk.say("POST /v1/jobs HTTP/1.1\r\nhost: x\r\ncontent-length: 35\r\n\r\nGET /-/live HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let head = talk.head().await;
    assert_eq!(head.first_line(), "HTTP/1.1 404 Not Found");
    assert_eq!(head.all("connection"), ["close"]);
    assert_eq!(got(proxy.request(Method::GET, "/-/live")).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn probes_need_no_key_where_callers_do() {
    let airbyte = airbyte(airbyte_proxy::demo::Options::default());
    let start = in_front_of(&airbyte);
    let keys = start.folder().join("keys");
    std::fs::create_dir(&keys).expect("a folder");
    crate::harness::process::private_file(keys.join("etl"), "etl-key-0123456789");
    let start = start.env("AIRBYTE_PROXY_GUARD_KEYS_DIR", &keys);
    let proxy = start.env("AIRBYTE_PROXY_CONTROL_LISTEN", "127.0.0.1:0").start().await;
    let line = proxy.logged("answering probes").await;
    let line: serde_json::Value = serde_json::from_str(&line).expect("a line of JSON");
    let probes = line["address"].as_str().expect("an address").to_owned();
    assert_eq!(proxy.get("/-/metrics").await.problem(), "key-required");
    let (client, request) = proxy.request(Method::GET, "/").build_split();
    let mut request = request.expect("a request");
    *request.url_mut() = format!("{probes}/-/metrics").parse().expect("a URL");
    let seen = got(reqwest::RequestBuilder::from_parts(client, request)).await;
    let seen = Scrape::of(&seen);
    assert!(
        seen.of_series("airbyte_proxy_refusals_total{rule=\"guard.keys_dir\",kind=\"key-required\"}") > 0.5
    );
    proxy.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_for_probes_that_cannot_be_had_is_told_with_its_key() {
    let holder = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = holder.local_addr().expect("bound").to_string();
    let airbyte = airbyte(airbyte_proxy::demo::Options::default());
    let proxy = in_front_of(&airbyte).env("AIRBYTE_PROXY_CONTROL_LISTEN", &taken);
    let ended = proxy.run().await;
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("control.listen: cannot listen on"), "{}", ended.stderr);
    assert!(ended.stderr.contains("hint: name another place"), "{}", ended.stderr);
    let twice = airbyte_proxy("--listen 127.0.0.1:8099");
    let twice = twice.upstream(&airbyte).credentials(&airbyte.credentials());
    let ended = twice.env("AIRBYTE_PROXY_CONTROL_LISTEN", "8099").run().await;
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains("127.0.0.1:8099 is listened on already"), "{}", ended.stderr);
}
