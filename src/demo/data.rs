//! The rows: what they are, and a seeded set to begin with.

use fastrand::Rng;
use serde_json::{Map, Value, json};

use super::jobs::{Course, Job, Status};

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

/// What a row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Workspace,
    Source,
    Destination,
    Connection,
    Tag,
    Group,
    Organization,
    User,
    Permission,
    Region,
    Dataplane,
}

const KINDS: usize = Kind::Dataplane as usize + 1;

impl Kind {
    /// The member that holds its id.
    pub(super) fn id_key(self) -> &'static str {
        match self {
            Self::Workspace => "workspaceId",
            Self::Source => "sourceId",
            Self::Destination => "destinationId",
            Self::Connection => "connectionId",
            Self::Tag => "tagId",
            Self::Group => "groupId",
            Self::Organization => "organizationId",
            Self::User => "id",
            Self::Permission => "permissionId",
            Self::Region => "regionId",
            Self::Dataplane => "dataplaneId",
        }
    }
}

/// One workspace, source, …: its body as answered, with what the body does not tell.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) id: String,
    /// The workspace it is in (itself, for one), else empty.
    pub(super) workspace: String,
    pub(super) deleted: bool,
    pub(super) body: Map<String, Value>,
}

impl Row {
    /// `body` is an object; the id is put in.
    pub(super) fn new(kind: Kind, id: String, workspace: &str, body: Value) -> Self {
        let mut body = if let Value::Object(body) = body { body } else { Map::new() };
        body.insert(kind.id_key().to_owned(), id.clone().into());
        Self { id, workspace: workspace.to_owned(), deleted: false, body }
    }

    /// The text under `key`, or nothing.
    pub(super) fn text(&self, key: &str) -> &str {
        self.body.get(key).and_then(Value::as_str).unwrap_or_default()
    }
}

/// All rows there are.
#[derive(Debug, Default)]
pub(super) struct Store {
    rows: [Vec<Row>; KINDS],
    /// Oldest first.
    pub(super) jobs: Vec<Job>,
    /// Users of each group, by the group's id.
    pub(super) members: Vec<(String, Vec<String>)>,
}

impl Store {
    pub(super) fn rows(&self, kind: Kind) -> &[Row] {
        &self.rows[kind as usize]
    }

    pub(super) fn add(&mut self, kind: Kind, row: Row) {
        self.rows[kind as usize].push(row);
    }

    /// The one with this id, deleted ones excepted.
    pub(super) fn find(&self, kind: Kind, id: &str) -> Option<&Row> {
        self.rows(kind).iter().find(|row| row.id.eq_ignore_ascii_case(id) && !row.deleted)
    }

    pub(super) fn find_mut(&mut self, kind: Kind, id: &str) -> Option<&mut Row> {
        let rows = &mut self.rows[kind as usize];
        rows.iter_mut().find(|row| row.id.eq_ignore_ascii_case(id) && !row.deleted)
    }

    pub(super) fn next_job_id(&self) -> i64 {
        self.jobs.iter().map(|job| job.id).max().unwrap_or(1000) + 1
    }
}

