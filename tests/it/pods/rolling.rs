//! Two replicas behind a Service are restarted one after the other, while clients ask without a pause.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use airbyte_proxy::demo::{Options, Simulator};
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustix::process::Signal;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::network::{Cluster, Network, possible};
use crate::harness::process::{Process, private_file};
use crate::harness::talk::soon;
use crate::harness::trace;

const KEY: &str = "a-key-of-the-client-under-load";
const CLIENTS: usize = 8;

/// Which replicas a Service sends new connections to.
type Endpoints = watch::Sender<Vec<SocketAddr>>;

fn address(replica: usize, port: u16) -> SocketAddr {
    format!("10.88.0.{}:{port}", replica + 2).parse().expect("an address")
}

/// A replica as the manifests have it: with their configuration, in which only the paths are other ones.
async fn replica(network: &Network, airbyte: &Simulator, folder: &Path) -> Process {
    let config = include_str!("../../../config/kubernetes/shared/config.toml");
    let config = config.replace("/run/secrets", &folder.display().to_string());
    assert!(config.contains("delay = \"5s\""));
    private_file(folder.join("config.toml"), &config);
    let start =
        network.airbyte_proxy("serve").upstream(airbyte).env("AIRBYTE_PROXY_UPSTREAM_ALLOW_HTTP", "true");
    let start = start.env("AIRBYTE_PROXY_CONFIG", folder.join("config.toml"));
    // What is too fast would be told so.
    let start = start
        .env("AIRBYTE_PROXY_LIMITS_RATE", "1000000")
        .env("AIRBYTE_PROXY_LIMITS_RATE_PER_CLIENT", "1000000");
    start.at_its_own_level().start().await
}

/// What the kubelets and the Service do together: they ask each replica whether it is ready, and publish which are.
async fn watch_over(endpoints: &Endpoints) {
    loop {
        let mut ready = Vec::new();
        for replica in 0..2 {
            if is_ready(address(replica, 8485)).await {
                ready.push(address(replica, 8484));
            }
        }
        endpoints.send_replace(ready);
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

async fn is_ready(probes: SocketAddr) -> bool {
    let Some(mut connection) = connect(probes).await else { return false };
    let request =
        Request::get("/-/ready").header("host", "probe").body(Empty::<Bytes>::new()).expect("a request");
    connection.send_request(request).await.is_ok_and(|answer| answer.status() == StatusCode::OK)
}

async fn connect(to: SocketAddr) -> Option<SendRequest<Empty<Bytes>>> {
    let stream = TcpStream::connect(to).await.ok()?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await.ok()?;
    tokio::spawn(connection);
    Some(sender)
}

#[derive(Default)]
struct Tally {
    stop: AtomicBool,
    asked: AtomicU64,
    connections: AtomicU64,
}

/// A client of a Service: where it is sent is decided anew for each connection, and it keeps that for as long as it can.
async fn client(number: usize, endpoints: watch::Receiver<Vec<SocketAddr>>, tally: Arc<Tally>) {
    let mut turn = number;
    while !tally.stop.load(Ordering::Relaxed) {
        let all = endpoints.borrow().clone();
        assert!(!all.is_empty(), "no replica is ready");
        turn += 1;
        let mut connection =
            connect(all[turn % all.len()]).await.expect("a replica that is said to be ready accepts");
        tally.connections.fetch_add(1, Ordering::Relaxed);
        // Not ready again: the replica has said that it closes, and nothing was sent.
        while !tally.stop.load(Ordering::Relaxed) && connection.ready().await.is_ok() {
            let request = Request::get("/v1/workspaces").header("host", "airbyte-proxy.airbyte-proxy:8484");
            let request =
                request.header("airbyte-proxy-key", KEY).body(Empty::<Bytes>::new()).expect("a request");
            let answer = connection.send_request(request).await.expect("an answer");
            assert_eq!(answer.status(), StatusCode::OK);
            answer.into_body().collect().await.expect("all of it");
            tally.asked.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The clients and the Service, on a thread within their network. Panics if a request is lost.
fn load(network: &Network, endpoints: &Endpoints, tally: &Arc<Tally>) {
    network.inside(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let service = async {
                let mut seen = endpoints.subscribe();
                seen.wait_for(|ready| ready.len() == 2).await.expect("both");
                let mut clients = JoinSet::new();
                for number in 0..CLIENTS {
                    clients.spawn(client(number, endpoints.subscribe(), Arc::clone(tally)));
                }
                while let Some(ended) = clients.join_next().await {
                    ended.expect("no request is lost");
                }
            };
            tokio::select! {
                () = service => {}
                () = watch_over(endpoints) => {}
                () = tokio::time::sleep(Duration::from_secs(60)) => panic!("for too long"),
            }
        });
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_rolling_restart_under_load_loses_no_request() {
    if !possible() {
        return;
    }
    trace::secret(KEY);
    let cluster = Cluster::new(4);
    let [upstream, replicas @ .., outside] = &cluster.networks[..] else { panic!("four") };
    let airbyte = upstream.airbyte(Options { latency: Duration::from_millis(20), ..Options::default() });
    let folder = tempfile::tempdir().expect("a folder");
    for (name, content) in
        [("client-id", airbyte.client_id()), ("client-secret", airbyte.client_secret().expose().to_owned())]
    {
        std::fs::create_dir_all(folder.path().join("airbyte")).expect("a folder");
        private_file(folder.path().join("airbyte").join(name), &content);
    }
    std::fs::create_dir(folder.path().join("airbyte-keys")).expect("a folder");
    private_file(folder.path().join("airbyte-keys/etl"), KEY);

    let mut running = Vec::new();
    for network in replicas {
        running.push(replica(network, &airbyte, folder.path()).await);
    }
    let (endpoints, tally) = (watch::Sender::new(Vec::new()), Arc::new(Tally::default()));
    let mut renewed = Vec::new();
    std::thread::scope(|scope| {
        let load = scope.spawn(|| load(outside, &endpoints, &tally));
        let restarts = async {
            for (number, old) in running.into_iter().enumerate() {
                let mut ready = endpoints.subscribe();
                soon(ready.wait_for(|ready| ready.len() == 2)).await.expect("both are ready");
                let asked = tally.asked.load(Ordering::Relaxed);
                old.signal(Signal::TERM);
                let ended = old.ended().await;
                assert_eq!(ended.code, Some(0), "{}", ended.stderr);
                assert!(tally.asked.load(Ordering::Relaxed) > asked, "clients go on meanwhile");
                let new = replica(&replicas[number], &airbyte, folder.path()).await;
                soon(ready.wait_for(|ready| ready.contains(&address(number, 8484))))
                    .await
                    .expect("ready again");
                renewed.push(new);
            }
            tally.stop.store(true, Ordering::Relaxed);
        };
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(restarts));
        load.join().expect("no request is lost");
    });
    let (asked, connections) =
        (tally.asked.load(Ordering::Relaxed), tally.connections.load(Ordering::Relaxed));
    println!("{asked} requests on {connections} connections, {:?}", airbyte.handle().counts());
    assert!(asked > 500, "{asked}");
    for process in renewed {
        process.stop().await;
    }
}
