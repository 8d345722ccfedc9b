//! Arbitrary bytes on a socket of the built binary: whatever comes, what reaches upstream is well-formed, one request
//! for each that was answered from there, with the path's bytes as they were, and nothing panics.
//!
//! `AIRBYTE_PROXY_TEST_INPUTS` says how many inputs, `AIRBYTE_PROXY_TEST_SEED` which; a failure prints its input.

#![cfg(unix)]

mod inputs;
mod strict;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::Response;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::harness::upstream::{Speaks, Upstream, full};
use crate::vectors::binary::Binary;
use inputs::Inputs;
use strict::{ID, Strict};

const DEFAULT_INPUTS: u64 = 5_000;
const CLIENTS: u64 = 64;
/// An upload without an end is waited for longer than that, so it is given up.
const PATIENCE: Duration = Duration::from_millis(300);

#[expect(clippy::disallowed_methods, reason = "a switch of the test run, not a setting of the program")]
fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// What came of all inputs.
#[derive(Default)]
struct Totals {
    inputs: AtomicU64,
    /// Answers that came from upstream.
    relayed: AtomicU64,
    /// Answers of our own.
    refused: AtomicU64,
    /// Answers of the parser.
    unparsed: AtomicU64,
    /// Clients that did not wait for the end.
    gave_up: AtomicU64,
}

/// Everything that is sent back until the connection ends; whether it did end.
async fn converse(proxy: SocketAddr, input: &[u8]) -> (Vec<u8>, bool) {
    let mut answer = Vec::new();
    let whole = async {
        let mut tcp = TcpStream::connect(proxy).await.expect("it still accepts");
        // It may close before it has read everything.
        let _ = tcp.write_all(input).await;
        let _ = tcp.shutdown().await;
        let _ = tcp.read_to_end(&mut answer).await;
    };
    let ended = timeout(PATIENCE, whole).await.is_ok();
    (answer, ended)
}

/// Judges one answer against what upstream saw.
fn judge(input: &[u8], answer: &[u8], airbyte: &Strict, delivered: &mut HashSet<u64>, totals: &Totals) {
    let text = String::from_utf8_lossy(answer);
    assert!(!text.contains("problem:internal"), "a panic: {}", input.escape_ascii());
    for id in text.split(ID).skip(1) {
        let id = id.get(2..).and_then(|rest| rest.split('\r').next()).and_then(|id| id.parse().ok());
        let id: u64 = id.expect("our own field");
        assert!(delivered.insert(id), "one answer for two callers: {}", input.escape_ascii());
        let target = airbyte.target(id);
        let found = input.windows(target.len()).any(|window| window == target);
        assert!(found, "{} was made of {}", target.escape_ascii(), input.escape_ascii());
        totals.relayed.fetch_add(1, Ordering::Relaxed);
    }
    let refused = text.matches("\nproxy-status: airbyte-proxy; error=").count() as u64;
    totals.refused.fetch_add(refused, Ordering::Relaxed);
    let unparsed = text.matches("connection: close\r\ncontent-length: 0\r\n").count() as u64;
    totals.unparsed.fetch_add(unparsed, Ordering::Relaxed);
}

/// One client after the other, until all inputs are used up. The answers from upstream that they got.
async fn client(
    proxy: SocketAddr,
    mut inputs: Inputs,
    number: u64,
    airbyte: Arc<Strict>,
    totals: Arc<Totals>,
) -> HashSet<u64> {
    let mut delivered = HashSet::new();
    for _ in 0..number {
        let input = inputs.next();
        let (answer, ended) = converse(proxy, &input).await;
        judge(&input, &answer, &airbyte, &mut delivered, &totals);
        totals.inputs.fetch_add(1, Ordering::Relaxed);
        totals.gave_up.fetch_add(u64::from(!ended), Ordering::Relaxed);
    }
    delivered
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn arbitrary_bytes_become_well_formed_requests_or_none() {
    let (number, seed) =
        (setting("AIRBYTE_PROXY_TEST_INPUTS", DEFAULT_INPUTS), setting("AIRBYTE_PROXY_TEST_SEED", 1));
    let tokens = Upstream::start(Speaks::Http1, |_| async { Response::new(full("not an API")) }).await;
    let airbyte = Arc::new(Strict::start().await);
    let token_url = tokens.token_url();
    let settings = [("AIRBYTE_PROXY_TOKEN_URL", token_url.as_str())];
    let proxy = Binary::start(&airbyte.api_url(), "id-of-an-application", "its-secret", &settings).await;
    let totals = Arc::new(Totals::default());
    let mut clients = JoinSet::new();
    for i in 0..CLIENTS {
        let inputs = Inputs::new(seed.wrapping_mul(0x9e37_79b9).wrapping_add(i));
        let share = number / CLIENTS + u64::from(i < number % CLIENTS);
        clients.spawn(client(proxy.addr, inputs, share, Arc::clone(&airbyte), Arc::clone(&totals)));
    }
    let mut delivered = HashSet::new();
    while let Some(ids) = clients.join_next().await {
        let ids = ids.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        let before = delivered.len();
        let more = ids.len();
        delivered.extend(ids);
        assert_eq!(delivered.len(), before + more, "one answer for two callers");
    }
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let (relayed, gave_up) = (count(&totals.relayed), count(&totals.gave_up));
    println!(
        "seed {seed}: {} inputs, {relayed} requests reached upstream whole and {} in part, {} were refused, \
         {} were no HTTP, {gave_up} callers gave up",
        count(&totals.inputs),
        airbyte.broken(),
        count(&totals.refused),
        count(&totals.unparsed),
    );
    assert_eq!(airbyte.complaints(), Vec::<String>::new());
    assert!(airbyte.answered() - relayed <= gave_up, "{} answers for {relayed}", airbyte.answered());
    assert!(relayed > number / 20 && count(&totals.refused) > number / 20, "the inputs reach every part");
    let panics: Vec<_> = proxy.log().await.into_iter().filter(|line| line.contains("panick")).collect();
    assert_eq!(panics, Vec::<String>::new());
}
