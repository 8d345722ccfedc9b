//! Listening sockets of either kind, bound carefully.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::{Listen, Peer};

/// Connections that wait in the kernel while we are busy.
const BACKLOG: u32 = 1024;

/// A bound, listening socket.
#[derive(Debug)]
pub(super) enum Listener {
    Tcp(TcpListener, SocketAddr),
    #[cfg(unix)]
    Unix(unix::Socket),
}

/// A client, on its way to a worker: not registered with any runtime.
#[derive(Debug)]
pub(super) enum Accepted {
    Tcp(std::net::TcpStream),
    #[cfg(unix)]
    Unix(std::os::unix::net::UnixStream),
}

impl Listener {
    /// Where it listens.
    pub(super) fn address(&self) -> Listen {
        match self {
            Self::Tcp(_, address) => Listen::Tcp(*address),
            #[cfg(unix)]
            Self::Unix(socket) => Listen::Unix(socket.path().to_owned()),
        }
    }

    /// The next client.
    pub(super) async fn accept(&self) -> io::Result<(Accepted, Peer)> {
        match self {
            Self::Tcp(listener, _) => {
                let (stream, remote) = listener.accept().await?;
                let (stream, local) = unregister(stream)?;
                Ok((Accepted::Tcp(stream), Peer::Tcp { remote, local }))
            }
            #[cfg(unix)]
            Self::Unix(socket) => socket.accept().await,
        }
    }
}

fn unregister(stream: TcpStream) -> io::Result<(std::net::TcpStream, SocketAddr)> {
    let local = stream.local_addr()?;
    // Answers are small and written whole: waiting for more to send only delays them.
    stream.set_nodelay(true)?;
    Ok((stream.into_std()?, local))
}

/// Listens on exactly `address`: an IPv6 socket takes no IPv4, whatever the system's default.
///
/// Without `SO_REUSEPORT`, by which another process could share the port unnoticed. `SO_REUSEADDR` only on Unix, where
/// it means "although old connections linger", not "although somebody listens".
pub(super) fn tcp(address: SocketAddr) -> io::Result<Listener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    #[cfg(unix)]
    {
        socket.set_reuseaddr(true)?;
        if address.is_ipv6() {
            rustix::net::sockopt::set_ipv6_v6only(&socket, true)?;
        }
    }
    socket.bind(address)?;
    let listener = socket.listen(BACKLOG)?;
    let address = listener.local_addr()?;
    Ok(Listener::Tcp(listener, address))
}

#[cfg(unix)]
pub(super) mod unix {
    //! Sockets in the file system: for their owner only, and gone when we are.

    use std::fs;
    use std::io;
    use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
    use std::path::{Path, PathBuf};

    use tokio::net::{UnixListener, UnixSocket, UnixStream};

    use super::{Accepted, BACKLOG, Peer};

    /// A listening socket. A file of ours is removed when it is dropped; one that was passed to us is not ours.
    #[derive(Debug)]
    pub(in crate::server) struct Socket {
        listener: UnixListener,
        path: PathBuf,
        _file: Option<File>,
    }

    /// Why a path cannot be listened on.
    #[derive(Debug)]
    pub(in crate::server) enum Refusal {
        /// Something else is there.
        NotASocket,
        /// Somebody answers there.
        Answered,
        /// Any other reason.
        Io(io::Error),
    }

    impl From<io::Error> for Refusal {
        fn from(error: io::Error) -> Self {
            Self::Io(error)
        }
    }

    impl Socket {
        /// Listens at `path`. What a dead process left there is removed.
        pub(in crate::server) async fn bind(path: &Path, mode: u32) -> Result<Self, Refusal> {
            remove_stale(path).await?;
            let socket = UnixSocket::new_stream()?;
            socket.bind(path)?;
            let file = File::note(path)?;
            // Nobody can connect before `listen`, so there is no moment at which the umask decides.
            fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
            let listener = socket.listen(BACKLOG)?;
            Ok(Self { listener, path: path.to_owned(), _file: Some(file) })
        }

        /// Opened by somebody else, with the mode that it has.
        pub(in crate::server) fn passed(listener: UnixListener, path: PathBuf) -> Self {
            Self { listener, path, _file: None }
        }

        pub(super) fn path(&self) -> &Path {
            &self.path
        }

        pub(super) async fn accept(&self) -> io::Result<(Accepted, Peer)> {
            let (stream, _) = self.listener.accept().await?;
            let uid = stream.peer_cred().ok().map(|credentials| credentials.uid());
            Ok((Accepted::Unix(stream.into_std()?), Peer::Unix { uid }))
        }
    }

    async fn remove_stale(path: &Path) -> Result<(), Refusal> {
        match fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error.into()),
            Ok(found) if !found.file_type().is_socket() => return Err(Refusal::NotASocket),
            Ok(_) => {}
        }
        match UnixStream::connect(path).await {
            Ok(_) => Err(Refusal::Answered),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(fs::remove_file(path)?),
            Err(error) => Err(error.into()),
        }
    }

    /// A file that is removed when dropped, unless another has taken its place.
    #[derive(Debug)]
    struct File {
        path: PathBuf,
        identity: (u64, u64),
    }

    impl File {
        fn note(path: &Path) -> io::Result<Self> {
            Ok(Self { path: path.to_owned(), identity: identity(path)? })
        }
    }

    impl Drop for File {
        fn drop(&mut self) {
            if identity(&self.path).is_ok_and(|now| now == self.identity) {
                // Nobody is left to tell, and the next start removes it as stale.
                let _ = fs::remove_file(&self.path);
            }
        }
    }

    fn identity(path: &Path) -> io::Result<(u64, u64)> {
        let found = fs::symlink_metadata(path)?;
        Ok((found.dev(), found.ino()))
    }
}
