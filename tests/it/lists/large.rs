//! Long lists through the built binary: little memory, rows from the first moment on, and failures that curl sees.

use std::process::Stdio;

use airbyte_proxy::demo::{ApiFault, Gate, Options, Simulator, Sizes};
use http::StatusCode;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Bytes, Incoming};
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::harness::process::{Process, airbyte, in_front_of};
use crate::harness::trace;

/// More for a run of its own: `AIRBYTE_PROXY_TEST_ROWS=1000000 cargo test --release lists::large -- --nocapture`.
const ROWS: usize = 30_000;
/// What the proxy may have had at most, in KiB.
const LIMIT: u64 = 100 * 1024;

#[expect(clippy::disallowed_methods, reason = "a switch of the test run, not a setting of the program")]
fn rows() -> usize {
    std::env::var("AIRBYTE_PROXY_TEST_ROWS").map_or(ROWS, |rows| rows.parse().expect("a number"))
}

fn with_jobs(jobs: usize) -> Options {
    Options { sizes: Sizes { jobs, ..Sizes::default() }, ..Options::default() }
}

async fn proxy(airbyte: &Simulator) -> Process {
    in_front_of(airbyte).at_its_own_level().start().await
}

async fn lines(proxy: &Process, target: &str) -> Incoming {
    let tcp = TcpStream::connect(proxy.addr).await.expect("connected");
    let io = hyper_util::rt::TokioIo::new(tcp);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.expect("a connection");
    tokio::spawn(connection);
    let request =
        http::Request::get(target).header("host", "localhost").header("accept", "application/x-ndjson");
    let request = request.header("te", "trailers").header("connection", "te");
    let answer = sender.send_request(request.body(Empty::<Bytes>::new()).expect("a request")).await;
    let answer = answer.expect("an answer");
    assert_eq!(answer.status(), StatusCode::OK);
    answer.into_body()
}

#[test]
fn a_list_of_any_length_takes_little_memory() {
    trace::silent(async {
        let rows = rows();
        let airbyte = airbyte(with_jobs(rows));
        let proxy = proxy(&airbyte).await;
        let mut body = lines(&proxy, "/v1/jobs?limit=all").await;
        let (mut seen, mut told) = (0, None);
        while let Some(frame) = body.frame().await {
            match frame.expect("a whole list").into_data() {
                Ok(data) => seen += data.split(|byte| *byte == b'\n').count() - 1,
                Err(last) => {
                    told = last.trailers_ref().map(|trailers| trailers["airbyte-proxy-rows"].clone());
                }
            }
        }
        let peak = proxy.peak_memory();
        println!("{rows} rows, peak {peak} KiB");
        assert_eq!((seen, told.expect("trailers")), (rows, rows.into()));
        assert!(peak < LIMIT, "{peak} KiB");
        proxy.stop().await;
    });
}

#[tokio::test]
async fn the_first_rows_are_there_before_the_second_page() {
    let airbyte = airbyte(with_jobs(1000));
    let gate = Gate::new();
    airbyte.handle().fault_at_page(2, ApiFault::Hold(gate.clone()));
    let proxy = proxy(&airbyte).await;
    let mut body = lines(&proxy, "/v1/jobs?limit=all").await;
    let mut rows = 0;
    while rows < 100 {
        let data = body.frame().await.expect("more").expect("rows").into_data().expect("rows");
        rows += data.split(|byte| *byte == b'\n').count() - 1;
    }
    assert_eq!(rows, 100);
    gate.open();
    body.collect().await.expect("the rest");
}

#[tokio::test]
async fn curl_says_that_a_list_is_broken_off() {
    let airbyte = airbyte(with_jobs(10_000));
    let proxy = proxy(&airbyte).await;
    for accept in ["application/json", "application/x-ndjson"] {
        for fault in [
            ApiFault::ErrorId(StatusCode::INTERNAL_SERVER_ERROR),
            ApiFault::Forbidden,
            ApiFault::Html(StatusCode::OK),
            ApiFault::RetryAfter(StatusCode::SERVICE_UNAVAILABLE, "3600".to_owned()),
        ] {
            airbyte.handle().faults_at_page(37, fault, 2);
            let curl = Command::new("curl")
                .args(["--silent", "--show-error", "--header", &format!("accept: {accept}")])
                .arg(proxy.url("/v1/jobs?limit=all"))
                .stdin(Stdio::null())
                .kill_on_drop(true)
                .output();
            let ended = curl.await.expect("curl");
            assert_eq!(ended.status.code(), Some(18), "{}", String::from_utf8_lossy(&ended.stderr));
            let rows = ended.stdout.windows(7).filter(|at| at == b"\"jobId\"").count();
            assert_eq!(rows, 3600, "36 pages");
            assert!(serde_json::from_slice::<serde_json::Value>(&ended.stdout).is_err());
            airbyte.handle().clear_page_faults();
        }
    }
}
