//! Resources that are kept as they were sent, one table for all: what has to be given, what may be, what is otherwise.

use serde_json::{Map, Value, json};

use super::data::{Kind, Row, Store, random_text};
use super::errors::Failure;
use super::resources::required;

/// How a small resource is made.
struct Shape {
    required: &'static [&'static str],
    optional: &'static [&'static str],
    defaults: Value,
}

fn shape(kind: Kind) -> Shape {
    let (required, optional, defaults): (&[_], &[_], _) = match kind {
        Kind::Tag => (&["name", "workspaceId"], &["color"], json!({ "color": "75DCFF" })),
        Kind::Group => (&["name", "organizationId"], &["description"], json!({ "memberCount": 0 })),
        Kind::Permission => (
            &["permissionType", "userId"],
            &["organizationId", "workspaceId"],
            json!({ "scope": "organization" }),
        ),
        Kind::GroupPermission => (&["permissionType"], &["organizationId", "workspaceId"], json!({})),
        Kind::Region => (&["name", "organizationId"], &["enabled"], json!({ "enabled": true })),
        Kind::Dataplane => (&["name", "regionId"], &["enabled"], json!({ "enabled": true })),
        Kind::SourceDefinition | Kind::DestinationDefinition => {
            (&["name", "dockerRepository", "dockerImageTag"], &["documentationUrl"], json!({}))
        }
        Kind::DeclarativeDefinition => (&["name"], &["manifest"], json!({ "version": 1, "manifest": {} })),
        _ => (&["name"], &[], json!({})),
    };
    Shape { required, optional, defaults }
}

/// The members of a small resource that can be changed.
pub(super) fn changeable(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Tag => &["name", "color"],
        Kind::Group => &["name", "description"],
        Kind::Permission => &["permissionType"],
        Kind::Region | Kind::Dataplane => &["name", "enabled"],
        Kind::SourceDefinition | Kind::DestinationDefinition => &["name", "dockerImageTag"],
        Kind::DeclarativeDefinition => &["manifest"],
        _ => &[],
    }
}

/// Whether a deleted one is shown a last time.
pub(super) fn shown_when_deleted(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Application
            | Kind::Region
            | Kind::Dataplane
            | Kind::SourceDefinition
            | Kind::DestinationDefinition
            | Kind::DeclarativeDefinition
    )
}

/// A new one, in the workspace called `place` if the path names one, as of `now` in seconds since the epoch.
pub(super) fn new(
    kind: Kind,
    given: &Map<String, Value>,
    place: &str,
    store: &mut Store,
    now: i64,
) -> Result<Row, Failure> {
    let shape = shape(kind);
    for name in shape.required {
        required(given, name)?;
    }
    let mut body = if let Value::Object(defaults) = shape.defaults { defaults } else { Map::new() };
    let names = shape.required.iter().chain(shape.optional).copied();
    body.extend(names.filter_map(|name| Some((name.to_owned(), given.get(name)?.clone()))));
    if kind == Kind::Application {
        body.extend(credentials(store));
        body.insert("createdAt".to_owned(), now.into());
    }
    let place = if kind == Kind::Tag { required(given, "workspaceId")? } else { place };
    let id = store.new_id();
    if kind == Kind::Group {
        store.members.push((id.clone(), Vec::new()));
    }
    Ok(Row::new(kind, id, place, body.into()))
}

/// An id and a secret that open nothing, but look as if they did.
pub(super) fn credentials(store: &mut Store) -> Map<String, Value> {
    let secret = random_text(&mut store.random, 32);
    let members =
        [("clientId".to_owned(), store.new_id().into()), ("clientSecret".to_owned(), secret.into())];
    members.into_iter().collect()
}
