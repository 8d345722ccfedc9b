//! Binding: all or nothing, both families, clear errors, Unix sockets.

use std::net::{Ipv6Addr, SocketAddr};

use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use super::{Client, Stage, config};
use crate::server::{BindError, Config, Listen, Stop, bind};

fn listening(listen: Vec<Listen>) -> Config {
    Config { listen, ..config() }
}

fn tcp(address: &str) -> Listen {
    Listen::Tcp(address.parse().expect("an address"))
}

async fn has_ipv6() -> bool {
    TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).await.is_ok()
}

#[tokio::test]
async fn port_zero_is_the_same_number_in_both_families() {
    let bound = bind(&listening(vec![tcp("[::1]:0"), tcp("127.0.0.1:0")])).await.expect("bound");
    let ports: Vec<_> = bound
        .addresses()
        .into_iter()
        .map(|address| match address {
            Listen::Tcp(address) => address.port(),
            Listen::Unix(_) => 0,
        })
        .collect();
    assert_ne!(ports[0], 0);
    if has_ipv6().await {
        assert_eq!(ports, [ports[0], ports[0]]);
    } else {
        assert_eq!(ports.len(), 1, "a machine without IPv6 listens on what it has");
    }
}

#[tokio::test]
async fn all_addresses_of_both_families_can_be_listened_on() {
    let bound = bind(&listening(vec![tcp("0.0.0.0:0"), tcp("[::]:0")])).await.expect("bound");
    assert!(!bound.addresses().is_empty());
}

#[tokio::test]
async fn a_taken_port_is_an_error_that_says_what_to_do_and_nothing_stays_bound() {
    let holder = TcpListener::bind("127.0.0.1:0").await.expect("free");
    let taken = holder.local_addr().expect("address");
    let free = TcpListener::bind("127.0.0.1:0").await.expect("free").local_addr().expect("address");
    let error = bind(&listening(vec![Listen::Tcp(free), Listen::Tcp(taken)])).await.expect_err("taken");
    assert_eq!(error.to_string(), format!("cannot listen on http://{taken}: it is taken by another program"));
    assert!(error.hint().expect("hint").contains(&format!("sport = :{}", taken.port())));
    TcpListener::bind(free).await.expect("nothing stays bound");
}

#[tokio::test]
async fn a_taken_second_family_is_fatal() {
    if !has_ipv6().await {
        return;
    }
    let holder = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).await.expect("free");
    let port = holder.local_addr().expect("address").port();
    let both = vec![
        Listen::Tcp(SocketAddr::from(([127, 0, 0, 1], port))),
        Listen::Tcp(SocketAddr::from((Ipv6Addr::LOCALHOST, port))),
    ];
    assert!(matches!(bind(&listening(both)).await, Err(BindError::Taken(_))));
}

#[tokio::test]
async fn another_airbyte_proxy_is_recognised() {
    let holder = TcpListener::bind("127.0.0.1:0").await.expect("free");
    let taken = holder.local_addr().expect("address");
    let answering = tokio::spawn(async move {
        let (stream, _) = holder.accept().await.expect("asked");
        let mut client = Client(stream);
        assert!(client.until("\r\n\r\n").await.starts_with("GET /-/live HTTP/1.1\r\n"));
        let answer = b"HTTP/1.1 200 OK\r\nServer: airbyte-proxy/9\r\nContent-Length: 0\r\n\r\n";
        client.0.write_all(answer).await.expect("answered");
    });
    let error = bind(&listening(vec![Listen::Tcp(taken)])).await.expect_err("taken");
    assert!(matches!(error, BindError::TakenByUs(_)), "{error}");
    answering.await.expect("no panic");
}

#[tokio::test]
async fn an_address_of_another_machine_is_an_error_with_a_hint() {
    // TEST-NET-1, RFC 5737.
    let error = bind(&listening(vec![tcp("192.0.2.1:0"), tcp("127.0.0.1:0")])).await.expect_err("not ours");
    assert!(matches!(error, BindError::Io { .. }), "{error}");
    assert!(error.hint().is_some());
}

#[tokio::test]
async fn no_address_is_an_error() {
    assert!(matches!(bind(&listening(Vec::new())).await, Err(BindError::Nowhere)));
}

#[test]
fn addresses_print_as_a_client_needs_them() {
    assert_eq!(tcp("127.0.0.1:8484").to_string(), "http://127.0.0.1:8484");
    assert_eq!(tcp("[::1]:8484").to_string(), "http://[::1]:8484");
    assert_eq!(Listen::Unix("/run/a.sock".into()).to_string(), "unix:/run/a.sock");
}

#[cfg(unix)]
mod unix {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixListener;

    use tokio::net::UnixStream;

    use super::*;

    #[tokio::test]
    async fn a_socket_is_for_its_owner_and_gone_at_the_end() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("a.sock");
        let (_stage, actor) = Stage::new();
        let bound = bind(&listening(vec![Listen::Unix(path.clone())])).await.expect("bound");
        let mode = std::fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let stop = Stop::new();
        let serving = tokio::spawn(bound.serve(move |_| actor.clone(), stop.clone()));
        let mut client = Client(UnixStream::connect(&path).await.expect("connects"));
        client.get("/peer").await;
        let me = rustix::process::getuid().as_raw();
        client.until(&format!("Unix {{ uid: Some({me}) }}")).await;
        stop.drain();
        let _ = serving.await.expect("no panic");
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn what_a_dead_process_left_is_replaced_and_what_answers_is_not() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("a.sock");
        drop(UnixListener::bind(&path).expect("bound by another"));
        let bound = bind(&listening(vec![Listen::Unix(path.clone())])).await.expect("stale is replaced");
        let error = bind(&listening(vec![Listen::Unix(path.clone())])).await.expect_err("in use");
        assert!(matches!(error, BindError::Taken(_)), "{error}");
        assert!(path.exists(), "the loser leaves the winner's file alone");
        drop(bound);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_file_that_is_not_a_socket_is_left_alone() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("precious");
        std::fs::write(&path, "data").expect("written");
        let error = bind(&listening(vec![Listen::Unix(path.clone())])).await.expect_err("in the way");
        assert!(matches!(error, BindError::NotASocket(_)), "{error}");
        assert_eq!(std::fs::read_to_string(&path).expect("still there"), "data");
    }
}
