//! Small resources: made, listed, changed and gone.

use super::*;

#[tokio::test]
async fn what_is_made_is_listed_changed_and_gone() {
    let airbyte = Airbyte::new().await;
    let first = async |list: &str, key: &str| column(&airbyte.got(list).await, key)[0].to_owned();
    let workspace = first("/workspaces", "workspaceId").await;
    let organization = first("/organizations", "organizationId").await;
    let region = first(&format!("/regions?organizationId={organization}"), "regionId").await;
    let definitions = format!("/workspaces/{workspace}/definitions/sources");
    let user = first(&format!("/users?organizationId={organization}"), "id").await;
    let given = json!({
        "name": "new", "workspaceId": workspace, "organizationId": organization, "regionId": region,
        "userId": user, "permissionType": "workspace_reader", "dockerRepository": "x/y", "dockerImageTag": "1",
    });
    for (path, list, key, change, gone) in [
        ("/tags", "/tags", "tagId", Some(("color", json!("000000"))), 204),
        ("/permissions", "/permissions", "permissionId", Some(("permissionType", json!("owner"))), 204),
        ("/regions", &format!("/regions?organizationId={organization}"), "regionId", None, 200),
        ("/dataplanes", "/dataplanes", "dataplaneId", Some(("enabled", json!(false))), 200),
        ("/groups", &format!("/groups?organizationId={organization}&limit=100"), "groupId", None, 204),
        (&definitions, &definitions, "id", None, 200),
    ] {
        let made = airbyte.post(path, &given).await;
        assert_eq!(made.status, StatusCode::OK, "{path}: {}", made.body);
        let id = made.body[key].as_str().expect("an id").to_owned();
        let item = format!("{path}/{id}");
        assert!(column(&airbyte.got(list).await, key).contains(&id.as_str()), "{path}");
        if let Some((name, value)) = change {
            let change = Body::from(json!({ (name): value }).to_string());
            let changed = airbyte.answer(airbyte.request(Method::PATCH, &format!("/v1{item}"), change)).await;
            assert_eq!(changed.body[name], value, "{path}");
            assert_eq!(airbyte.got(&item).await, changed.body, "{path}");
        }
        assert_eq!(airbyte.delete(&item).await.status.as_u16(), gone, "{path}");
        assert!(!column(&airbyte.got(list).await, key).contains(&id.as_str()), "{path}");
        assert_eq!(airbyte.get(&item).await.status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(airbyte.post(path, &json!({})).await.status, StatusCode::BAD_REQUEST, "{path}");
    }
    assert_eq!(airbyte.get("/workspaces/x/definitions/sources").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn members_join_once_and_leave() {
    let airbyte = Airbyte::new().await;
    let organization = column(&airbyte.got("/organizations").await, "organizationId")[0].to_owned();
    let groups = airbyte.got(&format!("/groups?organizationId={organization}")).await;
    let members = format!("/groups/{}/members", column(&groups, "groupId")[3]);
    let users = airbyte.got(&format!("/users?organizationId={organization}")).await;
    let user = column(&users, "id")[40];
    for _ in 0..2 {
        let joined = airbyte.post(&members, &json!({ "userId": user })).await;
        assert_eq!((joined.status, &joined.body["userId"]), (StatusCode::CREATED, &json!(user)));
        assert_eq!(column(&airbyte.got(&members).await, "userId"), [user]);
    }
    assert_eq!(airbyte.delete(&format!("{members}/{user}")).await.status, StatusCode::NO_CONTENT);
    assert_eq!(airbyte.got(&members).await["data"], json!([]));
}

#[tokio::test]
async fn what_a_proxy_should_not_pass_on_is_there_to_be_seen() {
    let airbyte = Airbyte::new().await;
    for (path, key) in [
        ("/applications", "clientSecret"),
        ("/dataplanes", "clientSecret"),
        ("/embedded/widget_token", "token"),
        ("/embedded/scoped_token", "token"),
    ] {
        let given = json!({ "name": "x", "regionId": "r" });
        let [one, two] = [airbyte.post(path, &given).await, airbyte.post(path, &given).await];
        let secret = one.body[key].as_str().expect(path);
        assert!(secret.len() >= 32 && one.body[key] != two.body[key], "{path}");
    }
    let applications = airbyte.got("/applications").await;
    assert_eq!(applications["applications"].as_array().map(Vec::len), Some(4));
}
