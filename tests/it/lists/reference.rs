//! Whole lists and walks along `next`, against the rows themselves.

use airbyte_proxy::demo::{Handle, Options, Sizes};
use fastrand::Rng;
use http::StatusCode;
use serde_json::Value;

use crate::harness::daemon::Daemon;
use crate::harness::simulated::{Stage, stage_of};

async fn stage(rows: usize, older: bool) -> Stage {
    let sizes = Sizes {
        workspaces: rows.max(1),
        sources: rows,
        destinations: rows,
        connections: rows,
        jobs: rows,
        users: rows,
        groups: rows,
        members: rows,
        tags: 6,
        deleted: rows / 7,
    };
    stage_of(Options { sizes, older, seed: rows as u64, ..Options::default() }, |_| {}, |_| {}).await
}

async fn rows_of(proxy: &Daemon, target: &str) -> Vec<Value> {
    let got = proxy.get(target).await;
    assert_eq!(got.status, StatusCode::OK, "{target}: {}", got.text());
    let Value::Object(mut list) = got.json() else { panic!("{target}: {}", got.text()) };
    assert_eq!((&list["previous"], &list["next"]), (&"".into(), &"".into()), "{target}");
    let Some(Value::Array(rows)) = list.remove("data") else { panic!("{target}: no rows") };
    rows
}

/// Along `next`, as somebody would with curl: the link itself, as long as there is one.
async fn walked(proxy: &Daemon, first: &str) -> Vec<Value> {
    let (mut target, mut rows) = (first.to_owned(), Vec::new());
    loop {
        let page = proxy.get(&target).await.json();
        let got = page["data"].as_array().expect("rows");
        rows.extend(got.iter().cloned());
        let next = page["next"].as_str().unwrap_or_default();
        if next.is_empty() || got.is_empty() {
            return rows;
        }
        let here = proxy.url("");
        let below = next.strip_prefix(&here).unwrap_or_else(|| panic!("{next} does not lead to {here}"));
        below.clone_into(&mut target);
    }
}

/// Values to filter by, taken from the rows there are.
struct Filters {
    workspaces: Vec<String>,
    tags: Vec<String>,
    connections: Vec<String>,
    times: Vec<String>,
    organization: String,
    group: Option<String>,
}

impl Filters {
    async fn of(stage: &Stage) -> Self {
        let all = |target: &str, pointer: &str| -> Vec<String> {
            let rows = stage.airbyte.reference(target).unwrap_or_default();
            rows.iter().filter_map(|row| row.pointer(pointer)?.as_str().map(str::to_owned)).collect()
        };
        let organizations = stage.proxy.get("/v1/organizations").await.json();
        let organization = organizations["data"][0]["organizationId"].as_str().expect("an id").to_owned();
        Self {
            workspaces: all("/workspaces", "/workspaceId"),
            tags: all("/connections", "/tags/0/tagId"),
            connections: all("/connections", "/connectionId"),
            times: all("/jobs", "/startTime"),
            group: all(&format!("/groups?organizationId={organization}"), "/groupId").into_iter().next(),
            organization,
        }
    }

    fn some(random: &mut Rng, of: &[String], most: usize) -> Vec<String> {
        let count = random.usize(1..=most);
        (0..count).filter_map(|_| random.choice(of).cloned()).collect()
    }

    /// A list and a combination of its filters, in one of the ways to write several values.
    fn draw(&self, random: &mut Rng) -> String {
        let list = random.choice([
            "workspaces",
            "sources",
            "destinations",
            "connections",
            "jobs",
            "groups",
            "members",
        ]);
        let list = list.expect("a list");
        let mut query = Vec::new();
        let mut several = |query: &mut Vec<String>, random: &mut Rng, name: &str, of: &[String]| {
            let values = Self::some(random, of, 3);
            if values.is_empty() {
            } else if random.bool() {
                query.push(format!("{name}={}", values.join(random.choice([",", "%2C"]).expect("one"))));
            } else {
                query.extend(values.iter().map(|value| format!("{name}={value}")));
            }
        };
        match list {
            "groups" => return format!("/groups?organizationId={}", self.organization),
            "members" => match &self.group {
                Some(group) => return format!("/groups/{group}/members?"),
                None => return "/workspaces?".to_owned(),
            },
            "jobs" => self.draw_job_filters(random, &mut query, &mut several),
            _ => {
                if random.bool() {
                    several(&mut query, random, "workspaceIds", &self.workspaces);
                }
                if random.bool() {
                    query.push(format!("includeDeleted={}", random.bool()));
                }
                if list == "connections" && random.bool() {
                    several(&mut query, random, "tagIds", &self.tags);
                }
            }
        }
        random.shuffle(&mut query);
        format!("/{list}?{}", query.join("&"))
    }

