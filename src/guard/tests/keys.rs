//! Client keys: who must show one, and what follows from it.

use zeroize::Zeroizing;

use super::policy::rules;
use super::*;
use crate::problem::Problem;

const ETL: (&str, &str) = ("authorization", "Bearer etl-key-0123456789");
const BI: (&str, &str) = ("airbyte-proxy-key", "bi-key-0123456789");

fn keyed(change: impl FnOnce(&mut Config)) -> Guard {
    let keys = Keys::default();
    let key = |text: &str| Zeroizing::new(text.to_owned());
    keys.replace([("etl", key("etl-key-0123456789")), ("bi", key("bi-key-0123456789"))]);
    let mut config = Config::default();
    change(&mut config);
    Guard::new(config, Some(keys))
}

#[test]
fn with_keys_on_everything_but_probes_asks_for_one() {
    let no = Err(problem::KEY_REQUIRED);
    let wrong = ("authorization", "Bearer airbyte-proxy-needs-no-token");
    expect_all(
        &keyed(|_| {}),
        &[
            ("GET", "/v1/jobs", &[], no),
            ("GET", "/v1/jobs", &[wrong], no),
            ("GET", "/v1/jobs", &[ETL, BI], no),
            ("GET", "/v1/jobs", &[ETL], PASS),
            ("GET", "/v1/jobs", &[BI], PASS),
            ("GET", "/", &[], no),
            ("GET", "/-/", &[], no),
            ("GET", "/-/", &[ETL], PASS),
            ("GET", "/nowhere", &[], no),
            ("OPTIONS", "*", &[], no),
            ("GET", "/-/live", &[], PASS),
            ("HEAD", "/-/ready", &[], PASS),
            ("POST", "/-/ready", &[], no),
            ("GET", "/-/ready/x", &[], no),
            ("GET", "/-/ready", &[("host", "evil.example")], Err(problem::HOST_NOT_ALLOWED)),
        ],
    );
    let refused = refusal(&keyed(|_| {}), &head("GET", "/v1/jobs", &[wrong]));
    let problem = Problem::from(&refused);
    assert_eq!(problem.fields.iter().filter(|(name, _)| name == header::WWW_AUTHENTICATE).count(), 2);
    assert_eq!(refused.rule(), "guard.keys_dir");
    assert!(!refused.detail().contains("needs-no-token"), "{refused}");
}

#[test]
fn a_key_makes_the_name_irrelevant_but_not_the_origin() {
    let page = ("origin", "http://evil.example");
    expect_all(
        &keyed(|_| {}),
        &[
            ("GET", "/v1/jobs", &[("host", "proxy.corp"), ETL], PASS),
            ("GET", "/v1/jobs", &[("host", "proxy.corp")], Err(problem::KEY_REQUIRED)),
            ("GET", "/v1/jobs", &[("host", "a/b"), ETL], Err(problem::HOST_INVALID)),
            ("GET", "/v1/jobs", &[page, ETL], Err(problem::ORIGIN_NOT_ALLOWED)),
            ("GET", "/v1/jobs", &[("sec-fetch-site", "cross-site"), ETL], Err(problem::ORIGIN_NOT_ALLOWED)),
            // No login dialog for pages of others.
            ("GET", "/v1/jobs", &[page], Err(problem::ORIGIN_NOT_ALLOWED)),
        ],
    );
    let off = head("GET", "/v1/jobs", &[("host", "proxy.corp"), ETL]);
    assert_eq!(verdict(&guard(), &loopback(), &off), Err(problem::HOST_NOT_ALLOWED), "no keys, no exception");
}

#[test]
fn the_preflight_of_a_listed_page_needs_no_key_and_what_follows_does() {
    let guard = keyed(|config| {
        config.allowed_origins = vec![Origin::parse("http://localhost:3000").expect("origin")];
    });
    let page = ("origin", "http://localhost:3000");
    let asks = ("access-control-request-method", "GET");
    expect_all(
        &guard,
        &[
            ("OPTIONS", "/v1/jobs", &[page, asks, ("host", "proxy.corp")], PASS),
            ("OPTIONS", "/v1/jobs", &[page], Err(problem::KEY_REQUIRED)),
            ("GET", "/v1/jobs", &[page], Err(problem::KEY_REQUIRED)),
            ("GET", "/v1/jobs", &[page, ETL], PASS),
            (
                "OPTIONS",
                "/v1/jobs",
                &[("origin", "http://evil.example"), asks],
                Err(problem::ORIGIN_NOT_ALLOWED),
            ),
        ],
    );
}

