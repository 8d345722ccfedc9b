//! The Configuration API, `/api/v1/…`, as far as clients read it: POST whatever it does, ids in the body.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::Uri;
use serde_json::{Map, Value, json};

use crate::airbyte::known::CONFIG_OPERATIONS;

use super::data::{Kind, Row, Store, definition_id};
use super::errors::Failure;
use super::jobs::Job;
use super::resources::{JsonBody, answer, ok, required};
use super::seed::{DESTINATIONS, SOURCES};
use super::world::World;

type Members = Map<String, Value>;

/// `POST /api/v1/{resource}/{verb}` and what lies deeper.
pub(super) async fn operation(State(world): State<Arc<World>>, uri: Uri, body: JsonBody) -> Response {
    let path = uri.path().strip_prefix("/api/v1").unwrap_or_default();
    let found = body.object().and_then(|body| result(&world, path, &body));
    answer(&uri, found.map(|found| ok(&found)))
}

fn result(world: &World, path: &str, body: &Members) -> Result<Value, Failure> {
    if !CONFIG_OPERATIONS.iter().any(|operation| operation.path == path) {
        return Err(Failure::NotFound);
    }
    let store = world.read();
    let find = |kind: Kind| store.find(kind, required(body, kind.id_key())?).ok_or(Failure::NotFound);
    Ok(match path {
        "/workspaces/get" => workspace(find(Kind::Workspace)?, &store),
        "/workspaces/list" | "/workspaces/list_by_organization_id" => {
            json!({ "workspaces": page(named(&store, Kind::Workspace, body), body, |row| workspace(row, &store)) })
        }
        "/workspaces/get_organization_info" => {
            find(Kind::Workspace)?;
            organization(&store)
        }
        "/organizations/get_organization_info" => {
            find(Kind::Organization)?;
            organization(&store)
        }
        "/organizations/list_by_user_id" => {
            json!({ "organizations": page(named(&store, Kind::Organization, body), body, |_| organization(&store)) })
        }
        "/permissions/list_by_user" => {
            let user = required(body, "userId")?;
            let permissions = store.rows(Kind::Permission).iter().filter(|row| row.text("userId") == user);
            json!({ "permissions": permissions.map(|row| &row.body).collect::<Vec<_>>() })
        }
        "/users/get_by_auth_id" | "/users/update" => user(&store)?,
        "/connections/list" => {
            let connections = inside(&store, Kind::Connection, body)?;
            json!({ "connections": connections.map(connection).collect::<Vec<_>>() })
        }
        "/connections/get"
        | "/web_backend/connections/get"
        | "/connections/update"
        | "/web_backend/connections/update" => connection(find(Kind::Connection)?),
        "/sources/list" => {
            json!({ "sources": inside(&store, Kind::Source, body)?.map(actor).collect::<Vec<_>>() })
        }
        "/destinations/list" => {
            json!({ "destinations": inside(&store, Kind::Destination, body)?.map(actor).collect::<Vec<_>>() })
        }
        "/destinations/get" => actor(find(Kind::Destination)?),
        "/source_definitions/list" => json!({ "sourceDefinitions": definitions(&SOURCES, "source") }),
        "/destination_definitions/list" => {
            json!({ "destinationDefinitions": definitions(&DESTINATIONS, "destination") })
        }
        "/destination_definitions/get" => {
            let id = required(body, "destinationDefinitionId")?;
            let mut all = definitions(&DESTINATIONS, "destination").into_iter();
            all.find(|definition| definition["destinationDefinitionId"] == id).ok_or(Failure::NotFound)?
        }
        "/jobs/list" => jobs(world, &store, body),
        "/jobs/get" | "/jobs/cancel" => {
            let id = body.get("id").and_then(Value::as_i64).ok_or(Failure::NotFound)?;
            job(world, &store, store.jobs.iter().find(|job| job.id == id).ok_or(Failure::NotFound)?)
        }
        "/connections/sync" => {
            // Takes the last one for the new one: who starts a sync here only wants to see a job.
            let connection = find(Kind::Connection)?;
            let last = store.jobs.iter().rev().find(|job| route(&store, job) == connection.id);
            last.map_or_else(|| json!({}), |last| job(world, &store, last))
        }
        "/state/get" => state(find(Kind::Connection)?),
        // Writes, and what nobody has looked for yet.
        _ => json!({}),
    })
}

/// Rows that are not deleted, and whose name has what is asked for in it.
fn named<'a>(store: &'a Store, kind: Kind, body: &Members) -> Vec<&'a Row> {
    let wanted = body.get("nameContains").and_then(Value::as_str).unwrap_or_default().to_lowercase();
    let name = if kind == Kind::Organization { "organizationName" } else { "name" };
    let rows = store.rows(kind).iter().filter(|row| !row.deleted);
    rows.filter(|row| row.text(name).to_lowercase().contains(&wanted)).collect()
}

/// What `pagination` asks for: here pages are asked for in the body, and there are no links.
fn page<T>(rows: Vec<T>, body: &Members, tell: impl Fn(T) -> Value) -> Vec<Value> {
    let number = |name: &str| {
        let number = body.get("pagination").and_then(|pagination| pagination[name].as_u64());
        number.and_then(|number| usize::try_from(number).ok())
    };
    let (skip, take) = (number("rowOffset").unwrap_or(0), number("pageSize").unwrap_or(usize::MAX));
    rows.into_iter().skip(skip).take(take).map(tell).collect()
}

