//! The rows that a simulated Airbyte begins with.

use std::collections::HashMap;

use fastrand::Rng;
use serde_json::{Value, json};

use super::data::{Kind, Row, Store, actor, configured, connection, uuid, workspace};
use super::jobs::{Course, Job, JobType, Route, Status};
use super::small;

/// How many rows a simulated Airbyte begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Sizes {
    /// At least one.
    pub workspaces: usize,
    pub sources: usize,
    pub destinations: usize,
    /// None without a source and a destination.
    pub connections: usize,
    /// None without a connection.
    pub jobs: usize,
    /// Users of the one organization.
    pub users: usize,
    pub groups: usize,
    /// Members of the first group; at most as many as there are users.
    pub members: usize,
    pub tags: usize,
    /// Deleted workspaces, sources, destinations and connections, so many of each, beside the others.
    pub deleted: usize,
}

impl Default for Sizes {
    /// A few friendly names, and enough of everything for several pages.
    fn default() -> Self {
        Self {
            workspaces: 3,
            sources: 45,
            destinations: 30,
            connections: 60,
            jobs: 250,
            users: 45,
            groups: 25,
            members: 40,
            tags: 6,
            deleted: 2,
        }
    }
}

/// Rows as of `now`, in seconds since the epoch.
pub(super) fn seed(sizes: Sizes, seed: u64, now: i64) -> Store {
    let mut random = Rng::with_seed(seed);
    let store = Store::new(random.fork());
    let mut seeder = Seeder { random, store, places: Vec::new(), now };
    seeder.people(sizes);
    seeder.workspaces(sizes.workspaces.max(1), sizes.deleted);
    seeder.tags(sizes.tags);
    seeder.actors(Kind::Source, sizes.sources, sizes.deleted);
    seeder.actors(Kind::Destination, sizes.destinations, sizes.deleted);
    seeder.connections(sizes.connections, sizes.deleted);
    seeder.jobs(sizes.jobs);
    seeder.small();
    // No ORDER BY upstream: an order, but none that means anything.
    for kind in [Kind::Source, Kind::Destination, Kind::Connection] {
        seeder.random.shuffle(seeder.store.rows_mut(kind));
    }
    seeder.store
}

struct Seeder {
    random: Rng,
    store: Store,
    /// Ids of the workspaces that are not deleted.
    places: Vec<String>,
    now: i64,
}

const WORKSPACES: [&str; 6] = ["Marketing", "Finance", "Data Science", "Operations", "Support", "Sandbox"];
/// Names and connectors of sources.
pub(super) const SOURCES: [(&str, &str); 6] = [
    ("Stripe payments", "stripe"),
    ("Orders database", "postgres"),
    ("Sample customers", "faker"),
    ("Web shop", "shopify"),
    ("Wiki", "notion"),
    ("Tickets", "zendesk-support"),
];
/// Names and connectors of destinations.
pub(super) const DESTINATIONS: [(&str, &str); 4] = [
    ("Warehouse", "snowflake"),
    ("Notebook files", "duckdb"),
    ("Reporting", "bigquery"),
    ("Archive", "postgres"),
];

/// What the `n`-th connector is configured with: the members that the official SDK cannot do without, at least.
fn sample(connector: &str, n: usize) -> Value {
    match connector {
        "stripe" => json!({ "account_id": format!("acct_{n}"), "client_secret": "forgotten" }),
        "postgres" => json!({
            "host": format!("db{n}.example.com"), "port": 5432, "database": "orders",
            "username": "airbyte", "password": "forgotten",
        }),
        "faker" => json!({ "count": 1000, "seed": -1, "records_per_slice": 1000 }),
        "shopify" => json!({ "shop": format!("shop-{n}") }),
        "zendesk-support" => json!({ "subdomain": format!("desk-{n}") }),
        "snowflake" => json!({
            "host": "example.snowflakecomputing.com", "role": "LOADER", "warehouse": "WH",
            "database": format!("DB{n}"), "schema": "PUBLIC", "username": "airbyte",
        }),
        "duckdb" => json!({ "destination_path": format!("/local/{n}.duckdb") }),
        "bigquery" => json!({
            "project_id": "example", "dataset_id": format!("dataset_{n}"), "dataset_location": "EU",
        }),
        _ => json!({}),
    }
}

