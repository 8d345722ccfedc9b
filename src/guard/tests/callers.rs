//! Hosts, peers, origins: who is asking.

use super::*;

// === hosts ===

#[test]
fn only_local_names_are_answered_to() {
    let refused = Err(problem::HOST_NOT_ALLOWED);
    let invalid = Err(problem::HOST_INVALID);
    for (host, expected) in [
        ("localhost:8080", PASS),
        ("LOCALHOST", PASS),
        ("127.0.0.1:1", PASS),
        ("[::1]:9", PASS),
        ("localhost.", invalid),
        ("127.1", refused),
        ("2130706433", refused),
        ("0x7f.1", refused),
        ("127.0.0.1.nip.io", refused),
        ("localhost.evil.example", refused),
        ("0.0.0.0:8080", refused),
        ("[::ffff:127.0.0.1]", refused),
        ("foo.localhost", refused),
        ("host.docker.internal", refused),
        ("", invalid),
        ("a,b", invalid),
        ("a/b", invalid),
        ("u@localhost", invalid),
        ("localhost:0", invalid),
        ("localhost:65536", invalid),
        ("localhost: 80", invalid),
        ("[fe80::1%25lo]", invalid),
        ("\u{ff}", invalid),
    ] {
        let head = head("GET", "/v1/jobs", &[("host", host)]);
        assert_eq!(verdict(&guard(), &loopback(), &head), expected, "{host:?}");
    }
    let two = head("GET", "/v1/jobs", &[("host", "localhost"), ("host", "localhost")]);
    assert_eq!(verdict(&guard(), &loopback(), &two), invalid);
    let mut none = head("GET", "/v1/jobs", &[]);
    none.headers.clear();
    assert_eq!(verdict(&guard(), &loopback(), &none), invalid);
    none.version = http::Version::HTTP_10;
    assert_eq!(verdict(&guard(), &loopback(), &none), invalid, "HTTP/1.0 gets no exception");
}

#[test]
fn listed_names_and_the_public_url_are_answered_to() {
    let guard = guard_with(|config| {
        config.allowed_hosts = vec![HostName::parse("Host.Docker.Internal").expect("name")];
        let url = BaseUrl::parse("https://airbyte.corp.example:8443/proxy").expect("url");
        config.public_url = Some(PublicUrl::new(url).expect("public"));
    });
    for (host, expected) in [
        ("host.docker.internal:8484", PASS),
        ("airbyte.corp.example", PASS),
        ("localhost", PASS),
        ("docker.internal", Err(problem::HOST_NOT_ALLOWED)),
    ] {
        assert_eq!(
            verdict(&guard, &loopback(), &head("GET", "/v1/jobs", &[("host", host)])),
            expected,
            "{host}"
        );
    }
}

