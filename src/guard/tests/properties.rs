//! What holds for whatever comes.

use proptest::prelude::*;

use super::policy::rules;
use super::*;

/// Targets that look like something, from pieces that make trouble.
fn target() -> impl Strategy<Value = String> {
    let start = prop::sample::select(vec![
        "/v1/",
        "/v1",
        "/api/v1/",
        "/api/public/v1/",
        "/-/",
        "/",
        "//",
        "http://localhost:8484/v1/",
        "http://localhost",
        "",
    ]);
    let piece = prop::sample::select(vec![
        "jobs",
        "applications",
        "connections",
        "token",
        "get",
        "list",
        "sync",
        "Jobs",
        "1",
        ".",
        "..",
        "%2e",
        "%2F",
        "%61",
        "%zz",
        "%00",
        "%5C",
        ";x",
        "%20",
        "*",
        "\\",
        "|",
        "é",
        "@",
        ":80",
        "/",
        "/",
        "/",
        "?a=b",
    ]);
    (start, prop::collection::vec(piece, 0..6))
        .prop_map(|(start, pieces)| start.to_owned() + &pieces.concat())
}

/// Fields that the guard reads, with values that some client sends or with whatever a value may contain.
fn field() -> impl Strategy<Value = (HeaderName, Vec<u8>)> {
    let names = [
        "host",
        "origin",
        "sec-fetch-site",
        "sec-fetch-mode",
        "transfer-encoding",
        "expect",
        "upgrade",
        "max-forwards",
        "access-control-request-method",
        "x-a",
    ];
    let values = vec![
        "localhost:8484",
        "http://localhost:8484",
        "null",
        "none",
        "same-origin",
        "navigate",
        "chunked",
        "gzip",
        "100-continue",
        "h2c",
        "0",
    ];
    let byte = any::<u8>().prop_map(|byte| if byte < 0x20 || byte == 0x7f { b'\t' } else { byte });
    let value = prop_oneof![
        1 => prop::collection::vec(byte, 0..40),
        3 => prop::sample::select(values).prop_map(|text| text.as_bytes().to_vec()),
    ];
    (prop::sample::select(names.map(HeaderName::from_static).to_vec()), value)
}

/// Heads as the server's HTTP library hands them on. What it refuses by itself is drawn again.
fn any_head() -> impl Strategy<Value = Parts> {
    let known = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "get"];
    let method = prop_oneof![
        9 => prop::sample::select(known.to_vec()).prop_map(str::to_owned),
        1 => "[A-Za-z0-9_-]{1,40}",
    ];
    let target = prop_oneof![
        9 => target().prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..60),
    ];
    let fields = prop_oneof![1 => Just(0_usize..1), 1 => Just(1..4)]
        .prop_flat_map(|count| prop::collection::vec(field(), count));
    (method, target, prop::bool::weighted(0.9), fields).prop_filter_map(
        "not HTTP",
        |(method, target, named, fields)| {
            let (mut parts, ()) = Request::new(()).into_parts();
            parts.method = Method::from_bytes(method.as_bytes()).ok()?;
            parts.uri = Uri::try_from(target).ok()?;
            if named {
                parts.headers.append("host", HeaderValue::from_static("localhost:8484"));
            }
            for (name, value) in fields {
                parts.headers.append(name, HeaderValue::from_bytes(&value).ok()?);
            }
            Some(parts)
        },
    )
}

/// `PROPTEST_CASES` asks for more.
fn config() -> ProptestConfig {
    let default = ProptestConfig::default();
    ProptestConfig { cases: default.cases.max(2000), max_local_rejects: u32::MAX, ..default }
}

proptest! {
    #![proptest_config(config())]

    /// Whatever comes: no panic, and a refusal is fit to be shown, logged and counted.
    #[test]
    fn any_head_is_admitted_or_refused_with_a_clean_sentence(head in any_head()) {
        if let Err(refusal) = guard().check(&loopback(), &head) {
            let clean = |text: &str| text.len() < 600 && text.bytes().all(|b| b == b' ' || b.is_ascii_graphic());
            prop_assert!(clean(refusal.detail()), "{}", refusal.detail());
            prop_assert!(clean(refusal.rule()), "{}", refusal.rule());
            prop_assert_eq!(refusal.allow().is_some(), refusal.kind().status == 405);
        }
    }

    /// What goes on to Airbyte is cut off where a prefix ends.
    #[test]
    fn an_admitted_path_goes_on_behind_its_prefix(head in any_head()) {
        if let Ok(admitted) = guard().check(&loopback(), &head)
            && let Route::Api { prefix, .. } = admitted.route
        {
            let whole = head.uri.path_and_query().expect("a path").as_str();
            let (local, rest) = whole.split_at(prefix);
            prop_assert!(["/v1", "/api/v1", "/api/public/v1"].contains(&local));
            prop_assert!(rest.is_empty() || rest.starts_with(['/', '?']), "{rest}");
        }
    }

    #[test]
    fn read_only_admits_no_write(head in any_head(), list in prop::sample::select(vec!["allow * /**", "deny GET /jobs"])) {
        let guard = guard_with(|config| {
            config.policy.access = Access::ReadOnly;
            config.policy.rules = rules(&[list]);
        });
        if let Ok(Admitted { route: Route::Api { api, .. }, .. }) = guard.check(&loopback(), &head) {
            let path = head.uri.path();
            let reads = matches!(head.method.as_str(), "GET" | "HEAD" | "OPTIONS");
            let asks = api == Api::Config && ["get", "list"].iter().any(|verb| path.trim_end_matches('/').ends_with(verb));
            prop_assert!(reads || asks, "{} {path}", head.method);
        }
    }

    /// The ceiling and the access level never make anything possible.
    #[test]
    fn restrictions_only_take_away(head in any_head()) {
        if guard().check(&loopback(), &head).is_ok() {
            return Ok(());
        }
        for access in [Access::ReadOnly, Access::SyncOnly] {
            let tight = guard_with(|config| {
                config.policy.access = access;
                config.policy.ceiling = Some(Ceiling { rules: rules(&["allow * /**"]), ..Ceiling::default() });
            });
            prop_assert!(tight.check(&loopback(), &head).is_err());
        }
    }

    /// No name but ours, however it is spelt.
    #[test]
    fn only_our_names_pass_the_host_rule(host in "[a-z0-9.:\\[\\]@_-]{0,30}|localhost[.:a-z0-9]{0,5}") {
        let head = head("GET", "/v1/jobs", &[("host", &host)]);
        if guard().check(&loopback(), &head).is_ok() {
            let name = host.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')).map_or(&*host, |(n, _)| n);
            let v6 = name.trim_matches(['[', ']']).parse::<std::net::Ipv6Addr>();
            prop_assert!(
                ["localhost", "127.0.0.1"].contains(&name) || v6 == Ok(std::net::Ipv6Addr::LOCALHOST),
                "{host}"
            );
        }
    }
}
