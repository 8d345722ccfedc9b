//! Slow, silent and leaving clients, in memory with driven time.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::{Actor, Client, Stage, config};
use crate::clock::Stopwatch;
use crate::server::connection::{Protocol, serve};
use crate::server::worker::Roster;
use crate::server::{Config, Peer};

/// A connection that is being served, and its client.
fn connection(actor: Actor, config: &Config) -> (Client<DuplexStream>, JoinHandle<()>) {
    let (client, server) = duplex(16 * 1024);
    let protocol = Protocol::new(config);
    let serving = tokio::spawn(async move {
        serve(server, &Peer::Unix { uid: None }, &actor, &protocol, &Roster::default()).await;
    });
    (Client(client), serving)
}

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_head_that_trickles_is_cut_without_an_answer() {
    let (_stage, actor) = Stage::new();
    let (mut client, served) = connection(actor, &config());
    client.send("GET / HTTP/1.1\r\n").await;
    for _ in 0..9 {
        sleep(SECOND).await;
        client.send("x: y\r\n").await;
    }
    assert!(!served.is_finished(), "9 s of 10 have passed");
    timeout(2 * SECOND, served).await.expect("cut in the tenth second").expect("no panic");
    assert_eq!(client.rest().await, "");
}

#[tokio::test(start_paused = true)]
async fn the_second_head_of_a_connection_has_the_same_deadline() {
    let (_stage, actor) = Stage::new();
    let (mut client, served) = connection(actor, &config());
    client.get("/").await;
    client.until("ok").await;
    sleep(60 * SECOND).await;
    client.send("GET").await;
    sleep(9 * SECOND).await;
    assert!(!served.is_finished(), "idle time before the head does not count");
    timeout(2 * SECOND, served).await.expect("cut").expect("no panic");
}

#[tokio::test(start_paused = true)]
async fn a_silent_connection_ends_after_the_idle_time() {
    let (_stage, actor) = Stage::new();
    let (mut client, served) = connection(actor, &config());
    client.get("/").await;
    client.until("ok").await;
    sleep(74 * SECOND).await;
    assert!(!served.is_finished());
    timeout(2 * SECOND, served).await.expect("ended").expect("no panic");
    assert_eq!(client.rest().await, "");
}

#[tokio::test(start_paused = true)]
async fn the_idle_time_counts_from_the_last_answer() {
    let (_stage, actor) = Stage::new();
    let (mut client, served) = connection(actor, &config());
    for _ in 0..3 {
        client.get("/").await;
        client.until("ok").await;
        sleep(50 * SECOND).await;
    }
    sleep(24 * SECOND).await;
    assert!(!served.is_finished(), "74 s after the last answer");
    timeout(2 * SECOND, served).await.expect("ended").expect("no panic");
}

#[tokio::test(start_paused = true)]
async fn a_slow_answer_is_not_a_slow_client() {
    let (mut stage, actor) = Stage::new();
    let (mut client, _served) = connection(actor, &config());
    client.get("/gate").await;
    stage.arrivals("gate", 1).await;
    sleep(600 * SECOND).await;
    stage.open();
    client.until("done").await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_nothing_is_cut() {
    let (_stage, actor) = Stage::new();
    let (mut client, served) = connection(actor, &config());
    client.get("/big").await;
    sleep(59 * SECOND).await;
    assert!(!served.is_finished());
    timeout(62 * SECOND, served).await.expect("cut").expect("no panic");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_little_is_served() {
    let (_stage, actor) = Stage::new();
    let (mut client, served) = connection(actor, &config());
    client.get("/big").await;
    let mut some = [0; 1024];
    for _ in 0..20 {
        sleep(50 * SECOND).await;
        client.0.read_exact(&mut some).await.expect("still served");
    }
    assert!(!served.is_finished());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_only_finished_sending_gets_its_answer() {
    let (mut stage, actor) = Stage::new();
    let (mut client, served) = connection(actor, &config());
    client.get("/gate").await;
    stage.arrivals("gate", 1).await;
    client.0.shutdown().await.expect("half-closed");
    sleep(SECOND).await;
    stage.open();
    client.until("done").await;
    timeout(SECOND, served).await.expect("and then it is over").expect("no panic");
}

#[tokio::test(start_paused = true)]
async fn a_request_whose_end_of_stream_comes_with_it_gets_its_answer() {
    for path in ["/", "/halves"] {
        let (stage, actor) = Stage::new();
        stage.open();
        // Served only when this test waits, on the one thread.
        let (mut client, served) = connection(actor, &config());
        client.get(path).await;
        client.0.shutdown().await.expect("half-closed");
        let answer = client.rest().await;
        served.await.expect("no panic");
        assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
        assert!(answer.contains(if path == "/" { "ok" } else { "second" }), "{path}: {answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_left_cancels_its_request() {
    let (mut stage, actor) = Stage::new();
    let (mut client, served) = connection(actor, &config());
    client.get("/gate").await;
    stage.arrivals("gate", 1).await;
    drop(client);
    let waited = Stopwatch::start();
    timeout(3 * SECOND, stage.arrivals("cancelled", 1)).await.expect("in driven time");
    served.await.expect("no panic");
    assert!(waited.elapsed() < SECOND, "no time was really waited for");
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_breaks_off_is_seen_as_cut() {
    let (mut stage, actor) = Stage::new();
    let (mut client, _served) = connection(actor, &config());
    client.send("POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf").await;
    stage.arrivals("upload", 1).await;
    drop(client);
    stage.arrivals("cut", 1).await;
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_outlives_its_answer_goes_on_while_it_moves() {
    let (mut stage, actor) = Stage::new();
    let (mut client, served) = connection(actor, &config());
    client.send("POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n").await;
    client.until("ok").await;
    for _ in 0..20 {
        sleep(9 * SECOND).await;
        client.send(&"x".repeat(5000)).await;
    }
    client.get("/").await;
    client.until("ok").await;
    stage.arrivals("whole", 1).await;
    assert!(!served.is_finished());
}

#[tokio::test(start_paused = true)]
async fn a_head_that_trickles_after_an_upload_is_cut() {
    let (_stage, actor) = Stage::new();
    let (mut client, served) = connection(actor, &config());
    client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx").await;
    client.until("ok").await;
    for byte in ["G", "E", "T"] {
        client.send(byte).await;
        sleep(9 * SECOND).await;
    }
    timeout(SECOND, served).await.expect("cut").expect("no panic");
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_stops_after_its_answer_is_cut() {
    let (mut stage, actor) = Stage::new();
    let (mut client, served) = connection(actor, &config());
    client.send("POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\n").await;
    client.until("ok").await;
    client.send("x").await;
    timeout(21 * SECOND, served).await.expect("cut").expect("no panic");
    stage.arrivals("cut", 1).await;
}