    fn draw_job_filters(
        &self,
        random: &mut Rng,
        query: &mut Vec<String>,
        several: &mut impl FnMut(&mut Vec<String>, &mut Rng, &str, &[String]),
    ) {
        match random.u8(..4) {
            0 | 1 => several(query, random, "workspaceIds", &self.workspaces),
            2 => {
                let one = Self::some(random, &self.connections, 1);
                query.extend(one.iter().map(|id| format!("connectionId={id}")));
            }
            _ => {}
        }
        for (name, values) in [
            ("status", &["succeeded", "failed", "running", "cancelled"][..]),
            ("jobType", &["sync", "reset"]),
            ("orderBy", &["createdAt%7CDESC", "createdAt%7CASC", "updatedAt%7CDESC", "updatedAt%7CASC"]),
        ] {
            if random.bool() {
                query.push(format!("{name}={}", random.choice(values).expect("one")));
            }
        }
        for name in ["createdAtStart", "updatedAtEnd", "createdAtEnd", "updatedAtStart"] {
            if random.u8(..4) == 0 {
                query.extend(Self::some(random, &self.times, 1).iter().map(|time| format!("{name}={time}")));
            }
        }
    }
}

/// Every row once, in the order of the list where it has one.
fn is_the_list(target: &str, rows: &[Value], airbyte: &Handle) {
    let expected = airbyte.reference(target).unwrap_or_else(|| panic!("{target} is no list"));
    assert!(rows == expected, "{target}: {} rows instead of {}", rows.len(), expected.len());
}

async fn lists_are_whole(rows: usize, older: bool, draws: usize) {
    let stage = stage(rows, older).await;
    let filters = Filters::of(&stage).await;
    let mut random = Rng::with_seed(rows as u64);
    for _ in 0..draws {
        let target = filters.draw(&mut random);
        is_the_list(&target, &rows_of(&stage.proxy, &format!("/v1{target}&limit=all")).await, &stage.airbyte);
        is_the_list(&target, &rows_of(&stage.proxy, &format!("/-/all/v1{target}")).await, &stage.airbyte);
        let limit = random.choice([7, 20, 100]).expect("one").max(rows / 20);
        if !older {
            let first = format!("/v1{target}&limit={}", limit.min(100));
            is_the_list(&target, &walked(&stage.proxy, &first).await, &stage.airbyte);
        }
    }
    let counts = stage.airbyte.counts();
    assert_eq!(counts.unauthorized(), 0);
}

#[tokio::test]
async fn whole_lists_and_walks_are_the_list_for_any_size_and_filters() {
    for rows in [0, 1, 19, 20, 21, 99, 100, 101] {
        lists_are_whole(rows, false, 40).await;
    }
}

#[tokio::test]
async fn whole_lists_are_the_list_where_a_server_fails_beyond_its_end() {
    for rows in [0, 1, 100, 101, 250] {
        lists_are_whole(rows, true, 20).await;
    }
}

#[tokio::test]
async fn ten_thousand_rows_are_all_there() {
    let stage = stage(10_000, false).await;
    let filters = Filters::of(&stage).await;
    let group = filters.group.as_ref().expect("a group");
    let workspace = &filters.workspaces[0];
    for target in [
        "/workspaces?includeDeleted=true".to_owned(),
        format!("/sources?workspaceIds={workspace}"),
        format!("/connections?tagIds={}", filters.tags[0]),
        "/jobs?status=succeeded&orderBy=updatedAt%7CDESC".to_owned(),
        format!("/groups?organizationId={}", filters.organization),
        format!("/groups/{group}/members?"),
    ] {
        is_the_list(&target, &rows_of(&stage.proxy, &format!("/v1{target}&limit=all")).await, &stage.airbyte);
    }
    let walked = walked(&stage.proxy, &format!("/v1/destinations?workspaceIds={workspace}&limit=100")).await;
    is_the_list(&format!("/destinations?workspaceIds={workspace}"), &walked, &stage.airbyte);
}

#[tokio::test]
async fn an_offset_begins_a_whole_list_further_on() {
    let stage = stage(250, false).await;
    let rows = rows_of(&stage.proxy, "/v1/jobs?limit=all&offset=130").await;
    assert!(rows == stage.airbyte.reference("/jobs?").expect("a list")[130..]);
}

#[tokio::test]
async fn all_walks_together_keep_to_their_pages_at_once() {
    let sizes = Sizes { jobs: 600, ..Sizes::default() };
    let latency = std::time::Duration::from_millis(5);
    let options = Options { sizes, latency, ..Options::default() };
    let stage = stage_of(options, |_| {}, |settings| settings.proxy.lists.pages_at_once = 2).await;
    let walks: Vec<_> = (0..8).map(|_| stage.proxy.begin(http::Method::GET, "/v1/jobs?limit=all")).collect();
    for walk in walks {
        assert_eq!(walk.await.expect("a task").json()["data"].as_array().map(Vec::len), Some(600));
    }
    assert_eq!(stage.airbyte.counts().most_at_once, 2);
}
