//! One loop per address: takes clients from the kernel, and deals them to the workers in turn.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use tokio::runtime::Handle;

use super::connection::{self, Protocol};
use super::limits::{Limits, Occasional, Slot};
use super::socket::{Accepted, Listener};
use super::worker::Roster;
use super::{Handler, Listen, Peer, Stop};

/// The shortest and longest pause after an error that will not go away by itself, such as having no descriptors left.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// Clients that are still taken from the kernel's queue when the listener closes.
const LAST_CALL: usize = 1024;

/// Gives each client to the next worker.
#[derive(Debug)]
pub(super) struct Dealer<H> {
    pub(super) seats: Vec<Arc<Seat<H>>>,
    pub(super) limits: Arc<Limits>,
    pub(super) next: AtomicUsize,
}

/// A worker, as a connection sees it.
#[derive(Debug)]
pub(super) struct Seat<H> {
    pub(super) worker: Handle,
    pub(super) handler: H,
    pub(super) protocol: Protocol,
    pub(super) roster: Arc<Roster>,
}

impl<H: Handler> Dealer<H> {
    fn deal(&self, client: Accepted, peer: Peer) {
        let Some(slot) = self.limits.take(&peer) else { return };
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.seats.len().max(1);
        if let Some(seat) = self.seats.get(turn) {
            seat.worker.spawn(seated(client, peer, slot, Arc::clone(seat)));
        }
    }
}

/// The life of a connection on its worker.
async fn seated<H: Handler>(client: Accepted, peer: Peer, slot: Slot, seat: Arc<Seat<H>>) {
    // Given back last, after the socket is closed.
    let _slot = slot;
    let registered = match client {
        Accepted::Tcp(stream) => match tokio::net::TcpStream::from_std(stream) {
            Ok(stream) => {
                connection::serve(stream, &peer, &seat.handler, &seat.protocol, &seat.roster).await;
                Ok(())
            }
            Err(error) => Err(error),
        },
        #[cfg(unix)]
        Accepted::Unix(stream) => match tokio::net::UnixStream::from_std(stream) {
            Ok(stream) => {
                connection::serve(stream, &peer, &seat.handler, &seat.protocol, &seat.roster).await;
                Ok(())
            }
            Err(error) => Err(error),
        },
    };
    if let Err(error) = registered {
        tracing::warn!(%error, "a client could not be served");
    }
}

/// Accepts until the server closes; what the kernel has accepted by then is still served.
pub(super) async fn accept<H: Handler>(listener: Listener, dealer: Arc<Dealer<H>>, stop: Stop) {
    let loopback = matches!(listener.address(), Listen::Tcp(address) if address.ip().is_loopback());
    let welcome = |client, peer: Peer| {
        if !loopback || from_loopback(&peer) {
            dealer.deal(client, peer);
        } else {
            // Routing tricks can bring packets from elsewhere to a loopback address.
            tracing::debug!("dropped a client from elsewhere on a loopback address");
        }
    };
    let mut trouble = Trouble { pause: BACK_OFF.0, told: Occasional::new() };
    let mut closing = pin!(stop.closing());
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut closing => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((client, peer)) => {
                trouble.pause = BACK_OFF.0;
                welcome(client, peer);
            }
            Err(error) if concerns_one_client(&error) => {}
            Err(error) => {
                tokio::select! {
                    () = &mut closing => break,
                    () = trouble.over(&error) => {}
                }
            }
        }
    }
    for _ in 0..LAST_CALL {
        let Some((client, peer)) = waiting(&listener).await else { break };
        welcome(client, peer);
    }
}

/// A client that is there already.
async fn waiting(listener: &Listener) -> Option<(Accepted, Peer)> {
    let mut accept = pin!(listener.accept());
    poll_fn(|cx| match accept.as_mut().poll(cx) {
        Poll::Ready(accepted) => Poll::Ready(accepted.ok()),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

fn from_loopback(peer: &Peer) -> bool {
    match peer {
        Peer::Tcp { remote, .. } => remote.ip().to_canonical().is_loopback(),
        Peer::Unix { .. } => true,
    }
}

/// Errors of `accept(2)` that say something of the client it would have returned.
fn concerns_one_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted, NotConnected};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted | NotConnected
    )
}

/// Accepting fails for a reason of ours.
struct Trouble {
    pause: Duration,
    told: Occasional,
}

impl Trouble {
    async fn over(&mut self, error: &io::Error) {
        if let Some(times) = self.told.tell() {
            tracing::error!(%error, times, "cannot accept connections; trying again");
        }
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(BACK_OFF.1);
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    #[test]
    fn a_loopback_listener_knows_who_came_from_elsewhere() {
        let peer = |remote: &str| {
            let remote: SocketAddr = remote.parse().expect("an address");
            Peer::Tcp { remote, local: SocketAddr::from(([127, 0, 0, 1], 8484)) }
        };
        assert!(
            ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1"]
                .iter()
                .all(|remote| from_loopback(&peer(remote)))
        );
        assert!(
            ["10.0.0.1:1", "0.0.0.0:1", "[fe80::1]:1", "[::ffff:10.0.0.1]:1"]
                .iter()
                .all(|remote| !from_loopback(&peer(remote)))
        );
        assert!(from_loopback(&Peer::Unix { uid: None }));
    }

    #[tokio::test(start_paused = true)]
    async fn accepting_pauses_longer_and_longer_while_nothing_helps() {
        let no_descriptors = io::Error::from(io::ErrorKind::Other);
        assert!(!concerns_one_client(&no_descriptors));
        assert!(concerns_one_client(&io::ErrorKind::ConnectionAborted.into()));
        let mut trouble = Trouble { pause: BACK_OFF.0, told: Occasional::new() };
        for _ in 0..8 {
            trouble.over(&no_descriptors).await;
        }
        assert_eq!(trouble.pause, BACK_OFF.1);
    }
}
