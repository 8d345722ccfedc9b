//! The switches: each does what it says, over a real connection where that matters.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;
use crate::demo::{ApiFault, Fault, Gate, Grant, Lifespan, Simulator};

async fn minted(airbyte: &Airbyte, grant: Grant) -> Value {
    airbyte.handle.next_token_answers([Some(Fault::Grant(grant))]);
    let answer = airbyte.token("application/json", airbyte.credentials().to_string()).await;
    assert_eq!(answer.status, StatusCode::OK);
    answer.body
}

#[tokio::test]
async fn answers_follow_the_script_and_then_the_standing_fault() {
    let airbyte = Airbyte::new().await;
    airbyte.handle.set_fault(Some(Fault::Html(StatusCode::BAD_GATEWAY)));
    airbyte.handle.next_token_answers([Some(Fault::Empty), None, Some(Fault::NotAToken)]);
    let mut statuses = Vec::new();
    for _ in 0..5 {
        statuses
            .push(airbyte.token("application/json", airbyte.credentials().to_string()).await.status.as_u16());
    }
    assert_eq!(statuses, [200, 200, 200, 502, 502]);
    assert_eq!(airbyte.handle.mints(), 2, "one for the harness, one for the `None`");
    airbyte.handle.set_fault(None);
    airbyte.mint().await;
}

#[tokio::test]
async fn answers_that_are_no_tokens_have_the_headers_they_claim() {
    let airbyte = Airbyte::new().await;
    airbyte.handle.next_token_answers([
        Some(Fault::RetryAfter(StatusCode::TOO_MANY_REQUESTS, "7".into())),
        Some(Fault::Redirect("http://elsewhere.example/".into())),
        Some(Fault::Oversized),
        Some(Fault::ErrorId(StatusCode::INTERNAL_SERVER_ERROR)),
        Some(Fault::Html(StatusCode::OK)),
    ]);
    let send = async || {
        let request = Request::post("/v1/applications/token").body(Body::empty()).expect("valid");
        airbyte.send(request).await
    };
    let shed = send().await;
    assert_eq!((shed.status().as_u16(), &shed.headers()["retry-after"]), (429, &"7".parse().expect("valid")));
    let redirect = send().await;
    assert_eq!(redirect.status(), StatusCode::TEMPORARY_REDIRECT);
    assert_eq!(redirect.headers()["location"], "http://elsewhere.example/");
    let large = send().await.into_body().collect().await.expect("whole").to_bytes();
    assert!(large.len() > 1024 * 1024);
    assert_eq!(send().await.status(), StatusCode::INTERNAL_SERVER_ERROR);
    let html = send().await;
    assert_eq!(html.headers()["content-type"], "text/html; charset=utf-8");
}

