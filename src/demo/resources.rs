//! One row at a time: create, read, change, delete.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequest, Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{StatusCode, Uri};
use serde::Serialize;
use serde_json::{Map, Value};

use super::data::{self, Kind, Row, Store};
use super::errors::Failure;
use super::small;
use super::world::World;

/// A failure becomes the answer it stands for.
pub(super) fn answer(uri: &Uri, result: Result<Response, Failure>) -> Response {
    result.unwrap_or_else(|failure| failure.response(uri))
}

/// 200 with `body`.
pub(super) fn ok(body: &impl Serialize) -> Response {
    Json(body).into_response()
}

/// A request body that ought to be a JSON object; whether it is one is told in Airbyte's words, not in axum's.
pub(super) struct JsonBody(Option<Map<String, Value>>);

impl<S: Send + Sync> FromRequest<S> for JsonBody {
    type Rejection = Infallible;

    async fn from_request(request: Request, state: &S) -> Result<Self, Infallible> {
        let bytes = Bytes::from_request(request, state).await.unwrap_or_default();
        Ok(Self(serde_json::from_slice(&bytes).ok()))
    }
}

impl JsonBody {
    pub(super) fn object(self) -> Result<Map<String, Value>, Failure> {
        self.0.ok_or_else(|| Failure::Invalid("body is not a JSON object".into()))
    }
}

/// The text under `name`, which has to be there.
pub(super) fn required<'a>(body: &'a Map<String, Value>, name: &str) -> Result<&'a str, Failure> {
    let text = body.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    text.ok_or_else(|| Failure::Invalid(format!("{name}: is missing")))
}

/// What a path below the API's prefix is about, and the id in it.
pub(super) fn target(uri: &Uri) -> Option<(Kind, &str)> {
    let segments = segments(uri)?;
    let (kind, id) = match segments[..] {
        ["workspaces", _, "definitions", "sources", ref id @ ..] => (Kind::SourceDefinition, id.first()),
        ["workspaces", _, "definitions", "destinations", ref id @ ..] => {
            (Kind::DestinationDefinition, id.first())
        }
        ["workspaces", _, "definitions", "declarative_sources", ref id @ ..] => {
            (Kind::DeclarativeDefinition, id.first())
        }
        ["groups", _, "permissions", ref id @ ..] => (Kind::GroupPermission, id.first()),
        [name, ref id @ ..] => (kind_called(name)?, id.first()),
        [] => return None,
    };
    Some((kind, id.copied().unwrap_or_default()))
}

/// The parts of a path below the API's prefix.
fn segments(uri: &Uri) -> Option<Vec<&str>> {
    let (_, path) = uri.path().split_once("/v1/")?;
    Some(path.split('/').collect())
}

fn kind_called(name: &str) -> Option<Kind> {
    Some(match name {
        "workspaces" => Kind::Workspace,
        "sources" => Kind::Source,
        "destinations" => Kind::Destination,
        "connections" => Kind::Connection,
        "tags" => Kind::Tag,
        "groups" => Kind::Group,
        "organizations" => Kind::Organization,
        "users" => Kind::User,
        "permissions" => Kind::Permission,
        "regions" => Kind::Region,
        "dataplanes" => Kind::Dataplane,
        "applications" => Kind::Application,
        _ => return None,
    })
}

/// The workspace or group that a path leads through, which has to exist.
pub(super) fn parent<'a>(uri: &'a Uri, store: &Store) -> Result<&'a str, Failure> {
    let segments = segments(uri).unwrap_or_default();
    let [name, id, _, ..] = segments[..] else { return Ok("") };
    let kind = kind_called(name).ok_or(Failure::NotFound)?;
    store.find(kind, id).map(|_| id).ok_or(Failure::NotFound)
}

/// `GET /{resource}/{id}`
pub(super) async fn read(State(world): State<Arc<World>>, uri: Uri) -> Response {
    let store = world.read();
    let row = target(&uri).ok_or(Failure::NotFound).and_then(|(kind, id)| match store.find(kind, id) {
        Some(row) => Ok(ok(&row.body)),
        None if kind == Kind::Group => Err(Failure::ResourceNotFound { kind: "group", id: id.to_owned() }),
        None => Err(Failure::NotFound),
    });
    answer(&uri, row)
}

/// `DELETE /{resource}/{id}`
pub(super) async fn delete(State(world): State<Arc<World>>, uri: Uri) -> Response {
    let mut store = world.write();
    let row = target(&uri).and_then(|(kind, id)| store.find_mut(kind, id));
    let Some(row) = row else { return Failure::NotFound.response(&uri) };
    row.deleted = true;
    // What has a status, which is connections, says so.
    if let Some(status) = row.body.get_mut("status") {
        *status = "deprecated".into();
    }
    let shown = target(&uri).is_some_and(|(kind, _)| small::shown_when_deleted(kind));
    if shown { ok(&row.body) } else { StatusCode::NO_CONTENT.into_response() }
}

