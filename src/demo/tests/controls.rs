//! What test suites of others steer.

use super::*;

async fn controlled() -> Airbyte {
    Airbyte::with(|options| {
        options.controls = true;
        options.record = 100;
    })
    .await
}

#[tokio::test]
async fn the_next_answers_are_as_they_were_asked_for_and_then_proper_again() {
    let airbyte = controlled().await;
    for (wish, statuses) in [
        (json!({"status": 503}), &[503, 200][..]),
        (json!({"status": 429, "retry_after": 7, "times": 2}), &[429, 429, 200]),
        (json!({"status": 401}), &[401, 200]),
        (json!({"status": 500, "times": 1}), &[500, 200]),
    ] {
        assert_eq!(airbyte.post("/demo/faults", &wish).await.status, StatusCode::NO_CONTENT, "{wish}");
        for expected in statuses {
            assert_eq!(airbyte.get("/jobs").await.status.as_u16(), *expected, "{wish}");
        }
    }
    airbyte.post("/demo/faults", &json!({"status": 429, "retry_after": 7})).await;
    let response = airbyte.send(airbyte.request(Method::GET, "/v1/jobs", Body::empty())).await;
    assert_eq!(response.headers().get("retry-after").map(http::HeaderValue::as_bytes), Some(&b"7"[..]));
    airbyte.post("/demo/faults", &json!({"close": true, "times": 9})).await;
    assert_eq!(airbyte.delete("/demo/faults").await.status, StatusCode::NO_CONTENT);
    assert_eq!(airbyte.get("/jobs").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_wish_that_is_not_understood_says_what_it_should_be() {
    let airbyte = controlled().await;
    for (wish, says) in [
        (json!({}), "one of status, close and latency_ms"),
        (json!({"status": 200}), "from 400 to 599"),
        (json!({"status": 503, "times": 0}), "from 1 to 10000"),
        (json!({"status": 503, "close": true}), "exclude each other"),
        (json!({"sattus": 503}), "unknown field `sattus`"),
        (json!({"latency_ms": 600_001}), "at most 600000"),
    ] {
        let answer = airbyte.post("/demo/faults", &wish).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{wish}");
        assert!(
            answer.body["detail"].as_str().is_some_and(|detail| detail.contains(says)),
            "{}",
            answer.body
        );
    }
    assert_eq!(airbyte.get("/jobs").await.status, StatusCode::OK);
}

#[tokio::test]
async fn after_a_reset_everything_is_as_at_the_start() {
    let airbyte = controlled().await;
    let before = airbyte.got("/connections?limit=100").await;
    let gone = column(&before, "connectionId")[0].to_owned();
    assert!(airbyte.delete(&format!("/connections/{gone}")).await.status.is_success());
    assert_ne!(airbyte.got("/connections?limit=100").await, before);
    airbyte.post("/demo/faults", &json!({"status": 503, "times": 9})).await;
    assert_eq!(airbyte.post("/demo/reset", &json!({})).await.status, StatusCode::NO_CONTENT);
    assert_eq!(airbyte.got("/demo/requests").await["data"], json!([]));
    assert_eq!(airbyte.got("/connections?limit=100").await, before);
    let seen = airbyte.got("/demo/requests").await;
    assert_eq!(seen["data"], json!([{"method": "GET", "target": "/v1/connections?limit=100"}]));
}

#[tokio::test]
async fn an_airbyte_that_was_not_asked_to_be_steered_has_no_such_paths() {
    let airbyte = Airbyte::new().await;
    let unknown = airbyte.get("/no-such-thing").await.status;
    assert_eq!(airbyte.get("/demo/requests").await.status, unknown);
    assert_eq!(airbyte.post("/demo/reset", &json!({})).await.status, unknown);
}
