//! The token endpoint: before us, misbehaving, and behind us, emulated for clients that mint their own token.

use std::time::Duration;

use airbyte_proxy::demo::{Fault, Gate, Grant};
use airbyte_proxy::mint::BodyFormat;
use airbyte_proxy::secret::{ClientCredentials, Secret};
use http::{Method, Response, StatusCode};

use crate::harness::daemon::{Got, got};
use crate::harness::simulated::{Stage, stage, stage_with};
use crate::harness::talk::show;
use crate::harness::upstream::{Speaks, Upstream, full};

const SECOND: Duration = Duration::from_secs(1);

/// A request whose answer may take its time on the driven clock.
async fn eventually(stage: &Stage) -> Got {
    stage.while_time_passes(stage.proxy.begin(Method::GET, "/v1/workspaces")).await
}

fn is_503(got: &Got, problem: &str) -> u64 {
    assert_eq!(
        (got.status, got.problem().as_str()),
        (StatusCode::SERVICE_UNAVAILABLE, problem),
        "{}",
        got.text()
    );
    let after = got.header("retry-after").and_then(|v| v.parse().ok()).expect("whole seconds");
    assert!(after >= 1);
    after
}

/// So many seconds pass one by one, with a request in each.
async fn every_second(stage: &Stage, seconds: u32, mut each: impl FnMut(u32)) {
    for second in 0..seconds {
        each(second);
        let got = stage.proxy.get("/v1/workspaces").await;
        assert_eq!(got.status, StatusCode::OK, "second {second}: {}", got.text());
        stage.hand.advance(SECOND);
    }
    let counts = stage.airbyte.counts();
    assert_eq!((counts.unauthorized(), counts.requests), (0, u64::from(seconds)), "{counts:?}");
}

// === misbehaving ===

#[tokio::test]
async fn a_token_endpoint_that_is_down_at_start_is_a_503_and_recovers_by_itself() {
    let stage = stage(|airbyte| airbyte.set_fault(Some(Fault::Close))).await;
    for _ in 0..3 {
        let after = is_503(&eventually(&stage).await, "token-unavailable");
        assert!(after <= 30, "{after}");
    }
    assert_eq!(stage.airbyte.requests(), 0, "nothing went to the API");
    stage.airbyte.set_fault(None);
    let recovered = stage.airbyte.clone();
    // Without anybody asking.
    stage
        .while_time_passes(tokio::spawn(async move { recovered.until(|counts| counts.mints == 1).await }))
        .await;
    assert_eq!(stage.proxy.get("/v1/workspaces").await.status, StatusCode::OK);
    assert_eq!(stage.airbyte.unauthorized(), 0);
}

#[tokio::test]
async fn whatever_the_token_endpoint_says_no_request_goes_out_without_a_token() {
    let elsewhere =
        Upstream::start(Speaks::Http1, |_| async { Response::new(full("thanks for the secret")) }).await;
    let gate = Gate::new();
    let html = |status| Fault::Html(StatusCode::from_u16(status).expect("a status"));
    let text = |token: &str| Fault::Grant(Grant { text: Some(token.to_owned()), ..Grant::default() });
    for (fault, problem) in [
        (html(200), "token-unavailable"),
        (html(429), "token-unavailable"),
        (html(502), "token-unavailable"),
        (Fault::Empty, "token-unavailable"),
        (Fault::NotAToken, "token-unavailable"),
        (Fault::Oversized, "token-unavailable"),
        (Fault::Truncated, "token-unavailable"),
        (Fault::Hang(gate.clone()), "token-unavailable"),
        (Fault::Text("{\"access_token\":".to_owned()), "token-unavailable"),
        (
            Fault::Text("{\"access_token\":\"a\\r\\nx: y\",\"token_type\":\"Bearer\"}".to_owned()),
            "token-unavailable",
        ),
        (text("two words"), "token-unavailable"),
        (text(""), "token-unavailable"),
        (Fault::Grant(Grant { token_type: Some("mac".to_owned()), ..Grant::default() }), "token-unavailable"),
        (Fault::RetryAfter(StatusCode::SERVICE_UNAVAILABLE, "7".to_owned()), "token-unavailable"),
        (Fault::Redirect(elsewhere.token_url()), "token-endpoint-wrong"),
        (html(302), "token-endpoint-wrong"),
        (html(404), "token-endpoint-wrong"),
        (html(405), "token-endpoint-wrong"),
        (html(415), "token-endpoint-wrong"),
        // In a row and before any success, that is how some servers answer wrong credentials.
        (html(500), "credentials-rejected"),
        (html(400), "credentials-rejected"),
        (Fault::ErrorId(StatusCode::UNAUTHORIZED), "credentials-rejected"),
        (html(403), "credentials-rejected"),
    ] {
        let stage = stage(|airbyte| airbyte.set_fault(Some(fault.clone()))).await;
        let answer = eventually(&stage).await;
        is_503(&answer, problem);
        assert!(!answer.text().contains(stage.airbyte.credentials().client_secret.expose()), "{fault:?}");
        let counts = stage.airbyte.counts();
        assert_eq!((counts.requests, counts.authorization_headers), (0, 0), "{fault:?}");
        assert!(counts.token_requests >= 1, "{fault:?}");
    }
    assert_eq!(elsewhere.connections(), 0, "the secret stayed here");
}

