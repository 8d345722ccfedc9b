//! What becomes of connections and requests at the end, and of panics before it.

use std::num::NonZeroUsize;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::{Actor, Client, PATIENCE, Stage, config};
use crate::server::{Config, Drained, Listen, Outcome, Stop, bind};

/// A running server.
struct Server {
    address: Listen,
    stop: Stop,
    serving: JoinHandle<Drained>,
}

impl Server {
    async fn start(config: &Config, actor: Actor) -> Self {
        let bound = bind(config).await.expect("bound");
        let address = bound.addresses().remove(0);
        let stop = Stop::new();
        let serving = tokio::spawn(bound.serve(move |_| actor.clone(), stop.clone()));
        Self { address, stop, serving }
    }

    async fn drained(self) -> Outcome {
        timeout(PATIENCE, self.serving).await.expect("in time").expect("no panic").outcome
    }
}

fn one_worker() -> Config {
    Config { workers: NonZeroUsize::MIN, ..config() }
}

#[tokio::test]
async fn twenty_requests_in_flight_survive_the_drain() {
    let (mut stage, actor) = Stage::new();
    let server = Server::start(&one_worker(), actor).await;
    let mut idle = Client::connect(&server.address).await;
    let mut clients = Vec::new();
    for _ in 0..20 {
        let mut client = Client::connect(&server.address).await;
        client.get("/gate").await;
        clients.push(client);
    }
    stage.arrivals("gate", 20).await;
    server.stop.drain();
    assert_eq!(idle.rest().await, "", "the worker knows");
    stage.open();
    for client in &mut clients {
        let answer = client.rest().await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.contains("connection: close"), "{answer}");
        assert!(answer.ends_with("done"), "{answer}");
    }
    assert_eq!(server.drained().await, Outcome::Clean);
}

#[tokio::test]
async fn a_body_that_streams_is_finished_within_the_grace() {
    let (stage, actor) = Stage::new();
    let server = Server::start(&config(), actor).await;
    let mut client = Client::connect(&server.address).await;
    client.get("/halves").await;
    client.until("first \r\n").await;
    server.stop.drain();
    server.stop.closing().await;
    stage.open();
    assert!(client.rest().await.contains("second"));
    assert_eq!(server.drained().await, Outcome::Clean);
}

