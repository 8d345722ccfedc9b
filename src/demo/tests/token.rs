//! The token endpoint, and how long a token is good.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::*;
use crate::demo::{Event, Refused, Style, Unauthorized};
use crate::secret::Secret;

/// The claims of a token.
fn claims(token: &str) -> Value {
    let parts: Vec<_> = token.split('.').collect();
    assert_eq!(parts.len(), 3, "a JWT has three parts");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts[1]).expect("base64url")).expect("JSON")
}

const FORM: &str = "application/x-www-form-urlencoded";

fn form(id: &str, secret: &str) -> String {
    format!("grant_type=client_credentials&client_id={id}&client_secret={secret}")
}

#[tokio::test]
async fn json_and_form_both_buy_a_token() {
    let airbyte = Airbyte::new().await;
    let json = airbyte.token("application/json; charset=utf-8", airbyte.credentials().to_string()).await;
    let credentials = airbyte.handle.credentials();
    let form = airbyte.token(FORM, form(&credentials.client_id, credentials.client_secret.expose())).await;
    for answer in [json, form] {
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.body["token_type"], "Bearer");
        assert_eq!(answer.body["expires_in"], 900);
        assert!(answer.body["access_token"].is_string());
    }
    assert_eq!(airbyte.handle.mints(), 3);
}

