//! What the guard costs a request: `cargo bench --bench guard`.
//!
//! With a number it asks that often and prints nothing, so that instructions can be counted from outside:
//!
//! ```text
//! valgrind --tool=callgrind --callgrind-out-file=/dev/null target/release/deps/guard-HASH curl 200000
//! ```
//!
//! twice, with different numbers: the difference is what the requests cost.
#![allow(
    clippy::expect_used,
    clippy::disallowed_types,
    clippy::print_stdout,
    reason = "a measurement, not the program"
)]

use std::hint::black_box;
use std::time::Instant;

use airbyte_proxy::guard::{Config, Guard};
use airbyte_proxy::server::Peer;
use http::Request;
use http::request::Parts;

/// What curl sends for `curl localhost:8484/v1/jobs?limit=20`.
const CURL: &[(&str, &str)] = &[("host", "localhost:8484"), ("user-agent", "curl/8.14.1"), ("accept", "*/*")];

/// What the official Python SDK sends with a POST.
const SDK: &[(&str, &str)] = &[
    ("host", "127.0.0.1:8484"),
    ("user-agent", "speakeasy-sdk/python 1.0.1 2.474.2 1.0.0 airbyte-api"),
    ("accept-encoding", "gzip, deflate"),
    ("accept", "application/json"),
    ("connection", "keep-alive"),
    ("content-type", "application/json"),
    ("content-length", "85"),
    ("authorization", "Bearer anything"),
];

/// What a page of our own sends by fetch.
const PAGE: &[(&str, &str)] = &[
    ("host", "localhost:8484"),
    ("connection", "keep-alive"),
    ("sec-ch-ua-platform", "\"Linux\""),
    (
        "user-agent",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36",
    ),
    ("sec-ch-ua", "\"Chromium\";v=\"156\", \"Not.A/Brand\";v=\"24\""),
    ("sec-ch-ua-mobile", "?0"),
    ("accept", "*/*"),
    ("origin", "http://localhost:8484"),
    ("sec-fetch-site", "same-origin"),
    ("sec-fetch-mode", "cors"),
    ("sec-fetch-dest", "empty"),
    ("referer", "http://localhost:8484/-/"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("accept-language", "en-US,en;q=0.9"),
];

fn head(method: &str, target: &str, fields: &[(&str, &str)]) -> Parts {
    let mut request = Request::builder().method(method).uri(target);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(()).expect("a request").into_parts().0
}

fn ask(guard: &Guard, peer: &Peer, head: &Parts, times: u64) {
    for _ in 0..times {
        assert!(black_box(guard.check(black_box(peer), black_box(head))).is_ok());
    }
}

fn main() {
    let guard = Guard::new(Config::default(), None);
    let peer = Peer::Tcp { remote: ([127, 0, 0, 1], 40_000).into(), local: ([127, 0, 0, 1], 8484).into() };
    let kinds = [
        ("curl", head("GET", "/v1/jobs?limit=20", CURL)),
        ("sdk", head("POST", "/v1/jobs", SDK)),
        ("page", head("GET", "/v1/workspaces?limit=20", PAGE)),
    ];
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with('-'));
    if let (Some(kind), Some(times)) = (arguments.next(), arguments.next().and_then(|n| n.parse().ok())) {
        let (_, head) = kinds.iter().find(|(name, _)| *name == kind).expect("curl, sdk or page");
        return ask(&guard, &peer, head, times);
    }
    for (name, head) in &kinds {
        ask(&guard, &peer, head, 100_000);
        let mut best = f64::INFINITY;
        for _ in 0..20 {
            let start = Instant::now();
            ask(&guard, &peer, head, 50_000);
            best = best.min(start.elapsed().as_secs_f64() / 50_000.0);
        }
        println!("{name:>5}: {:.0} ns a request", best * 1e9);
    }
}
