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
type Verdict = Result<(), Kind>;

const PASS: Verdict = Ok(());

fn verdict(guard: &Guard, peer: &Peer, head: &Parts) -> Verdict {
    guard.check(peer, head).map(drop).map_err(|refusal| refusal.kind())
}

fn refusal(guard: &Guard, head: &Parts) -> Refusal {
    guard.check(&loopback(), head).expect_err("refused")
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
    let route = Route::Api { api: Api::Public, prefix: 3 };
    assert_eq!(
        admitted,
        Admitted { route, cors: None, max_forwards: None, client: None, key_in_body: false }
    );
    assert_eq!(admitted.route.rest(&curl.uri), "/workspaces?limit=1");
}

#[test]
fn strangers_learn_nothing_of_paths_and_policy() {
    let guard = guard_with(|config| config.policy.access = Access::ReadOnly);
    for target in ["/v1/jobs", "/v1/applications", "/nowhere", "/api/v1/x", "/-/ready", "/"] {
        let rebound = head("POST", target, &[("host", "evil.example")]);
        assert_eq!(verdict(&guard, &loopback(), &rebound), Err(Kind::HostNotAllowed), "{target}");
        let page = head("POST", target, &[("origin", "http://evil.example")]);
        assert_eq!(verdict(&guard, &loopback(), &page), Err(Kind::OriginNotAllowed), "{target}");
    }
}

#[test]
fn a_wrong_path_is_told_with_the_right_one() {
    let detail = |path: &str| refusal(&guard(), &head("GET", path, &[])).detail().to_owned();
    assert!(detail("/workspaces?token=x").ends_with("did you mean /v1/workspaces?"));
    assert!(detail("/favicon.ico").contains("/v1/"));
}

#[test]
fn every_kind_has_the_status_of_its_registry() {
    for (kind, suffix, status, error) in [
        (Kind::PeerNotAllowed, "peer-not-allowed", 403, "http_request_denied"),
        (Kind::HostNotAllowed, "host-not-allowed", 403, "http_request_denied"),
        (Kind::OriginNotAllowed, "origin-not-allowed", 403, "http_request_denied"),
        (Kind::KeyRequired, "key-required", 401, "http_request_denied"),
        (Kind::PathNotAllowed, "path-not-allowed", 403, "http_request_denied"),
        (Kind::MethodNotAllowed, "method-not-allowed", 405, "http_request_denied"),
        (Kind::HostInvalid, "host-invalid", 400, "http_request_error"),
        (Kind::InvalidRequest, "invalid-request", 400, "http_request_error"),
        (Kind::UriTooLong, "uri-too-long", 414, "http_request_error"),
        (Kind::HeaderTooLarge, "header-too-large", 431, "http_request_error"),
        (Kind::MethodTooLong, "method-too-long", 501, "http_request_error"),
        (Kind::UnsupportedTransferCoding, "unsupported-transfer-coding", 501, "http_request_error"),
        (Kind::ExpectationFailed, "expectation-failed", 417, "http_request_error"),
        (Kind::UpgradeRefused, "upgrade-refused", 501, "http_request_denied"),
        (Kind::UnknownPath, "unknown-path", 404, "destination_not_found"),
    ] {
        assert_eq!((kind.suffix(), kind.status().as_u16(), kind.proxy_status()), (suffix, status, error));
        assert!(!kind.title().is_empty());
        let row = format!("| `{suffix}` | {status} |");
        assert!(include_str!("../../../docs/errors.md").contains(&row), "docs/errors.md lacks {row}");
    }
}
