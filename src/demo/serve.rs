//! The listener of [`Simulator`](super::Simulator): HTTP/1.1 with keep-alive.
//!
//! `axum::serve` would do but for one thing: its connections outlive it, and a simulated Airbyte that is stopped must
//! be gone, hanging requests and all.

use std::sync::Arc;

use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::world::World;

/// Accepts until dropped; connections end with it.
pub(super) async fn serve(listener: TcpListener, router: axum::Router, world: Arc<World>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    // A latency option; without it the connection is only slower.
                    let _ = stream.set_nodelay(true);
                    world.count(|counts| counts.connections += 1);
                    let service = TowerToHyperService::new(router.clone());
                    connections.spawn(async move {
                        // Errors are clients that left and faults that were asked for.
                        let _ = hyper::server::conn::http1::Builder::new()
                            .serve_connection(TokioIo::new(stream), service)
                            .await;
                    });
                }
                // Out of descriptors, most likely: connections must end before the next try can succeed.
                Err(_) => drop(connections.join_next().await),
            },
            Some(_) = connections.join_next() => {}
        }
    }
}
