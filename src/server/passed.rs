//! Sockets that whoever started us has opened already: systemd's socket activation, `sd_listen_fds(3)`.
//!
//! They stand in for `listen`. Clients can connect before we run and while we restart: the kernel keeps them in the
//! queue of a socket that is not ours to close.

use std::io;
#[cfg(unix)]
use std::net::SocketAddr;

use super::Listen;
use super::socket::Listener;

/// Says whom the sockets are for: a variable that was inherited further than it was meant is nobody's business.
pub const PID: &str = "LISTEN_PID";
/// Says how many there are.
pub const COUNT: &str = "LISTEN_FDS";
/// What a program of ours must not inherit.
pub const VARIABLES: [&str; 3] = [PID, COUNT, "LISTEN_FDNAMES"];

/// `SD_LISTEN_FDS_START`
#[cfg(unix)]
const FIRST: usize = 3;
/// More than any unit has; what is beyond is no number of sockets.
#[cfg(unix)]
const MOST: usize = 64;

/// Listening sockets that were handed to this process; none where it opens its own.
#[derive(Debug, Default)]
pub struct Passed(Vec<Socket>);

#[derive(Debug)]
enum Socket {
    #[cfg(unix)]
    Tcp(std::net::TcpListener, SocketAddr),
    #[cfg(unix)]
    Unix(std::os::unix::net::UnixListener, std::path::PathBuf),
}

/// What was handed over cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PassedError {
    /// Not a number, or too many.
    #[error("LISTEN_FDS: is not a number from 1 to 64")]
    Count,
    /// A datagram socket, a connection (`Accept=yes`), or no socket at all.
    #[error("LISTEN_FDS: file descriptor {0} is no TCP or Unix socket that listens")]
    Kind(usize),
}

impl PassedError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Count => "it is systemd's to set; leave it out where nothing is passed",
            Self::Kind(_) => "ListenStream=127.0.0.1:8484 in the .socket unit, without Accept=yes",
        }
    }
}

impl Passed {
    /// Takes what the variables [`PID`] and [`COUNT`] with these values speak of, if it is for this process.
    ///
    /// The variables are gone afterwards. To be called once, before there are other threads, who might read them.
    #[cfg(unix)]
    pub fn take(pid: Option<&str>, count: Option<&str>) -> Result<Self, PassedError> {
        let for_us = pid.and_then(|pid| pid.parse().ok()) == Some(std::process::id());
        let Some(count) = count.filter(|_| for_us) else { return Ok(Self::default()) };
        if !count.parse().is_ok_and(|count: usize| (1..=MOST).contains(&count)) {
            return Err(PassedError::Count);
        }
        let mut fds = listenfd::ListenFd::from_env();
        (0..fds.len()).map(|index| one(&mut fds, index)).collect::<Result<_, _>>().map(Self)
    }

    /// Takes nothing: there is no such thing here.
    #[cfg(not(unix))]
    pub fn take(_: Option<&str>, _: Option<&str>) -> Result<Self, PassedError> {
        Ok(Self::default())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Where they listen.
    pub fn addresses(&self) -> Vec<Listen> {
        let address = |socket: &Socket| match *socket {
            #[cfg(unix)]
            Socket::Tcp(_, address) => Listen::Tcp(address),
            #[cfg(unix)]
            Socket::Unix(_, ref path) => Listen::Unix(path.clone()),
        };
        self.0.iter().map(address).collect()
    }

    /// Within the runtime that accepts on them.
    pub(super) fn into_listeners(self) -> io::Result<Vec<Listener>> {
        self.0.into_iter().map(Socket::into_listener).collect()
    }
}

impl Socket {
    #[cfg(unix)]
    fn into_listener(self) -> io::Result<Listener> {
        match self {
            Self::Tcp(listener, address) => {
                listener.set_nonblocking(true)?;
                Ok(Listener::Tcp(tokio::net::TcpListener::from_std(listener)?, address))
            }
            Self::Unix(listener, path) => {
                listener.set_nonblocking(true)?;
                let listener = tokio::net::UnixListener::from_std(listener)?;
                Ok(Listener::Unix(super::socket::unix::Socket::passed(listener, path)))
            }
        }
    }

    #[cfg(not(unix))]
    fn into_listener(self) -> io::Result<Listener> {
        match self {}
    }
}

#[cfg(unix)]
fn one(fds: &mut listenfd::ListenFd, index: usize) -> Result<Socket, PassedError> {
    let wrong = |_| PassedError::Kind(FIRST + index);
    if let Ok(Some(listener)) = fds.take_tcp_listener(index) {
        let address = listens(&listener).and_then(|()| listener.local_addr()).map_err(wrong)?;
        return Ok(Socket::Tcp(listener, address));
    }
    match fds.take_unix_listener(index) {
        Ok(Some(listener)) => {
            let address = listens(&listener).and_then(|()| listener.local_addr()).map_err(wrong)?;
            // One in the abstract namespace has no file; `ss` writes its name like this.
            let path = address.as_pathname().map_or_else(|| "@".into(), ToOwned::to_owned);
            Ok(Socket::Unix(listener, path))
        }
        Ok(None) => Err(PassedError::Kind(FIRST + index)),
        Err(error) => Err(wrong(error)),
    }
}

/// A connection looks like a listener, but for this.
#[cfg(all(unix, not(target_vendor = "apple")))]
fn listens(socket: impl std::os::fd::AsFd) -> io::Result<()> {
    if rustix::net::sockopt::socket_acceptconn(socket)? {
        Ok(())
    } else {
        Err(io::ErrorKind::InvalidInput.into())
    }
}

/// There the system does not tell.
#[cfg(target_vendor = "apple")]
fn listens(_: impl std::os::fd::AsFd) -> io::Result<()> {
    Ok(())
}
