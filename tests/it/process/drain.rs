//! SIGTERM, SIGINT, and requests in flight.

use std::time::Duration;

use airbyte_proxy::demo::{ApiFault, Fault, Gate, Options, Simulator};
use http::{Method, StatusCode};
use rustix::process::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::harness::daemon::{Got, try_got};
use crate::harness::process::{Process, SOON, airbyte, airbyte_proxy, in_front_of, shim, until};

/// `number` requests that upstream holds until the gate is opened.
async fn held(
    airbyte: &Simulator,
    proxy: &Process,
    number: u64,
) -> (Gate, JoinSet<Result<Got, reqwest::Error>>) {
    let gate = Gate::new();
    airbyte.handle().set_api_fault(Some(ApiFault::Hold(gate.clone())));
    let mut requests = JoinSet::new();
    for _ in 0..number {
        requests.spawn(try_got(proxy.request(Method::GET, "/v1/workspaces")));
    }
    until(airbyte, |counts| counts.held == number).await;
    (gate, requests)
}

/// Returns as soon as nobody listens any more.
async fn refused(proxy: &Process) {
    let refused = async {
        while TcpStream::connect(proxy.addr).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(SOON, refused).await.expect("listeners close");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_termination_loses_none_of_20_requests_in_flight() {
    for signal in [Signal::TERM, Signal::INT] {
        let airbyte = airbyte(Options::default());
        let proxy = in_front_of(&airbyte).start().await;
        let (gate, requests) = held(&airbyte, &proxy, 20).await;
        proxy.signal(signal);
        refused(&proxy).await;
        gate.open();
        let answers = requests.join_all().await;
        assert_eq!(answers.len(), 20);
        for answer in answers {
            let answer = answer.expect("a whole answer");
            assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
            assert!(answer.json()["data"].is_array());
        }
        let ended = proxy.ended().await;
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_connection_does_not_hold_up_the_end() {
    let airbyte = airbyte(Options::default());
    let proxy = in_front_of(&airbyte).start().await;
    let _silent = TcpStream::connect(proxy.addr).await.expect("connected");
    assert_eq!(proxy.get("/v1/workspaces").await.status, StatusCode::OK);
    // The client keeps its connection, and the grace is longer than the end may take.
    proxy.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn during_the_delay_it_is_not_ready_and_serves_on() {
    let airbyte = airbyte(Options::default());
    let proxy = in_front_of(&airbyte).arg("--drain-delay=1h").start().await;
    assert_eq!(proxy.get("/v1/workspaces").await.status, StatusCode::OK);
    assert_eq!(proxy.get("/-/ready").await.status, StatusCode::OK);
    proxy.signal(Signal::TERM);
    let unready = async {
        loop {
            let answer = proxy.get("/-/ready").await;
            if answer.status == StatusCode::SERVICE_UNAVAILABLE {
                return answer;
            }
        }
    };
    let answer = tokio::time::timeout(SOON, unready).await.expect("not ready at once");
    assert_eq!(answer.json()["status"], "draining");
    assert_eq!(proxy.get("/-/live").await.status, StatusCode::OK);
    assert_eq!(proxy.get("/v1/workspaces").await.status, StatusCode::OK, "on a new or old connection");
    proxy.signal(Signal::TERM);
    assert_eq!(proxy.ended().await.code, Some(143));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_the_delay_it_ends_by_itself() {
    let airbyte = airbyte(Options::default());
    let proxy = in_front_of(&airbyte).arg("--drain-delay=50ms").start().await;
    proxy.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grace_that_runs_out_is_a_failure_and_says_how_many_were_cut() {
    let airbyte = airbyte(Options::default());
    let proxy = in_front_of(&airbyte).arg("--drain-grace=100ms").start().await;
    let (_gate, requests) = held(&airbyte, &proxy, 3).await;
    proxy.signal(Signal::TERM);
    let ended = proxy.ended().await;
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("\"open_requests\":3"), "{}", ended.stderr);
    assert!(requests.join_all().await.iter().all(Result::is_err));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_ends_it_at_once_with_a_code_that_names_it() {
    for (second, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let airbyte = airbyte(Options::default());
        let proxy = in_front_of(&airbyte).arg("--drain-grace=1h").start().await;
        let (_gate, _requests) = held(&airbyte, &proxy, 1).await;
        proxy.signal(Signal::TERM);
        refused(&proxy).await;
        proxy.signal(second);
        let ended = proxy.ended_within(Duration::from_secs(5)).await;
        assert_eq!(ended.code, Some(code), "{}", ended.stderr);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_in_flight_is_sent_to_its_end() {
    let airbyte = airbyte(Options::default());
    let proxy = in_front_of(&airbyte).start().await;
    // The answer is begun and not read.
    let mut tcp = TcpStream::connect(proxy.addr).await.expect("connected");
    let (gate, requests) = held(&airbyte, &proxy, 1).await;
    tcp.write_all(b"GET /v1/jobs?limit=100 HTTP/1.1\r\nhost: localhost\r\n\r\n").await.expect("written");
    until(&airbyte, |counts| counts.held == 2).await;
    proxy.signal(Signal::TERM);
    refused(&proxy).await;
    gate.open();
    let mut answer = String::new();
    tcp.read_to_string(&mut answer).await.expect("a whole answer, then the end");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert!(head.to_ascii_lowercase().contains("connection: close"), "{head}");
    assert!(serde_json::from_str::<serde_json::Value>(body).is_ok(), "{body}");
    drop(requests);
    assert_eq!(proxy.ended().await.code, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_token_that_does_not_come_does_not_hold_up_the_end() {
    let airbyte = airbyte(Options::default());
    airbyte.handle().set_fault(Some(Fault::Hang(Gate::new())));
    let proxy = in_front_of(&airbyte).start().await;
    until(&airbyte, |counts| counts.held == 1).await;
    proxy.stop().await;
}

/// A name lookup cannot be cancelled, and takes its time where no name server answers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_lookup_without_end_does_not_hold_up_the_end() {
    const SLOW: &str = "#include <unistd.h>\n\
        int getaddrinfo(const char *n, const char *s, const void *h, void **r) {\n\
            (void)!write(2, \"looking up\\n\", 11); sleep(60); return -3; }\n";
    let start = airbyte_proxy("--listen 127.0.0.1:0 --upstream-api-url https://airbyte.invalid/v1");
    let library = shim(start.folder(), SLOW).await;
    let start = start.env("AIRBYTE_CLIENT_ID", "an-id").env("AIRBYTE_CLIENT_SECRET", "a-secret-of-nobody");
    let proxy = start.env("LD_PRELOAD", &library).start().await;
    proxy.logged("looking up").await;
    proxy.signal(Signal::TERM);
    let ended = proxy.ended_within(Duration::from_secs(5)).await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}