#[test]
fn keys_open_the_addresses_beyond_loopback_to_those_who_have_one() {
    let far = tcp("192.0.2.7:1", "192.0.2.1:8484");
    let guards = [keyed(|_| {}), keyed(|config| config.published_port = true)];
    for guard in guards {
        assert_eq!(verdict(&guard, &far, &head("GET", "/v1/jobs", &[ETL])), PASS);
        assert_eq!(verdict(&guard, &far, &head("GET", "/v1/jobs", &[])), Err(problem::KEY_REQUIRED));
        let odd = tcp("192.0.2.7:1", "127.0.0.1:8484");
        assert_eq!(verdict(&guard, &odd, &head("GET", "/v1/jobs", &[ETL])), Err(problem::PEER_NOT_ALLOWED));
    }
}

#[test]
fn on_the_socket_a_key_only_adds_a_name() {
    let guard = keyed(|config| config.socket_uids = vec![1000]);
    let client = |fields| {
        let admitted = guard.check(&Peer::Unix { uid: Some(1000) }, &head("GET", "/v1/jobs", fields));
        admitted.expect("admitted").client.map(|client| client.name().to_owned())
    };
    assert_eq!(client(&[ETL]).as_deref(), Some("etl"));
    assert_eq!(client(&[("authorization", "Bearer whatever")]), None);
    assert_eq!(client(&[]), None);
    let stranger = Peer::Unix { uid: Some(1001) };
    assert_eq!(verdict(&guard, &stranger, &head("GET", "/v1/jobs", &[ETL])), Err(problem::PEER_NOT_ALLOWED));
}

#[test]
fn the_token_paths_take_the_key_in_the_body_or_the_head() {
    let guard = keyed(|_| {});
    let admitted = |peer: &Peer, fields| guard.check(peer, &head("POST", "/v1/applications/token", fields));
    let (by_body, by_head) = (admitted(&loopback(), &[]), admitted(&loopback(), &[ETL]));
    assert!(by_body.expect("admitted").key_in_body);
    assert!(!by_head.expect("admitted").key_in_body);
    let page = admitted(&loopback(), &[("origin", "http://evil.example")]).expect_err("a page");
    assert_eq!(page.kind(), problem::ORIGIN_NOT_ALLOWED);
    let off = super::guard().check(&loopback(), &head("POST", "/v1/applications/token", &[]));
    assert!(!off.expect("admitted").key_in_body);
}

#[test]
fn rules_can_be_about_clients() {
    let guard = keyed(|config| {
        config.policy.rules = rules(&[
            "allow POST /jobs as etl",
            "deny POST,PUT,PATCH,DELETE /** as etl,bi",
            "deny GET /tags as bi",
        ]);
    });
    let no = Err(problem::PATH_NOT_ALLOWED);
    expect_all(
        &guard,
        &[
            ("POST", "/v1/jobs", &[ETL], PASS),
            ("POST", "/v1/jobs", &[BI], no),
            ("DELETE", "/v1/jobs/1", &[ETL], no),
            ("GET", "/v1/tags", &[ETL], PASS),
            ("GET", "/v1/tags", &[BI], no),
            ("GET", "/v1/applications", &[BI], no),
        ],
    );
    let refused = refusal(&guard, &head("POST", "/v1/jobs", &[BI]));
    assert_eq!(refused.client().map(Client::name), Some("bi"));
    assert_eq!(refused.rule(), "policy.rules[1]");
    let detail = refusal(&guard, &head("GET", "/v1/applications", &[BI])).detail().to_owned();
    assert!(detail.contains(r#"["allow GET /applications/** as bi"]"#), "{detail}");
}
