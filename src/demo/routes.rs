//! Which path is answered by what.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};

use super::world::World;
use super::{auth, coding, job_list, jobs, lists, others, resources, token};

/// What a self-managed server takes by default.
const MAX_BODY: usize = 10 * 1024 * 1024;

/// The API under the prefix of Airbyte Cloud and under that of a self-managed Airbyte, with both token endpoints.
pub(super) fn router(world: &Arc<World>) -> Router {
    let mut guarded = Router::new();
    let mut open = Router::new();
    for prefix in ["/v1", "/api/public/v1"] {
        guarded = guarded.merge(api(prefix));
        open = open
            .route(&format!("{prefix}/applications/token"), post(token::public))
            .route(&format!("{prefix}/health"), get(others::health))
            .route(&format!("{prefix}/"), get(others::documentation));
    }
    let guarded = guarded
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
    let mut api = Router::new();
    for name in ["workspaces", "sources", "destinations", "connections"] {
        let item = get(resources::read).patch(resources::change).delete(resources::delete);
        let item =
            if matches!(name, "sources" | "destinations") { item.put(resources::change) } else { item };
        api = api.route(&at(&format!("/{name}")), get(lists::list).post(resources::create));
        api = api.route(&at(&format!("/{name}/{{id}}")), item);
    }
    for name in ["tags", "organizations", "users", "permissions", "regions", "dataplanes"] {
        api = api.route(&at(&format!("/{name}")), get(others::list));
    }
    for name in ["tags", "permissions", "regions", "dataplanes", "groups"] {
        api = api.route(&at(&format!("/{name}/{{id}}")), get(resources::read));
    }
    api.route(&at("/jobs"), get(job_list::list).post(jobs::create))
        .route(&at("/jobs/{id}"), get(jobs::read).delete(jobs::cancel))
        .route(&at("/groups"), get(lists::groups))
        .route(&at("/groups/{id}/members"), get(lists::members))
        .route(&at("/applications"), get(others::applications))
        .route(&at("/applications/{id}"), get(others::application_by_id))
        .route(&at("/streams"), get(others::streams))
}
