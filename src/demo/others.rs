//! The lists without pages and the rest: read-only, enough to be called.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{StatusCode, Uri};
use serde_json::{Value, json};

use super::data::{Kind, Row, Store};
use super::errors::Failure;
use super::params::Params;
use super::resources::{answer, ok, target};
use super::world::World;

/// `GET /health`
pub(super) async fn health() -> &'static str {
    "Successful operation"
}

/// `GET /`: on to the reference documentation.
pub(super) async fn documentation() -> Response {
    (StatusCode::FOUND, [(http::header::LOCATION, "https://reference.airbyte.com/")]).into_response()
}

/// The one organization, which has to be asked for by its id.
pub(super) fn organization(params: &Params, store: &Store) -> Result<String, Failure> {
    let missing = || Failure::Problem(StatusCode::BAD_REQUEST, "organizationId is missing".into());
    let id = params.id("organizationId")?.ok_or_else(missing)?;
    match store.find(Kind::Organization, &id) {
        Some(found) => Ok(found.id.clone()),
        None => Err(Failure::forbidden("ORGANIZATION_ADMIN")),
    }
}

/// `GET /tags`, `/organizations`, `/users`, `/permissions`, `/regions`, `/dataplanes`: whole, in `data`.
pub(super) async fn list(State(world): State<Arc<World>>, uri: Uri) -> Response {
    answer(&uri, whole(&world, &uri))
}

fn whole(world: &World, uri: &Uri) -> Result<Response, Failure> {
    let params = Params::of(uri)?;
    let store = world.read();
    let (kind, _) = target(uri).ok_or(Failure::NotFound)?;
    let wanted: Box<dyn Fn(&Row) -> bool> = match kind {
        Kind::Tag => {
            let workspaces = params.ids("workspaceIds")?;
            super::lists::readable(&workspaces, &store)?;
            Box::new(move |row| workspaces.is_empty() || workspaces.contains(&row.workspace))
        }
        Kind::User => {
            organization(&params, &store)?;
            let ids = params.ids("ids")?;
            let emails: Vec<_> = params.all("emails").into_iter().map(str::to_owned).collect();
            Box::new(move |row| {
                (ids.is_empty() || ids.contains(&row.id))
                    && (emails.is_empty() || emails.iter().any(|email| email == row.text("email")))
            })
        }
        Kind::Region => {
            organization(&params, &store)?;
            Box::new(|_| true)
        }
        Kind::Permission => {
            let user = params.id("userId")?;
            Box::new(move |row| user.as_ref().is_none_or(|user| user == row.text("userId")))
        }
        _ => Box::new(|_| true),
    };
    let rows: Vec<_> = store.rows(kind).iter().filter(|row| !row.deleted && wanted(row)).collect();
    Ok(ok(&json!({ "data": rows.iter().map(|row| &row.body).collect::<Vec<_>>() })))
}

/// `GET /applications`: with `clientSecret` in clear, as upstream does, which is why a proxy should not pass it on.
pub(super) async fn applications(State(world): State<Arc<World>>) -> Response {
    ok(&json!({ "applications": [application(&world)] }))
}

/// `GET /applications/{applicationId}`, likewise.
pub(super) async fn application_by_id(
    State(world): State<Arc<World>>,
    Path(id): Path<String>,
    uri: Uri,
) -> Response {
    let application = application(&world);
    if application["id"] != id.as_str() {
        return Failure::NotFound.response(&uri);
    }
    ok(&application)
}

fn application(world: &World) -> Value {
    let credentials = world.issuer().credentials().clone();
    json!({
        "id": super::data::definition_id(&credentials.client_id),
        "name": "simulated",
        "clientId": credentials.client_id,
        "clientSecret": credentials.client_secret.expose(),
        "createdAt": 1_700_000_000,
    })
}

/// `GET /streams`: a bare array.
pub(super) async fn streams(State(world): State<Arc<World>>, uri: Uri) -> Response {
    let streams = Params::of(&uri).and_then(|params| {
        let missing = || Failure::Invalid("sourceId: is missing".into());
        let source = params.id("sourceId")?.ok_or_else(missing)?;
        world.read().find(Kind::Source, &source).ok_or(Failure::NotFound)?;
        Ok(Json(json!([stream("users"), stream("purchases"), stream("products")])).into_response())
    });
    answer(&uri, streams)
}

fn stream(name: &str) -> Value {
    json!({
        "streamName": name,
        "syncModes": ["full_refresh_overwrite", "full_refresh_append", "incremental_append"],
        "defaultCursorField": ["updated_at"],
        "sourceDefinedCursorField": true,
        "sourceDefinedPrimaryKey": [["id"]],
        "propertyFields": [["id"], ["name"], ["updated_at"]],
    })
}
