//! Listeners, connections and drain: everything between the kernel and a request.
//!
//! The server knows nothing of Airbyte. It accepts, limits, times out, hands each request to a [`Handler`], and ends
//! when told. It may touch sockets, signals and threads, and of the rest of the crate only the clock.
//!
//! * [`bind()`]: every address, or none, or the sockets that were [`Passed`] to us; then [`Bound::serve`].
//! * `accept`: one loop per address, limits, connections dealt to the workers in turn.
//! * `worker`: one thread and one runtime each, so that a connection never changes threads.
//! * `connection`: one client, from its first byte to its last; `io` keeps its deadlines.
//! * [`Stop`] and [`signals`]: how it ends.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use hyper::body::{Body, Bytes, Incoming};
use hyper::{Request, Response};

mod accept;
mod bind;
mod connection;
mod io;
mod limits;
pub mod passed;
mod run;
pub mod signals;
mod socket;
mod stop;
#[cfg(test)]
mod tests;
mod worker;

pub use bind::{BindError, Bound, bind, bind_or};
pub(crate) use connection::{Panicked, caught};
pub use passed::Passed;
pub use stop::{Drained, Outcome, Stop};

/// Validated settings of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Every address to listen on.
    pub listen: Vec<Listen>,
    /// The user says that a listener on all addresses is published to loopback only (`docker run -p 127.0.0.1:…`).
    pub published_port: bool,
    /// Permission bits of Unix sockets. Whoever gets in by them has still to be somebody the guard knows.
    pub socket_mode: u32,
    /// Threads that serve connections, each with a runtime of its own.
    pub workers: NonZeroUsize,
    /// Client connections at the same time; more are closed at once.
    pub max_connections: usize,
    /// From the first byte of a request head to its last.
    pub head_timeout: Duration,
    /// How long a kept-alive connection may stay silent between requests.
    pub idle_timeout: Duration,
    /// How long a client may refuse to take bytes of a response.
    pub write_timeout: Duration,
    /// After SIGTERM, how long the listeners stay open while readiness is already false.
    pub drain_delay: Duration,
    /// After that, how long requests in flight may take.
    pub drain_grace: Duration,
}

/// One place to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// `127.0.0.1:8484`. Port 0 asks the kernel for one.
    Tcp(SocketAddr),
    /// `unix:/path`.
    Unix(PathBuf),
}

impl fmt::Display for Listen {
    /// As a client is told: `http://127.0.0.1:8484`, `unix:/path`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "http://{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: vec![
                Listen::Tcp(SocketAddr::from(([127, 0, 0, 1], 8484))),
                Listen::Tcp(SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], 8484))),
            ],
            published_port: false,
            socket_mode: 0o600,
            workers: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            max_connections: 16_384,
            head_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            write_timeout: Duration::from_secs(60),
            drain_delay: Duration::ZERO,
            drain_grace: Duration::from_secs(25),
        }
    }
}

/// Who is at the other end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peer {
    /// A TCP client, and the address it reached us at.
    Tcp {
        /// Its address.
        remote: SocketAddr,
        /// Ours.
        local: SocketAddr,
    },
    /// A client of the Unix socket, with its user id where the system tells.
    Unix {
        /// `SO_PEERCRED`.
        uid: Option<u32>,
    },
}

impl Peer {
    /// The address that a client from elsewhere is counted under: an IPv6 client owns at least a /64 of them. Nobody on
    /// this machine has one, since all of them share it.
    pub(crate) fn neighbour(&self) -> Option<IpAddr> {
        let Self::Tcp { remote, .. } = self else { return None };
        match remote.ip().to_canonical() {
            ip if ip.is_loopback() => None,
            IpAddr::V6(ip) => Some(Ipv6Addr::from_bits(ip.to_bits() & (u128::MAX << 64)).into()),
            IpAddr::V4(ip) => Some(ip.into()),
        }
    }
}

/// Answers requests. One per worker, for all its connections.
pub trait Handler: Clone + Send + Sync + 'static {
    /// What it answers with.
    type Body: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static;

    /// Always answers: whatever goes wrong is a response by the time it gets here.
    fn handle(
        &self,
        peer: &Peer,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response<Self::Body>> + Send;

    /// What the caller of a request gets whose handling panicked: a 500 in the format of all other problems. The last
    /// resort: a handler that keeps account of its requests catches what it can itself.
    fn panicked(&self) -> Response<Self::Body>;
}