#[tokio::test]
async fn the_camel_case_of_the_published_example_is_not_accepted() {
    let airbyte = Airbyte::new().await;
    let credentials = airbyte.handle.credentials();
    let body =
        json!({ "clientId": credentials.client_id, "clientSecret": credentials.client_secret.expose() });
    assert_eq!(airbyte.token("application/json", body.to_string()).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(
        airbyte.token("text/plain", body.to_string()).await.status,
        StatusCode::UNSUPPORTED_MEDIA_TYPE
    );
}

#[tokio::test]
async fn self_managed_paths_buy_the_same_tokens() {
    let airbyte = Airbyte::new().await;
    let body = airbyte.credentials().to_string();
    let public =
        airbyte.token_at("/api/public/v1/applications/token", "application/json", body.clone()).await;
    assert_eq!(public.body["expires_in"], 900);
    let old = airbyte.token_at("/api/v1/applications/token", "application/json", body).await;
    assert_eq!(old.body.as_object().map(serde_json::Map::len), Some(1), "nothing but the token");
    let form = airbyte.token_at("/api/v1/applications/token", FORM, form("a", "b")).await;
    assert_eq!(form.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    for answer in [public, old] {
        let token = answer.body["access_token"].as_str().expect("a token");
        let request =
            Request::get("/api/public/v1/workspaces").header("authorization", format!("Bearer {token}"));
        assert_eq!(airbyte.answer(request.body(Body::empty()).expect("valid")).await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn cloud_refuses_wrong_credentials_with_an_error_id() {
    let airbyte = Airbyte::new().await;
    let mut events = airbyte.handle.events();
    let answer = airbyte.token(FORM, form("nobody", "wrong")).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert!(answer.body["errorId"].is_string(), "{}", answer.body);
    assert_eq!(airbyte.handle.counts().refused, 1);
    assert_eq!(events.try_recv(), Ok(Event::Refused(Refused::Credentials)));
}

#[tokio::test]
async fn core_refuses_wrong_credentials_with_400_and_mints_without_iat() {
    let airbyte = Airbyte::with(|options| options.style = Style::Core).await;
    let answer = airbyte.token(FORM, form("nobody", "wrong")).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert_eq!(answer.body["_embedded"]["errors"][0]["message"], "Invalid client id or token");
    let claims = claims(&airbyte.bearer);
    assert_eq!(claims["aud"], "airbyte-server");
    assert_eq!(claims.get("iat"), None);
    assert_eq!(claims["exp"], 1_700_000_900);
}

#[tokio::test]
async fn a_forgotten_v1_is_a_misleading_401() {
    let airbyte = Airbyte::new().await;
    let body = airbyte.credentials().to_string();
    let answer = airbyte.token_at("/applications/token", "application/json", body).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert_eq!(answer.body["_links"]["self"]["href"], "/api/public/applications/token");
}

#[tokio::test]
async fn some_installations_refuse_a_form() {
    let airbyte = Airbyte::with(|options| options.refuse_form = true).await;
    let credentials = airbyte.handle.credentials();
    let form = form(&credentials.client_id, credentials.client_secret.expose());
    assert_eq!(airbyte.token(FORM, form).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_token_is_good_until_its_exp_and_not_a_second_longer() {
    let airbyte = Airbyte::new().await;
    let claims = claims(&airbyte.bearer);
    assert_eq!((&claims["iat"], &claims["exp"]), (&json!(1_700_000_000), &json!(1_700_000_900)));
    airbyte.advance(899);
    assert_eq!(airbyte.get("/workspaces").await.status, StatusCode::OK);
    airbyte.advance(1);
    let answer = airbyte.get("/workspaces").await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert_eq!(answer.body["message"], "Unauthorized");
    assert_eq!(answer.body["_links"]["self"]["href"], "/api/public/v1/workspaces");
    assert_eq!(airbyte.handle.counts().expired, 1);
}

#[tokio::test]
async fn setting_our_wall_clock_does_not_change_the_time_at_airbyte() {
    let airbyte = Airbyte::new().await;
    airbyte.hand.jump_wall(86_400_000);
    assert_eq!(airbyte.get("/workspaces").await.status, StatusCode::OK);
}

#[tokio::test]
async fn date_and_claims_show_the_time_at_airbyte() {
    let airbyte = Airbyte::with(|options| options.clock_skew = 3600).await;
    assert_eq!(claims(&airbyte.bearer)["iat"], 1_700_003_600);
    let response = airbyte.send(airbyte.request(Method::GET, "/v1/workspaces", Body::empty())).await;
    assert_eq!(response.headers()["date"], "Tue, 14 Nov 2023 23:13:20 GMT");
}

#[tokio::test]
async fn revoked_tokens_stop_and_new_ones_work() {
    let mut airbyte = Airbyte::new().await;
    let mut events = airbyte.handle.events();
    airbyte.handle.revoke_all();
    assert_eq!(airbyte.get("/workspaces").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(events.try_recv(), Ok(Event::Unauthorized(Unauthorized::Revoked)));
    airbyte.bearer = airbyte.mint().await;
    assert_eq!(airbyte.get("/workspaces").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_rotated_secret_buys_nothing_any_more_but_its_tokens_live_on() {
    let airbyte = Airbyte::new().await;
    let old = airbyte.credentials().to_string();
    airbyte.handle.rotate_secret(Secret::new("another".to_owned()));
    assert_eq!(airbyte.token("application/json", old).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(airbyte.get("/workspaces").await.status, StatusCode::OK);
    airbyte.mint().await;
}

#[tokio::test]
async fn only_one_live_bearer_token_lets_anybody_in() {
    let airbyte = Airbyte::new().await;
    let bearer = format!("Bearer {}", airbyte.bearer);
    let forged = format!("{bearer}x");
    let basic = format!("Basic {}", airbyte.bearer);
    let lower = format!("bearer {}", airbyte.bearer);
    let cases: [(&[&str], u16); 6] = [
        (&[], 401),
        (&[&forged], 401),
        (&[&basic], 401),
        (&["Bearer"], 401),
        (&[&bearer, &bearer], 401),
        (&[&lower], 200),
    ];
    for (values, status) in cases {
        let mut request = Request::get("/v1/workspaces");
        for value in values {
            request = request.header("authorization", *value);
        }
        let answer = airbyte.answer(request.body(Body::empty()).expect("valid")).await;
        assert_eq!(answer.status.as_u16(), status, "{values:?}");
    }
    let counts = airbyte.handle.counts();
    assert_eq!((counts.missing, counts.foreign, counts.unauthorized()), (4, 1, 5));
    assert_eq!((counts.requests, counts.authorized, counts.authorization_headers), (6, 1, 6));
}

#[tokio::test]
async fn an_unknown_path_is_401_to_a_stranger_and_404_with_a_token() {
    let airbyte = Airbyte::new().await;
    let stranger = Request::get("/v1/nothing").body(Body::empty()).expect("valid");
    assert_eq!(airbyte.answer(stranger).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(airbyte.get("/nothing").await.status, StatusCode::NOT_FOUND);
    assert_eq!(airbyte.delete("/workspaces").await.status, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn health_and_root_need_no_token() {
    let airbyte = Airbyte::new().await;
    for (path, status) in [("/v1/health", 200), ("/v1/", 302), ("/", 302), ("/api/public/v1/health", 200)] {
        let response = airbyte.send(Request::get(path).body(Body::empty()).expect("valid")).await;
        assert_eq!(response.status().as_u16(), status, "{path}");
    }
    assert_eq!(airbyte.handle.requests(), 0);
}

#[tokio::test]
async fn a_missing_user_agent_is_403_where_that_is_asked_for() {
    let airbyte = Airbyte::with(|options| options.require_user_agent = true).await;
    assert_eq!(airbyte.get("/workspaces").await.status, StatusCode::FORBIDDEN);
    let mut request = airbyte.request(Method::GET, "/v1/workspaces", Body::empty());
    request.headers_mut().insert("user-agent", "x".parse().expect("valid"));
    assert_eq!(airbyte.answer(request).await.status, StatusCode::OK);
}

#[tokio::test]
async fn what_is_kept_of_requests_does_not_print_tokens() {
    let airbyte = Airbyte::with(|options| options.record = 2).await;
    for path in ["/workspaces?limit=1", "/sources?limit=2", "/jobs?limit=3"] {
        airbyte.got(path).await;
    }
    let seen = airbyte.handle.seen();
    let targets: Vec<_> = seen.iter().map(|seen| seen.target.as_str()).collect();
    assert_eq!(targets, ["/v1/sources?limit=2", "/v1/jobs?limit=3"]);
    let printed = format!("{seen:?} {:?}", airbyte.handle);
    assert!(!printed.contains(&airbyte.bearer));
    assert_eq!(airbyte.handle.tokens().len(), 1);
}

#[test]
fn events_read_like_a_log() {
    let minted = Event::Minted { number: 3, lifetime: Duration::from_secs(30) };
    assert_eq!(minted.to_string(), "token 3 minted, lives 30 s");
}