#[tokio::test]
async fn wrong_credentials_are_not_tried_again_and_again() {
    let wrong = ClientCredentials {
        client_id: "id".to_owned(),
        client_secret: Secret::new("a-wrong-client-secret".to_owned()),
    };
    let stage = stage_with(|_| {}, |settings| settings.credentials = wrong).await;
    let after = is_503(&eventually(&stage).await, "credentials-rejected");
    assert!((1..=40).contains(&after), "{after}");
    // Callers cannot make it ask again. (Less than 12 s before the next attempt they would wait for it.)
    for _ in 0..12 {
        is_503(&stage.proxy.get("/v1/workspaces").await, "credentials-rejected");
        stage.hand.advance(SECOND);
    }
    assert_eq!(stage.airbyte.counts().refused, 1);
    // The right ones are tried at once.
    stage.proxy.tokens.credentials(stage.airbyte.credentials());
    assert_eq!(eventually(&stage).await.status, StatusCode::OK);
}

#[tokio::test]
async fn requests_wait_for_a_first_token_that_is_slow() {
    let gate = Gate::new();
    let stage = stage(|airbyte| airbyte.next_token_answers([Some(Fault::Hang(gate.clone()))])).await;
    stage.airbyte.until(|counts| counts.held == 1).await;
    let calls: Vec<_> = (0..100).map(|_| stage.proxy.begin(Method::GET, "/v1/workspaces")).collect();
    let leaving = stage.proxy.ask("GET /v1/workspaces HTTP/1.1").await;
    drop(leaving);
    gate.open();
    for call in calls {
        assert_eq!(call.await.expect("a task").status, StatusCode::OK);
    }
    let counts = stage.airbyte.counts();
    assert_eq!((counts.mints, counts.token_requests, counts.unauthorized()), (1, 1, 0));
}

#[tokio::test]
async fn four_minutes_without_a_token_endpoint_cost_no_request() {
    let gate = Gate::new();
    for (begin, fault) in [
        (0, Fault::Close),
        (300, Fault::Html(StatusCode::OK)),
        (480, Fault::Html(StatusCode::SERVICE_UNAVAILABLE)),
        (560, Fault::Hang(gate.clone())),
        (620, Fault::Close),
    ] {
        let stage = stage(|_| {}).await;
        let airbyte = stage.airbyte.clone();
        every_second(&stage, 1200, |second| {
            // The first token is there after the first request.
            if second == begin + 1 {
                airbyte.set_fault(Some(fault.clone()));
            }
            if second == begin + 241 {
                airbyte.set_fault(None);
            }
        })
        .await;
        let mints = stage.airbyte.mints();
        assert!((2..=4).contains(&mints), "{begin}: {mints}");
    }
}

