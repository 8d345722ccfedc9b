//! Closed, full and unread standard streams: nothing panics, and requests go on.

use std::fs::File;
use std::io::Write as _;
use std::process::Stdio;
use std::time::Duration;

use airbyte_proxy::demo::{Options, Simulator};
use http::{Method, StatusCode};
use rustix::process::Signal;
use tokio::net::TcpStream;

use crate::harness::daemon::got;
use crate::harness::process::{Process, SOON, Start, airbyte, airbyte_proxy, client, free_port, wrapped};

/// What it logs cannot be read here, so its port is not of the system's choice.
struct Deaf {
    process: Process,
    url: String,
}

async fn deaf(airbyte: &Simulator, make: impl FnOnce(&str) -> Start) -> Deaf {
    let port = free_port();
    let start = make(&format!("--listen 127.0.0.1:{port}"));
    let process = start.upstream(airbyte).credentials(&airbyte.credentials()).spawn().await;
    listening(port).await;
    Deaf { process, url: format!("http://127.0.0.1:{port}/v1/workspaces") }
}

async fn listening(port: u16) {
    let connected = async {
        while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(SOON, connected).await.expect("it listens");
}

impl Deaf {
    async fn serves_and_ends(self, requests: usize) {
        let client = client();
        for _ in 0..requests {
            let answer = got(client.request(Method::GET, &self.url)).await;
            assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        }
        self.process.signal(Signal::TERM);
        let ended = self.process.ended().await;
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        assert!(!ended.stderr.contains("panic"), "{}", ended.stderr);
    }
}

/// A pipe that takes nothing more, and what keeps it so.
fn full_pipe() -> (Stdio, std::io::PipeReader) {
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    let size = 65_536;
    // pipe(7): this is its capacity, so nothing blocks yet.
    writer.write_all(&vec![b'.'; size]).expect("room");
    (Stdio::from(writer), reader)
}

fn dev_full() -> Stdio {
    Stdio::from(File::options().write(true).open("/dev/full").expect("Linux"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_standard_error_stops_no_request() {
    let airbyte = airbyte(Options::default());
    let closed = || {
        let (_, writer) = std::io::pipe().expect("a pipe");
        Stdio::from(writer)
    };
    let both = |line: &str| airbyte_proxy(line).stdout(closed()).stderr(closed());
    deaf(&airbyte, both).await.serves_and_ends(50).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn standard_streams_that_do_not_exist_stop_no_request() {
    let airbyte = airbyte(Options::default());
    let none = |line: &str| wrapped(&["sh", "-c", "exec \"$0\" \"$@\" <&- >&- 2>&-"], line);
    deaf(&airbyte, none).await.serves_and_ends(50).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_under_the_log_stops_no_request() {
    let airbyte = airbyte(Options::default());
    let full = |line: &str| airbyte_proxy(line).stdout(dev_full()).stderr(dev_full());
    deaf(&airbyte, full).await.serves_and_ends(50).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_nobody_reads_stops_no_request() {
    let airbyte = airbyte(Options::default());
    let (full, _reader) = full_pipe();
    let unread = |line: &str| airbyte_proxy(line).arg("--log-level=trace").stderr(full);
    deaf(&airbyte, unread).await.serves_and_ends(300).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_does_not_wait_for_somebody_to_read_its_banner() {
    for stdout in [full_pipe().0, dev_full()] {
        let demo = airbyte_proxy("demo --listen 127.0.0.1:0").stdout(stdout).start().await;
        assert_eq!(demo.get("/v1/workspaces").await.status, StatusCode::OK);
        demo.stop().await;
    }
    let (full, _reader) = full_pipe();
    let demo = airbyte_proxy("demo --listen 127.0.0.1:0").stdout(full).start().await;
    assert_eq!(demo.get("/v1/workspaces").await.status, StatusCode::OK);
    demo.stop().await;
}

/// The last words of a program that cannot start come when nobody may be left to hear them.
#[tokio::test]
async fn a_failed_start_keeps_its_exit_code_whatever_becomes_of_its_words() {
    let (_, writer) = std::io::pipe().expect("a pipe");
    let ended = airbyte_proxy("--listen 127.0.0.1:0").stderr(writer).run().await;
    assert_eq!(ended.code, Some(2), "no credentials");
    let ended = airbyte_proxy("--nonsense").stderr(dev_full()).run().await;
    assert_eq!(ended.code, Some(2));
}
