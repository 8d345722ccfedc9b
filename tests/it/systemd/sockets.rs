//! Sockets that whoever started the proxy has opened.

use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use airbyte_proxy::demo::{Options, Simulator};
use http::StatusCode;
use rustix::process::Signal;

use super::{there_is, with_passed};
use crate::harness::process::{SOON, Start, airbyte, free_port, wrapped};

const QUESTION: &[u8] = b"GET /v1/workspaces HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

fn in_front_of(airbyte: &Simulator, start: Start) -> Start {
    start.upstream(airbyte).credentials(&airbyte.credentials())
}

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    (listener, address)
}

/// Sends a request at once, and reads the answer in a thread of its own.
fn asked(
    mut stream: impl std::io::Read + std::io::Write + Send + 'static,
) -> tokio::task::JoinHandle<String> {
    stream.write_all(QUESTION).expect("sent");
    tokio::task::spawn_blocking(move || {
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        answer
    })
}

fn tcp(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("connected");
    stream.set_read_timeout(Some(SOON)).expect("a timeout");
    stream
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_connection_starts_the_proxy_and_is_answered() {
    if !there_is("systemd-socket-activate") {
        return;
    }
    let airbyte = airbyte(Options::default());
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("a.sock");
    let address: SocketAddr = ([127, 0, 0, 1], free_port()).into();
    let (at, path) = (address.to_string(), socket.display().to_string());
    let mut by = vec!["systemd-socket-activate", "-l", &at, "-l", &path];
    // It passes on what it is told to, and nothing else.
    for name in ["AIRBYTE_CLIENT_ID", "AIRBYTE_CLIENT_SECRET", "AIRBYTE_PROXY_UPSTREAM_API_URL"] {
        by.extend(["-E", name]);
    }
    // Where it would listen by itself, nobody could.
    let start = in_front_of(&airbyte, wrapped(&by, "--listen 192.0.2.1:1").at_its_own_level());
    let process = start.spawn().await;
    process.logged("Listening on").await;
    // Nobody runs yet who could answer.
    let first = asked(tcp(address)).await.expect("no panic");
    assert!(first.starts_with("HTTP/1.1 200 OK\r\n"), "{first}");
    let stream = UnixStream::connect(&socket).expect("connected");
    stream.set_read_timeout(Some(SOON)).expect("a timeout");
    let second = asked(stream).await.expect("no panic");
    assert!(second.starts_with("HTTP/1.1 200 OK\r\n"), "{second}");
    for place in [format!("\"http://{at}\""), format!("\"unix:{path}\"")] {
        let line = process.logged(&place).await;
        assert!(line.contains("\"listening\"") && line.contains("\"passed\":true"), "{line}");
    }
    process.stop().await;
    assert!(socket.exists(), "the file belongs to whoever made it");
    assert_eq!(airbyte.handle().counts().unauthorized(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_connects_between_two_processes_waits_and_is_answered() {
    let airbyte = airbyte(Options::default());
    let (listener, address) = listener();
    let passed = || listener.try_clone().expect("a copy");
    let start = || in_front_of(&airbyte, with_passed(passed(), ""));
    let first = start().start().await;
    assert_eq!(first.addr, address);
    assert_eq!(first.get("/v1/workspaces").await.status, StatusCode::OK);
    first.stop().await;
    let between: Vec<_> = (0..20).map(|_| asked(tcp(address))).collect();
    let second = start().start().await;
    for waiting in between {
        let answer = waiting.await.expect("no panic");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    }
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sockets_that_are_passed_obey_the_rules_of_listen() {
    let airbyte = airbyte(Options::default());
    let everywhere = || TcpListener::bind("0.0.0.0:0").expect("a port");
    let ended = in_front_of(&airbyte, with_passed(everywhere(), "")).run().await;
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(
        ended.stderr.starts_with("LISTEN_FDS: 0.0.0.0:") && ended.stderr.contains("--guard-keys-dir"),
        "{}",
        ended.stderr
    );
    let proxy = in_front_of(&airbyte, with_passed(everywhere(), "--published-port")).start().await;
    proxy.stop().await;
    // Nor is it a way to ask oneself.
    let (listener, address) = listener();
    let start = with_passed(listener, &format!("--upstream-api-url http://{address}/v1"));
    let ended = start.credentials(&airbyte.credentials()).run().await;
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains("is the address that this proxy itself listens on"), "{}", ended.stderr);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_that_is_passed_is_for_the_users_who_are_listed() {
    let airbyte = airbyte(Options::default());
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.sock");
    // As systemd makes it, unless it is told otherwise.
    let socket = UnixListener::bind(&path).expect("bound");
    let proxy = in_front_of(&airbyte, with_passed(socket, "")).spawn().await;
    proxy.logged("\"listening\"").await;
    let stream = UnixStream::connect(&path).expect("connected");
    stream.set_read_timeout(Some(SOON)).expect("a timeout");
    let answer = asked(stream).await.expect("no panic");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    proxy.stop().await;
    assert!(path.exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_can_listen_on_is_told_at_the_start() {
    let airbyte = airbyte(Options::default());
    let (listener, address) = listener();
    let _other_end = TcpStream::connect(address).expect("connected");
    let (connection, _) = listener.accept().expect("accepted");
    let datagrams = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let file = std::fs::File::open("/dev/null").expect("there");
    for passed in [connection.into(), datagrams.into(), std::os::fd::OwnedFd::from(file)] {
        let ended = in_front_of(&airbyte, with_passed(passed, "")).run().await;
        assert_eq!(ended.code, Some(2), "{}", ended.stderr);
        let told =
            "LISTEN_FDS: file descriptor 3 is no TCP or Unix socket that listens\n  hint: ListenStream=";
        assert!(ended.stderr.starts_with(told), "{}", ended.stderr);
    }
    for count in ["x", "0", "65", "-1"] {
        let script = format!("LISTEN_PID=$$ LISTEN_FDS={count} exec \"$0\" \"$@\"");
        let ended = in_front_of(&airbyte, wrapped(&["sh", "-c", &script], "")).run().await;
        assert_eq!(ended.code, Some(2), "{count}: {}", ended.stderr);
        assert!(ended.stderr.starts_with("LISTEN_FDS: is not a number from 1 to 64"), "{}", ended.stderr);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sockets_for_another_process_are_left_alone() {
    let airbyte = airbyte(Options::default());
    for whose in ["LISTEN_PID=1 LISTEN_FDS=1", "LISTEN_FDS=1", "LISTEN_PID=$$"] {
        let script = format!("exec 3</dev/null; {whose} exec \"$0\" \"$@\"");
        let start = in_front_of(&airbyte, wrapped(&["sh", "-c", &script], "--listen 127.0.0.1:0"));
        let proxy = start.start().await;
        assert_eq!(proxy.get("/-/live").await.status, StatusCode::OK, "{whose}");
        proxy.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_of_run_inherits_no_socket() {
    let airbyte = airbyte(Options::default());
    let (listener, _) = listener();
    let start = in_front_of(&airbyte, with_passed(listener, "run --"));
    let script = "env; if [ -e /proc/self/fd/3 ]; then echo inherited; fi";
    let ended = start.arg("sh").arg("-c").arg(script).run().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(
        ended.stdout.contains("AIRBYTE_API_URL=") && !ended.stdout.contains("LISTEN_"),
        "{}",
        ended.stdout
    );
    assert!(!ended.stdout.contains("inherited"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_takes_sockets_too() {
    let (listener, address) = listener();
    let demo = with_passed(listener, "demo").start().await;
    assert_eq!(demo.addr, address);
    assert_eq!(demo.get("/v1/workspaces").await.status, StatusCode::OK);
    demo.signal(Signal::TERM);
    assert_eq!(demo.ended_within(Duration::from_secs(10)).await.code, Some(0));
}
