//! Clients between two requests: what is kept for them, and that nothing is lost on the way there and back.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::{Actor, Client, Stage, config};
use crate::server::connection::{Protocol, serve};
use crate::server::worker::Roster;
use crate::server::{Config, Peer};

const SECOND: Duration = Duration::from_secs(1);

/// A socket that notes where in memory it is: in the task of its connection, or in an HTTP connection that is driven.
struct Spied {
    stream: DuplexStream,
    /// What comes from the client right after it has been sent the end of the stream.
    late: Option<&'static [u8]>,
    ended: bool,
    place: Arc<Place>,
}

#[derive(Default)]
struct Place {
    first: OnceLock<usize>,
    now: AtomicUsize,
}

impl AsyncRead for Spied {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let here = std::ptr::from_ref(&*self).addr();
        self.place.first.get_or_init(|| here);
        self.place.now.store(here, Ordering::Relaxed);
        if self.ended
            && let Some(late) = self.late.take()
        {
            buffer.put_slice(late);
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Spied {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.ended = true;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// A connection that is being served, and its client.
struct Connection {
    client: Client<DuplexStream>,
    served: JoinHandle<()>,
    roster: Arc<Roster>,
    place: Arc<Place>,
}

impl Connection {
    fn new(actor: Actor) -> Self {
        Self::with(actor, &config(), 16 * 1024)
    }

    /// By way of a pipe that holds so many bytes in each direction.
    fn with(actor: Actor, config: &Config, holds: usize) -> Self {
        Self::spied(actor, config, holds, None)
    }

    fn spied(actor: Actor, config: &Config, holds: usize, late: Option<&'static [u8]>) -> Self {
        let (client, stream) = duplex(holds);
        let (roster, place) = (Arc::<Roster>::default(), Arc::<Place>::default());
        let (told, socket) =
            (Arc::clone(&roster), Spied { stream, late, ended: false, place: Arc::clone(&place) });
        let protocol = Protocol::new(config);
        let served = tokio::spawn(async move {
            serve(socket, &Peer::Unix { uid: None }, &actor, &protocol, &told).await;
        });
        Self { client: Client(client), served, roster, place }
    }

    async fn asks(&mut self) {
        self.client.get("/").await;
        self.client.until("ok").await;
    }

    /// Whether there is nothing for the client but its socket, once nothing more happens without it.
    async fn rests(&self) -> bool {
        sleep(Duration::from_millis(1)).await;
        self.place.first.get() == Some(&self.place.now.load(Ordering::Relaxed))
    }

    async fn ends_within(self, time: Duration) {
        timeout(time, self.served).await.expect("ended").expect("no panic");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_rests_after_its_answer_and_its_next_request_is_answered() {
    let (_stage, actor) = Stage::new();
    let mut connection = Connection::new(actor);
    for _ in 0..3 {
        assert!(connection.rests().await);
        connection.asks().await;
        assert!(connection.rests().await);
        sleep(5 * SECOND).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_soon_asks_again_rests_when_it_is_silent_for_a_second() {
    let (_stage, actor) = Stage::new();
    let mut connection = Connection::new(actor);
    connection.asks().await;
    for _ in 0..5 {
        sleep(SECOND * 9 / 10).await;
        connection.asks().await;
        assert!(!connection.rests().await);
    }
    sleep(SECOND).await;
    assert!(connection.rests().await);
    connection.asks().await;
}

#[tokio::test(start_paused = true)]
async fn requests_are_answered_wherever_their_bytes_are_cut() {
    let (_stage, actor) = Stage::new();
    let request = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    let all = request.repeat(4);
    for pause in [Duration::ZERO, SECOND, 2 * SECOND] {
        for cut in 1..all.len() {
            let mut connection = Connection::new(actor.clone());
            let (first, second) = all.split_at(cut);
            connection.client.send(first).await;
            for _ in 0..cut / request.len() {
                connection.client.until("ok").await;
            }
            sleep(pause).await;
            connection.client.send(second).await;
            for _ in cut / request.len()..4 {
                connection.client.until("ok").await;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_comes_in_the_moment_of_resting_is_not_lost() {
    let (_stage, actor) = Stage::new();
    let mut connection = Connection::new(actor);
    connection.asks().await;
    for millis in 990..1010 {
        connection.asks().await;
        connection.asks().await;
        sleep(Duration::from_millis(millis)).await;
    }
    connection.asks().await;
}

#[tokio::test(start_paused = true)]
async fn a_head_that_began_with_the_request_before_has_the_deadline_of_a_head() {
    let (_stage, actor) = Stage::new();
    let mut connection = Connection::new(actor);
    connection.client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\nG").await;
    connection.client.until("ok").await;
    sleep(9 * SECOND).await;
    assert!(!connection.served.is_finished());
    connection.ends_within(2 * SECOND).await;
}

#[tokio::test(start_paused = true)]
async fn one_byte_after_a_rest_is_the_beginning_of_a_head() {
    for asks in [false, true] {
        let (_stage, actor) = Stage::new();
        let mut connection = Connection::new(actor);
        if asks {
            connection.asks().await;
        }
        sleep(60 * SECOND).await;
        connection.client.send("G").await;
        sleep(9 * SECOND).await;
        assert!(!connection.served.is_finished());
        connection.ends_within(2 * SECOND).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_rests_is_closed_after_the_idle_time() {
    for asks in 0..3 {
        let (_stage, actor) = Stage::new();
        let mut connection = Connection::new(actor);
        assert!(connection.rests().await);
        for _ in 0..asks {
            connection.asks().await;
        }
        sleep(74 * SECOND).await;
        assert!(!connection.served.is_finished());
        assert!(connection.rests().await);
        connection.ends_within(2 * SECOND).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_rests_stays_where_there_is_no_idle_time() {
    let (_stage, actor) = Stage::new();
    let for_ever = Config { idle_timeout: Duration::ZERO, ..config() };
    let mut connection = Connection::with(actor, &for_ever, 1024);
    connection.asks().await;
    connection.asks().await;
    sleep(86_400 * SECOND).await;
    assert!(connection.rests().await);
    connection.asks().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_rests_is_closed_when_the_server_ends() {
    for asks in 0..2 {
        let (_stage, actor) = Stage::new();
        let mut connection = Connection::new(actor);
        for _ in 0..asks {
            connection.asks().await;
        }
        assert!(connection.rests().await);
        connection.roster.close();
        assert_eq!(timeout(SECOND, connection.client.rest()).await.expect("at once"), "");
        connection.ends_within(SECOND).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_there_when_the_server_ends_wakes_its_client_from_rest() {
    let (_stage, actor) = Stage::new();
    let mut connection = Connection::new(actor);
    connection.asks().await;
    assert!(connection.rests().await);
    connection.roster.drain();
    // Neither waits, so that the connection sees both at once.
    connection.roster.close();
    connection.client.get("/").await;
    let answer = connection.client.rest().await;
    assert!(answer.contains("connection: close") && answer.ends_with("ok"), "{answer}");
    connection.ends_within(SECOND).await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_while_it_rests_is_gone_at_once() {
    let (_stage, actor) = Stage::new();
    let mut connection = Connection::new(actor);
    connection.asks().await;
    assert!(connection.rests().await);
    connection.client.0.shutdown().await.expect("half-closed");
    connection.ends_within(SECOND / 10).await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_taken_slowly_is_taken_whole_before_its_client_rests() {
    let (_stage, actor) = Stage::new();
    let mut connection = Connection::new(actor);
    connection.client.get("/big").await;
    connection.client.until("\r\n\r\n").await;
    let mut quarter = vec![0; 1 << 20];
    for _ in 0..4 {
        sleep(3 * SECOND).await;
        assert!(!connection.rests().await);
        connection.client.0.read_exact(&mut quarter).await.expect("all of it");
    }
    assert!(connection.rests().await);
    connection.asks().await;
}

#[tokio::test(start_paused = true)]
async fn requests_that_come_while_another_is_answered_are_next_whatever_their_length() {
    let (stage, actor) = Stage::new();
    let mut connection = Connection::new(actor);
    connection.client.get("/halves").await;
    connection.client.until("first \r\n").await;
    connection.client.get("/").await;
    connection.client.get(&format!("/?{}", "x".repeat(5000))).await;
    connection.client.get("/").await;
    sleep(5 * SECOND).await;
    stage.open();
    connection.client.until("second\r\n0\r\n\r\n").await;
    for _ in 0..3 {
        connection.client.until("ok").await;
    }
    assert!(connection.rests().await);
}

#[tokio::test(start_paused = true)]
async fn the_last_piece_of_an_answer_is_taken_before_its_client_rests() {
    let (stage, actor) = Stage::new();
    let mut connection = Connection::with(actor, &config(), 8);
    connection.client.get("/halves").await;
    connection.client.until("first \r\n").await;
    stage.open();
    sleep(5 * SECOND).await;
    assert!(!connection.rests().await);
    connection.client.until("second\r\n0\r\n\r\n").await;
    assert!(connection.rests().await);
    connection.asks().await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_waits_is_not_a_rest() {
    let (mut stage, actor) = Stage::new();
    let mut connection = Connection::new(actor);
    connection.client.get("/gate").await;
    stage.arrivals("gate", 1).await;
    sleep(5 * SECOND).await;
    assert!(!connection.rests().await);
    stage.open();
    connection.client.until("done").await;
    assert!(connection.rests().await);
}

#[tokio::test(start_paused = true)]
async fn a_client_whose_upload_may_go_on_does_not_rest() {
    let (mut stage, actor) = Stage::new();
    let mut connection = Connection::new(actor);
    connection.client.send("POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n").await;
    connection.client.until("ok").await;
    sleep(3 * SECOND).await;
    assert!(!connection.rests().await);
    connection.client.send("last").await;
    connection.asks().await;
    stage.arrivals("whole", 1).await;
    sleep(SECOND).await;
    assert!(connection.rests().await, "the request after it has none");
}

#[tokio::test(start_paused = true)]
async fn the_last_answer_is_followed_by_the_end_and_not_by_a_rest() {
    for request in ["GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "GET / HTTP/1.0\r\n\r\n"] {
        let (_stage, actor) = Stage::new();
        let mut connection = Connection::new(actor);
        connection.client.send(request).await;
        assert!(connection.client.rest().await.ends_with("ok"));
        connection.ends_within(SECOND).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_still_sends_after_its_last_answer_is_not_served_any_more() {
    for last in ["GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"] {
        let (mut stage, actor) = Stage::new();
        let mut connection = Connection::spied(actor, &config(), 1024, Some(b"GET"));
        connection.client.send(last).await;
        connection.client.until("ok").await;
        connection.client.get("/gate").await;
        assert_eq!(connection.client.rest().await, "");
        connection.ends_within(3 * SECOND).await;
        assert!(stage.arrived.try_recv().is_err());
    }
}
