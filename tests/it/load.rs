//! Many connections while short tokens are renewed: nobody notices, on either side.

#![cfg(target_os = "linux")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use airbyte_proxy::demo::Options;
use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Empty};
use tokio::task::JoinSet;

use crate::harness::process::{Process, airbyte, in_front_of};

const CONNECTIONS: usize = 64;

/// How long it takes; `AIRBYTE_PROXY_TEST_LOAD_SECONDS` makes it longer.
fn duration() -> Duration {
    #[expect(clippy::disallowed_methods, reason = "a switch of the test run, not a setting of the program")]
    let seconds = std::env::var("AIRBYTE_PROXY_TEST_LOAD_SECONDS").ok();
    Duration::from_secs(seconds.and_then(|seconds| seconds.parse().ok()).unwrap_or(15))
}

/// Asks on one connection until it is told to stop; says how many answers there were.
async fn ask(proxy: std::net::SocketAddr, stop: Arc<AtomicBool>) -> u64 {
    let tcp = tokio::net::TcpStream::connect(proxy).await.expect("connected");
    let io = hyper_util::rt::TokioIo::new(tcp);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.expect("a connection");
    tokio::spawn(connection);
    let mut answers = 0;
    while !stop.load(Ordering::Relaxed) {
        let request = Request::get("/v1/workspaces").header(header::HOST, "localhost");
        let request = request.body(Empty::<Bytes>::new()).expect("a request");
        sender.ready().await.expect("the connection is kept");
        let answer = sender.send_request(request).await.expect("an answer");
        let status = answer.status();
        let body = answer.into_body().collect().await.expect("a whole body").to_bytes();
        assert_eq!(status, StatusCode::OK, "{}", String::from_utf8_lossy(&body));
        answers += 1;
    }
    answers
}

async fn load(proxy: &Process) -> u64 {
    let stop = Arc::new(AtomicBool::new(false));
    let mut clients = JoinSet::new();
    for _ in 0..CONNECTIONS {
        clients.spawn(ask(proxy.addr, Arc::clone(&stop)));
    }
    tokio::time::sleep(duration()).await;
    stop.store(true, Ordering::Relaxed);
    clients.join_all().await.into_iter().sum()
}

/// Real time is the subject: tokens live 10 s, and are renewed after some 6 s.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_connections_never_notice_that_tokens_are_renewed() {
    let airbyte = airbyte(Options { token_lifetime: Duration::from_secs(10), ..Options::default() });
    let proxy = in_front_of(&airbyte).at_its_own_level().start().await;
    let answers = load(&proxy).await;
    let counts = airbyte.handle().counts();
    println!(
        "{answers} answers over {CONNECTIONS} connections in {:?}, {} tokens, VmHWM {} KiB",
        duration(),
        counts.mints,
        proxy.peak_memory()
    );
    assert_eq!(counts.unauthorized(), 0, "{counts:?}");
    assert_eq!(counts.authorized, answers, "each was sent once");
    assert_eq!(counts.authorization_headers, answers);
    assert!(counts.mints >= 2, "{counts:?}");
    assert!(counts.mints <= 2 + duration().as_secs() / 5, "{counts:?}");
    proxy.stop().await;
}