/// `POST /{resource}`
pub(super) async fn create(State(world): State<Arc<World>>, uri: Uri, body: JsonBody) -> Response {
    answer(&uri, body.object().and_then(|body| created(&world, &uri, body)))
}

fn created(world: &World, uri: &Uri, body: Map<String, Value>) -> Result<Response, Failure> {
    let (kind, _) = target(uri).ok_or(Failure::NotFound)?;
    let now = world.seconds();
    let mut store = world.write();
    let place = parent(uri, &store)?;
    let row = match kind {
        Kind::Source | Kind::Destination => {
            let id = store.new_id();
            new_actor(kind, id, body, &store, now)
        }
        Kind::Connection => {
            let id = store.new_id();
            new_connection(id, body, &store, now)
        }
        Kind::Workspace => new_workspace(&store.new_id(), &body),
        _ => small::new(kind, &body, place, &mut store, now),
    }?;
    let status = if kind == Kind::GroupPermission { StatusCode::CREATED } else { StatusCode::OK };
    let mut response = ok(&row.body);
    if kind == Kind::Dataplane {
        // What a data plane signs in with is told this once.
        let mut body = small::credentials(&mut store);
        body.extend(["dataplaneId", "regionId"].map(|key| (key.to_owned(), row.text(key).into())));
        response = ok(&body);
    }
    store.add(kind, row);
    Ok((status, response).into_response())
}

/// `PATCH /{resource}/{id}`, and `PUT` where it exists: members that are given replace those that are there.
pub(super) async fn change(State(world): State<Arc<World>>, uri: Uri, body: JsonBody) -> Response {
    let changed = body.object().and_then(|body| {
        let (kind, id) = target(&uri).ok_or(Failure::NotFound)?;
        let mut store = world.write();
        let row = store.find_mut(kind, id).ok_or(Failure::NotFound)?;
        for (key, value) in body.into_iter().filter(|(key, _)| changeable(kind).contains(&key.as_str())) {
            if key == "configuration" {
                reconfigure(kind, row, value);
            } else {
                row.body.insert(key, value);
            }
        }
        Ok(ok(&row.body))
    });
    answer(&uri, changed)
}

fn changeable(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Workspace => &["name", "notifications"],
        Kind::Source | Kind::Destination => &["name", "configuration", "resourceAllocation"],
        Kind::Connection => &[
            "name",
            "status",
            "schedule",
            "configurations",
            "prefix",
            "tags",
            "namespaceDefinition",
            "namespaceFormat",
            "nonBreakingSchemaUpdatesBehavior",
        ],
        small => small::changeable(small),
    }
}

fn reconfigure(kind: Kind, row: &mut Row, new: Value) {
    let connector = row.text(type_key(kind)).to_owned();
    let mut whole = row.body.get("configuration").cloned().unwrap_or_default();
    if let (Value::Object(whole), Value::Object(new)) = (&mut whole, new) {
        whole.extend(new);
    }
    *row = data::configured(kind, row.clone(), &connector, whole);
}

fn type_key(kind: Kind) -> &'static str {
    if kind == Kind::Source { "sourceType" } else { "destinationType" }
}

fn new_workspace(id: &str, body: &Map<String, Value>) -> Result<Row, Failure> {
    Ok(data::workspace(id, required(body, "name")?))
}

fn new_actor(
    kind: Kind,
    id: String,
    mut body: Map<String, Value>,
    store: &Store,
    now: i64,
) -> Result<Row, Failure> {
    let configuration = body.remove("configuration").unwrap_or_default();
    let (name, place) = (required(&body, "name")?, required(&body, "workspaceId")?);
    let place = store.find(Kind::Workspace, place).ok_or_else(|| Failure::forbidden("WORKSPACE_EDITOR"))?;
    let key = type_key(kind);
    let connector = configuration[key].as_str().map(str::to_owned);
    let definition = body.get("definitionId").and_then(Value::as_str);
    if connector.is_none() && definition.is_none() {
        return Err(Failure::unprocessable(format!("neither definitionId nor configuration.{key} is given")));
    }
    let connector = connector.unwrap_or_else(|| "custom".to_owned());
    let mut row = data::actor(kind, id, &place.id, name, &connector);
    if let Some(definition) = definition {
        row.body.insert("definitionId".to_owned(), definition.into());
    }
    row.body.insert("createdAt".to_owned(), now.into());
    Ok(data::configured(kind, row, &connector, configuration))
}

fn new_connection(id: String, body: Map<String, Value>, store: &Store, now: i64) -> Result<Row, Failure> {
    let source = store.find(Kind::Source, required(&body, "sourceId")?).ok_or(Failure::NotFound)?;
    let destination =
        store.find(Kind::Destination, required(&body, "destinationId")?).ok_or(Failure::NotFound)?;
    if source.workspace != destination.workspace {
        return Err(Failure::unprocessable("source and destination are in different workspaces"));
    }
    let mut row = data::connection(id, source, destination, now);
    let given = body
        .into_iter()
        .filter(|(key, value)| changeable(Kind::Connection).contains(&key.as_str()) && !value.is_null());
    row.body.extend(given);
    Ok(row)
}