#[test]
fn a_refused_name_is_told_with_the_setting_that_allows_it() {
    let detail = |host: &str| refusal(&guard(), &head("GET", "/v1", &[("host", host)])).detail().to_owned();
    let docker = detail("Host.Docker.Internal:8484");
    assert!(docker.contains(r#"guard.allowed_hosts = ["host.docker.internal"]"#), "{docker}");
    assert!(docker.contains("client key"), "{docker}");
    assert!(detail("[fd00::7]").contains(r#"guard.allowed_hosts = ["[fd00::7]"]"#));
    assert!(!detail("0.0.0.0:80").contains("allowed_hosts"), "a setting that would be refused is no advice");
}

// === peers ===

#[test]
fn strangers_stay_outside() {
    let published = guard_with(|config| config.published_port = true);
    let stranger = Err(problem::PEER_NOT_ALLOWED);
    for (remote, local, by_default, when_published) in [
        ("127.0.0.1:1", "127.0.0.1:8484", PASS, PASS),
        ("[::1]:1", "[::1]:8484", PASS, PASS),
        ("[::ffff:127.0.0.1]:1", "[::ffff:127.0.0.1]:8484", PASS, PASS),
        ("192.0.2.7:1", "127.0.0.1:8484", stranger, stranger),
        ("192.0.2.7:1", "192.0.2.1:8484", stranger, PASS),
        ("127.0.0.1:1", "192.0.2.1:8484", stranger, PASS),
    ] {
        let request = head("GET", "/v1/jobs", &[]);
        assert_eq!(verdict(&guard(), &tcp(remote, local), &request), by_default, "{remote} {local}");
        assert_eq!(verdict(&published, &tcp(remote, local), &request), when_published, "{remote} {local}");
    }
    let refused = guard().check(&tcp("192.0.2.7:1", "192.0.2.1:8484"), &head("GET", "/", &[]));
    let refused = refused.expect_err("refused");
    assert!(refused.must_close() && refused.detail().contains("--published-port"), "{refused}");
}

#[test]
fn the_socket_is_for_listed_users_and_any_name() {
    let guard = guard_with(|config| config.socket_uids = vec![1000]);
    let request = head("GET", "/v1/jobs", &[("host", "whatever"), ("origin", "http://evil.example")]);
    assert_eq!(verdict(&guard, &Peer::Unix { uid: Some(1000) }, &request), PASS);
    for uid in [Some(0), Some(1001), None] {
        assert_eq!(verdict(&guard, &Peer::Unix { uid }, &request), Err(problem::PEER_NOT_ALLOWED), "{uid:?}");
    }
    let malformed = head("GET", "/v1/jobs", &[("host", "a/b")]);
    assert_eq!(verdict(&guard, &Peer::Unix { uid: Some(1000) }, &malformed), Err(problem::HOST_INVALID));
}

// === origins ===

#[test]
fn pages_of_other_origins_are_refused_on_every_method() {
    let no = Err(problem::ORIGIN_NOT_ALLOWED);
    for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"] {
        expect_all(
            &guard(),
            &[
                (method, "/v1/jobs", &[], PASS),
                (method, "/v1/jobs", &[("origin", "http://localhost:8484")], PASS),
                (method, "/v1/jobs", &[("origin", "http://LOCALHOST:8484")], PASS),
                (method, "/v1/jobs", &[("origin", "null")], no),
                (method, "/v1/jobs", &[("origin", "")], no),
                (method, "/v1/jobs", &[("origin", "http://localhost:3000")], no),
                (method, "/v1/jobs", &[("origin", "http://localhost")], no),
                (method, "/v1/jobs", &[("origin", "https://localhost:8484")], no),
                (method, "/v1/jobs", &[("origin", "http://127.0.0.1:8484")], no),
                (method, "/v1/jobs", &[("origin", "http://localhost:8484/")], no),
                (method, "/v1/jobs", &[("origin", "http://evil.example")], no),
                (
                    method,
                    "/v1/jobs",
                    &[("origin", "http://localhost:8484"), ("origin", "http://localhost:8484")],
                    no,
                ),
                (method, "/v1/jobs", &[("sec-fetch-site", "none")], PASS),
                (method, "/v1/jobs", &[("sec-fetch-site", "same-origin")], PASS),
                (method, "/v1/jobs", &[("sec-fetch-site", "same-site")], no),
                (method, "/v1/jobs", &[("sec-fetch-site", "cross-site")], no),
                (method, "/v1/jobs", &[("sec-fetch-site", "")], no),
                (method, "/v1/jobs", &[("sec-fetch-site", "none"), ("sec-fetch-site", "none")], no),
                (
                    method,
                    "/v1/jobs",
                    &[("origin", "http://localhost:8484"), ("sec-fetch-site", "cross-site")],
                    no,
                ),
                (method, "/v1/jobs", &[("access-control-request-method", "GET")], no),
                (method, "/v1/applications/token", &[("origin", "http://evil.example")], no),
                (method, "/-/live", &[("origin", "http://evil.example")], no),
            ],
        );
    }
}

#[test]
fn our_own_origin_is_the_address_the_caller_used() {
    for (host, origin, expected) in [
        ("localhost", "http://localhost", PASS),
        ("localhost:80", "http://localhost", PASS),
        ("[::1]:8484", "http://[::1]:8484", PASS),
        ("127.0.0.1:9999", "http://127.0.0.1:9999", PASS),
        ("evil.example", "http://evil.example", Err(problem::HOST_NOT_ALLOWED)),
    ] {
        let head = head("POST", "/v1/jobs", &[("host", host), ("origin", origin)]);
        assert_eq!(verdict(&guard(), &loopback(), &head), expected, "{host} {origin}");
    }
    let guard = guard_with(|config| {
        let url = BaseUrl::parse("https://airbyte.corp.example/").expect("url");
        config.public_url = Some(PublicUrl::new(url).expect("public"));
    });
    let head = head("POST", "/v1/jobs", &[("origin", "https://airbyte.corp.example")]);
    let admitted = guard.check(&loopback(), &head).expect("admitted");
    assert_eq!(admitted.cors, None, "our own origin needs no CORS");
}

#[test]
fn links_from_anywhere_open_our_pages_and_nothing_else() {
    let no = Err(problem::ORIGIN_NOT_ALLOWED);
    let link: &[_] =
        &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];
    let frame: &[_] =
        &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")];
    let script: &[_] =
        &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "document")];
    expect_all(
        &guard(),
        &[
            ("GET", "/", link, PASS),
            ("GET", "/-/", link, PASS),
            ("GET", "/-/explorer", link, PASS),
            ("GET", "/-/explorer?x=y", link, PASS),
            ("GET", "/-/metrics", link, no),
            ("GET", "/-/explorer/", link, no),
            ("GET", "/v1/jobs", link, no),
            ("POST", "/", link, no),
            ("HEAD", "/", link, no),
            ("GET", "/", frame, no),
            ("GET", "/", script, no),
            ("GET", "/", &[("sec-fetch-site", "cross-site")], no),
        ],
    );
    // What the pages are made of is for them alone, however somebody else's page asks for it.
    let origin: &[_] = &[("origin", "https://evil.example")];
    let cross: &[_] =
        &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty")];
    let own: &[_] = &[("origin", "http://localhost:8484"), ("sec-fetch-site", "same-origin")];
    for path in ["/-/events", "/-/assets/status.js", "/-/openapi.json", "/-/postman_collection.json"] {
        for foreign in [link, frame, script, origin, cross] {
            expect_all(&guard(), &[("GET", path, foreign, no)]);
        }
        expect_all(&guard(), &[("GET", path, own, PASS), ("GET", path, &[], PASS)]);
    }
    let rebound = head("GET", "/", &[link, &[("host", "evil.example")]].concat());
    assert_eq!(verdict(&guard(), &loopback(), &rebound), Err(problem::HOST_NOT_ALLOWED));
}

