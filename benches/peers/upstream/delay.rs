//! Distance: bytes arrive later, in order, and none are lost.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, split};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

/// What may be under way.
const ROOM: usize = 1024 * 1024;

/// The server's end of `tcp`, `distance` away from the client's. On loopback a connection is there at once, so the first
/// bytes wait for the round trip that it would have taken.
pub(super) fn delayed(tcp: TcpStream, distance: Duration) -> DuplexStream {
    let (near, far) = tokio::io::duplex(ROOM);
    let (tcp_read, tcp_write) = tcp.into_split();
    let (far_read, far_write) = split(far);
    let connected = Instant::now() + 2 * distance;
    tokio::spawn(carry(tcp_read, far_write, distance, connected + distance));
    tokio::spawn(carry(far_read, tcp_write, distance, connected));
    near
}

async fn carry(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin + Send + 'static,
    distance: Duration,
    not_before: Instant,
) {
    let (sender, mut road) = mpsc::channel::<(Instant, Vec<u8>)>(1024);
    tokio::spawn(async move {
        while let Some((at, bytes)) = road.recv().await {
            sleep_until(at).await;
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
        let _ = to.shutdown().await;
    });
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(n @ 1..) = from.read(&mut buffer).await {
        let at = (Instant::now() + distance).max(not_before);
        if sender.send((at, buffer[..n].to_vec())).await.is_err() {
            return;
        }
    }
}
