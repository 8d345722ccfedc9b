//! The paged lists: filters, windows, pages.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{StatusCode, Uri};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::data::{Kind, Row, Store};
use super::errors::Failure;
use super::links::{Keep, links};
use super::params::{Params, Window};
use super::resources::{answer, target};
use super::world::World;

/// The seven lists that come in pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum List {
    /// Workspaces, sources, destinations, connections.
    Main(Kind),
    Jobs,
    Groups,
    /// Members of the group with this id.
    Members(String),
}

impl List {
    /// The one at `path`, which begins with the API's prefix.
    pub(super) fn at(path: &str) -> Option<Self> {
        let (_, path) = path.split_once("/v1/")?;
        let segments: Vec<_> = path.split('/').collect();
        Some(match segments[..] {
            ["workspaces"] => Self::Main(Kind::Workspace),
            ["sources"] => Self::Main(Kind::Source),
            ["destinations"] => Self::Main(Kind::Destination),
            ["connections"] => Self::Main(Kind::Connection),
            ["jobs"] => Self::Jobs,
            ["groups"] => Self::Groups,
            ["groups", id, "members"] => Self::Members(id.to_owned()),
            _ => return None,
        })
    }
}

/// A page of a main list. No link is an empty string, never null and never absent.
#[derive(Debug, Serialize)]
struct Page<'a, T> {
    data: &'a [T],
    previous: String,
    next: String,
}

/// A page of the list called `name`.
///
/// A page with rows has a `next`, full or not, so following it costs one empty page. Older servers gave none to a page
/// that is not full, and had no page to give behind the last row.
pub(super) fn page(
    world: &World,
    name: &str,
    data: &[impl Serialize],
    keep: &[Keep],
    window: Window,
) -> Result<Response, Failure> {
    let older = world.options.older;
    if older && data.is_empty() && window.offset > 0 {
        return Err(Failure::Internal);
    }
    let last = if older { data.len() < window.limit } else { data.is_empty() };
    let links = links(&format!("{}/{name}", world.link_base()), keep, window, last);
    Ok(Json(Page { data, previous: links.previous, next: links.next }).into_response())
}

/// Which rows of a main list are asked for.
pub(super) struct Filter {
    include_deleted: bool,
    workspaces: Vec<String>,
    tags: Vec<String>,
}

impl Filter {
    pub(super) fn parse(kind: Kind, params: &Params, store: &Store) -> Result<Self, Failure> {
        let workspaces = params.ids("workspaceIds")?;
        readable(&workspaces, store)?;
        Ok(Self {
            include_deleted: params.flag("includeDeleted")?,
            workspaces,
            tags: if kind == Kind::Connection { params.ids("tagIds")? } else { Vec::new() },
        })
    }

    pub(super) fn admits(&self, row: &Row) -> bool {
        (self.include_deleted || !row.deleted)
            && (self.workspaces.is_empty() || self.workspaces.contains(&row.workspace))
            && (self.tags.is_empty() || tagged(row, &self.tags))
    }
}

/// `GET /workspaces`, `/sources`, `/destinations`, `/connections`
pub(super) async fn list(State(world): State<Arc<World>>, uri: Uri) -> Response {
    answer(&uri, listed(&world, &uri))
}

fn listed(world: &World, uri: &Uri) -> Result<Response, Failure> {
    let (kind, _) = target(uri).ok_or(Failure::NotFound)?;
    let params = Params::of(uri)?;
    let window = params.window()?;
    let store = world.read();
    let filter = Filter::parse(kind, &params, &store)?;
    let rows: Vec<_> =
        take(store.rows(kind).iter().filter(|row| filter.admits(row)), window).map(body).collect();
    // `tagIds` is lost here, as it is upstream.
    let mut keep = vec![Keep("includeDeleted", Some(filter.include_deleted.to_string()))];
    if !filter.workspaces.is_empty() {
        keep.insert(0, Keep("workspaceIds", Some(filter.workspaces.join(","))));
    }
    let name = uri.path().rsplit('/').next().unwrap_or_default();
    page(world, name, &rows, &keep, window)
}

fn tagged(row: &Row, ids: &[String]) -> bool {
    let tags = row.body.get("tags").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    tags.iter().filter_map(|tag| tag["tagId"].as_str()).any(|tag| ids.iter().any(|id| id == tag))
}

fn take<'a>(rows: impl Iterator<Item = &'a Row>, window: Window) -> impl Iterator<Item = &'a Row> {
    rows.skip(window.offset).take(window.limit)
}

fn body(row: &Row) -> &Map<String, Value> {
    &row.body
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
    let mut rows = store.rows(Kind::Group).iter().filter(|row| of(row, &organization)).skip(window.offset);
    let data: Vec<_> = rows.by_ref().take(window.limit).map(body).collect();
    let path = format!("/public/v1/groups?organizationId={organization}&");
    Ok(relative(&data, &path, window, rows.next().is_some()))
}

/// Whether `group` is there and belongs to `organization`.
pub(super) fn of(group: &Row, organization: &str) -> bool {
    !group.deleted && group.text("organizationId") == organization
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
    let data: Vec<_> = take(store.members_of(&group.id), window).map(member).collect();
    let more = data.len() >= window.limit;
    Ok(relative(&data, &format!("/public/v1/groups/{}/members?", group.id), window, more))
}

/// What a group tells of `user`.
pub(super) fn member(user: &Row) -> Value {
    json!({ "userId": user.id, "name": user.text("name"), "email": user.text("email") })
}

/// Links that are relative, to a path that is not the public one; absent where there is no page.
fn relative(data: &[impl Serialize], path: &str, window: Window, more: bool) -> Response {
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
