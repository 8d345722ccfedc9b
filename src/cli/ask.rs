//! One question to a running proxy of the same configuration, over whatever it listens on.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::server::Listen;

const TIMEOUT: Duration = Duration::from_secs(3);
/// More than any answer of ours to these questions.
const MAX_ANSWER: u64 = 16 * 1024;

/// Why there is no good answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Sick {
    #[error("no answer within 3 s")]
    Timeout,
    #[error("cannot be reached: {0}")]
    Io(#[from] std::io::Error),
    #[error("answers {0}{why}", why = because(.1))]
    Status(u16, String),
    #[error("its answer is not HTTP")]
    NotHttp,
    #[error("port 0 is chosen anew at each start; configure one to check it")]
    UnknownPort,
    #[cfg(not(unix))]
    #[error("Unix sockets do not exist on this system")]
    Unsupported,
}

/// What to ask.
#[derive(Debug, Clone, Copy)]
pub(super) struct Question<'a> {
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    /// Of a client, where the proxy asks for one.
    pub(super) key: Option<&'a str>,
}

impl<'a> Question<'a> {
    pub(super) fn get(path: &'a str) -> Self {
        Self { method: "GET", path, key: None }
    }
}

/// Asks once, on a connection of its own, for a few seconds at most. Good are answers of the 200s.
pub(super) async fn ask(listen: &Listen, question: Question<'_>) -> Result<(), Sick> {
    let asking = async {
        match listen {
            Listen::Tcp(address) if address.port() == 0 => Err(Sick::UnknownPort),
            Listen::Tcp(address) => exchange(TcpStream::connect(reachable(*address)).await?, question).await,
            #[cfg(unix)]
            Listen::Unix(socket) => exchange(tokio::net::UnixStream::connect(socket).await?, question).await,
            #[cfg(not(unix))]
            Listen::Unix(_) => Err(Sick::Unsupported),
        }
    };
    tokio::time::timeout(TIMEOUT, asking).await.unwrap_or(Err(Sick::Timeout))
}

/// Whom was asked, for messages.
pub(super) fn base(listen: &Listen) -> String {
    match listen {
        Listen::Tcp(address) => format!("http://{}", reachable(*address)),
        Listen::Unix(socket) => format!("unix:{} ", socket.display()),
    }
}

/// One cannot connect to "all addresses"; the loopback is among them.
pub(super) fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

async fn exchange(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    question: Question<'_>,
) -> Result<(), Sick> {
    let Question { method, path, key } = question;
    let mut request = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
    if method != "GET" {
        request.push_str("Content-Length: 0\r\n");
    }
    // A line break in it would be a header of its own.
    if let Some(key) = key.filter(|key| key.bytes().all(|b| b.is_ascii_graphic())) {
        request.push_str("Airbyte-Proxy-Key: ");
        request.push_str(key);
        request.push_str("\r\n");
    }
    request.push_str("\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    let mut limited = stream.take(MAX_ANSWER);
    while !answer.contains(&b'\n') && limited.read_buf(&mut answer).await? > 0 {}
    let line = String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned();
    let code = line.strip_prefix("HTTP/1.").and_then(|line| line.split(' ').nth(1)).ok_or(Sick::NotHttp)?;
    match code.parse() {
        Ok(200..=299) => Ok(()),
        Ok(code @ 100..=999) => {
            // The rest is for people; that it comes at all is not certain.
            let _ = limited.read_to_end(&mut answer).await;
            Err(Sick::Status(code, String::from_utf8_lossy(&answer).into_owned()))
        }
        _ => Err(Sick::NotHttp),
    }
}

/// What a readiness or a problem says of itself.
fn because(answer: &str) -> String {
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body).unwrap_or_default();
    let json: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
    let said = ["status", "reason", "detail"].iter().filter_map(|name| json[name].as_str());
    said.fold(String::new(), |all, said| all + ": " + said)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn answered(answer: &str) -> Result<(), String> {
        let (ours, mut theirs) = tokio::io::duplex(1024);
        let answer = answer.to_owned();
        let server = tokio::spawn(async move {
            let mut request = vec![0; 512];
            let n = theirs.read(&mut request).await.expect("read");
            theirs.write_all(answer.as_bytes()).await.expect("write");
            String::from_utf8_lossy(&request[..n]).into_owned()
        });
        let result = exchange(ours, Question::get("/-/live")).await.map_err(|sick| sick.to_string());
        let request = server.await.expect("server");
        assert!(request.starts_with("GET /-/live HTTP/1.1\r\nHost: localhost\r\n"), "{request}");
        result
    }

    #[tokio::test]
    async fn only_success_is_healthy() {
        assert_eq!(answered("HTTP/1.1 200 OK\r\n\r\n").await, Ok(()));
        assert_eq!(answered("HTTP/1.1 202 Accepted\r\n\r\n").await, Ok(()));
        assert_eq!(answered("HTTP/1.1 503 Service Unavailable\r\n\r\n").await, Err("answers 503".into()));
        assert_eq!(answered("HTTP/1.1 1000 x\r\n\r\n").await, Err("its answer is not HTTP".into()));
        assert_eq!(answered("SSH-2.0-x\r\n").await, Err("its answer is not HTTP".into()));
        assert_eq!(answered("HTTP/1.1").await, Err("its answer is not HTTP".into()));
    }

    #[tokio::test]
    async fn what_is_wrong_is_told_in_words() {
        let answer = "HTTP/1.1 503 x\r\n\r\n{\"status\":\"broken\",\"reason\":\"no secret\",\"token\":{}}\n";
        assert_eq!(answered(answer).await, Err("answers 503: broken: no secret".into()));
    }

    #[test]
    fn all_addresses_are_asked_by_loopback() {
        for (listen, asks) in
            [("0.0.0.0:1", "127.0.0.1:1"), ("[::]:1", "[::1]:1"), ("10.0.0.1:1", "10.0.0.1:1")]
        {
            assert_eq!(reachable(listen.parse().expect(listen)).to_string(), asks);
        }
    }
}