impl Seeder {
    fn people(&mut self, sizes: Sizes) {
        let organization = uuid(&mut self.random);
        let body = json!({ "organizationName": "Simulated Ltd", "email": "owner@example.com" });
        self.store.add(Kind::Organization, Row::new(Kind::Organization, organization.clone(), "", body));
        for n in 1..=sizes.users {
            let user = uuid(&mut self.random);
            let body = json!({ "name": format!("User {n}"), "email": format!("user{n}@example.com") });
            self.store.add(Kind::User, Row::new(Kind::User, user.clone(), "", body));
            let body = json!({
                "permissionType": if n == 1 { "organization_admin" } else { "organization_member" },
                "userId": user, "scope": "organization", "scopeId": organization,
            });
            let id = uuid(&mut self.random);
            self.store.add(Kind::Permission, Row::new(Kind::Permission, id, "", body));
        }
        for n in 1..=sizes.groups {
            let group = uuid(&mut self.random);
            let count = if n == 1 { sizes.members } else { n % 4 };
            let members: Vec<_> = (0..count.min(sizes.users)).collect();
            let body = json!({
                "name": format!("Group {n}"), "description": "simulated",
                "organizationId": organization, "memberCount": members.len(),
            });
            self.store.members.push((group.clone(), members));
            self.store.add(Kind::Group, Row::new(Kind::Group, group, "", body));
        }
        let region = uuid(&mut self.random);
        let body = json!({ "name": "auto", "organizationId": organization, "enabled": true });
        self.store.add(Kind::Region, Row::new(Kind::Region, region.clone(), "", body));
        let body = json!({ "name": "dataplane-1", "regionId": region, "enabled": true });
        let id = uuid(&mut self.random);
        self.store.add(Kind::Dataplane, Row::new(Kind::Dataplane, id, "", body));
    }

    fn workspaces(&mut self, live: usize, deleted: usize) {
        for n in 0..live + deleted {
            let name = named(WORKSPACES[n % WORKSPACES.len()], n, WORKSPACES.len());
            let mut row = workspace(&uuid(&mut self.random), &name);
            row.deleted = n >= live;
            if !row.deleted {
                self.places.push(row.id.clone());
            }
            self.store.add(Kind::Workspace, row);
        }
    }

    /// The workspace of the `n`-th row of something.
    fn place(&self, n: usize) -> String {
        self.places[n % self.places.len()].clone()
    }

    fn tags(&mut self, count: usize) {
        for n in 0..count {
            let place = self.place(n);
            let name = ["daily", "critical", "experiment"][n / 3 % 3];
            let body = json!({ "name": named(name, n, 9), "color": "75DCFF", "workspaceId": place });
            let row = Row::new(Kind::Tag, uuid(&mut self.random), &place, body);
            self.store.add(Kind::Tag, row);
        }
    }

    fn actors(&mut self, kind: Kind, live: usize, deleted: usize) {
        let catalog: &[_] = if kind == Kind::Source { &SOURCES } else { &DESTINATIONS };
        for n in 0..live + deleted {
            let (name, connector) = catalog[n % catalog.len()];
            let place = self.place(n);
            let created = self.now - self.random.i64(86_400..200 * 86_400);
            let row = actor(kind, uuid(&mut self.random), &place, &named(name, n, catalog.len()), connector);
            let mut row = configured(kind, row, connector, sample(connector, n));
            row.body.insert("createdAt".to_owned(), created.into());
            row.deleted = n >= live;
            self.store.add(kind, row);
        }
    }

