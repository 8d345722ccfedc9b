//! From bound to drained.

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::accept::{Dealer, Seat, accept};
use super::bind::Bound;
use super::connection::Protocol;
use super::limits::Limits;
use super::worker::Worker;
use super::{Config, Drained, Handler, Outcome, Stop};

impl Bound {
    /// Serves until `stop` says otherwise, then lets requests in flight finish within the grace.
    ///
    /// `make(i)` makes the handler of worker `i`, on that worker's thread and within its runtime, so tasks it spawns
    /// run there. They end with the worker, after the last request.
    pub async fn serve<H, F>(self, make: F, stop: Stop) -> Drained
    where
        H: Handler,
        F: FnMut(usize) -> H + Send + 'static,
    {
        let Self { config, listeners, workers, connections, .. } = self;
        let limits = Limits::new(config.max_connections, connections);
        let seats = seats(&workers, make, &config).await;
        let dealer = Arc::new(Dealer { seats, limits: Arc::clone(&limits), next: AtomicUsize::new(0) });
        let mut loops = JoinSet::new();
        for listener in listeners {
            loops.spawn(accept(listener, Arc::clone(&dealer), stop.clone()));
        }
        stop.draining().await;
        let outcome = drain(&config, &stop, &limits, &workers, &mut loops).await;
        loops.shutdown().await;
        drop(dealer);
        let ended: Vec<_> = workers.into_iter().map(Worker::end).collect();
        for worker in ended {
            worker.gone().await;
        }
        Drained { outcome }
    }
}

async fn seats<H: Handler>(
    workers: &[Worker],
    make: impl FnMut(usize) -> H + Send + 'static,
    config: &Config,
) -> Vec<Arc<Seat<H>>> {
    let make = Arc::new(Mutex::new(make));
    let mut seats = Vec::with_capacity(workers.len());
    for (index, worker) in workers.iter().enumerate() {
        let make = Arc::clone(&make);
        let handler = worker.handle.spawn(async move {
            let mut make = make.lock().unwrap_or_else(PoisonError::into_inner);
            make(index)
        });
        let handler = match handler.await {
            Ok(handler) => handler,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime of a worker ends only with its `Worker`, which we hold.
                Err(_) => continue,
            },
        };
        let protocol = Protocol::new(config);
        let roster = Arc::clone(&worker.roster);
        seats.push(Arc::new(Seat { worker: worker.handle.clone(), handler, protocol, roster }));
    }
    seats
}

async fn drain(
    config: &Config,
    stop: &Stop,
    limits: &Limits,
    workers: &[Worker],
    loops: &mut JoinSet<()>,
) -> Outcome {
    for worker in workers {
        worker.roster.drain();
    }
    if !config.drain_delay.is_zero() {
        tokio::select! {
            () = sleep(config.drain_delay) => {}
            () = stop.aborted() => {}
        }
    }
    stop.close();
    for worker in workers {
        worker.roster.close();
    }
    // Each loop makes its last call and closes its listener. What it still deals is in the count below.
    while loops.join_next().await.is_some() {}
    let emptied = tokio::select! {
        emptied = timeout(config.drain_grace, limits.emptied()) => emptied.is_ok(),
        () = stop.aborted() => false,
    };
    match limits.open() {
        0 => Outcome::Clean,
        _ if emptied => Outcome::Clean,
        // Idle connections are gone by now, and on each of the others one request is open.
        open_requests => Outcome::Aborted { open_requests },
    }
}
