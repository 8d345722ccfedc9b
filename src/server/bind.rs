//! Every address, or none.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::passed::Passed;
use super::socket::{self, Listener};
use super::worker::Worker;
use super::{Config, Listen};
use crate::telemetry::metrics::Connections;

/// How long whoever holds our port has to say who it is.
const INTRODUCTION: Duration = Duration::from_millis(300);

/// How often another number is tried when the kernel's choice for one family is taken in the other.
const PORT_ATTEMPTS: usize = 8;

/// A server that has every address and thread it needs, and accepts nobody yet.
#[derive(Debug)]
pub struct Bound {
    pub(super) config: Config,
    pub(super) listeners: Vec<Listener>,
    pub(super) workers: Vec<Worker>,
    pub(super) connections: Arc<Connections>,
    file_limit: Option<u64>,
}

impl Bound {
    /// The addresses that are listened on, with the ports the kernel chose.
    pub fn addresses(&self) -> Vec<Listen> {
        self.listeners.iter().map(Listener::address).collect()
    }

    /// Counts its clients there.
    #[must_use]
    pub fn counting(self, connections: Arc<Connections>) -> Self {
        Self { connections, ..self }
    }

    /// How many files and sockets this process may have open; none where that is unlimited or unknown.
    pub fn file_limit(&self) -> Option<u64> {
        self.file_limit
    }
}

/// Why nothing is listened on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// The configuration names no address.
    #[error("no address to listen on")]
    Nowhere,
    /// We run already.
    #[error("cannot listen on {0}: another airbyte-proxy is listening there")]
    TakenByUs(Listen),
    /// Somebody else has it.
    #[error("cannot listen on {0}: it is taken by another program")]
    Taken(Listen),
    /// There is a file in the way.
    #[error("cannot listen on {0}: something that is not a socket is there")]
    NotASocket(Listen),
    /// The system says no.
    #[error("cannot listen on {address}")]
    Io {
        /// Where.
        address: Listen,
        /// Its words.
        source: io::Error,
    },
    /// What was passed to us cannot be used.
    #[error("cannot listen on the sockets that were passed (LISTEN_FDS)")]
    Passed(#[source] io::Error),
    /// There is no thread to be had.
    #[error("cannot start worker threads")]
    Workers(#[source] io::Error),
}

impl BindError {
    /// What to do about it, if we know.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Nowhere => "name one with --listen 127.0.0.1:8484".into(),
            Self::TakenByUs(_) => "use that one, stop it, or start this one with --listen 127.0.0.1:0".into(),
            Self::Taken(Listen::Tcp(address)) => format!(
                "find it with `ss -ltnp 'sport = :{}'`, or let the system choose a port with --listen 127.0.0.1:0",
                address.port()
            ),
            Self::Taken(Listen::Unix(_)) => "stop it, or listen on another path".into(),
            Self::NotASocket(_) => "remove it if it is not needed, or listen on another path".into(),
            Self::Io { address, source } => io_hint(address, source)?,
            Self::Passed(_) | Self::Workers(_) => return None,
        };
        Some(hint)
    }
}

fn io_hint(address: &Listen, source: &io::Error) -> Option<String> {
    match (address, source.kind()) {
        (Listen::Tcp(address), io::ErrorKind::PermissionDenied) if address.port() < 1024 => {
            Some(format!("ports below 1024 are for root; --listen {}:8484 is not", bracketed(address.ip())))
        }
        (Listen::Tcp(_), io::ErrorKind::AddrNotAvailable) => {
            Some("this machine has no such address; `ip address` lists those it has".into())
        }
        (Listen::Unix(_), io::ErrorKind::NotFound) => Some("create its folder first (mode 0700)".into()),
        (Listen::Unix(_), io::ErrorKind::PermissionDenied) => {
            Some("the folder must be writable for this user".into())
        }
        _ => None,
    }
}