    fn connections(&mut self, live: usize, deleted: usize) {
        let mut made = Vec::new();
        let sources: Vec<_> = self.store.rows(Kind::Source).iter().filter(|row| !row.deleted).collect();
        let destinations = by_place(&self.store, Kind::Destination);
        let tags = by_place(&self.store, Kind::Tag);
        for n in 0..live + deleted {
            let Some(source) = sources.get(n % sources.len().max(1)) else { return };
            let destinations = inside(&destinations, source);
            let Some(destination) = destinations.get(n % destinations.len().max(1)) else { continue };
            let tags = inside(&tags, source).iter().take(n / 3 % 3);
            let tags: Vec<_> = tags.map(|tag| Value::Object(tag.body.clone())).collect();
            let created = self.now - self.random.i64(3600..100 * 86_400);
            let mut row = connection(uuid(&mut self.random), source, destination, created);
            row.body.insert("tags".to_owned(), Value::Array(tags));
            row.deleted = n >= live;
            if row.deleted {
                row.body.insert("status".to_owned(), "deprecated".into());
            }
            made.push(row);
        }
        for row in made {
            self.store.add(Kind::Connection, row);
        }
    }

    fn jobs(&mut self, count: usize) {
        let live = self.store.rows(Kind::Connection).iter().filter(|row| !row.deleted);
        let live: Vec<_> = live.map(|row| (row.id.clone(), row.workspace.clone())).collect();
        if live.is_empty() {
            return;
        }
        for (connection, workspace) in live {
            self.store.routes.push(Route { connection, workspace });
        }
        let routes = u32::try_from(self.store.routes.len()).unwrap_or(u32::MAX);
        let mut created = self.now - 90 * i64::try_from(count).unwrap_or(0) - 3600;
        self.store.jobs.reserve(count);
        for (n, route) in (0..count).zip((0..routes).cycle()) {
            // Every fifth job starts in the same second as the one before it.
            created += if n % 5 == 4 { 0 } else { self.random.i64(30..110) };
            let status = match n % 20 {
                3 => Status::Failed,
                9 => Status::Cancelled,
                14 => Status::Incomplete,
                _ => Status::Succeeded,
            };
            let kind = match n % 8 {
                3 => JobType::Clear,
                5 => JobType::Reset,
                _ => JobType::Sync,
            };
            let updated = created + self.random.i64(5..1500);
            let course = Course::Over { status, updated };
            let id = self.store.next_job_id();
            self.store.jobs.push(Job {
                id,
                created,
                course,
                route,
                rows: self.random.u32(0..1_000_000),
                kind,
            });
        }
    }

    /// One of each of the rest, in the first workspace or group where it has to be in one.
    fn small(&mut self) {
        let place = self.place(0);
        let group = self.store.rows(Kind::Group).first().map(|row| row.id.clone()).unwrap_or_default();
        let image =
            json!({ "name": "My connector", "dockerRepository": "example/own", "dockerImageTag": "1.0" });
        for (kind, parent, given) in [
            (Kind::Application, "", json!({ "name": "second" })),
            (Kind::GroupPermission, &group, json!({ "permissionType": "workspace_reader" })),
            (Kind::SourceDefinition, &place, image.clone()),
            (Kind::DestinationDefinition, &place, image),
            (Kind::DeclarativeDefinition, &place, json!({ "name": "Low code" })),
        ] {
            let given = given.as_object().cloned().unwrap_or_default();
            let made = small::new(kind, &given, parent, &mut self.store, self.now);
            if let Ok(row) = made {
                self.store.add(kind, row);
            }
        }
    }
}

/// Those in the workspace of `source`.
fn inside<'a>(rows: &'a HashMap<String, Vec<&'a Row>>, source: &Row) -> &'a [&'a Row] {
    rows.get(&source.workspace).map(Vec::as_slice).unwrap_or_default()
}

/// Rows that are not deleted, by their workspace.
fn by_place(store: &Store, kind: Kind) -> HashMap<String, Vec<&Row>> {
    let mut rows: HashMap<_, Vec<_>> = HashMap::new();
    for row in store.rows(kind).iter().filter(|row| !row.deleted) {
        rows.entry(row.workspace.clone()).or_default().push(row);
    }
    rows
}

/// `name`, numbered once the names of the catalog have all been used.
fn named(name: &str, n: usize, catalog: usize) -> String {
    if n < catalog { name.to_owned() } else { format!("{name} {}", n / catalog + 1) }
}
