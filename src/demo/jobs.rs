//! Jobs: they move to an end by themselves as time passes.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::response::Response;
use http::Uri;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::clock::millis;

use super::data::{Kind, Store};
use super::errors::Failure;
use super::resources::{JsonBody, answer, ok, required};
use super::world::World;

/// One run of a connection. Small: there may be a million.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) id: i64,
    /// Seconds since the epoch.
    pub(super) created: i64,
    pub(super) course: Course,
    /// Which of the store's routes it ran on.
    pub(super) route: u32,
    pub(super) rows: u32,
    pub(super) kind: JobType,
}

/// What a job runs on.
#[derive(Debug, Clone)]
pub(super) struct Route {
    pub(super) connection: String,
    pub(super) workspace: String,
}

/// What a job does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum JobType {
    Sync,
    Reset,
    Clear,
}

impl JobType {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Sync => "sync",
            Self::Reset => "reset",
            Self::Clear => "clear",
        }
    }
}

/// How a job goes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Course {
    /// It has ended, or is as good as ended.
    Over {
        status: Status,
        /// Seconds since the epoch.
        updated: i64,
    },
    /// It began then, in milliseconds since the epoch, and will succeed.
    Running(i64),
}

/// What a job's `status` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Pending,
    Running,
    Incomplete,
    Failed,
    Succeeded,
    Cancelled,
}

impl Status {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Incomplete => "incomplete",
            Self::Failed => "failed",
            Self::Succeeded => "succeeded",
            Self::Cancelled => "cancelled",
        }
    }

    fn is_terminal(self) -> bool {
        matches!(self, Self::Failed | Self::Succeeded | Self::Cancelled)
    }
}

/// A job's state at one moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) status: Status,
    /// Seconds since the epoch.
    pub(super) updated: i64,
}

/// What is told of a job. `lastUpdatedAt` exists once it is over, `duration` once it is not pending.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct JobBody<'a> {
    job_id: i64,
    status: &'static str,
    job_type: &'static str,
    connection_id: &'a str,
    start_time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_updated_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes_synced: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rows_synced: Option<u64>,
}

impl Job {
    /// A pure function of the time, in milliseconds since the epoch: nothing has to run for a job to go on.
    pub(super) fn at(&self, now: i64, duration: Duration) -> Moment {
        let begun = match self.course {
            Course::Over { status, updated } => return Moment { status, updated },
            Course::Running(begun) => begun,
        };
        let (elapsed, whole) = (now.saturating_sub(begun), millis(duration));
        let seconds = |at: i64| at.div_euclid(1000);
        if elapsed >= whole {
            Moment { status: Status::Succeeded, updated: seconds(begun.saturating_add(whole)) }
        } else if elapsed >= whole / 4 {
            Moment { status: Status::Running, updated: seconds(now) }
        } else {
            Moment { status: Status::Pending, updated: seconds(begun) }
        }
    }

    pub(super) fn body<'a>(&self, moment: &Moment, routes: &'a [Route]) -> JobBody<'a> {
        let over = moment.status.is_terminal();
        let rows = over.then_some(u64::from(self.rows));
        let duration = SignedDuration::from_secs(moment.updated - self.created);
        JobBody {
            job_id: self.id,
            status: moment.status.as_str(),
            job_type: self.kind.as_str(),
            connection_id: routes.get(self.route as usize).map_or("", |route| &route.connection),
            start_time: date_time(self.created),
            last_updated_at: over.then(|| date_time(moment.updated)),
            duration: (moment.status != Status::Pending).then(|| duration.to_string()),
            bytes_synced: rows.map(|rows| rows * 120),
            rows_synced: rows,
        }
    }
}

/// RFC 3339 without seconds if they are zero, which is how Java prints an `OffsetDateTime`.
fn date_time(seconds: i64) -> String {
    let text = Timestamp::from_second(seconds).unwrap_or_default().to_string();
    text.strip_suffix(":00Z").map(|minutes| format!("{minutes}Z")).unwrap_or(text)
}

/// `GET /jobs/{jobId}`
pub(super) async fn read(State(world): State<Arc<World>>, Path(id): Path<String>, uri: Uri) -> Response {
    answer(&uri, one(&world, &id))
}

fn one(world: &World, id: &str) -> Result<Response, Failure> {
    let store = world.read();
    let job = &store.jobs[position(&store, id)?];
    Ok(ok(&job.body(&job.at(world.millis(), world.options.job_duration), &store.routes)))
}

/// Ids rise from job to job, but for jobs that were put in front of others later.
fn position(store: &Store, id: &str) -> Result<usize, Failure> {
    let id: i64 = id.parse().map_err(|_| Failure::Invalid("jobId: is not a number".into()))?;
    let found = store.jobs.binary_search_by_key(&id, |job| job.id).ok();
    found.or_else(|| store.jobs.iter().position(|job| job.id == id)).ok_or(Failure::NotFound)
}

/// `POST /jobs`
pub(super) async fn create(State(world): State<Arc<World>>, uri: Uri, body: JsonBody) -> Response {
    answer(&uri, start(&world, body))
}

fn start(world: &World, body: JsonBody) -> Result<Response, Failure> {
    let body = body.object()?;
    let (connection, kind) = (required(&body, "connectionId")?, required(&body, "jobType")?);
    let kind = match kind {
        "sync" => JobType::Sync,
        "reset" => JobType::Reset,
        "clear" => JobType::Clear,
        "refresh" => return Err(Failure::unprocessable("jobType refresh is not possible here")),
        _ => return Err(Failure::Invalid("jobType: is none of sync, reset, clear".into())),
    };
    let (now, duration) = (world.millis(), world.options.job_duration);
    let mut store = world.write();
    let connection = store.find(Kind::Connection, connection).ok_or(Failure::NotFound)?;
    let (connection, workspace) = (connection.id.clone(), connection.workspace.clone());
    let route = store.route(&connection, &workspace);
    let busy = |job: &Job| matches!(job.at(now, duration).status, Status::Pending | Status::Running);
    if store.jobs.iter().any(|job| job.route == route && busy(job)) {
        return Err(Failure::conflict("a job of this connection is still going on"));
    }
    let id = store.next_job_id();
    let job =
        Job { id, created: now.div_euclid(1000), course: Course::Running(now), route, rows: 1035, kind };
    let response = ok(&job.body(&job.at(now, duration), &store.routes));
    store.jobs.push(job);
    Ok(response)
}

/// `DELETE /jobs/{jobId}`: cancels it, unless it is over, and answers with the job.
pub(super) async fn cancel(State(world): State<Arc<World>>, Path(id): Path<String>, uri: Uri) -> Response {
    answer(&uri, stop(&world, &id))
}

fn stop(world: &World, id: &str) -> Result<Response, Failure> {
    let (now, duration) = (world.millis(), world.options.job_duration);
    let mut guard = world.write();
    let store = &mut *guard;
    let at = position(store, id)?;
    let job = &mut store.jobs[at];
    let mut moment = job.at(now, duration);
    if !moment.status.is_terminal() {
        moment = Moment { status: Status::Cancelled, updated: now.div_euclid(1000) };
        job.course = Course::Over { status: moment.status, updated: moment.updated };
    }
    Ok(ok(&job.body(&moment, &store.routes)))
}
