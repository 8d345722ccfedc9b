//! `GET /jobs`: the one list that upstream sorts.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use http::{StatusCode, Uri};

use super::data::Store;
use super::errors::Failure;
use super::jobs::{Job, JobBody, Moment};
use super::links::Keep;
use super::lists::{page, readable};
use super::params::{Params, Window};
use super::resources::answer;
use super::world::World;

/// `GET /jobs`
pub(super) async fn list(State(world): State<Arc<World>>, uri: Uri) -> Response {
    answer(&uri, filtered(&world, &uri))
}

fn filtered(world: &World, uri: &Uri) -> Result<Response, Failure> {
    let params = Params::of(uri)?;
    let window = params.window()?;
    let order = Order::parse(&params)?;
    let store = world.read();
    let filter = Filter::parse(&params, &store)?;
    let clock = (world.millis(), world.options.job_duration);
    let rows = rows(&store, &filter, order, window, clock);
    // Of all filters the links keep the type and where to look, nothing else.
    let mut keep = vec![Keep("jobType", filter.kind.clone())];
    if let Some(connection) = &filter.connection {
        keep.push(Keep("connectionId", Some(connection.clone())));
    } else if !filter.workspaces.is_empty() {
        keep.push(Keep("workspaceIds", Some(filter.workspaces.join(","))));
    }
    page(world, "jobs", &rows, &keep, window)
}

/// One page. A list may be long and a walk through it has many pages, so in the stored order rows before the page are
/// skipped, without a look at them if nothing is filtered; only `updatedAt` has to be sorted for.
fn rows<'a>(
    store: &'a Store,
    filter: &Filter,
    order: Order,
    window: Window,
    (now, duration): (i64, Duration),
) -> Vec<JobBody<'a>> {
    type Jobs<'a> = Box<dyn Iterator<Item = &'a Job> + 'a>;
    let Window { limit, offset } = window;
    let body = |job: &Job| job.body(&job.at(now, duration), &store.routes);
    if order.field == Field::Created {
        let jobs = store.jobs.iter();
        let mut jobs: Jobs<'_> = if order.descending { Box::new(jobs.rev()) } else { Box::new(jobs) };
        if !filter.is_open() {
            jobs = Box::new(jobs.filter(|job| filter.admits(job, &job.at(now, duration))));
        }
        return jobs.skip(offset).take(limit).map(body).collect();
    }
    let moments = store.jobs.iter().map(|job| (job, job.at(now, duration)));
    let mut jobs: Vec<_> = moments.filter(|(job, moment)| filter.admits(job, moment)).collect();
    jobs.sort_by_key(|(_, moment)| moment.updated);
    if order.descending {
        jobs.reverse();
    }
    jobs.into_iter().skip(offset).take(limit).map(|(job, _)| body(job)).collect()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Created,
    Updated,
}

/// Of what, and whether the latest come first. Ties are not broken upstream; here newest first is oldest first,
/// backwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) field: Field,
    pub(super) descending: bool,
}

impl Order {
    /// `createdAt|ASC` and the like; oldest first if absent.
    pub(super) fn parse(params: &Params) -> Result<Self, Failure> {
        let wrong =
            || Failure::Problem(StatusCode::BAD_REQUEST, "orderBy: is not FIELD|ASC or FIELD|DESC".into());
        let Some(text) = params.text("orderBy") else {
            return Ok(Self { field: Field::Created, descending: false });
        };
        let (field, direction) = text.split_once('|').ok_or_else(wrong)?;
        let field = match field {
            "createdAt" => Field::Created,
            "updatedAt" => Field::Updated,
            _ => return Err(wrong()),
        };
        match direction {
            "ASC" => Ok(Self { field, descending: false }),
            "DESC" => Ok(Self { field, descending: true }),
            _ => Err(wrong()),
        }
    }
}

/// Which jobs are asked for.
pub(super) struct Filter {
    connection: Option<String>,
    workspaces: Vec<String>,
    /// Whether a route is on the connection and in the workspaces asked for; nothing if any is.
    routes: Option<Vec<bool>>,
    kind: Option<String>,
    status: Option<String>,
    created: (Option<i64>, Option<i64>),
    updated: (Option<i64>, Option<i64>),
}

impl Filter {
    pub(super) fn parse(params: &Params, store: &Store) -> Result<Self, Failure> {
        let one_of = |name: &str, allowed: &[&str]| match params.text(name) {
            Some(text) if !allowed.contains(&text) => {
                Err(Failure::Invalid(format!("{name}: is none of {}", allowed.join(", "))))
            }
            text => Ok(text.map(str::to_owned)),
        };
        let (connection, workspaces) = (params.id("connectionId")?, params.ids("workspaceIds")?);
        readable(&workspaces, store)?;
        let routes = (connection.is_some() || !workspaces.is_empty()).then(|| {
            let asked_for = store.routes.iter().map(|route| {
                connection.as_ref().is_none_or(|id| *id == route.connection)
                    && (workspaces.is_empty() || workspaces.contains(&route.workspace))
            });
            asked_for.collect()
        });
        Ok(Self {
            connection,
            workspaces,
            routes,
            kind: one_of("jobType", &["sync", "reset", "refresh", "clear"])?,
            status: one_of(
                "status",
                &["pending", "queued", "running", "incomplete", "failed", "succeeded", "cancelled"],
            )?,
            created: (params.time("createdAtStart")?, params.time("createdAtEnd")?),
            updated: (params.time("updatedAtStart")?, params.time("updatedAtEnd")?),
        })
    }

    /// Whether it admits everything.
    fn is_open(&self) -> bool {
        self.routes.is_none()
            && self.kind.is_none()
            && self.status.is_none()
            && self.created == (None, None)
            && self.updated == (None, None)
    }

    pub(super) fn admits(&self, job: &Job, moment: &Moment) -> bool {
        let within = |(start, end): (Option<i64>, Option<i64>), at: i64| {
            start.is_none_or(|start| at >= start) && end.is_none_or(|end| at <= end)
        };
        self.routes.as_ref().is_none_or(|routes| routes.get(job.route as usize) == Some(&true))
            && self.kind.as_ref().is_none_or(|kind| kind == job.kind.as_str())
            && self.status.as_ref().is_none_or(|status| status == moment.status.as_str())
            && within(self.created, job.created)
            && within(self.updated, moment.updated)
    }
}
