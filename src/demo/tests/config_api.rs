//! The Configuration API: what clients read of it.

use super::*;

async fn asked(airbyte: &Airbyte, path: &str, body: Value) -> Answer {
    let path = format!("/api/v1{path}");
    airbyte.answer(airbyte.request(Method::POST, &path, Body::from(body.to_string()))).await
}

#[tokio::test]
async fn what_clients_read_is_that_of_the_public_api() {
    let airbyte = Airbyte::new().await;
    let workspace = column(&airbyte.got("/workspaces").await, "workspaceId")[0].to_owned();
    let place = json!({ "workspaceId": workspace });
    for (resource, key) in
        [("connections", "connectionId"), ("sources", "sourceId"), ("destinations", "destinationId")]
    {
        let listed = asked(&airbyte, &format!("/{resource}/list"), place.clone()).await.body;
        let public = airbyte.got(&format!("/{resource}?limit=100&workspaceIds={workspace}")).await;
        let ids: Vec<_> =
            listed[resource].as_array().expect("rows").iter().map(|row| row[key].clone()).collect();
        assert_eq!(json!(ids), json!(column(&public, key)), "{resource}");
    }
    let connections = airbyte.got(&format!("/connections?workspaceIds={workspace}")).await;
    let id = json!({ "connectionId": column(&connections, "connectionId")[0] });
    for path in ["/connections/get", "/web_backend/connections/get"] {
        let connection = asked(&airbyte, path, id.clone()).await.body;
        assert_eq!(connection["syncCatalog"]["streams"][0]["stream"]["name"], "users", "{path}");
        assert_eq!(connection["syncCatalog"]["streams"][0]["config"]["selected"], true, "{path}");
    }
    let state = asked(&airbyte, "/state/get", id.clone()).await.body;
    assert_eq!(state["streamState"].as_array().map(Vec::len), Some(3));
    let jobs =
        json!({ "configTypes": ["sync"], "configId": id["connectionId"], "pagination": { "pageSize": 2 } });
    let jobs = asked(&airbyte, "/jobs/list", jobs).await.body;
    assert_eq!(jobs["jobs"].as_array().map(Vec::len), Some(2));
    let job = asked(&airbyte, "/jobs/get", json!({ "id": jobs["jobs"][0]["job"]["id"] })).await.body;
    assert_eq!(job, jobs["jobs"][0]);
}

#[tokio::test]
async fn pages_are_asked_for_in_the_body() {
    let airbyte = Airbyte::with(|options| options.sizes.workspaces = 12).await;
    let page = async |offset: u64, name: &str| {
        let pagination = json!({ "pageSize": 5, "rowOffset": offset });
        let body = json!({ "organizationId": "any", "nameContains": name, "pagination": pagination });
        let page = asked(&airbyte, "/workspaces/list_by_organization_id", body).await.body;
        page["workspaces"].as_array().expect("rows").len()
    };
    assert_eq!((page(0, "").await, page(10, "").await, page(15, "").await), (5, 2, 0));
    assert_eq!(page(0, "MARKET").await, 2);
}

#[tokio::test]
async fn every_known_operation_has_an_answer_and_no_other_path() {
    let mut airbyte = Airbyte::new().await;
    for operation in &crate::airbyte::known::CONFIG_OPERATIONS {
        // Without the ids, most are told what is missing.
        let answer = asked(&airbyte, operation.path, json!({})).await;
        let fine = [200, 400, 404].contains(&answer.status.as_u16()) && answer.body.is_object();
        assert!(fine, "{}: {answer:?}", operation.path);
    }
    assert_eq!(asked(&airbyte, "/sources/explode", json!({})).await.status, StatusCode::NOT_FOUND);
    airbyte.bearer = "stranger".into();
    assert_eq!(asked(&airbyte, "/workspaces/list", json!({})).await.status, StatusCode::UNAUTHORIZED);
}