#[tokio::test]
async fn idle_connections_end_at_once_and_the_port_is_free() {
    let (_stage, actor) = Stage::new();
    let server = Server::start(&config(), actor).await;
    let mut used = Client::connect(&server.address).await;
    used.get("/").await;
    used.until("ok").await;
    let mut silent = Client::connect(&server.address).await;
    let Listen::Tcp(address) = server.address else { panic!("not TCP") };
    server.stop.drain();
    assert_eq!(used.rest().await, "");
    assert_eq!(silent.rest().await, "");
    assert_eq!(server.drained().await, Outcome::Clean);
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn requests_that_the_kernel_holds_when_the_listener_closes_are_answered() {
    let (_stage, actor) = Stage::new();
    let bound = bind(&config()).await.expect("bound");
    let address = bound.addresses().remove(0);
    let mut clients = Vec::new();
    for _ in 0..5 {
        let mut client = Client::connect(&address).await;
        client.get("/").await;
        clients.push(client);
    }
    let stop = Stop::new();
    stop.close();
    let drained = bound.serve(move |_| actor.clone(), stop).await;
    assert_eq!(drained.outcome, Outcome::Clean);
    for client in &mut clients {
        assert!(client.rest().await.ends_with("ok"));
    }
}

#[tokio::test]
async fn the_grace_cuts_what_is_still_open() {
    let (mut stage, actor) = Stage::new();
    let config = Config { drain_grace: Duration::from_millis(50), ..config() };
    let server = Server::start(&config, actor).await;
    let mut client = Client::connect(&server.address).await;
    client.get("/gate").await;
    stage.arrivals("gate", 1).await;
    server.stop.drain();
    assert_eq!(server.drained().await, Outcome::Aborted { open_requests: 1 });
    stage.arrivals("cancelled", 1).await;
    assert_eq!(client.rest().await, "");
}

#[tokio::test]
async fn a_second_stop_aborts_at_once() {
    let (mut stage, actor) = Stage::new();
    let config = Config { drain_delay: PATIENCE * 10, drain_grace: PATIENCE * 10, ..config() };
    let server = Server::start(&config, actor).await;
    let mut client = Client::connect(&server.address).await;
    client.get("/gate").await;
    stage.arrivals("gate", 1).await;
    server.stop.drain();
    server.stop.abort();
    assert_eq!(server.drained().await, Outcome::Aborted { open_requests: 1 });
}

#[tokio::test]
async fn new_clients_are_served_during_the_drain_delay() {
    let (_stage, actor) = Stage::new();
    let config = Config { drain_delay: PATIENCE * 10, ..config() };
    let server = Server::start(&config, actor).await;
    server.stop.drain();
    assert!(server.stop.is_draining());
    let mut client = Client::connect(&server.address).await;
    client.get("/").await;
    client.until("ok").await;
    drop(client);
    server.stop.abort();
    let _ = server.drained().await;
}

#[tokio::test]
async fn clients_are_told_to_go_elsewhere_from_the_start_of_the_drain() {
    let (_stage, actor) = Stage::new();
    let config = Config { drain_delay: PATIENCE * 10, ..config() };
    let server = Server::start(&config, actor).await;
    let mut known = Client::connect(&server.address).await;
    known.get("/").await;
    assert!(!known.until("ok").await.contains("connection: close"));
    server.stop.drain();
    // The drain begins a moment later, and the listener stays open for long after that.
    let told = async {
        loop {
            known.get("/").await;
            if known.until("ok").await.contains("connection: close") {
                break;
            }
        }
    };
    timeout(PATIENCE, told).await.expect("the answer says so");
    assert_eq!(known.rest().await, "", "and it is true");
    let mut new = Client::connect(&server.address).await;
    new.get("/").await;
    let answer = new.rest().await;
    assert!(answer.contains("connection: close") && answer.ends_with("ok"), "{answer}");
    server.stop.abort();
    let _ = server.drained().await;
}

#[tokio::test]
async fn a_panic_costs_one_request() {
    let (_stage, actor) = Stage::new();
    let server = Server::start(&config(), actor).await;
    let mut client = Client::connect(&server.address).await;
    // While it waits, and before it could.
    for path in ["/panic", "/panic/at-once"] {
        client.get(path).await;
        assert!(client.until("sorry").await.starts_with("HTTP/1.1 500"));
    }
    client.get("/").await;
    client.until("ok").await;
    server.stop.drain();
    assert_eq!(server.drained().await, Outcome::Clean);
}

#[tokio::test]
async fn connections_beyond_the_limit_are_closed_and_free_places_are_used_again() {
    let (mut stage, actor) = Stage::new();
    let config = Config { max_connections: 2, ..config() };
    let server = Server::start(&config, actor).await;
    let mut first = Client::connect(&server.address).await;
    first.get("/gate").await;
    let mut second = Client::connect(&server.address).await;
    second.get("/gate").await;
    stage.arrivals("gate", 2).await;
    let mut third = Client::connect(&server.address).await;
    assert_eq!(third.rest().await, "");
    stage.open();
    first.until("done").await;
    first.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    first.rest().await;
    // The place is given back right after the socket is closed, so the next may come a moment too early.
    let next = async {
        loop {
            let mut fourth = Client::connect(&server.address).await;
            fourth.get("/").await;
            if fourth.answered().await {
                break;
            }
        }
    };
    timeout(PATIENCE, next).await.expect("a free place is used");
    server.stop.abort();
}

#[tokio::test]
async fn handlers_are_made_on_the_thread_of_their_worker() {
    let (_stage, actor) = Stage::new();
    let (names, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let bound = bind(&config()).await.expect("bound");
    let stop = Stop::new();
    stop.drain();
    let make = move |index: usize| {
        let name = std::thread::current().name().map(str::to_owned);
        let _ = names.send((index, name, tokio::runtime::Handle::try_current().is_ok()));
        actor.clone()
    };
    let _ = bound.serve(make, stop).await;
    assert_eq!(seen.recv().await, Some((0, Some("worker-0".into()), true)));
    assert_eq!(seen.recv().await, Some((1, Some("worker-1".into()), true)));
}