/// A version 4 UUID.
pub(super) fn uuid(random: &mut Rng) -> String {
    let bits = random.u128(..) & !(0xf << 76) & !(0xc << 60) | (0x4 << 76) | (0x8 << 60);
    let hex = format!("{bits:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// So many letters and digits.
pub(super) fn random_text(len: usize) -> String {
    let mut random = Rng::new();
    std::iter::repeat_with(|| random.alphanumeric()).take(len).collect()
}

/// Replaces what looks like a secret, at any depth: Airbyte never shows one again.
pub(super) fn masked(value: Value) -> Value {
    const SECRET: [&str; 8] =
        ["secret", "password", "token", "api_key", "apikey", "access_key", "private_key", "credential"];
    match value {
        Value::Object(members) => Value::Object(
            members
                .into_iter()
                .map(|(key, value)| {
                    let lower = key.to_ascii_lowercase();
                    let secret = value.is_string() && SECRET.iter().any(|word| lower.contains(word));
                    let value = if secret { Value::from("************") } else { masked(value) };
                    (key, value)
                })
                .collect(),
        ),
        Value::Array(items) => Value::Array(items.into_iter().map(masked).collect()),
        other => other,
    }
}

/// The definition id that belongs to a connector's name: always the same, whoever asks.
pub(super) fn definition_id(connector: &str) -> String {
    let seed = connector.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    uuid(&mut Rng::with_seed(seed))
}

/// Rows as of `now`, in seconds since the epoch.
pub(super) fn seed(sizes: Sizes, seed: u64, now: i64) -> Store {
    let mut seeder = Seeder { random: Rng::with_seed(seed), store: Store::default(), now };
    seeder.people(sizes);
    seeder.workspaces(sizes.workspaces.max(1), sizes.deleted);
    seeder.tags(sizes.tags);
    seeder.actors(Kind::Source, sizes.sources, sizes.deleted);
    seeder.actors(Kind::Destination, sizes.destinations, sizes.deleted);
    seeder.connections(sizes.connections, sizes.deleted);
    seeder.jobs(sizes.jobs);
    // No ORDER BY upstream: an order, but none that means anything.
    for kind in [Kind::Source, Kind::Destination, Kind::Connection] {
        seeder.random.shuffle(&mut seeder.store.rows[kind as usize]);
    }
    seeder.store
}

struct Seeder {
    random: Rng,
    store: Store,
    now: i64,
}

const WORKSPACES: [&str; 6] = ["Marketing", "Finance", "Data Science", "Operations", "Support", "Sandbox"];
const SOURCES: [(&str, &str); 6] = [
    ("Stripe payments", "stripe"),
    ("Orders database", "postgres"),
    ("Sample customers", "faker"),
    ("Web shop", "shopify"),
    ("Wiki", "notion"),
    ("Tickets", "zendesk-support"),
];
const DESTINATIONS: [(&str, &str); 4] = [
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
            let members: Vec<_> =
                self.store.rows(Kind::User).iter().take(count).map(|user| user.id.clone()).collect();
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
            self.store.add(Kind::Workspace, row);
        }
    }

    /// The workspace of the `n`-th row of something.
    fn place(&self, n: usize) -> String {
        let live: Vec<_> = self.store.rows(Kind::Workspace).iter().filter(|row| !row.deleted).collect();
        live[n % live.len()].id.clone()
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
        for n in 0..live + deleted {
            let sources = self.store.rows(Kind::Source).iter().filter(|row| !row.deleted);
            let Some(source) = sources.clone().nth(n % sources.count().max(1)) else { return };
            let inside = |row: &&Row| !row.deleted && row.workspace == source.workspace;
            let destinations = self.store.rows(Kind::Destination).iter().filter(inside);
            let Some(destination) = destinations.clone().nth(n % destinations.count().max(1)) else {
                continue;
            };
            let tags = self.store.rows(Kind::Tag).iter().filter(|tag| tag.workspace == source.workspace);
            let tags: Vec<_> = tags.take(n / 3 % 3).map(|tag| Value::Object(tag.body.clone())).collect();
            let created = self.now - self.random.i64(3600..100 * 86_400);
            let id = uuid(&mut self.random);
            let mut row = connection(id, source, destination, created);
            row.body.insert("tags".to_owned(), Value::Array(tags));
            row.deleted = n >= live;
            if row.deleted {
                row.body.insert("status".to_owned(), "deprecated".into());
            }
            self.store.add(Kind::Connection, row);
        }
    }

    fn jobs(&mut self, count: usize) {
        let live = |row: &&Row| !row.deleted;
        let connections: Vec<_> = self.store.rows(Kind::Connection).iter().filter(live).cloned().collect();
        if connections.is_empty() {
            return;
        }
        let mut created = self.now - 90 * i64::try_from(count).unwrap_or(0) - 3600;
        for n in 0..count {
            // Every fifth job starts in the same second as the one before it.
            created += if n % 5 == 4 { 0 } else { self.random.i64(30..110) };
            let connection = &connections[n % connections.len()];
            let status = match n % 20 {
                3 => Status::Failed,
                9 => Status::Cancelled,
                14 => Status::Incomplete,
                _ => Status::Succeeded,
            };
            let kind = ["sync", "sync", "sync", "clear", "sync", "reset", "sync", "sync"][n % 8];
            let updated = created + self.random.i64(5..1500);
            self.store.jobs.push(Job {
                id: 1001 + i64::try_from(n).unwrap_or(0),
                connection: connection.id.clone(),
                workspace: connection.workspace.clone(),
                kind,
                created,
                course: Course::Over { status, updated },
                rows: self.random.i64(0..1_000_000),
            });
        }
    }
}

/// `name`, numbered once the names of the catalog have all been used.
fn named(name: &str, n: usize, catalog: usize) -> String {
    if n < catalog { name.to_owned() } else { format!("{name} {}", n / catalog + 1) }
}

/// A workspace with default settings.
pub(super) fn workspace(id: &str, name: &str) -> Row {
    let email = json!({ "email": { "enabled": true }, "webhook": { "enabled": false } });
    let body = json!({
        "name": name, "dataResidency": "auto",
        "notifications": { "failure": email, "syncDisabled": email },
    });
    Row::new(Kind::Workspace, id.to_owned(), id, body)
}

/// A source or destination, not yet configured or dated.
pub(super) fn actor(kind: Kind, id: String, place: &str, name: &str, connector: &str) -> Row {
    let body = json!({ "name": name, "workspaceId": place, "definitionId": definition_id(connector) });
    Row::new(kind, id, place, body)
}

/// `row` with a configuration, whose secrets are forgotten.
///
/// Airbyte takes the type out of a stored configuration. It stays here: the official Python SDK 1.0.1 cannot decode a
/// destination without it.
pub(super) fn configured(kind: Kind, mut row: Row, connector: &str, configuration: Value) -> Row {
    let key = if kind == Kind::Source { "sourceType" } else { "destinationType" };
    let mut configuration = masked(configuration);
    if let Value::Object(members) = &mut configuration {
        members.insert(key.to_owned(), connector.into());
    }
    row.body.insert(key.to_owned(), connector.into());
    row.body.insert("configuration".to_owned(), configuration);
    row
}

/// A connection from `source` to `destination` with default settings.
pub(super) fn connection(id: String, source: &Row, destination: &Row, created: i64) -> Row {
    let stream = |name| json!({ "name": name, "syncMode": "full_refresh_overwrite", "mappers": [] });
    let body = json!({
        "name": format!("{} → {}", source.text("name"), destination.text("name")),
        "sourceId": source.id, "destinationId": destination.id, "workspaceId": source.workspace,
        "status": "active", "schedule": { "scheduleType": "manual" },
        "configurations": { "streams": [stream("users"), stream("purchases"), stream("products")] },
        "nonBreakingSchemaUpdatesBehavior": "ignore", "namespaceDefinition": "destination",
        "prefix": "", "tags": [], "createdAt": created,
    });
    Row::new(Kind::Connection, id, &source.workspace, body)
}
