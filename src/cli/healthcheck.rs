//! `airbyte-proxy healthcheck`: asks the proxy of the same configuration how it is. Exit codes 0 and 1 only.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use clap::ArgMatches;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{args, block_on, output};
use crate::config::{Environment, listeners};
use crate::server::Listen;

const TIMEOUT: Duration = Duration::from_secs(3);
/// More than any status line of ours.
const MAX_HEAD: u64 = 1024;

#[derive(Debug, thiserror::Error)]
enum Sick {
    #[error("no answer within 3 s")]
    Timeout,
    #[error("cannot be reached: {0}")]
    Io(#[from] std::io::Error),
    #[error("answers {0}")]
    Status(String),
    #[error("its answer is not HTTP")]
    NotHttp,
    #[error("port 0 is chosen anew at each start; configure one to check it")]
    UnknownPort,
    #[cfg(not(unix))]
    #[error("Unix sockets do not exist on this system")]
    Unsupported,
}

pub(super) fn run(matches: &ArgMatches, env: &Environment) -> ExitCode {
    let path = if matches.get_flag(args::READY) { "/-/ready" } else { "/-/live" };
    let listen = listeners(&args::flags(matches), env);
    let Some(listen) = listen.first() else {
        output::stderr("no listener is configured; airbyte-proxy check tells why");
        return ExitCode::FAILURE;
    };
    let asked = block_on(async {
        tokio::time::timeout(TIMEOUT, ask(listen, path)).await.unwrap_or(Err(Sick::Timeout))
    });
    match asked {
        Err(code) => code,
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(sick)) => {
            output::stderr(&format!("{}{path}: {sick}", base(listen)));
            ExitCode::FAILURE
        }
    }
}

fn base(listen: &Listen) -> String {
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

async fn ask(listen: &Listen, path: &str) -> Result<(), Sick> {
    match listen {
        Listen::Tcp(address) if address.port() == 0 => Err(Sick::UnknownPort),
        Listen::Tcp(address) => exchange(TcpStream::connect(reachable(*address)).await?, path).await,
        #[cfg(unix)]
        Listen::Unix(socket) => exchange(tokio::net::UnixStream::connect(socket).await?, path).await,
        #[cfg(not(unix))]
        Listen::Unix(_) => Err(Sick::Unsupported),
    }
}

/// One request on a connection of its own; only the status line of the answer matters.
async fn exchange(mut stream: impl AsyncRead + AsyncWrite + Unpin, path: &str) -> Result<(), Sick> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut head = Vec::new();
    let mut limited = stream.take(MAX_HEAD);
    while !head.contains(&b'\n') && limited.read_buf(&mut head).await? > 0 {}
    let head = String::from_utf8_lossy(&head);
    let status = head.lines().next().and_then(|line| line.strip_prefix("HTTP/1.")).ok_or(Sick::NotHttp)?;
    match status.split(' ').nth(1) {
        Some("200") => Ok(()),
        Some(code) if code.len() == 3 && code.bytes().all(|b| b.is_ascii_digit()) => {
            Err(Sick::Status(code.to_owned()))
        }
        _ => Err(Sick::NotHttp),
    }
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
        let result = exchange(ours, "/-/live").await.map_err(|sick| sick.to_string());
        let request = server.await.expect("server");
        assert!(request.starts_with("GET /-/live HTTP/1.1\r\nHost: localhost\r\n"), "{request}");
        result
    }

    #[tokio::test]
    async fn only_200_is_healthy() {
        assert_eq!(answered("HTTP/1.1 200 OK\r\n\r\n").await, Ok(()));
        assert_eq!(answered("HTTP/1.1 503 Service Unavailable\r\n\r\n").await, Err("answers 503".into()));
        assert_eq!(answered("SSH-2.0-x\r\n").await, Err("its answer is not HTTP".into()));
        assert_eq!(answered("HTTP/1.1").await, Err("its answer is not HTTP".into()));
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
