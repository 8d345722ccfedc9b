//! The lists without pages and the rest: enough to be called.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{StatusCode, Uri};
use serde_json::{Value, json};

use super::data::{Kind, Row, Store, definition_id, random_text};
use super::errors::Failure;
use super::params::Params;
use super::resources::{self, JsonBody, answer, ok, required, target};
use super::seed::{DESTINATIONS, SOURCES};
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

/// `GET` of tags, organizations, users, permissions, regions, data planes, definitions, permissions of a group: whole, in
/// `data`.
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
        Kind::SourceDefinition
        | Kind::DestinationDefinition
        | Kind::DeclarativeDefinition
        | Kind::GroupPermission => {
            let parent = resources::parent(uri, &store)?.to_owned();
            Box::new(move |row| row.workspace == parent)
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
    let store = world.read();
    let others = store.rows(Kind::Application).iter().filter(|row| !row.deleted);
    let others = others.map(|row| Value::Object(row.body.clone()));
    let all: Vec<_> = std::iter::once(application(&world)).chain(others).collect();
    ok(&json!({ "applications": all }))
}

/// `GET /applications/{applicationId}`, likewise.
pub(super) async fn application_by_id(
    State(world): State<Arc<World>>,
    Path(id): Path<String>,
    uri: Uri,
) -> Response {
    let application = application(&world);
    if application["id"] == id.as_str() {
        return ok(&application);
    }
    let store = world.read();
    match store.find(Kind::Application, &id) {
        Some(row) => ok(&row.body),
        None => Failure::NotFound.response(&uri),
    }
}

fn application(world: &World) -> Value {
    let credentials = world.issuer().credentials().clone();
    json!({
        "id": definition_id(&credentials.client_id),
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

/// `GET /connector_definitions`: all connectors of one type.
pub(super) async fn connectors(uri: Uri) -> Response {
    let connectors = Params::of(&uri).and_then(|params| {
        let catalog: Vec<&str> = match params.text("type") {
            Some("source") => SOURCES.iter().map(|(_, connector)| *connector).collect(),
            Some("destination") => DESTINATIONS.iter().map(|(_, connector)| *connector).collect(),
            _ => return Err(Failure::Invalid("type: is neither source nor destination".into())),
        };
        let rows = catalog.into_iter().map(|name| json!({ "id": definition_id(name), "name": name }));
        Ok(ok(&json!({ "data": rows.collect::<Vec<_>>() })))
    });
    answer(&uri, connectors)
}

/// `POST /groups/{groupId}/members`
pub(super) async fn join(State(world): State<Arc<World>>, uri: Uri, body: JsonBody) -> Response {
    let joined = body.object().and_then(|body| {
        let mut store = world.write();
        let group = resources::parent(&uri, &store)?;
        let user = required(&body, "userId")?;
        let at = store.rows(Kind::User).iter().position(|row| row.id == user).ok_or(Failure::NotFound)?;
        if let Some((_, members)) = store.members.iter_mut().find(|(of, _)| of == group)
            && !members.contains(&at)
        {
            members.push(at);
        }
        let member = super::lists::member(&store.rows(Kind::User)[at]);
        Ok((StatusCode::CREATED, Json(member)).into_response())
    });
    answer(&uri, joined)
}

/// `DELETE /groups/{groupId}/members/{userId}`
pub(super) async fn leave(State(world): State<Arc<World>>, Path(ids): Path<(String, String)>) -> Response {
    let mut store = world.write();
    let at = store.rows(Kind::User).iter().position(|row| row.id == ids.1);
    if let Some((_, members)) = store.members.iter_mut().find(|(of, _)| *of == ids.0) {
        members.retain(|user| Some(*user) != at);
    }
    StatusCode::NO_CONTENT.into_response()
}

/// `PUT …/oauthCredentials`: taken, and nothing said.
pub(super) async fn taken(State(world): State<Arc<World>>, uri: Uri, body: JsonBody) -> Response {
    let known = body.object().and_then(|_| resources::parent(&uri, &world.read()).map(|_| ()));
    answer(&uri, known.map(|()| StatusCode::OK.into_response()))
}

/// `DELETE …/oauthCredentials/{actorType}/{name}`
pub(super) async fn gone(State(world): State<Arc<World>>, uri: Uri) -> Response {
    let known = resources::parent(&uri, &world.read()).map(|_| ());
    answer(&uri, known.map(|()| StatusCode::NO_CONTENT.into_response()))
}

/// `POST /sources/initiateOAuth`: where the user is to consent.
pub(super) async fn consent(uri: Uri, body: JsonBody) -> Response {
    let consent = json!({ "consentUrl": "https://accounts.example.com/consent" });
    answer(&uri, body.object().map(|_| ok(&consent)))
}

/// `GET /oauth/callback`: back to where the user came from.
pub(super) async fn callback() -> Response {
    (StatusCode::FOUND, [(http::header::LOCATION, "https://cloud.airbyte.com/auth_flow")]).into_response()
}

/// `POST /embedded/widget_token`, `/embedded/scoped_token`: a token that opens nothing here.
pub(super) async fn embedded_token(State(world): State<Arc<World>>, uri: Uri, body: JsonBody) -> Response {
    let token = body.object().map(|_| random_text(&mut world.write().random, 64));
    answer(&uri, token.map(|token| ok(&json!({ "token": token }))))
}

/// `GET /embedded/organizations`
pub(super) async fn embedded_organizations(State(world): State<Arc<World>>) -> Response {
    let store = world.read();
    let organizations = store.rows(Kind::Organization).iter().map(|row| {
        json!({
            "organizationId": row.id, "organizationName": row.text("organizationName"),
            "permission": "organization_admin",
        })
    });
    ok(&json!({ "organizations": organizations.collect::<Vec<_>>() }))
}
