//! The rows: what they are, and how new ones look.

use fastrand::Rng;
use serde_json::{Map, Value, json};

use super::jobs::{Job, Route};

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
    GroupPermission,
    Application,
    SourceDefinition,
    DestinationDefinition,
    DeclarativeDefinition,
}

const KINDS: usize = Kind::DeclarativeDefinition as usize + 1;

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
            Self::User
            | Self::Application
            | Self::SourceDefinition
            | Self::DestinationDefinition
            | Self::DeclarativeDefinition => "id",
            Self::Permission | Self::GroupPermission => "permissionId",
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
#[derive(Debug)]
pub(super) struct Store {
    rows: [Vec<Row>; KINDS],
    /// Oldest first.
    pub(super) jobs: Vec<Job>,
    /// What jobs refer to: a million of them is to fit into little memory.
    pub(super) routes: Vec<Route>,
    /// Users of each group, by the group's id; as places among the users, of whom none ever leaves.
    pub(super) members: Vec<(String, Vec<usize>)>,
    /// For what is drawn later: the same requests after the same seed get the same answers.
    pub(super) random: Rng,
    last_job: i64,
}

impl Store {
    pub(super) fn new(random: Rng) -> Self {
        Self {
            rows: Default::default(),
            jobs: Vec::new(),
            routes: Vec::new(),
            members: Vec::new(),
            random,
            last_job: 1000,
        }
    }

    pub(super) fn rows(&self, kind: Kind) -> &[Row] {
        &self.rows[kind as usize]
    }

    pub(super) fn rows_mut(&mut self, kind: Kind) -> &mut Vec<Row> {
        &mut self.rows[kind as usize]
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

    /// Users of the group with this id.
    pub(super) fn members_of(&self, group: &str) -> impl Iterator<Item = &Row> {
        let members = self.members.iter().find(|(of, _)| of == group).map(|(_, members)| members.as_slice());
        members.unwrap_or_default().iter().filter_map(|user| self.rows(Kind::User).get(*user))
    }

    pub(super) fn new_id(&mut self) -> String {
        uuid(&mut self.random)
    }

    pub(super) fn next_job_id(&mut self) -> i64 {
        self.last_job += 1;
        self.last_job
    }

    /// What a job of this connection refers to.
    pub(super) fn route(&mut self, connection: &str, workspace: &str) -> u32 {
        let at = self.routes.iter().position(|route| route.connection == connection).unwrap_or_else(|| {
            self.routes.push(Route { connection: connection.to_owned(), workspace: workspace.to_owned() });
            self.routes.len() - 1
        });
        u32::try_from(at).unwrap_or(u32::MAX)
    }
}

/// A version 4 UUID.
pub(super) fn uuid(random: &mut Rng) -> String {
    let bits = random.u128(..) & !(0xf << 76) & !(0xc << 60) | (0x4 << 76) | (0x8 << 60);
    let hex = format!("{bits:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// So many letters and digits.
pub(super) fn random_text(random: &mut Rng, len: usize) -> String {
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
