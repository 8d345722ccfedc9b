//! The paged lists: filters, windows, pages.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{StatusCode, Uri};
use serde::Serialize;
use serde_json::{Value, json};

use super::data::{Kind, Row, Store};
use super::errors::Failure;
use super::links::{Keep, Links, links};
use super::params::{Params, Window};
use super::resources::{answer, target};
use super::world::World;

/// A page of a main list. No link is an empty string, never null and never absent.
#[derive(Debug, Serialize)]
struct Page {
    data: Vec<Value>,
    previous: String,
    next: String,
}

/// The body of a page.
pub(super) fn page(data: Vec<Value>, links: Links) -> Response {
    Json(Page { data, previous: links.previous, next: links.next }).into_response()
}

/// `GET /workspaces`, `/sources`, `/destinations`, `/connections`
pub(super) async fn list(State(world): State<Arc<World>>, uri: Uri) -> Response {
    answer(&uri, listed(&world, &uri))
}

fn listed(world: &World, uri: &Uri) -> Result<Response, Failure> {
    let (kind, _) = target(uri).ok_or(Failure::NotFound)?;
    let params = Params::of(uri)?;
    let window = params.window()?;
    let include_deleted = params.flag("includeDeleted")?;
    let workspaces = params.ids("workspaceIds")?;
    let tags = if kind == Kind::Connection { params.ids("tagIds")? } else { Vec::new() };
    let store = world.read();
    readable(&workspaces, &store)?;
    let admitted = |row: &&Row| {
        (include_deleted || !row.deleted)
            && (workspaces.is_empty() || workspaces.contains(&row.workspace))
            && (tags.is_empty() || tagged(row, &tags))
    };
    let rows: Vec<_> = take(store.rows(kind).iter().filter(admitted), window).map(body).collect();
    // `tagIds` is lost here, as it is upstream.
    let mut keep = vec![Keep("includeDeleted", Some(include_deleted.to_string()))];
    if !workspaces.is_empty() {
        keep.insert(0, Keep("workspaceIds", Some(workspaces.join(","))));
    }
    let name = uri.path().rsplit('/').next().unwrap_or_default();
    let links = links(&format!("{}/{name}", world.link_base()), &keep, window, rows.is_empty());
    Ok(page(rows, links))
}

fn tagged(row: &Row, ids: &[String]) -> bool {
    let tags = row.body.get("tags").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    tags.iter().filter_map(|tag| tag["tagId"].as_str()).any(|tag| ids.iter().any(|id| id == tag))
}

fn take<'a>(rows: impl Iterator<Item = &'a Row>, window: Window) -> impl Iterator<Item = &'a Row> {
    rows.skip(window.offset).take(window.limit)
}

fn body(row: &Row) -> Value {
    Value::Object(row.body.clone())
}

/// 403 unless every workspace asked for exists: whose it is, an outsider is not told.
pub(super) fn readable(workspaces: &[String], store: &Store) -> Result<(), Failure> {
    let known = |id: &String| store.rows(Kind::Workspace).iter().any(|row| row.id == *id);
    if workspaces.iter().all(known) { Ok(()) } else { Err(Failure::forbidden("WORKSPACE_READER")) }
}

// === groups: links of another kind ===

/// `GET /groups`: looks one row ahead, so its last page has no `next`.
pub(super) async fn groups(State(world): State<Arc<World>>, uri: Uri) -> Response {
    answer(&uri, groups_of(&world, &uri))
}

fn groups_of(world: &World, uri: &Uri) -> Result<Response, Failure> {
    let params = Params::of(uri)?;
    let window = params.window()?;
    let store = world.read();
    let organization = super::others::organization(&params, &store)?;
    let rows: Vec<_> =
        store.rows(Kind::Group).iter().filter(|row| row.text("organizationId") == organization).collect();
    let more = rows.len() > window.offset + window.limit;
    let data: Vec<_> = take(rows.into_iter(), window).map(body).collect();
    let path = format!("/public/v1/groups?organizationId={organization}&");
    Ok(relative(&data, &path, window, more))
}

/// `GET /groups/{groupId}/members`: a full page has a `next`, also the last one.
pub(super) async fn members(State(world): State<Arc<World>>, Path(id): Path<String>, uri: Uri) -> Response {
    answer(&uri, members_of(&world, &id, &uri))
}

fn members_of(world: &World, id: &str, uri: &Uri) -> Result<Response, Failure> {
    let window = Params::of(uri)?.window()?;
    let store = world.read();
    let unknown = || Failure::ResourceNotFound { kind: "group", id: id.to_owned() };
    let group = store.find(Kind::Group, id).ok_or_else(unknown)?;
    let members = store.members.iter().find(|(of, _)| *of == group.id).map(|(_, members)| members.as_slice());
    let users = members.unwrap_or_default().iter().filter_map(|user| store.find(Kind::User, user));
    let data: Vec<_> = take(users, window)
        .map(|user| json!({ "userId": user.id, "name": user.text("name"), "email": user.text("email") }))
        .collect();
    let more = data.len() >= window.limit;
    Ok(relative(&data, &format!("/public/v1/groups/{}/members?", group.id), window, more))
}

/// Links that are relative, to a path that is not the public one; absent where there is no page.
fn relative(data: &[Value], path: &str, window: Window, more: bool) -> Response {
    let Window { limit, offset } = window;
    let link = |offset| Value::from(format!("{path}limit={limit}&offset={offset}"));
    let mut page = json!({ "data": data });
    if more {
        page["next"] = link(offset + limit);
    }
    if offset > 0 {
        page["previous"] = link(offset.saturating_sub(limit));
    }
    (StatusCode::OK, Json(page)).into_response()
}
