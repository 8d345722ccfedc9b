//! Somebody else's web site.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

const HOSTILE: &str = include_str!("../../browser/hostile.html");

/// Serves the hostile page at `/page`. Whatever else it is asked goes on to the proxy: seen from both ends that is
/// what a DNS name does which first leads to the attacker and then to this machine.
pub(super) struct Site {
    pub(super) addr: SocketAddr,
    _task: JoinSet<()>,
}

impl Site {
    pub(super) async fn start(at: SocketAddr, proxy: SocketAddr) -> Self {
        let listener = TcpListener::bind(at).await.expect("a port");
        let addr = listener.local_addr().expect("bound");
        let mut task = JoinSet::new();
        task.spawn(async move {
            loop {
                let Ok((tcp, _)) = listener.accept().await else { return };
                tokio::spawn(visit(tcp, proxy));
            }
        });
        Self { addr, _task: task }
    }
}

async fn visit(mut browser: TcpStream, proxy: SocketAddr) {
    let mut head = Vec::new();
    while !head.windows(4).any(|w| w == b"\r\n\r\n") {
        match browser.read_buf(&mut head).await {
            Ok(n) if n > 0 => {}
            _ => return,
        }
    }
    if head.starts_with(b"GET /page ") {
        let page = HOSTILE.replace("PROXY", &format!("http://{proxy}"));
        let length = page.len();
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{page}"
        );
        let _ = browser.write_all(answer.as_bytes()).await;
        return;
    }
    let Ok(mut rebound) = TcpStream::connect(proxy).await else { return };
    // Or the browser would ask for the next page on a connection that has become the proxy's.
    let head = String::from_utf8_lossy(&head).replacen("Connection: keep-alive", "Connection: close", 1);
    if rebound.write_all(head.as_bytes()).await.is_ok() {
        let _ = copy_bidirectional(&mut browser, &mut rebound).await;
    }
}
