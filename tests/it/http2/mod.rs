//! Upstreams that speak HTTP/2.
//!
//! * `connections`: what they are sent, and on how many connections
//! * `retries`: what is sent again, and what never is
//! * `answers`: what becomes of what they say

mod answers;
mod connections;
mod retries;

use http::{Method, StatusCode};

use crate::harness::daemon::{Daemon, Got, got, start};
use crate::harness::talk::soon;
use crate::harness::wire::Wire;

async fn h2() -> (Wire, Daemon) {
    let wire = Wire::listen().await;
    let proxy = start(wire.h2_settings()).await;
    (wire, proxy)
}

/// A small POST, under way.
fn post(proxy: &Daemon) -> tokio::task::JoinHandle<Got> {
    tokio::spawn(got(proxy.request(Method::POST, "/v1/jobs").body("{\"a\":1}")))
}

async fn is_502(call: tokio::task::JoinHandle<Got>, problem: &str) {
    let got = soon(call).await.expect("a task");
    assert_eq!((got.status, got.problem().as_str()), (StatusCode::BAD_GATEWAY, problem), "{}", got.text());
}

async fn is_ok(call: tokio::task::JoinHandle<Got>) {
    let got = soon(call).await.expect("a task");
    assert_eq!(got.status, StatusCode::OK, "{}", got.text());
}
