//! Airbyte Academy's pipeline: a faker source, a duckdb destination, a connection, a sync job.

use super::*;

/// The lesson's first three creations: ids of source, destination, connection.
async fn pipeline(airbyte: &Airbyte) -> (String, String, String) {
    let workspaces = airbyte.got("/workspaces?includeDeleted=false&limit=20&offset=0").await;
    let workspace = column(&workspaces, "workspaceId")[0];
    let source = airbyte
        .post(
            "/sources",
            &json!({
                "name": "my_source", "workspaceId": workspace,
                "configuration": { "sourceType": "faker", "count": 35, "seed": -1 },
            }),
        )
        .await;
    assert_eq!(source.status, StatusCode::OK, "200, not 201");
    assert_eq!(source.body["sourceType"], "faker");
    assert_eq!(source.body["configuration"]["count"], 35);
    let destination = airbyte
        .post(
            "/destinations",
            &json!({
                "name": "my_duck", "workspaceId": workspace,
                "configuration": {
                    "destinationType": "duckdb", "destination_path": "md:lms", "motherduck_api_key": "hush",
                },
            }),
        )
        .await;
    assert_eq!(destination.status, StatusCode::OK);
    assert_eq!(destination.body["configuration"]["motherduck_api_key"], "************");
    let id = |answer: &Answer, key: &str| answer.body[key].as_str().expect("an id").to_owned();
    let (source, destination) = (id(&source, "sourceId"), id(&destination, "destinationId"));
    let connection = airbyte
        .post(
            "/connections",
            &json!({ "name": "my_connection", "sourceId": source, "destinationId": destination }),
        )
        .await;
    assert_eq!(connection.status, StatusCode::OK);
    for key in ["configurations", "createdAt", "schedule", "status", "tags", "workspaceId"] {
        assert!(!connection.body[key].is_null(), "the SDK requires {key}");
    }
    (source, destination, id(&connection, "connectionId"))
}

#[tokio::test]
async fn the_lesson_works_and_its_job_comes_to_an_end() {
    let airbyte = Airbyte::new().await;
    let (.., connection) = pipeline(&airbyte).await;
    let request = json!({ "connectionId": connection, "jobType": "sync" });
    let job = airbyte.post("/jobs", &request).await;
    assert_eq!((job.status, &job.body["status"]), (StatusCode::OK, &json!("pending")));
    assert_eq!(job.body.get("duration"), None);
    assert_eq!(airbyte.post("/jobs", &request).await.status, StatusCode::CONFLICT, "one at a time");
    let path = format!("/jobs/{}", job.body["jobId"]);
    airbyte.advance(2);
    assert_eq!(airbyte.got(&path).await["status"], "running");
    airbyte.advance(6);
    let done = airbyte.got(&path).await;
    assert_eq!(done["status"], "succeeded");
    assert_eq!(done["duration"], "PT8S");
    assert_eq!(done["startTime"], "2023-11-14T22:13:20Z");
    airbyte.advance(800);
    assert_eq!(airbyte.got(&path).await, done, "an end is an end");
    let listed = airbyte.got(&format!("/jobs?connectionId={connection}")).await;
    assert_eq!(listed["data"], json!([done]));
}

#[tokio::test]
async fn a_job_can_be_cancelled_while_it_runs() {
    let airbyte = Airbyte::new().await;
    let (.., connection) = pipeline(&airbyte).await;
    let job = airbyte.post("/jobs", &json!({ "connectionId": connection, "jobType": "sync" })).await;
    let path = format!("/jobs/{}", job.body["jobId"]);
    let cancelled = airbyte.delete(&path).await;
    assert_eq!((cancelled.status, &cancelled.body["status"]), (StatusCode::OK, &json!("cancelled")));
    airbyte.advance(60);
    assert_eq!(airbyte.got(&path).await["status"], "cancelled");
}

#[tokio::test]
async fn refresh_jobs_are_422_and_unknown_ids_404() {
    let airbyte = Airbyte::new().await;
    let (.., connection) = pipeline(&airbyte).await;
    let refresh = airbyte.post("/jobs", &json!({ "connectionId": connection, "jobType": "refresh" })).await;
    assert_eq!(refresh.status, StatusCode::UNPROCESSABLE_ENTITY);
    let unknown = "00000000-0000-4000-8000-000000000000";
    let job = airbyte.post("/jobs", &json!({ "connectionId": unknown, "jobType": "sync" })).await;
    assert_eq!(job.status, StatusCode::NOT_FOUND);
    for path in [format!("/sources/{unknown}"), format!("/workspaces/{unknown}"), "/jobs/7".to_owned()] {
        let answer = airbyte.get(&path).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        assert!(answer.body["errorId"].is_string(), "{path}");
    }
}

#[tokio::test]
async fn what_is_created_can_be_read_changed_and_deleted() {
    let airbyte = Airbyte::new().await;
    let (source, destination, connection) = pipeline(&airbyte).await;
    let change = json!({ "name": "renamed", "configuration": { "count": 7 }, "sourceId": "not changeable" });
    let path = format!("/v1/sources/{source}");
    let request = airbyte.request(Method::PATCH, &path, Body::from(change.to_string()));
    let patched = airbyte.answer(request).await;
    assert_eq!(patched.status, StatusCode::OK);
    assert_eq!(patched.body["configuration"], json!({ "count": 7, "seed": -1, "sourceType": "faker" }));
    assert_eq!(airbyte.got(&format!("/sources/{source}")).await, patched.body);
    assert_eq!((&patched.body["name"], &patched.body["sourceId"]), (&json!("renamed"), &json!(source)));
    for path in [
        format!("/connections/{connection}"),
        format!("/destinations/{destination}"),
        format!("/sources/{source}"),
    ] {
        assert_eq!(airbyte.delete(&path).await.status, StatusCode::NO_CONTENT, "{path}");
        assert_eq!(airbyte.get(&path).await.status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(airbyte.delete(&path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn a_workspace_can_be_created_and_deleted() {
    let airbyte = Airbyte::new().await;
    let created = airbyte.post("/workspaces", &json!({ "name": "New" })).await;
    assert_eq!(created.body["dataResidency"], "auto");
    let path = format!("/workspaces/{}", created.body["workspaceId"].as_str().expect("an id"));
    assert_eq!(airbyte.got(&path).await["name"], "New");
    assert_eq!(airbyte.delete(&path).await.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn bodies_that_lack_something_are_refused_in_airbytes_shapes() {
    let airbyte = Airbyte::new().await;
    let workspaces = airbyte.got("/workspaces").await;
    let workspace = column(&workspaces, "workspaceId")[0];
    let untyped = json!({ "name": "x", "workspaceId": workspace, "configuration": {} });
    assert_eq!(airbyte.post("/sources", &untyped).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    for (path, body, status) in [
        ("/sources", json!([]), StatusCode::BAD_REQUEST),
        ("/sources", json!({ "name": "x" }), StatusCode::BAD_REQUEST),
        ("/sources", json!({ "name": "x", "workspaceId": "other" }), StatusCode::FORBIDDEN),
        ("/connections", json!({ "sourceId": "x" }), StatusCode::NOT_FOUND),
        ("/workspaces", json!({}), StatusCode::BAD_REQUEST),
    ] {
        assert_eq!(airbyte.post(path, &body).await.status, status, "{path} {body}");
    }
}