#[test]
fn listed_origins_pass_and_are_told_so() {
    let guard = guard_with(|config| {
        config.allowed_origins = vec![Origin::parse("http://localhost:3000").expect("origin")];
    });
    let page = ("origin", "http://localhost:3000");
    let cors = |head: &Parts| guard.check(&loopback(), head).expect("admitted").cors;
    let origin = HeaderValue::from_static("http://localhost:3000");

    let get = head("GET", "/v1/jobs", &[page, ("sec-fetch-site", "same-site")]);
    assert_eq!(cors(&get), Some(Cors { origin: origin.clone(), preflight: false }));
    let preflight = head("OPTIONS", "/v1/applications", &[page, ("access-control-request-method", "PUT")]);
    assert_eq!(cors(&preflight), Some(Cors { origin: origin.clone(), preflight: true }));
    assert_eq!(cors(&head("GET", "/v1/jobs", &[])), None, "others are told nothing");

    let denied = head("GET", "/v1/applications", &[page]);
    assert_eq!(verdict(&guard, &loopback(), &denied), Err(problem::PATH_NOT_ALLOWED));
    assert_eq!(guard.allowed_origin(&denied.headers), Some(origin));
    for fields in [&[("origin", "http://evil.example")][..], &[page, page], &[]] {
        assert_eq!(guard.allowed_origin(&head("GET", "/v1", fields).headers), None, "{fields:?}");
    }
    let image = head("GET", "/v1/jobs", &[("sec-fetch-site", "same-site")]);
    assert_eq!(
        verdict(&guard, &loopback(), &image),
        Err(problem::ORIGIN_NOT_ALLOWED),
        "no Origin, no exception"
    );
}

#[test]
fn a_refused_page_is_told_with_the_setting_that_allows_it() {
    let by = |origin: &str| refusal(&guard(), &head("GET", "/v1", &[("origin", origin)])).detail().to_owned();
    let detail = by("http://localhost:3000");
    assert!(detail.contains(r#"guard.allowed_origins = ["http://localhost:3000"]"#), "{detail}");
    for hostile in ["null", "\"] admin = [\"", "http://x/\"]", "\u{ff}", "*"] {
        let detail = by(hostile);
        assert!(!detail.contains("set guard.allowed_origins"), "{hostile}: {detail}");
    }
}
