//! What somebody meets who starts it for the first time.

use std::net::TcpListener;
use std::time::Duration;

use airbyte_proxy::clock::Clock;
use airbyte_proxy::demo::{Fault, Options};
use http::{Method, StatusCode};

use crate::harness::daemon::got;
use crate::harness::process::{airbyte, airbyte_proxy, free_port, in_front_of, wrapped};

const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

/// Nobody is asked in these tests, so any address does.
fn alone(arguments: &str) -> crate::harness::process::Start {
    airbyte_proxy(arguments)
        .env("AIRBYTE_PROXY_UPSTREAM_API_URL", "http://127.0.0.1:9/v1")
        .env("AIRBYTE_CLIENT_ID", "an-id")
        .env("AIRBYTE_CLIENT_SECRET", "a-secret-of-nobody")
}

#[tokio::test]
async fn a_port_that_another_airbyte_proxy_holds_is_said_to_be() {
    let first = alone("--listen 127.0.0.1:0").start().await;
    let second = alone(&format!("--listen {}", first.addr)).run().await;
    assert_eq!(second.code, Some(1));
    let told = format!("cannot listen on http://{}: another airbyte-proxy is listening there", first.addr);
    assert!(second.stderr.contains(&told), "{}", second.stderr);
    assert!(second.stderr.contains("  hint: use that one, stop it, or"), "{}", second.stderr);
    first.stop().await;
}

#[tokio::test]
async fn a_port_that_another_program_holds_comes_with_the_way_to_find_it() {
    // It takes connections and says nothing.
    let other = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = other.local_addr().expect("bound");
    let ended = alone(&format!("--listen {address}")).run().await;
    assert_eq!(ended.code, Some(1));
    let told = format!("cannot listen on http://{address}: it is taken by another program");
    assert!(ended.stderr.contains(&told), "{}", ended.stderr);
    assert!(ended.stderr.contains(&format!("ss -ltnp 'sport = :{}'", address.port())), "{}", ended.stderr);
}

#[tokio::test]
async fn a_port_that_is_free_in_one_family_only_is_not_half_taken() {
    let Ok(other) = TcpListener::bind("[::1]:0") else { return println!("skipped: no IPv6 here") };
    let port = other.local_addr().expect("bound").port();
    let ended = alone(&format!("--listen 127.0.0.1:{port} --listen [::1]:{port}")).run().await;
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains(&format!("cannot listen on http://[::1]:{port}: ")), "{}", ended.stderr);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_of_open_files_below_that_of_connections_is_told() {
    let few = wrapped(&["prlimit", "--nofile=300:300"], "--listen 127.0.0.1:0 --log-level debug")
        .env("AIRBYTE_CLIENT_ID", "an-id")
        .env("AIRBYTE_CLIENT_SECRET", "a-secret-of-nobody")
        .env("AIRBYTE_PROXY_UPSTREAM_API_URL", format!("http://127.0.0.1:{}/v1", free_port()));
    let few = few.start().await;
    let told = few.logged("ulimit -n").await;
    assert!(told.contains("\"files\":300") && told.contains("\"connections\":16384"), "{told}");
    few.logged("files that may be open").await;
    few.stop().await;
}