#[tokio::test]
async fn a_token_can_live_shorter_than_it_says() {
    let mut airbyte = Airbyte::new().await;
    let short = Grant { lifetime: Some(Duration::from_secs(180)), ..Grant::default() };
    let body = minted(&airbyte, short).await;
    assert_eq!(body["expires_in"], 900, "from the configuration, not from the token");
    airbyte.bearer = body["access_token"].as_str().expect("a token").to_owned();
    airbyte.advance(179);
    airbyte.got("/workspaces").await;
    airbyte.advance(1);
    assert_eq!(airbyte.get("/workspaces").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_grant_can_be_odd_in_every_member() {
    let mut airbyte = Airbyte::new().await;
    let says = |text: &str| Grant { expires_in: Lifespan::Says(text.into()), ..Grant::default() };
    assert_eq!(minted(&airbyte, says("\"900\"")).await["expires_in"], "900");
    let absent = Grant { expires_in: Lifespan::Absent, ..Grant::default() };
    assert_eq!(minted(&airbyte, absent).await.get("expires_in"), None);
    let typed = Grant { token_type: Some("mac".into()), ..Grant::default() };
    assert_eq!(minted(&airbyte, typed).await["token_type"], "mac");
    let before = airbyte.mint().await;
    let repeated = Grant { repeat: true, ..Grant::default() };
    assert_eq!(minted(&airbyte, repeated).await["access_token"], before);
    let text = Grant { text: Some("a\nb".into()), ..Grant::default() };
    assert_eq!(minted(&airbyte, text).await["access_token"], "a\nb");
    let opaque = Grant { opaque: true, ..Grant::default() };
    let opaque = minted(&airbyte, opaque).await;
    airbyte.bearer = opaque["access_token"].as_str().expect("a token").to_owned();
    assert!(!airbyte.bearer.contains('.'));
    airbyte.got("/workspaces").await;
}

#[tokio::test]
async fn a_number_that_no_value_holds_is_sent_as_written() {
    let airbyte = Airbyte::new().await;
    let says = Grant { expires_in: Lifespan::Says("1e400".into()), ..Grant::default() };
    airbyte.handle.next_token_answers([Some(Fault::Grant(says))]);
    let request = Request::post("/v1/applications/token").header("content-type", "application/json");
    let request = request.body(Body::from(airbyte.credentials().to_string())).expect("valid");
    let body = airbyte.send(request).await.into_body().collect().await.expect("whole").to_bytes();
    assert!(body.ends_with(b"\"expires_in\":1e400}"));
}

#[tokio::test]
async fn whoever_hangs_is_counted_and_goes_on_when_the_gate_opens() {
    let airbyte = Airbyte::new().await;
    let gate = Gate::new();
    airbyte.handle.next_token_answers([Some(Fault::Hang(gate.clone()))]);
    airbyte.handle.next_api_answers([Some(ApiFault::Hold(gate.clone()))]);
    let opener = async {
        airbyte.handle.until(|counts| counts.held == 2).await;
        gate.open();
    };
    let (token, page, ()) = tokio::join!(airbyte.mint(), airbyte.got("/workspaces"), opener);
    assert!(!token.is_empty());
    assert!(page["data"].is_array());
    assert_eq!(airbyte.handle.counts().held, 0);
}

#[tokio::test]
async fn api_faults_hit_only_requests_with_a_live_token() {
    let mut airbyte = Airbyte::new().await;
    airbyte.handle.next_api_answers([
        Some(ApiFault::Shed),
        Some(ApiFault::Forbidden),
        Some(ApiFault::Unauthorized),
        Some(ApiFault::RetryAfter(StatusCode::SERVICE_UNAVAILABLE, "3".into())),
        Some(ApiFault::Html(StatusCode::GATEWAY_TIMEOUT)),
    ]);
    let good = std::mem::replace(&mut airbyte.bearer, "stranger".into());
    assert_eq!(airbyte.get("/workspaces").await.status, StatusCode::UNAUTHORIZED);
    airbyte.bearer = good;
    for status in [429, 403, 401, 503, 504, 200] {
        assert_eq!(airbyte.get("/workspaces").await.status.as_u16(), status);
    }
    assert_eq!(airbyte.handle.unauthorized(), 1);
}

// === over a real connection ===

/// A connection on which a request with a live token has been sent.
async fn send(simulator: &Simulator, path: &str) -> TcpStream {
    let token = simulator.handle().tokens().pop().expect("a token");
    let mut stream = TcpStream::connect(simulator.addr()).await.expect("connected");
    let head = format!(
        "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {}\r\n\r\n",
        token.expose()
    );
    stream.write_all(head.as_bytes()).await.expect("written");
    stream
}

/// All bytes until the simulator closes.
async fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut answer = Vec::new();
    // A reset is an end as well.
    let _ = stream.read_to_end(&mut answer).await;
    answer
}

async fn raw(simulator: &Simulator, path: &str) -> Vec<u8> {
    rest(&mut send(simulator, path).await).await
}

/// A running simulator that has given out one token.
async fn running() -> Simulator {
    let simulator = Simulator::start(Options::default()).expect("a free port");
    let body =
        json!({ "client_id": simulator.client_id(), "client_secret": simulator.client_secret().expose() });
    let request = Request::post("/v1/applications/token").header("content-type", "application/json");
    let request = request.body(Body::from(body.to_string())).expect("valid");
    let response = simulator.router().oneshot(request).await.expect("infallible");
    assert_eq!(response.status(), StatusCode::OK);
    simulator
}

#[tokio::test]
async fn the_simulator_serves_and_links_to_itself() {
    let simulator = running().await;
    let answer = String::from_utf8(raw(&simulator, "/v1/sources?limit=1").await).expect("text");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    let next = format!("\"next\":\"{}/sources?includeDeleted=false&limit=1&offset=1\"", simulator.api_url());
    assert!(answer.contains(&next), "{answer}");
    assert_eq!(answer.matches("\r\ndate: ").count(), 1, "one Date, ours");
}

#[tokio::test]
async fn a_closed_connection_has_no_byte_of_an_answer() {
    let simulator = running().await;
    simulator.handle().next_api_answers([Some(ApiFault::Close), Some(ApiFault::Truncated)]);
    assert_eq!(raw(&simulator, "/v1/sources").await, b"");
    let truncated = String::from_utf8(raw(&simulator, "/v1/sources").await).expect("text");
    assert!(truncated.contains("content-length: 4096\r\n"), "{truncated}");
    assert!(truncated.ends_with("\r\n\r\n{\"data\":["), "{truncated}");
}

#[tokio::test]
async fn stopping_cuts_connections_and_frees_the_address() {
    let simulator = running().await;
    let (addr, handle) = (simulator.addr(), simulator.handle());
    handle.set_api_fault(Some(ApiFault::Hold(Gate::new())));
    let mut held = send(&simulator, "/v1/sources").await;
    handle.until(|counts| counts.held == 1).await;
    simulator.stop().await;
    assert_eq!(rest(&mut held).await, b"");
    assert_eq!(handle.counts().held, 0);
    let again =
        Simulator::start(Options { listen: addr, ..Options::default() }).expect("the address is free");
    assert_eq!(again.addr(), addr);
}
