//! The paged lists and what is odd about them.

use super::*;
use crate::demo::Sizes;

const CLOUD: &str = "https://api.airbyte.com/v1";

#[tokio::test]
async fn a_page_has_20_rows_unless_asked_otherwise() {
    let airbyte = Airbyte::new().await;
    for (path, rows) in [
        ("/sources", 20),
        ("/jobs", 20),
        ("/jobs?limit=100", 100),
        ("/sources?limit=100", 45),
        ("/workspaces", 3),
    ] {
        let page = airbyte.got(path).await;
        assert_eq!(page["data"].as_array().map(Vec::len), Some(rows), "{path}");
    }
}

#[tokio::test]
async fn limits_beyond_1_to_100_are_400_in_the_frameworks_shape() {
    let airbyte = Airbyte::new().await;
    for query in ["limit=0", "limit=101", "limit=-1", "limit=all", "offset=-1", "workspaceIds=x"] {
        let answer = airbyte.get(&format!("/sources?{query}")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{query}");
        assert_eq!(answer.body["message"], "Bad Request");
        assert!(answer.body["_embedded"]["errors"][0]["message"].is_string());
    }
}

#[tokio::test]
async fn links_are_absolute_and_a_missing_page_is_an_empty_string() {
    let airbyte = Airbyte::new().await;
    let page = airbyte.got("/sources").await;
    assert_eq!(page["previous"], "");
    assert_eq!(page["next"], format!("{CLOUD}/sources?includeDeleted=false&limit=20&offset=20"));
}

#[tokio::test]
async fn links_begin_as_the_server_was_told_whatever_host_was_asked() {
    let airbyte = Airbyte::with(|o| o.link_base = Some("http://pod:8001/api/public/v1".into())).await;
    let page = airbyte.got("/jobs?limit=1").await;
    assert_eq!(page["next"], "http://pod:8001/api/public/v1/jobs?&limit=1&offset=1");
}

#[tokio::test]
async fn following_next_costs_one_empty_page() {
    let airbyte = Airbyte::new().await;
    let short = airbyte.got("/sources?limit=20&offset=40").await;
    assert_eq!(short["data"].as_array().map(Vec::len), Some(5));
    assert_eq!(short["next"], format!("{CLOUD}/sources?includeDeleted=false&limit=20&offset=60"));
    let empty = airbyte.got("/sources?includeDeleted=false&limit=20&offset=60").await;
    assert_eq!((&empty["data"], &empty["next"]), (&json!([]), &json!("")));
    assert_eq!(empty["previous"], format!("{CLOUD}/sources?includeDeleted=false&limit=20&offset=40"));
    let exact = airbyte.got("/sources?limit=15&offset=30").await;
    assert_ne!(exact["next"], "", "also after a full last page");
}

#[tokio::test]
async fn previous_repeats_the_limit_when_there_is_a_next() {
    let airbyte = Airbyte::new().await;
    let page = airbyte.got("/sources?limit=5&offset=5").await;
    assert_eq!(page["previous"], format!("{CLOUD}/sources?includeDeleted=false&limit=5&limit=5&offset=0"));
    assert_eq!(page["next"], format!("{CLOUD}/sources?includeDeleted=false&limit=5&offset=10"));
    let followed = airbyte.got("/sources?includeDeleted=false&limit=5&limit=5&offset=0").await;
    assert_eq!(followed["data"].as_array().map(Vec::len), Some(5));
}

#[tokio::test]
async fn links_keep_workspaces_and_lose_tags() {
    let airbyte = Airbyte::new().await;
    let workspaces = airbyte.got("/workspaces").await;
    let [a, b] = column(&workspaces, "workspaceId")[..2] else { panic!("two workspaces") };
    let tags = airbyte.got("/tags").await;
    let tag = column(&tags, "tagId")[0].to_owned();
    let page =
        airbyte.got(&format!("/connections?workspaceIds={a}&workspaceIds={b}&tagIds={tag}&limit=1")).await;
    let expected =
        format!("{CLOUD}/connections?workspaceIds={a}%2C{b}&includeDeleted=false&limit=1&offset=1");
    assert_eq!(page["next"], expected);
}

#[tokio::test]
async fn job_links_lose_every_filter_but_the_type_and_the_place() {
    let airbyte = Airbyte::new().await;
    let jobs = airbyte.got("/jobs").await;
    let connection = column(&jobs, "connectionId")[0].to_owned();
    let lost = "status=succeeded&orderBy=createdAt%7CDESC&createdAtStart=2020-01-01T00:00:00Z";
    let page = airbyte.got(&format!("/jobs?limit=2&jobType=sync&{lost}")).await;
    assert_eq!(page["next"], format!("{CLOUD}/jobs?jobType=sync&limit=2&offset=2"));
    let page = airbyte.got(&format!("/jobs?limit=2&connectionId={connection}&{lost}")).await;
    assert_eq!(page["next"], format!("{CLOUD}/jobs?&connectionId={connection}&limit=2&offset=2"));
}

#[tokio::test]
async fn a_walk_by_offset_meets_every_row_once() {
    let airbyte = Airbyte::new().await;
    for (list, key, total) in [("sources", "sourceId", 45), ("connections", "connectionId", 60)] {
        let mut ids = std::collections::BTreeSet::new();
        for offset in (0..).step_by(7) {
            let page = airbyte.got(&format!("/{list}?limit=7&offset={offset}")).await;
            ids.extend(column(&page, key).into_iter().map(str::to_owned));
            if page["next"] == "" {
                break;
            }
        }
        assert_eq!(ids.len(), total, "{list}");
    }
}

#[tokio::test]
async fn jobs_come_oldest_first_unless_ordered_otherwise() {
    let airbyte = Airbyte::new().await;
    let times = async |query: &str| {
        let page = airbyte.got(&format!("/jobs?limit=100{query}")).await;
        column(&page, "startTime").into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let oldest = times("").await;
    assert!(oldest[0] < oldest[99]);
    let newest = times("&orderBy=createdAt%7CDESC").await;
    assert!(newest[0] > newest[99]);
    assert!(newest[0] > oldest[99]);
    for wrong in ["createdAt", "createdAt%7Cdesc", "name%7CASC"] {
        assert_eq!(airbyte.get(&format!("/jobs?orderBy={wrong}")).await.status, StatusCode::BAD_REQUEST);
    }
}

#[tokio::test]
async fn jobs_are_filtered_by_type_status_and_time() {
    let airbyte = Airbyte::new().await;
    let failed = airbyte.got("/jobs?status=failed&limit=100").await;
    assert!(!column(&failed, "status").is_empty());
    assert!(column(&failed, "status").iter().all(|status| *status == "failed"));
    let resets = airbyte.got("/jobs?jobType=reset&limit=100").await;
    assert!(column(&resets, "jobType").iter().all(|kind| *kind == "reset"));
    let all = airbyte.got("/jobs?limit=100").await;
    let at = column(&all, "startTime")[50];
    let window = airbyte.got(&format!("/jobs?createdAtStart={at}&createdAtEnd={at}")).await;
    assert!(column(&window, "startTime").iter().all(|time| *time == at));
    assert!(!column(&window, "startTime").is_empty());
    assert_eq!(airbyte.get("/jobs?updatedAtEnd=yesterday").await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn workspaces_are_filtered_by_repetition_and_by_commas() {
    let airbyte = Airbyte::new().await;
    let workspaces = airbyte.got("/workspaces").await;
    let [a, b] = column(&workspaces, "workspaceId")[..2] else { panic!("two workspaces") };
    let repeated = airbyte.got(&format!("/sources?limit=100&workspaceIds={a}&workspaceIds={b}")).await;
    let commas = airbyte.got(&format!("/sources?limit=100&workspaceIds={a},{b}")).await;
    assert_eq!(repeated["data"], commas["data"]);
    assert!(column(&repeated, "workspaceId").iter().all(|id| [a, b].contains(id)));
    assert_eq!(column(&repeated, "workspaceId").len(), 30);
}

#[tokio::test]
async fn a_workspace_of_somebody_else_is_a_403_problem() {
    let airbyte = Airbyte::new().await;
    let answer = airbyte.get("/sources?workspaceIds=00000000-0000-4000-8000-000000000000").await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert_eq!(answer.body["title"], "forbidden");
    assert_eq!(answer.body.get("documentationUrl"), Some(&Value::Null));
}

#[tokio::test]
async fn deleted_rows_come_only_when_asked_for() {
    let airbyte = Airbyte::new().await;
    for (list, live) in [("sources", 45), ("destinations", 30), ("connections", 60), ("workspaces", 3)] {
        for (flag, rows) in [("false", live), ("true", live + 2)] {
            let page = airbyte.got(&format!("/{list}?limit=100&includeDeleted={flag}")).await;
            assert_eq!(page["data"].as_array().map(Vec::len), Some(rows), "{list} {flag}");
        }
    }
}

#[tokio::test]
async fn group_links_are_relative_to_a_wrong_prefix_and_absent_at_the_end() {
    let airbyte = Airbyte::new().await;
    assert_eq!(airbyte.get("/groups").await.status, StatusCode::BAD_REQUEST);
    let organizations = airbyte.got("/organizations").await;
    let id = column(&organizations, "organizationId")[0];
    let first = airbyte.got(&format!("/groups?organizationId={id}")).await;
    assert_eq!(first["next"], format!("/public/v1/groups?organizationId={id}&limit=20&offset=20"));
    assert_eq!(first.get("previous"), None);
    let last = airbyte.got(&format!("/groups?organizationId={id}&offset=20&limit=5")).await;
    assert_eq!(last.get("next"), None, "groups look one row ahead");
    assert_eq!(last["previous"], format!("/public/v1/groups?organizationId={id}&limit=5&offset=15"));
}

#[tokio::test]
async fn group_members_do_not_look_ahead() {
    let airbyte = Airbyte::new().await;
    let organizations = airbyte.got("/organizations").await;
    let organization = column(&organizations, "organizationId")[0];
    let groups = airbyte.got(&format!("/groups?organizationId={organization}")).await;
    let id = column(&groups, "groupId")[0];
    let last = airbyte.got(&format!("/groups/{id}/members?offset=20")).await;
    assert_eq!(last["data"].as_array().map(Vec::len), Some(20));
    assert_eq!(last["next"], format!("/public/v1/groups/{id}/members?limit=20&offset=40"));
    let empty = airbyte.got(&format!("/groups/{id}/members?offset=40")).await;
    assert_eq!((&empty["data"], empty.get("next")), (&json!([]), None));
    let unknown = airbyte.get("/groups/00000000-0000-4000-8000-000000000000/members").await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    assert_eq!(unknown.body["data"]["resourceType"], "group");
}

#[tokio::test]
async fn lists_without_pages_have_no_links() {
    let airbyte = Airbyte::new().await;
    let organizations = airbyte.got("/organizations").await;
    let id = column(&organizations, "organizationId")[0];
    for path in ["/tags", "/permissions", "/dataplanes", "/organizations"] {
        let body = airbyte.got(path).await;
        assert_eq!(body.as_object().map(serde_json::Map::len), Some(1), "{path}");
        assert!(!body["data"].as_array().expect("rows").is_empty(), "{path}");
    }
    assert_eq!(airbyte.get("/users").await.status, StatusCode::BAD_REQUEST);
    let one = airbyte.got(&format!("/users?organizationId={id}&emails=user2@example.com")).await;
    assert_eq!(column(&one, "name"), ["User 2"]);
    airbyte.got(&format!("/regions?organizationId={id}")).await;
}

#[tokio::test]
async fn streams_are_a_bare_array() {
    let airbyte = Airbyte::new().await;
    let sources = airbyte.got("/sources").await;
    let streams = airbyte.got(&format!("/streams?sourceId={}", column(&sources, "sourceId")[0])).await;
    assert_eq!(streams[0]["streamName"], "users");
    assert_eq!(airbyte.get("/streams").await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn applications_show_their_secret() {
    let airbyte = Airbyte::new().await;
    let applications = airbyte.got("/applications").await;
    let application = &applications["applications"][0];
    assert_eq!(application["clientSecret"], airbyte.handle.credentials().client_secret.expose());
    let id = application["id"].as_str().expect("an id");
    assert_eq!(airbyte.got(&format!("/applications/{id}")).await, *application);
}

#[tokio::test]
async fn the_same_seed_gives_the_same_rows() {
    let pages = async |seed| {
        let airbyte = Airbyte::with(|options| options.seed = seed).await;
        airbyte.got("/connections?limit=100").await
    };
    let first = pages(7).await;
    assert_eq!(first, pages(7).await);
    assert_ne!(first, pages(8).await);
}

#[tokio::test]
async fn sizes_are_as_asked_down_to_nothing() {
    let none = Sizes {
        workspaces: 0,
        sources: 0,
        destinations: 0,
        connections: 5,
        jobs: 5,
        users: 0,
        groups: 0,
        members: 0,
        tags: 0,
        deleted: 0,
    };
    let airbyte = Airbyte::with(|options| options.sizes = none).await;
    assert_eq!(column(&airbyte.got("/workspaces").await, "name"), ["Marketing"]);
    for list in ["sources", "destinations", "connections", "jobs"] {
        assert_eq!(airbyte.got(&format!("/{list}")).await["data"], json!([]), "{list}");
    }
    let many = Sizes { workspaces: 120, jobs: 1010, ..Sizes::default() };
    let airbyte = Airbyte::with(|options| options.sizes = many).await;
    assert_eq!(column(&airbyte.got("/workspaces?offset=100").await, "name").len(), 20);
    assert_eq!(column(&airbyte.got("/jobs?offset=1000").await, "status").len(), 10);
}