#[tokio::test]
async fn its_own_address_is_nothing_to_ask() {
    let elsewhere = format!("http://127.0.0.1:{}/v1", free_port());
    for (variable, host, path) in [
        ("AIRBYTE_PROXY_UPSTREAM_API_URL", "localhost", "/v1"),
        ("AIRBYTE_PROXY_UPSTREAM_CONFIG_API_URL", "127.0.0.1", "/api/v1"),
        ("AIRBYTE_PROXY_TOKEN_URL", "127.0.0.1", "/v1/applications/token"),
        ("AIRBYTE_PROXY_TOKEN_URL", "[::ffff:127.0.0.1]", "/v1/applications/token"),
        ("AIRBYTE_PROXY_TOKEN_URL", "0.0.0.0", "/v1/applications/token"),
    ] {
        let port = free_port();
        let url = format!("http://{host}:{port}{path}");
        let start = alone(&format!("--listen 127.0.0.1:{port}"))
            .env("AIRBYTE_PROXY_UPSTREAM_API_URL", &elsewhere)
            .env("AIRBYTE_PROXY_TOKEN_ALLOW_OTHER_HOST", "true")
            .env("AIRBYTE_PROXY_UPSTREAM_ALLOW_HTTP", "true");
        let ended = start.env(variable, &url).run().await;
        assert_eq!(ended.code, Some(2), "{url}: {}", ended.stderr);
        let told = format!("{variable}: is the address that this proxy itself listens on");
        assert!(ended.stderr.contains(&told), "{url}: {}", ended.stderr);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_variable_is_warned_of_and_does_not_come_between_us_and_a_local_airbyte() {
    let airbyte = airbyte(Options::default());
    let mut start = in_front_of(&airbyte);
    for name in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
        start = start.env(name, "http://someone:password-of-a-proxy@127.0.0.1:9");
    }
    let proxy = start.start().await;
    assert_eq!(proxy.get("/v1/workspaces").await.status, StatusCode::OK);
    let warning = proxy.logged("NO_PROXY").await;
    assert!(warning.contains("\"level\":\"WARN\""), "{warning}");
    assert!(warning.contains("http_proxy is set and NO_PROXY does not list localhost"), "{warning}");
    proxy.signal(rustix::process::Signal::TERM);
    assert!(!proxy.ended().await.stderr.contains("password-of-a-proxy"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_token_endpoint_is_named() {
    let airbyte = airbyte(Options::default());
    airbyte.handle().set_fault(Some(Fault::Html(StatusCode::NOT_FOUND)));
    let url = format!("http://{}/v1/applications/token", airbyte.addr());
    let proxy = in_front_of(&airbyte).start().await;
    let answer = proxy.get("/v1/workspaces").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.problem(), "token-endpoint-wrong");
    assert!(answer.text().contains(&url), "{}", answer.text());
    assert!(answer.header("retry-after").is_some());
    let ready = proxy.get("/-/ready").await;
    assert_eq!(ready.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(ready.json()["status"], "broken");
    assert_eq!(proxy.get("/-/live").await.status, StatusCode::OK);
    assert_eq!(airbyte.handle().counts().authorized, 0);
    proxy.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_credentials_are_said_to_be() {
    let airbyte = airbyte(Options::default());
    let proxy = in_front_of(&airbyte).env("AIRBYTE_CLIENT_SECRET", "surely-not-the-right-one").start().await;
    let answer = proxy.get("/v1/workspaces").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.problem(), "credentials-rejected");
    assert_eq!(airbyte.handle().counts().refused, 1, "asked once, then backed off");
    proxy.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_gets_a_page_and_curl_gets_five_lines() {
    let airbyte = airbyte(Options::default());
    let proxy = in_front_of(&airbyte).start().await;
    let answer = got(proxy.request(Method::GET, "/").header("accept", BROWSER)).await;
    assert_eq!((answer.status, answer.header("location")), (StatusCode::SEE_OTHER, Some("/-/")));
    let page = got(proxy.request(Method::GET, "/-/").header("accept", BROWSER)).await;
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(page.text().contains(&format!("http://{}/v1", proxy.addr)));
    let terminal = got(proxy.request(Method::GET, "/").header("accept", "*/*")).await;
    assert_eq!(terminal.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(terminal.text().lines().count(), 5, "{}", terminal.text());
    proxy.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_path_is_words_for_a_browser_and_json_for_a_program() {
    let airbyte = airbyte(Options::default());
    let proxy = in_front_of(&airbyte).start().await;
    let page = got(proxy.request(Method::GET, "/workspaces").header("accept", BROWSER)).await;
    assert_eq!(page.status, StatusCode::NOT_FOUND);
    assert!(page.header("content-type").is_some_and(|kind| kind.starts_with("text/html")), "{page:?}");
    assert!(page.text().contains("/v1/workspaces"), "{}", page.text());
    let json = proxy.get("/workspaces").await;
    assert_eq!(json.header("content-type"), Some("application/problem+json"));
    assert_eq!(json.problem(), "unknown-path");
    assert_eq!(airbyte.handle().requests(), 0);
    proxy.stop().await;
}

/// Measured with all libraries optimised and our own code not, on a machine that does much else: the bound is generous.
#[tokio::test]
async fn it_listens_soon_after_its_start() {
    let clock = Clock::system();
    let mut times = Vec::new();
    for _ in 0..5 {
        let before = clock.now();
        let proxy = alone("--listen 127.0.0.1:0").at_its_own_level().start().await;
        times.push(clock.now().since(before));
        proxy.stop().await;
    }
    times.sort();
    println!("start to listening: median {:?} of {times:?}", times[2]);
    assert!(times[2] < Duration::from_secs(1), "{times:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_needs_nothing_and_says_what_to_try() {
    let demo = airbyte_proxy("demo --listen 127.0.0.1:0 --token-lifetime 10s")
        .env("AIRBYTE_PROXY_NAME", "stage 2")
        .start()
        .await;
    demo.said("airbyte-proxy demo \"stage 2\": a simulated Airbyte").await;
    let curl = demo.said("    curl http://127.0.0.1:").await;
    let url = curl.trim().strip_prefix("curl ").expect("a line to try").to_owned();
    assert_eq!(url, demo.url("/v1/workspaces"));
    let answer = demo.get("/v1/workspaces").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.json()["data"].as_array().is_some_and(|rows| !rows.is_empty()), "{}", answer.text());
    demo.signal(rustix::process::Signal::INT);
    let ended = demo.ended().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stdout.contains("saw 1 requests, 0 of them without a live token"), "{}", ended.stdout);
}
