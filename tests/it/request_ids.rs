//! By which a request is known to its caller, to Airbyte and in the log.

use airbyte_proxy::demo::{Options, Simulator};
use http::{Method, Response};
use serde_json::Value;

use crate::harness::daemon::{Got, daemon, got};
use crate::harness::process::{Process, airbyte, in_front_of};
use crate::harness::upstream::{Speaks, Upstream, full};

const ID: &str = "x-request-id";

async fn binary() -> (Simulator, Process) {
    let airbyte = airbyte(Options { record: 64, ..Options::default() });
    let proxy = in_front_of(&airbyte).start().await;
    (airbyte, proxy)
}

fn id(got: &Got) -> String {
    assert_eq!(got.headers.get_all(ID).iter().count(), 1, "{:?}", got.headers);
    got.header(ID).expect("visible").to_owned()
}

/// The access line with these words in it.
async fn line(proxy: &Process, words: &str) -> Value {
    serde_json::from_str(&proxy.logged(&format!("\"request_id\":\"{words}\"")).await).expect("a line of JSON")
}

/// What Airbyte has seen of this field in the last request for `target`.
fn arrived(airbyte: &Simulator, target: &str, field: &str) -> Vec<String> {
    let seen = airbyte.handle().seen();
    let last = seen.iter().rev().find(|seen| seen.target == target).expect("it was asked");
    last.headers.get_all(field).iter().map(|value| value.to_str().expect("visible").to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_of_the_callers_is_the_same_everywhere() {
    let (airbyte, proxy) = binary().await;
    let longest = "x".repeat(128);
    for given in ["7f3e", "{\"a\":\\\\}", longest.as_str()] {
        let answer = got(proxy.request(Method::GET, "/v1/tags").header(ID, given)).await;
        assert_eq!((answer.status.as_u16(), id(&answer).as_str()), (200, given));
        assert_eq!(arrived(&airbyte, "/v1/tags", ID), [given]);
        let escaped = given.replace('\\', "\\\\").replace('"', "\\\"");
        assert_eq!(line(&proxy, &escaped).await["request_id"], given);
    }
    proxy.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_good_id_a_request_gets_a_new_one() {
    let (airbyte, proxy) = binary().await;
    let too_long = "x".repeat(129);
    let mut ids = Vec::new();
    for given in [&[][..], &["a b"], &[""], &["a", "b"], &[too_long.as_str()]] {
        let mut request = proxy.request(Method::GET, "/v1/tags");
        for given in given {
            request = request.header(ID, *given);
        }
        let new = id(&got(request).await);
        assert!(new.len() == 16 && new.bytes().all(|b| b.is_ascii_hexdigit()), "{given:?}: {new}");
        assert_eq!(arrived(&airbyte, "/v1/tags", ID), [new.as_str()]);
        assert_eq!(line(&proxy, &new).await["route"], "/v1/tags");
        ids.push(new);
    }
    ids.dedup();
    assert_eq!(ids.len(), 5);
    proxy.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_of_our_own_have_the_id_too() {
    let (_airbyte, proxy) = binary().await;
    for (n, (method, path, host, status)) in [
        (Method::GET, "/", "localhost", 200),
        (Method::GET, "/-/live", "localhost", 200),
        (Method::HEAD, "/-/metrics", "localhost", 200),
        (Method::GET, "/nowhere", "localhost", 404),
        (Method::GET, "/v1/applications", "localhost", 403),
        (Method::GET, "/v1/jobs", "evil.example", 403),
        (Method::POST, "/v1/applications/token", "localhost", 200),
        (Method::GET, "/v1/jobs?limit=none", "localhost", 400),
    ]
    .into_iter()
    .enumerate()
    {
        let given = format!("own-{n}");
        let answer = got(proxy.request(method, path).header("host", host).header(ID, &given)).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
        assert_eq!(id(&answer), given, "{path}");
        assert_eq!(line(&proxy, &given).await["status"], status, "{path}");
    }
    proxy.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_pages_of_a_whole_list_are_asked_for_under_one_id() {
    let (airbyte, proxy) = binary().await;
    let answer = got(proxy.request(Method::GET, "/v1/jobs?limit=all").header(ID, "the-list")).await;
    assert_eq!(id(&answer), "the-list");
    let seen = airbyte.handle().seen();
    let pages: Vec<_> = seen.iter().filter(|seen| seen.target.starts_with("/v1/jobs?")).collect();
    assert!(pages.len() > 1 && pages.iter().all(|page| page.headers[ID] == "the-list"), "{pages:?}");
    proxy.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_that_airbyte_answers_with_does_not_replace_the_one_in_the_log() {
    let answers = |_| async { Response::builder().header(ID, "theirs").body(full("x")).expect("an answer") };
    let upstream = Upstream::start(Speaks::Http1, answers).await;
    let proxy = daemon(&upstream.api_url()).await;
    let answer = got(proxy.request(Method::GET, "/v1/tags").header(ID, "ours")).await;
    assert_eq!(id(&answer), "ours");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trace_is_passed_on_byte_for_byte_and_named_in_the_log() {
    let (airbyte, proxy) = binary().await;
    let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    for (n, (parent, trace)) in [
        (good, Some("4bf92f3577b34da6a3ce929d0e0e4736")),
        ("00-00000000000000000000000000000000-00f067aa0ba902b7-01", None),
        ("nonsense \"\\", None),
    ]
    .into_iter()
    .enumerate()
    {
        let given = format!("trace-{n}");
        let request = proxy.request(Method::GET, "/v1/tags").header(ID, &given);
        let request = request.header("traceparent", parent).header("tracestate", "a=1,b=2");
        assert_eq!(got(request.header("tracestate", "c=3")).await.status, 200);
        assert_eq!(arrived(&airbyte, "/v1/tags", "traceparent"), [parent]);
        assert_eq!(arrived(&airbyte, "/v1/tags", "tracestate"), ["a=1,b=2", "c=3"]);
        assert_eq!(line(&proxy, &given).await["trace_id"].as_str(), trace);
    }
    proxy.stop().await;
}