fn bracketed(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

/// Binds every address of `config` and starts the worker threads. If anything of that fails, nothing stays bound.
///
/// One address of a pair such as `127.0.0.1` and `::1` may be missing on machines without its family. Port 0 becomes
/// the same number in both families.
///
/// To be called within the runtime that will [`serve`](Bound::serve).
pub async fn bind(config: &Config) -> Result<Bound, BindError> {
    bind_or(config, Passed::default()).await
}

/// The same, unless sockets were passed to us: then those are listened on, and nothing else.
pub async fn bind_or(config: &Config, passed: Passed) -> Result<Bound, BindError> {
    let file_limit = raise_file_limit();
    let listeners = if passed.is_empty() {
        opened(config).await?
    } else {
        passed.into_listeners().map_err(BindError::Passed)?
    };
    if listeners.is_empty() {
        return Err(BindError::Nowhere);
    }
    let workers = (0..config.workers.get())
        .map(Worker::start)
        .collect::<io::Result<_>>()
        .map_err(BindError::Workers)?;
    Ok(Bound { config: config.clone(), listeners, workers, connections: Arc::default(), file_limit })
}

async fn opened(config: &Config) -> Result<Vec<Listener>, BindError> {
    let mut listeners = tcp(&tcp_addresses(config)).await?;
    for listen in &config.listen {
        if let Listen::Unix(path) = listen {
            listeners.push(unix(path, config.socket_mode).await?);
        }
    }
    Ok(listeners)
}

/// IPv4 first: it is never the family that a machine lacks, so it chooses the port for both.
fn tcp_addresses(config: &Config) -> Vec<SocketAddr> {
    let mut addresses: Vec<_> = config
        .listen
        .iter()
        .filter_map(|listen| match listen {
            Listen::Tcp(address) => Some(*address),
            Listen::Unix(_) => None,
        })
        .collect();
    addresses.sort_by_key(SocketAddr::is_ipv6);
    addresses
}

async fn tcp(addresses: &[SocketAddr]) -> Result<Vec<Listener>, BindError> {
    let mut attempts = PORT_ATTEMPTS;
    loop {
        attempts -= 1;
        match tcp_once(addresses) {
            Ok(listeners) => return Ok(listeners),
            Err(Failed { chosen: true, .. }) if attempts > 0 => {}
            Err(failed) => return Err(explain(failed).await),
        }
    }
}

struct Failed {
    address: SocketAddr,
    /// The port was the kernel's choice, for the other family: another may do.
    chosen: bool,
    source: io::Error,
}

fn tcp_once(addresses: &[SocketAddr]) -> Result<Vec<Listener>, Failed> {
    let mut listeners = Vec::with_capacity(addresses.len());
    let mut chosen = None;
    let mut missing = None;
    for &wanted in addresses {
        let mut address = wanted;
        let shared = chosen.filter(|_| wanted.port() == 0 && wanted.is_ipv6());
        address.set_port(shared.unwrap_or(wanted.port()));
        match socket::tcp(address) {
            Ok(listener) => {
                if let (0, Listener::Tcp(_, got)) = (wanted.port(), &listener) {
                    chosen.get_or_insert(got.port());
                }
                listeners.push(listener);
            }
            Err(source) if family_missing(&source) && has_twin(wanted, addresses) && missing.is_none() => {
                missing = Some(Failed { address, chosen: false, source });
            }
            Err(source) => {
                let chosen = shared.is_some() && source.kind() == io::ErrorKind::AddrInUse;
                return Err(Failed { address, chosen, source });
            }
        }
    }
    match missing {
        Some(failed) if !listeners.iter().any(|bound| is_twin(failed.address, bound)) => Err(failed),
        Some(failed) => {
            tracing::debug!(address = %failed.address, "this machine lacks an address family; not listening there");
            Ok(listeners)
        }
        None => Ok(listeners),
    }
}

/// `EAFNOSUPPORT`, `EADDRNOTAVAIL`.
fn family_missing(error: &io::Error) -> bool {
    #[cfg(unix)]
    if error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error()) {
        return true;
    }
    matches!(error.kind(), io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported)
}

/// Whether the same address is wanted in the other family: loopback beside loopback, all beside all.
fn has_twin(address: SocketAddr, all: &[SocketAddr]) -> bool {
    all.iter().any(|other| twins(address, *other))
}

fn is_twin(address: SocketAddr, bound: &Listener) -> bool {
    matches!(bound.address(), Listen::Tcp(other) if twins(address, other))
}

fn twins(one: SocketAddr, other: SocketAddr) -> bool {
    let (a, b) = (one.ip(), other.ip());
    one.is_ipv4() != other.is_ipv4()
        && ((a.is_loopback() && b.is_loopback()) || (a.is_unspecified() && b.is_unspecified()))
}

async fn explain(failed: Failed) -> BindError {
    let address = Listen::Tcp(failed.address);
    if failed.source.kind() != io::ErrorKind::AddrInUse {
        return BindError::Io { address, source: failed.source };
    }
    let ours = tokio::time::timeout(INTRODUCTION, introduces_itself(failed.address)).await;
    if matches!(ours, Ok(Ok(true))) { BindError::TakenByUs(address) } else { BindError::Taken(address) }
}

/// Whether an airbyte-proxy answers at `address`. Asks what is harmless to ask of anything that speaks HTTP.
async fn introduces_itself(mut address: SocketAddr) -> io::Result<bool> {
    if address.ip().is_unspecified() {
        let loopback: IpAddr =
            if address.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
        address.set_ip(loopback);
    }
    let mut stream = TcpStream::connect(address).await?;
    let question = format!("GET /-/live HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(question.as_bytes()).await?;
    let mut answer = Vec::new();
    // Whatever ends it, what has come by then may be enough.
    let _ = stream.take(4096).read_to_end(&mut answer).await;
    let answer = answer.to_ascii_lowercase();
    let head = answer.split(|b| *b == b'\n').take_while(|line| !line.trim_ascii().is_empty());
    Ok(head.into_iter().any(|line| {
        line.starts_with(b"server: airbyte-proxy") || line.starts_with(b"proxy-status: airbyte-proxy")
    }))
}

#[cfg(unix)]
async fn unix(path: &std::path::Path, mode: u32) -> Result<Listener, BindError> {
    use super::socket::unix::{Refusal, Socket};
    let address = || Listen::Unix(path.to_owned());
    match Socket::bind(path, mode).await {
        Ok(socket) => Ok(Listener::Unix(socket)),
        Err(Refusal::NotASocket) => Err(BindError::NotASocket(address())),
        Err(Refusal::Answered) => Err(BindError::Taken(address())),
        Err(Refusal::Io(source)) => Err(BindError::Io { address: address(), source }),
    }
}

#[cfg(not(unix))]
async fn unix(path: &std::path::Path, _: u32) -> Result<Listener, BindError> {
    let address = Listen::Unix(path.to_owned());
    Err(BindError::Io { address, source: io::ErrorKind::Unsupported.into() })
}

/// Two descriptors a request, and the usual soft limit is 1024. The soft limit exists for programs that use
/// `select(2)`; the hard one is what the administrator means.
#[cfg(unix)]
fn raise_file_limit() -> Option<u64> {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    let soft = limit.current;
    limit.current = limit.maximum;
    // macOS refuses "unlimited" here; then the old limit stays.
    if setrlimit(Resource::Nofile, limit).is_ok() { limit.current } else { soft }
}

#[cfg(not(unix))]
fn raise_file_limit() -> Option<u64> {
    None
}