/// Rows of the workspace that is asked for.
fn inside<'a>(
    store: &'a Store,
    kind: Kind,
    body: &Members,
) -> Result<impl Iterator<Item = &'a Row>, Failure> {
    let place = required(body, "workspaceId")?.to_owned();
    store.find(Kind::Workspace, &place).ok_or(Failure::NotFound)?;
    Ok(store.rows(kind).iter().filter(move |row| !row.deleted && row.workspace == place))
}

fn organization(store: &Store) -> Value {
    let row = store.rows(Kind::Organization).first();
    let text = |key| row.map_or("", |row| row.text(key));
    json!({
        "organizationId": text("organizationId"), "organizationName": text("organizationName"),
        "email": text("email"), "sso": false, "isLocked": false,
    })
}

fn user(store: &Store) -> Result<Value, Failure> {
    let user = store.rows(Kind::User).first().ok_or(Failure::NotFound)?;
    Ok(json!({
        "userId": user.id, "authUserId": user.id, "name": user.text("name"), "email": user.text("email"),
        "status": "registered", "metadata": {},
    }))
}

fn workspace(row: &Row, store: &Store) -> Value {
    json!({
        "workspaceId": row.id, "name": row.text("name"), "slug": row.text("name").to_lowercase(),
        "organizationId": organization(store)["organizationId"], "initialSetupComplete": true,
        "dataplaneGroupId": store.rows(Kind::Region).first().map(|region| &region.id),
        "tombstone": row.deleted,
    })
}

/// A source or destination: the configuration has another name than in the public API.
fn actor(row: &Row) -> Value {
    let kind = if row.body.contains_key("sourceType") { "source" } else { "destination" };
    let mut body = json!({
        "name": row.text("name"), "workspaceId": row.workspace,
        "connectionConfiguration": row.body.get("configuration"), "createdAt": row.body.get("createdAt"),
    });
    body[format!("{kind}Id")] = row.id.clone().into();
    body[format!("{kind}Name")] = row.text(&format!("{kind}Type")).into();
    body[format!("{kind}DefinitionId")] = row.text("definitionId").into();
    body
}

fn connection(row: &Row) -> Value {
    let streams = row.body.get("configurations").and_then(|all| all["streams"].as_array());
    let streams = streams.into_iter().flatten().map(|stream| {
        let text = json!({ "type": "string" });
        json!({
            "stream": {
                "name": stream["name"], "namespace": "public",
                "jsonSchema": { "type": "object", "properties": { "id": text, "updated_at": text } },
                "supportedSyncModes": ["full_refresh", "incremental"],
                "defaultCursorField": ["updated_at"], "sourceDefinedPrimaryKey": [["id"]],
            },
            "config": {
                "syncMode": "full_refresh", "destinationSyncMode": "overwrite", "selected": true,
                "aliasName": stream["name"], "cursorField": ["updated_at"], "primaryKey": [["id"]],
            },
        })
    });
    json!({
        "connectionId": row.id, "name": row.text("name"), "status": row.text("status"),
        "sourceId": row.text("sourceId"), "destinationId": row.text("destinationId"),
        "workspaceId": row.workspace, "scheduleType": "manual", "prefix": row.text("prefix"),
        "namespaceDefinition": "destination", "operationIds": [], "createdAt": row.body.get("createdAt"),
        "syncCatalog": { "streams": streams.collect::<Vec<_>>() },
    })
}

fn definitions(catalog: &[(&str, &str)], kind: &str) -> Vec<Value> {
    let definitions = catalog.iter().map(|(_, connector)| {
        json!({
            "name": connector, (format!("{kind}DefinitionId")): definition_id(connector),
            "dockerRepository": format!("example/{kind}-{connector}"), "dockerImageTag": "1.0.0",
        })
    });
    definitions.collect()
}

/// The connection that a job is of.
fn route<'a>(store: &'a Store, job: &Job) -> &'a str {
    store.routes.get(job.route as usize).map_or("", |route| &route.connection)
}

/// Newest first, of one connection if it is asked for.
fn jobs(world: &World, store: &Store, body: &Members) -> Value {
    let wanted = body.get("configId").and_then(Value::as_str);
    let jobs = store.jobs.iter().rev();
    let jobs: Vec<_> = jobs.filter(|job| wanted.is_none_or(|id| id == route(store, job))).collect();
    let total = jobs.len();
    json!({ "jobs": page(jobs, body, |row| job(world, store, row)), "totalJobCount": total })
}

fn job(world: &World, store: &Store, job: &Job) -> Value {
    let moment = job.at(world.millis(), world.options.job_duration);
    let status = moment.status.as_str();
    json!({
        "job": {
            "id": job.id, "configType": job.kind.as_str(), "configId": route(store, job), "status": status,
            "createdAt": job.created, "startedAt": job.created, "updatedAt": moment.updated,
        },
        "attempts": [{
            "attempt": {
                "id": 0, "status": status, "createdAt": job.created, "updatedAt": moment.updated,
                "endedAt": moment.updated, "recordsSynced": job.rows, "bytesSynced": u64::from(job.rows) * 120,
            },
            "logs": { "logLines": [] },
        }],
    })
}

fn state(row: &Row) -> Value {
    let streams = row.body.get("configurations").and_then(|all| all["streams"].as_array());
    let streams = streams.into_iter().flatten().map(|stream| {
        json!({
            "streamDescriptor": { "name": stream["name"], "namespace": "public" },
            "streamState": { "cursor": "2023-11-14" },
        })
    });
    json!({ "stateType": "stream", "connectionId": row.id, "streamState": streams.collect::<Vec<_>>() })
}
