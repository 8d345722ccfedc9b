//! Targets, framing, methods, sizes: what HTTP itself forbids.

use super::*;

#[test]
fn a_target_is_a_path_or_repeats_the_host() {
    let invalid = Err(problem::INVALID_REQUEST);
    expect_all(
        &guard(),
        &[
            ("GET", "http://localhost:8484/v1/jobs", &[], PASS),
            ("GET", "http://LOCALHOST:8484/v1/jobs", &[], PASS),
            ("GET", "http://localhost/", &[("host", "localhost:80")], PASS),
            ("GET", "http://localhost", &[("host", "localhost")], PASS),
            ("GET", "http://evil/", &[("host", "localhost")], invalid),
            ("GET", "http://localhost:1/", &[("host", "localhost")], invalid),
            ("GET", "http://u@localhost/", &[("host", "localhost")], invalid),
            ("GET", "http://evil/", &[("host", "evil")], Err(problem::HOST_NOT_ALLOWED)),
            ("GET", "https://localhost/", &[("host", "localhost")], invalid),
            ("GET", "ftp://localhost/", &[("host", "localhost")], invalid),
            ("GET", "evil.example:80", &[], invalid),
            ("GET", "localhost:8484", &[], invalid),
            ("GET", "!", &[], invalid),
            ("GET", "*", &[], invalid),
            ("OPTIONS", "*", &[], PASS),
            ("CONNECT", "evil:443", &[("host", "evil:443")], Err(problem::METHOD_NOT_ALLOWED)),
            ("CONNECT", "/v1/jobs", &[], Err(problem::METHOD_NOT_ALLOWED)),
            ("GET", "//evil.example/x", &[], Err(problem::UNKNOWN_PATH)),
            ("GET", "/v1//evil.example/x", &[], PASS),
            ("GET", "/\\evil.example/", &[], invalid),
            ("GET", "/v1/é", &[], invalid),
            ("GET", "/v1/jobs?a=é", &[], invalid),
            ("GET", "/v1/jobs?a|b", &[], invalid),
            ("GET", "/v1/a|b", &[], invalid),
            ("GET", "/v1/jobs?a=%2F..%5c%00%zz&b=/../?", &[], PASS),
            ("GET", "/v1/applications/../jobs", &[], invalid),
            ("GET", "/-/../v1/jobs", &[], invalid),
            ("GET", "/v1/%2e%2e/jobs", &[], invalid),
            ("GET", "/v1/jobs%2F1", &[], invalid),
            ("GET", "/v1/jobs%5c1", &[], invalid),
            ("GET", "/v1/jobs%00", &[], invalid),
            ("GET", "/v1/%zz", &[], invalid),
            ("GET", "/v1/a%20b", &[], PASS),
        ],
    );
}

#[test]
fn ambiguous_framing_is_refused_and_the_connection_closed() {
    let te = "transfer-encoding";
    let invalid = Err(problem::INVALID_REQUEST);
    let unsupported = Err(problem::UNSUPPORTED_TRANSFER_CODING);
    let table: &[(&[(&str, &str)], Verdict)] = &[
        (&[(te, "chunked")], PASS),
        (&[(te, "Chunked ")], PASS),
        (&[(te, "chunked"), (te, "chunked")], invalid),
        (&[(te, "chunked, chunked")], invalid),
        (&[(te, ", chunked")], invalid),
        (&[(te, "")], invalid),
        (&[(te, "gzip, chunked")], unsupported),
        (&[(te, "gzip"), (te, "chunked")], unsupported),
        (&[(te, "identity")], unsupported),
        (&[(te, "chunked;x=1")], unsupported),
        (&[(te, "xchunked")], unsupported),
        // The server has dropped Content-Length by then and closes the connection by itself.
        (&[(te, "chunked"), ("content-length", "5")], PASS),
        // A stranger's connection must close just the same.
        (&[(te, "gzip, chunked"), ("host", "evil.example")], unsupported),
    ];
    for (fields, expected) in table {
        let head = head("POST", "/v1/jobs", fields);
        let got = guard().check(&loopback(), &head);
        assert!(got.as_ref().err().is_none_or(Refusal::must_close), "{fields:?}");
        assert_eq!(got.map(drop).map_err(|r| r.kind()), *expected, "{fields:?}");
    }
}