#[tokio::test]
async fn tokens_that_live_shorter_than_is_said_are_never_sent_dead() {
    let grant = Grant { lifetime: Some(180 * SECOND), ..Grant::default() };
    let stage = stage(|airbyte| airbyte.set_fault(Some(Fault::Grant(grant)))).await;
    every_second(&stage, 1000, |_| {}).await;
    let mints = stage.airbyte.mints();
    assert!((8..=12).contains(&mints), "one each 99 to 117 s: {mints}");
}

#[tokio::test]
async fn tokens_of_any_length_are_renewed_in_time() {
    for lifetime in [10, 15, 30, 60, 86_400] {
        let stage = stage(|airbyte| airbyte.set_token_lifetime(lifetime * SECOND)).await;
        every_second(&stage, 200, |_| {}).await;
        let mints = stage.airbyte.mints();
        let most = 200 / u64::from(lifetime / 2) + 2;
        assert!(mints <= most, "{lifetime} s: {mints} mints");
    }
}

#[tokio::test]
async fn after_a_suspend_of_two_hours_the_old_token_is_not_sent() {
    let stage = stage(|_| {}).await;
    assert_eq!(stage.proxy.get("/v1/workspaces").await.status, StatusCode::OK);
    stage.hand.advance(7200 * SECOND);
    let calls: Vec<_> = (0..50).map(|_| stage.proxy.begin(Method::GET, "/v1/workspaces")).collect();
    for call in calls {
        assert_eq!(call.await.expect("a task").status, StatusCode::OK);
    }
    let counts = stage.airbyte.counts();
    assert_eq!((counts.unauthorized(), counts.mints), (0, 2));
}

#[tokio::test]
async fn a_wall_clock_that_jumps_costs_no_request() {
    let stage = stage(|_| {}).await;
    for jump in [3_600_000, -7_200_000, 86_400_000, i64::MAX / 4, i64::MIN / 2] {
        assert_eq!(stage.proxy.get("/v1/workspaces").await.status, StatusCode::OK);
        stage.hand.jump_wall(jump);
        assert_eq!(eventually(&stage).await.status, StatusCode::OK, "{jump}");
    }
    assert_eq!(stage.airbyte.unauthorized(), 0);
}

#[tokio::test]
async fn a_rotated_secret_is_noticed_when_the_token_dies_and_the_new_one_mends_it() {
    let stage = stage(|_| {}).await;
    assert_eq!(stage.proxy.get("/v1/workspaces").await.status, StatusCode::OK);
    stage.airbyte.rotate_secret(Secret::new("a-rotated-client-secret".to_owned()));
    // While the token lives, nobody notices.
    for _ in 0..88 {
        assert_eq!(stage.proxy.get("/v1/workspaces").await.status, StatusCode::OK);
        stage.hand.advance(10 * SECOND);
    }
    stage.hand.advance(11 * SECOND);
    let got = eventually(&stage).await;
    is_503(&got, "credentials-rejected");
    assert!(!got.text().contains("rotated"));
    stage.proxy.tokens.credentials(stage.airbyte.credentials());
    assert_eq!(eventually(&stage).await.status, StatusCode::OK);
    let counts = stage.airbyte.counts();
    assert_eq!((counts.unauthorized(), counts.mints), (0, 2));
}

#[tokio::test]
async fn the_token_request_can_be_a_form() {
    let stage = stage_with(|_| {}, |settings| settings.mint.body = BodyFormat::Form).await;
    assert_eq!(stage.proxy.get("/v1/workspaces").await.status, StatusCode::OK);
}

// === emulated ===

const TOKEN_PATHS: [&str; 5] = [
    "/v1/applications/token",
    "/applications/token",
    "/api/public/v1/applications/token",
    "/api/v1/applications/token",
    "/-/all/v1/applications/token",
];

