//! The guard as a whole: tables of requests and what becomes of them, then properties.
//!
//! Heads are built from the same types, by the same parsers, that the server's HTTP library uses, so a vector that
//! library would refuse by itself cannot be written here.

use http::{HeaderName, HeaderValue, Method, Request, Uri};

use super::*;

mod callers;
mod keys;
mod policy;
mod properties;
mod requests;

// === verbs ===

fn guard() -> Guard {
    guard_with(|_| {})
}

fn guard_with(change: impl FnOnce(&mut Config)) -> Guard {
    let mut config = Config { config_api: true, ..Config::default() };
    change(&mut config);
    Guard::new(config, None)
}

fn tcp(remote: &str, local: &str) -> Peer {
    Peer::Tcp { remote: remote.parse().expect("address"), local: local.parse().expect("address") }
}

fn loopback() -> Peer {
    tcp("127.0.0.1:50000", "127.0.0.1:8484")
}

/// A head with exactly these fields; `Host: localhost:8484` unless some `host` is given.
fn head(method: &str, target: &str, fields: &[(&str, &str)]) -> Parts {
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.method = Method::from_bytes(method.as_bytes()).expect("method");
    parts.uri = Uri::try_from(target.as_bytes()).expect("target");
    if fields.iter().all(|(name, _)| *name != "host") {
        parts.headers.append("host", HeaderValue::from_static("localhost:8484"));
    }
    for (name, value) in fields {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("name");
        parts.headers.append(name, HeaderValue::from_bytes(value.as_bytes()).expect("value"));
    }
    parts
}

/// `Ok(())` or the kind of the refusal.
type Verdict = Result<(), problem::Kind>;

const PASS: Verdict = Ok(());

fn verdict(guard: &Guard, peer: &Peer, head: &Parts) -> Verdict {
    guard.check(peer, head).map(drop).map_err(|refusal| {
        assert!(guard.rules().iter().any(|rule| rule == refusal.rule()), "not listed: {}", refusal.rule());
        refusal.kind()
    })
}

fn refusal(guard: &Guard, head: &Parts) -> Refusal {
    let refusal = guard.check(&loopback(), head).expect_err("refused");
    assert!(guard.rules().iter().any(|rule| rule == refusal.rule()), "not listed: {}", refusal.rule());
    refusal
}

/// Method, target, fields, and what becomes of them.
type Line<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], Verdict);

/// Each line of a table comes true.
fn expect_all(guard: &Guard, table: &[Line<'_>]) {
    for (method, target, fields, expected) in table {
        let got = verdict(guard, &loopback(), &head(method, target, fields));
        assert_eq!(got, *expected, "{method} {target} {fields:?}");
    }
}

// === the ordinary and the registry ===

#[test]
fn an_ordinary_request_passes() {
    let curl = head("GET", "/v1/workspaces?limit=1", &[("user-agent", "curl/8.14.1"), ("accept", "*/*")]);
    let admitted = guard().check(&loopback(), &curl).expect("admitted");
    let route = Route::Api { api: Api::Public, prefix: 3, whole_lists: false };
    assert_eq!(
        admitted,
        Admitted { route, cors: None, max_forwards: None, client: None, key_in_body: false }
    );
}

#[test]
fn strangers_learn_nothing_of_paths_and_policy() {
    let guard = guard_with(|config| config.policy.access = Access::ReadOnly);
    for target in ["/v1/jobs", "/v1/applications", "/nowhere", "/api/v1/x", "/-/ready", "/"] {
        let rebound = head("POST", target, &[("host", "evil.example")]);
        assert_eq!(verdict(&guard, &loopback(), &rebound), Err(problem::HOST_NOT_ALLOWED), "{target}");
        let page = head("POST", target, &[("origin", "http://evil.example")]);
        assert_eq!(verdict(&guard, &loopback(), &page), Err(problem::ORIGIN_NOT_ALLOWED), "{target}");
    }
}

#[test]
fn a_wrong_path_is_told_with_the_right_one() {
    let detail = |path: &str| refusal(&guard(), &head("GET", path, &[])).detail().to_owned();
    assert!(detail("/workspaces?token=x").ends_with("did you mean /v1/workspaces?"));
    assert!(detail("/robots.txt").contains("/v1/"));
}
