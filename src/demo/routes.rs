//! Which path is answered by what.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::{delete, get, post, put};

use super::world::World;
use super::{auth, coding, config_api, controls, job_list, jobs, lists, others, resources, token};

/// What a self-managed server takes by default.
const MAX_BODY: usize = 10 * 1024 * 1024;

/// The API under the prefix of Airbyte Cloud and under that of a self-managed Airbyte, with both token endpoints.
pub(super) fn router(world: &Arc<World>) -> Router {
    let mut guarded = Router::new();
    let mut open = Router::new();
    let prefixes: &[&str] =
        if world.options.self_managed_only { &["/api/public/v1"] } else { &["/v1", "/api/public/v1"] };
    for prefix in prefixes {
        guarded = guarded.merge(api(prefix));
        open = open
            .route(&format!("{prefix}/applications/token"), post(token::public))
            .route(&format!("{prefix}/health"), get(others::health))
            .route(&format!("{prefix}/oauth/callback"), get(others::callback))
            .route(&format!("{prefix}/"), get(others::documentation));
        if world.options.controls {
            open = open.merge(controls::routes(prefix));
        }
    }
    let guarded = guarded
        .route("/api/v1/{resource}/{verb}", post(config_api::operation))
        .route("/api/v1/{part}/{resource}/{verb}", post(config_api::operation))
        .fallback(auth::unknown_path)
        .method_not_allowed_fallback(auth::unknown_method)
        .layer(from_fn_with_state(Arc::clone(world), auth::require_token));
    open.route("/api/v1/applications/token", post(token::configuration_api))
        .route("/health", get(others::health))
        .route("/", get(others::documentation))
        .merge(guarded)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(from_fn_with_state(Arc::clone(world), coding::encode))
        .layer(from_fn_with_state(Arc::clone(world), auth::date))
        .with_state(Arc::clone(world))
}

fn api(prefix: &str) -> Router<Arc<World>> {
    let at = |path: &str| format!("{prefix}{path}");
    let item = || get(resources::read).patch(resources::change).delete(resources::delete);
    let mut api = Router::new();
    for name in ["workspaces", "sources", "destinations", "connections"] {
        let item =
            if matches!(name, "sources" | "destinations") { item().put(resources::change) } else { item() };
        api = api.route(&at(&format!("/{name}")), get(lists::list).post(resources::create));
        api = api.route(&at(&format!("/{name}/{{id}}")), item);
    }
    for name in ["tags", "permissions", "regions", "dataplanes"] {
        api = api.route(&at(&format!("/{name}")), get(others::list).post(resources::create));
        api = api.route(&at(&format!("/{name}/{{id}}")), item());
    }
    for name in ["sources", "destinations", "declarative_sources"] {
        let path = at(&format!("/workspaces/{{place}}/definitions/{name}"));
        let item = get(resources::read).put(resources::change).delete(resources::delete);
        api = api
            .route(&path, get(others::list).post(resources::create))
            .route(&format!("{path}/{{id}}"), item);
    }
    for name in ["workspaces", "organizations"] {
        let path = at(&format!("/{name}/{{id}}/oauthCredentials"));
        api = api.route(&path, put(others::taken));
        api = api.route(&format!("{path}/{{type}}/{{name}}"), delete(others::gone));
    }
    api.merge(people(prefix))
        .route(&at("/jobs"), get(job_list::list).post(jobs::create))
        .route(&at("/jobs/{id}"), get(jobs::read).delete(jobs::cancel))
        .route(&at("/streams"), get(others::streams))
        .route(&at("/connector_definitions"), get(others::connectors))
        .route(&at("/sources/initiateOAuth"), post(others::consent))
}

fn people(prefix: &str) -> Router<Arc<World>> {
    let at = |path: &str| format!("{prefix}{path}");
    let item = || get(resources::read).patch(resources::change).delete(resources::delete);
    Router::new()
        .route(&at("/organizations"), get(others::list))
        .route(&at("/users"), get(others::list))
        .route(&at("/groups"), get(lists::groups).post(resources::create))
        .route(&at("/groups/{id}"), item())
        .route(&at("/groups/{id}/members"), get(lists::members).post(others::join))
        .route(&at("/groups/{id}/members/{user}"), delete(others::leave))
        .route(&at("/groups/{id}/permissions"), get(others::list).post(resources::create))
        .route(&at("/groups/{id}/permissions/{permission}"), delete(resources::delete))
        .route(&at("/applications"), get(others::applications).post(resources::create))
        .route(&at("/applications/{id}"), get(others::application_by_id).delete(resources::delete))
        .route(&at("/embedded/organizations"), get(others::embedded_organizations))
        .route(&at("/embedded/widget_token"), post(others::embedded_token))
        .route(&at("/embedded/scoped_token"), post(others::embedded_token))
}