#[test]
fn methods_upgrades_and_expectations() {
    expect_all(
        &guard(),
        &[
            ("TRACE", "/v1/jobs", &[], Err(problem::METHOD_NOT_ALLOWED)),
            ("trace", "/v1/jobs", &[], PASS),
            ("BREW", "/v1/jobs", &[], PASS),
            ("ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEF", "/v1/jobs", &[], PASS),
            ("ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG", "/v1/jobs", &[], Err(problem::METHOD_TOO_LONG)),
            ("GET", "/v1/jobs", &[("upgrade", "h2c"), ("http2-settings", "AAMAAABkAAQAAP__")], PASS),
            ("GET", "/v1/jobs", &[("upgrade", "websocket")], Err(problem::UPGRADE_REFUSED)),
            (
                "GET",
                "/v1/jobs",
                &[("upgrade", "h2c"), ("upgrade", "WebSocket")],
                Err(problem::UPGRADE_REFUSED),
            ),
            ("GET", "/-/live", &[("upgrade", "websocket")], Err(problem::UPGRADE_REFUSED)),
            (
                "GET",
                "/v1/jobs",
                &[("upgrade", "websocket"), ("host", "evil.example")],
                Err(problem::HOST_NOT_ALLOWED),
            ),
            ("POST", "/v1/jobs", &[("expect", "100-continue")], PASS),
            ("POST", "/v1/jobs", &[("expect", "100-Continue")], PASS),
            ("POST", "/v1/jobs", &[("expect", "foo")], Err(problem::EXPECTATION_FAILED)),
            ("POST", "/v1/jobs", &[("expect", "")], Err(problem::EXPECTATION_FAILED)),
            ("OPTIONS", "/v1/jobs", &[("max-forwards", "x")], Err(problem::INVALID_REQUEST)),
            ("OPTIONS", "/v1/jobs", &[("max-forwards", "+1")], Err(problem::INVALID_REQUEST)),
            ("OPTIONS", "/v1/jobs", &[("max-forwards", "")], Err(problem::INVALID_REQUEST)),
            ("OPTIONS", "*", &[("max-forwards", "-1")], Err(problem::INVALID_REQUEST)),
            ("GET", "/v1/jobs", &[("max-forwards", "x")], PASS),
        ],
    );
    let forwards = |n| guard().check(&loopback(), &head("OPTIONS", "/v1", &[("max-forwards", n)]));
    assert_eq!(forwards("0").expect("admitted").max_forwards, Some(0));
    assert_eq!(forwards("5").expect("admitted").max_forwards, Some(5));
    let trace = refusal(&guard(), &head("TRACE", "/", &[]));
    assert!(trace.allow().is_some_and(|methods| methods.contains("GET") && !methods.contains("TRACE")));
}

#[test]
fn sizes_end_where_the_limits_say() {
    let long = |n: usize| "a".repeat(n);
    let target = |n: usize| head("GET", &format!("/v1?{}", long(n - 4)), &[]);
    assert_eq!(verdict(&guard(), &loopback(), &target(8000)), PASS);
    assert_eq!(verdict(&guard(), &loopback(), &target(framing::MAX_TARGET)), PASS);
    assert_eq!(verdict(&guard(), &loopback(), &target(framing::MAX_TARGET + 1)), Err(problem::URI_TOO_LONG));
    let value = |n: usize| head("GET", "/v1", &[("x-a", &long(n))]);
    assert_eq!(verdict(&guard(), &loopback(), &value(fields::MAX_VALUE)), PASS);
    assert_eq!(verdict(&guard(), &loopback(), &value(fields::MAX_VALUE + 1)), Err(problem::HEADER_TOO_LARGE));
    let most = long(fields::MAX_VALUE);
    let all = |last: usize| {
        let last = long(last);
        head("GET", "/v1", &[("a", &most), ("b", &most), ("c", &most), ("d", &last)])
    };
    let written =
        |head: &Parts| head.headers.iter().map(|(n, v)| n.as_str().len() + v.len() + 4).sum::<usize>();
    let rest = fields::MAX_FIELDS - written(&all(0));
    assert_eq!(verdict(&guard(), &loopback(), &all(rest)), PASS);
    assert_eq!(verdict(&guard(), &loopback(), &all(rest + 1)), Err(problem::HEADER_TOO_LARGE));
    assert_eq!(framing::MAX_METHOD, 32);
}