#[tokio::test]
async fn clients_that_mint_get_a_token_for_anything_and_upstream_hears_nothing_of_it() {
    let stage = stage(|_| {}).await;
    assert_eq!(stage.proxy.get("/v1/workspaces").await.status, StatusCode::OK);
    let big = format!("{{\"client_secret\":\"{}\"}}", "x".repeat(60 * 1024));
    for path in TOKEN_PATHS {
        for (content_type, body) in [
            (
                "application/json",
                r#"{"client_id":"any","client_secret":"thing","grant-type":"client_credentials"}"#,
            ),
            (
                "application/x-www-form-urlencoded",
                "grant_type=client_credentials&client_id=a&client_secret=b",
            ),
            ("application/json", "{\"client_id\":"),
            ("text/plain", "\u{0}\u{fffd}"),
            ("application/json", ""),
            ("application/json", &big),
        ] {
            let request = stage.proxy.request(Method::POST, path).header("content-type", content_type);
            let answer = got(request.basic_auth("id", Some("secret")).body(body.to_owned())).await;
            assert_eq!(answer.status, StatusCode::OK, "{path} {content_type}");
            assert_eq!(answer.header("content-type"), Some("application/json"));
            assert_eq!(answer.header("cache-control"), Some("no-store"), "RFC 6749 §5.1");
            let json = answer.json();
            assert_eq!(json["token_type"], "Bearer");
            assert!(json["expires_in"].as_u64().is_some_and(|s| s >= 3600), "{json}");
            assert!(json["access_token"].as_str().is_some_and(|t| !t.is_empty() && t.is_ascii()), "{json}");
        }
    }
    let counts = stage.airbyte.counts();
    assert_eq!((counts.token_requests, counts.requests), (1, 1), "our own, and the one at the beginning");
}

#[tokio::test]
async fn the_token_that_was_given_is_replaced_like_any_other() {
    let stage = stage(|_| {}).await;
    let minted = got(stage.proxy.request(Method::POST, TOKEN_PATHS[0]).body("{}")).await.json();
    let token = minted["access_token"].as_str().expect("a token").to_owned();
    let answer = got(stage.proxy.request(Method::GET, "/v1/workspaces").bearer_auth(token)).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(stage.airbyte.authorization_headers_seen(), 1);
}

#[tokio::test]
async fn a_connection_that_asked_for_a_token_can_be_used_again() {
    let stage = stage(|_| {}).await;
    let mut caller = stage.proxy.talk().await;
    let post = "POST /v1/applications/token HTTP/1.1\r\nhost: localhost\r\n";
    for body in [
        "content-length: 2\r\n\r\n{}",
        "transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        "content-length: 0\r\n\r\n",
    ] {
        caller.say(format!("{post}{body}")).await;
        let head = caller.head().await;
        assert_eq!(head.first_line(), "HTTP/1.1 200 OK");
        let length: usize = head.all("content-length")[0].parse().expect("a number");
        assert!(show(&caller.exactly(length).await).contains("access_token"));
    }
    caller.say(format!("{post}expect: 100-continue\r\ncontent-length: 2\r\n\r\n")).await;
    assert_eq!(caller.head().await.first_line(), "HTTP/1.1 100 Continue");
    caller.say("{}").await;
    assert_eq!(caller.head().await.first_line(), "HTTP/1.1 200 OK");
}

#[tokio::test]
async fn a_token_request_of_absurd_size_is_answered_without_being_read() {
    let stage = stage(|_| {}).await;
    let mut caller = stage.proxy.talk().await;
    let head = "POST /v1/applications/token HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100000000\r\n\r\n";
    caller.say(head).await;
    caller.say(vec![b'x'; 65 * 1024]).await;
    assert_eq!(caller.head().await.first_line(), "HTTP/1.1 200 OK");
    assert_eq!(stage.airbyte.requests(), 0);
}

#[tokio::test]
async fn a_token_is_asked_for_with_post() {
    let stage = stage(|_| {}).await;
    for path in TOKEN_PATHS {
        for method in [Method::GET, Method::PUT, Method::DELETE] {
            let answer = got(stage.proxy.request(method, path)).await;
            assert_eq!(
                (answer.status, answer.header("allow")),
                (StatusCode::METHOD_NOT_ALLOWED, Some("POST"))
            );
            assert_eq!(answer.problem(), "method-not-allowed");
            assert!(answer.header("proxy-status").is_some());
        }
    }
    assert_eq!(stage.airbyte.requests(), 0);
}
