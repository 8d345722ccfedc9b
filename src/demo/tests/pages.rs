//! What a walk through pages meets: every row, damage, and rows that change under it.

use std::io::Read as _;

use bytes::Bytes;
use flate2::read::GzDecoder;
use http::HeaderMap;

use super::*;
use crate::demo::{ApiFault, Change, Gate, Sizes};

/// Rows of all pages of `list`, whatever comes twice.
async fn walked(airbyte: &Airbyte, list: &str, limit: usize) -> Vec<Value> {
    let mut rows = Vec::new();
    for offset in (0..).step_by(limit) {
        let and = if list.contains('?') { '&' } else { '?' };
        let mut page = airbyte.got(&format!("{list}{and}limit={limit}&offset={offset}")).await;
        let Value::Array(data) = page["data"].take() else { panic!("{page}") };
        if data.is_empty() {
            break;
        }
        rows.extend(data);
    }
    rows
}

#[tokio::test]
async fn every_list_with_every_filter_is_its_reference() {
    let airbyte = Airbyte::new().await;
    let first = async |list: &str, key: &str| column(&airbyte.got(list).await, key)[0].to_owned();
    let (workspace, tag) = (first("/workspaces", "workspaceId").await, first("/tags", "tagId").await);
    let (organization, connection) =
        (first("/organizations", "organizationId").await, first("/jobs", "connectionId").await);
    let groups = format!("/groups?organizationId={organization}");
    let members = format!("/groups/{}/members", first(&groups, "groupId").await);
    let time = first("/jobs?limit=1&offset=125", "startTime").await;
    let mut wrong = Vec::new();
    for (list, rows) in [
        ("/workspaces", 3),
        ("/workspaces?includeDeleted=true", 5),
        (&format!("/workspaces?workspaceIds={workspace}"), 1),
        ("/sources", 45),
        (&format!("/sources?workspaceIds={workspace}&includeDeleted=true"), 16),
        ("/destinations", 30),
        (&format!("/destinations?workspaceIds={workspace}"), 10),
        ("/connections", 60),
        (&format!("/connections?tagIds={tag}"), 13),
        (&format!("/connections?tagIds={tag}&workspaceIds={workspace}&includeDeleted=true"), 14),
        ("/jobs", 250),
        ("/jobs?orderBy=createdAt%7CDESC", 250),
        ("/jobs?orderBy=updatedAt%7CASC", 250),
        ("/jobs?orderBy=updatedAt%7CDESC&jobType=sync", 188),
        ("/jobs?status=failed", 13),
        ("/jobs?status=queued", 0),
        (&format!("/jobs?connectionId={connection}"), 5),
        (&format!("/jobs?workspaceIds={workspace}&jobType=clear"), 11),
        (&format!("/jobs?createdAtStart={time}&orderBy=createdAt%7CDESC"), 125),
        (&format!("/jobs?createdAtEnd={time}&updatedAtEnd={time}"), 116),
        (&format!("/jobs?updatedAtStart={time}"), 134),
        (&groups, 25),
        (&members, 40),
    ] {
        let reference = airbyte.handle.reference(list).expect(list);
        assert!(walked(&airbyte, list, 7).await == reference, "{list}");
        if reference.len() != rows {
            wrong.push(format!("{list}: {}", reference.len()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for none in ["/tags", "/groups", "/jobs?status=lost", "/sources?workspaceIds=x", "/jobs/1001", "nothing"]
    {
        assert_eq!(airbyte.handle.reference(none), None, "{none}");
    }
}

#[tokio::test]
async fn older_servers_give_no_next_to_a_short_page_and_fail_behind_the_end() {
    let airbyte = Airbyte::with(|options| options.older = true).await;
    for list in ["/sources", "/jobs"] {
        let total = airbyte.handle.reference(list).expect("a list").len();
        let page = async |offset: usize| airbyte.get(&format!("{list}?limit=5&offset={offset}")).await;
        assert_eq!(page(total - 4).await.body["next"], "", "{list}");
        assert_ne!(page(total - 5).await.body["next"], "", "{list}: full, so there might be more");
        for offset in [total, total + 1] {
            let failed = page(offset).await;
            assert_eq!(failed.status, StatusCode::INTERNAL_SERVER_ERROR, "{list} {offset}");
            assert!(failed.body["errorId"].is_string(), "{list} {offset}");
        }
    }
}

#[tokio::test]
async fn a_million_jobs_are_there_at_once_and_small() {
    assert!(size_of::<crate::demo::jobs::Job>() <= 48);
    let sizes = Sizes { jobs: 1_000_000, ..Sizes::default() };
    let airbyte = Airbyte::with(|options| options.sizes = sizes).await;
    for (offset, rows) in [(0, 100), (999_950, 50), (1_000_000, 0)] {
        let page = airbyte.got(&format!("/jobs?limit=100&offset={offset}")).await;
        assert_eq!(page["data"].as_array().map(Vec::len), Some(rows), "{offset}");
    }
    let newest = airbyte.got("/jobs?limit=1&orderBy=createdAt%7CDESC").await;
    assert_eq!(newest["data"][0]["jobId"], 1_001_000);
}

#[tokio::test]
async fn ten_thousand_of_everything_are_as_many() {
    let n = 10_000;
    let sizes = Sizes {
        workspaces: n,
        sources: n,
        destinations: n,
        connections: n,
        users: n,
        groups: n,
        members: n,
        tags: n,
        ..Sizes::default()
    };
    let airbyte = Airbyte::with(|options| options.sizes = sizes).await;
    for list in ["/workspaces", "/sources", "/destinations", "/connections"] {
        let page = airbyte.got(&format!("{list}?limit=100&offset={}", n - 50)).await;
        assert_eq!(page["data"].as_array().map(Vec::len), Some(50), "{list}");
    }
}

// === as bytes ===

/// A page as it arrives: headers, and the body up to where it breaks off, if it does.
async fn page(airbyte: &Airbyte, path: &str, accept_encoding: &str) -> (HeaderMap, Bytes, bool) {
    let mut request = airbyte.request(Method::GET, &format!("/v1{path}"), Body::empty());
    request.headers_mut().insert("accept-encoding", accept_encoding.parse().expect("a value"));
    let response = airbyte.send(request).await;
    let (headers, mut body) = (response.headers().clone(), response.into_body());
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return (headers, bytes.into(), false) };
        bytes.extend(frame.into_data().expect("data"));
    }
    (headers, bytes.into(), true)
}

fn unzipped(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut plain = Vec::new();
    GzDecoder::new(bytes).read_to_end(&mut plain).map(|_| plain)
}

#[tokio::test]
async fn answers_are_gzip_for_those_who_take_it() {
    let airbyte = Airbyte::new().await;
    let (_, plain, _) = page(&airbyte, "/sources", "").await;
    for (accepts, coded) in [
        ("gzip", true),
        ("gzip, deflate", true),
        ("br;q=1.0, GZIP;q=0.5", true),
        ("*", true),
        ("gzip;q=0, *", false),
        ("*;q=0", false),
        ("identity", false),
        ("br", false),
    ] {
        let (headers, body, _) = page(&airbyte, "/sources", accepts).await;
        assert_eq!(headers.get("content-encoding").is_some(), coded, "{accepts}");
        assert_eq!(headers["vary"], "accept-encoding", "{accepts}");
        let body = if coded { unzipped(&body).expect("gzip") } else { body.to_vec() };
        assert!(body == plain, "{accepts}");
    }
    let airbyte = Airbyte::with(|options| options.compress = false).await;
    let (headers, ..) = page(&airbyte, "/sources", "gzip").await;
    assert!(!headers.contains_key("content-encoding") && !headers.contains_key("vary"));
}

#[tokio::test]
async fn a_damaged_page_is_damaged_as_asked() {
    let airbyte = Airbyte::new().await;
    let (_, whole, _) = page(&airbyte, "/sources", "").await;
    let next = async |fault, accepts| {
        airbyte.handle.fault_at_page(1, fault);
        page(&airbyte, "/sources", accepts).await
    };
    let (headers, body, ended) = next(ApiFault::CutOff, "").await;
    assert_eq!(headers["content-length"], whole.len().to_string());
    assert!(!ended && body.len() == whole.len() / 2 && whole.starts_with(&body));
    let (_, body, ended) = next(ApiFault::Broken, "").await;
    assert!(ended && body.len() == whole.len() / 2 && whole.starts_with(&body));
    let (headers, body, _) = next(ApiFault::Broken, "gzip").await;
    assert_eq!(headers["content-encoding"], "gzip");
    assert!(whole.starts_with(&unzipped(&body).expect("sound gzip of broken JSON")));
    for fault in [ApiFault::CorruptGzip, ApiFault::TruncatedGzip] {
        for accepts in ["gzip", ""] {
            let (headers, body, ended) = next(fault.clone(), accepts).await;
            assert_eq!(headers["content-encoding"], "gzip");
            assert!(ended && unzipped(&body).is_err(), "{fault:?}");
        }
    }
    let (_, body, _) = next(ApiFault::Text("[]".into()), "").await;
    assert_eq!(body, "[]");
    let (_, body, _) = next(ApiFault::Oversized(9_000_000), "gzip").await;
    assert!(body.len() < 90_000 && unzipped(&body).expect("gzip").len() > 9_000_000);
    let (_, body, _) = page(&airbyte, "/sources", "").await;
    assert_eq!(body, whole, "and then all is well");
}

#[tokio::test]
async fn a_stalled_page_goes_on_when_the_gate_opens() {
    let airbyte = Airbyte::new().await;
    let (_, whole, _) = page(&airbyte, "/sources", "").await;
    let gate = Gate::new();
    airbyte.handle.fault_at_page(1, ApiFault::Stall(gate.clone()));
    let response = airbyte.send(airbyte.request(Method::GET, "/v1/sources", Body::empty())).await;
    let mut body = response.into_body();
    let first = body.frame().await.expect("a frame").expect("sound").into_data().expect("data");
    assert_eq!(first, whole[..whole.len() / 2]);
    tokio::select! {
        biased;
        _ = body.frame() => panic!("the gate is closed"),
        () = std::future::ready(()) => {}
    }
    gate.open();
    let rest = body.collect().await.expect("the rest").to_bytes();
    assert_eq!(rest, whole[whole.len() / 2..]);
}

#[tokio::test]
async fn faults_come_at_their_page_as_often_as_asked() {
    let airbyte = Airbyte::new().await;
    let failure = || ApiFault::ErrorId(StatusCode::INTERNAL_SERVER_ERROR);
    let statuses = async |requests: &[&str]| {
        let mut statuses = Vec::new();
        for path in requests {
            statuses.push(airbyte.get(path).await.status.as_u16());
        }
        statuses
    };
    airbyte.handle.faults_at_page(2, failure(), 2);
    assert_eq!(
        statuses(&["/sources", "/tags", "/jobs", "/jobs", "/jobs"]).await,
        [200, 200, 500, 500, 200],
        "tags have no pages"
    );
    airbyte.handle.faults_at_offset(40, failure(), u64::MAX);
    assert_eq!(statuses(&["/jobs?offset=20", "/jobs?offset=40", "/jobs?offset=40"]).await, [200, 500, 500]);
    airbyte.handle.clear_page_faults();
    assert_eq!(statuses(&["/jobs?offset=40"]).await, [200]);
}

#[tokio::test]
async fn an_endless_list_has_the_same_page_at_every_offset() {
    let airbyte = Airbyte::new().await;
    let first = airbyte.got("/sources?limit=7").await;
    airbyte.handle.faults_at_page(1, ApiFault::Endless, u64::MAX);
    for offset in [7, 700, 70_000] {
        let page = airbyte.got(&format!("/sources?offset={offset}&limit=7")).await;
        assert_eq!(page["data"], first["data"], "{offset}");
        assert_ne!(page["next"], "");
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_api_takes_its_time() {
    let airbyte = Airbyte::with(|options| options.latency = Duration::from_secs(2)).await;
    let within = async |seconds: u64| {
        let limit = Duration::from_millis(seconds * 1000 - 500);
        tokio::time::timeout(limit, airbyte.get("/sources")).await.is_ok()
    };
    assert!(!within(2).await);
    assert!(within(3).await);
    airbyte.handle.set_latency(Duration::ZERO);
    assert!(within(1).await);
    let (_, _) = tokio::join!(airbyte.get("/jobs"), airbyte.get("/jobs"));
    assert_eq!(airbyte.handle.counts().at_once, 0);
}

// === rows that change ===

fn ids(rows: &[Value], key: &str) -> Vec<String> {
    rows.iter().map(|row| row[key].as_str().map_or_else(|| row[key].to_string(), str::to_owned)).collect()
}

#[tokio::test]
async fn rows_that_come_in_front_are_met_twice_and_rows_that_leave_take_others_along() {
    let airbyte = Airbyte::new().await;
    let organization = column(&airbyte.got("/organizations").await, "organizationId")[0].to_owned();
    let groups = format!("/groups?organizationId={organization}");
    let members = format!("/groups/{}/members", column(&airbyte.got(&groups).await, "groupId")[0]);
    for (list, key) in [
        ("/sources", "sourceId"),
        ("/connections", "connectionId"),
        ("/jobs", "jobId"),
        (&groups, "groupId"),
        (&members, "userId"),
    ] {
        let before = ids(&airbyte.handle.reference(list).expect("a list"), key);
        airbyte.handle.between_pages(2, &[Change::Insert(2)]);
        let met = ids(&walked(&airbyte, list, 10).await, key);
        let mut once = met.clone();
        once.sort();
        once.dedup();
        assert!(once.len() < met.len(), "{list}: rows come twice");
        assert!(before.iter().all(|id| met.contains(id)), "{list}: but none is missed");

        airbyte.handle.between_pages(1, &[]);
        let before = ids(&airbyte.handle.reference(list).expect("a list"), key);
        airbyte.handle.between_pages(1, &[Change::Delete(1)]);
        let met = ids(&walked(&airbyte, list, 10).await, key);
        airbyte.handle.between_pages(1, &[]);
        let after = ids(&airbyte.handle.reference(list).expect("a list"), key);
        assert!(after.len() < before.len(), "{list}");
        assert!(before.iter().any(|id| after.contains(id) && !met.contains(id)), "{list}: rows are skipped");
    }
}

#[tokio::test]
async fn a_shuffled_list_has_the_same_rows_in_another_order_decided_by_the_seed() {
    let order = async |seed| {
        let airbyte = Airbyte::with(|options| options.seed = seed).await;
        let before = airbyte.handle.reference("/sources").expect("a list");
        airbyte.handle.between_pages(1, &[Change::Shuffle]);
        airbyte.got("/sources").await;
        let after = airbyte.handle.reference("/sources").expect("a list");
        assert_ne!(before, after);
        let sorted = |rows: &[Value]| {
            let mut ids = ids(rows, "sourceId");
            ids.sort();
            ids
        };
        assert_eq!(sorted(&before), sorted(&after));
        let jobs = airbyte.handle.reference("/jobs").expect("a list");
        airbyte.got("/jobs").await;
        let shuffled = airbyte.handle.reference("/jobs").expect("a list");
        assert_ne!(jobs, shuffled);
        let times = |rows: &[Value]| ids(rows, "startTime");
        assert_eq!(times(&jobs), times(&shuffled), "in the same order but for ties");
        after
    };
    assert_eq!(order(5).await, order(5).await);
}
