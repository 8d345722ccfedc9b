//! Jobs: they move to an end by themselves as time passes.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::response::Response;
use http::{StatusCode, Uri};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::clock::millis;

use super::data::{Kind, Store};
use super::errors::Failure;
use super::links::{Keep, links};
use super::lists::page;
use super::params::Params;
use super::resources::{JsonBody, answer, ok, required};
use super::world::World;

/// One run of a connection.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) id: i64,
    pub(super) connection: String,
    pub(super) workspace: String,
    /// `sync`, `reset`, `clear`.
    pub(super) kind: &'static str,
    /// Seconds since the epoch.
    pub(super) created: i64,
    pub(super) course: Course,
    pub(super) rows: i64,
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
    fn as_str(self) -> &'static str {
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
struct Moment {
    status: Status,
    /// Seconds since the epoch.
    updated: i64,
}

impl Job {
    /// A pure function of the time, in milliseconds since the epoch: nothing has to run for a job to go on.
    fn at(&self, now: i64, duration: Duration) -> Moment {
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

    /// Its body. `lastUpdatedAt` exists once the job is over, `duration` once it is not pending.
    fn body(&self, moment: &Moment) -> Value {
        let mut body = json!({
            "jobId": self.id, "status": moment.status.as_str(), "jobType": self.kind,
            "connectionId": self.connection, "startTime": date_time(self.created),
        });
        if moment.status.is_terminal() {
            body["lastUpdatedAt"] = date_time(moment.updated).into();
            body["rowsSynced"] = self.rows.into();
            body["bytesSynced"] = (self.rows.saturating_mul(120)).into();
        }
        if moment.status != Status::Pending {
            body["duration"] = SignedDuration::from_secs(moment.updated - self.created).to_string().into();
        }
        body
    }
}

/// RFC 3339 without seconds if they are zero, which is how Java prints an `OffsetDateTime`.
fn date_time(seconds: i64) -> String {
    let text = Timestamp::from_second(seconds).unwrap_or_default().to_string();
    text.strip_suffix(":00Z").map(|minutes| format!("{minutes}Z")).unwrap_or(text)
}

/// `GET /jobs`
pub(super) async fn list(State(world): State<Arc<World>>, uri: Uri) -> Response {
    answer(&uri, filtered(&world, &uri))
}

fn filtered(world: &World, uri: &Uri) -> Result<Response, Failure> {
    let params = Params::of(uri)?;
    let window = params.window()?;
    let filter = Filter::parse(&params, &world.read())?;
    let (field, descending) = order(&params)?;
    let now = world.millis();
    let store = world.read();
    let mut jobs: Vec<_> = store
        .jobs
        .iter()
        .map(|job| (job, job.at(now, world.options.job_duration)))
        .filter(|(job, moment)| filter.admits(job, moment))
        .collect();
    let key =
        |(job, moment): &(&Job, Moment)| if field == Field::Created { job.created } else { moment.updated };
    jobs.sort_by_key(|job| if descending { -key(job) } else { key(job) });
    let rows: Vec<_> =
        jobs.iter().skip(window.offset).take(window.limit).map(|(job, moment)| job.body(moment)).collect();
    // Of all filters the links keep the type and where to look, nothing else.
    let mut keep = vec![Keep("jobType", filter.kind.clone())];
    if let Some(connection) = &filter.connection {
        keep.push(Keep("connectionId", Some(connection.clone())));
    } else if !filter.workspaces.is_empty() {
        keep.push(Keep("workspaceIds", Some(filter.workspaces.join(","))));
    }
    let links = links(&format!("{}/jobs", world.link_base()), &keep, window, rows.is_empty());
    Ok(page(rows, links))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Created,
    Updated,
}

/// `createdAt|ASC` and the like; oldest first if absent.
fn order(params: &Params) -> Result<(Field, bool), Failure> {
    let wrong =
        || Failure::Problem(StatusCode::BAD_REQUEST, "orderBy: is not FIELD|ASC or FIELD|DESC".into());
    let Some(text) = params.text("orderBy") else { return Ok((Field::Created, false)) };
    let (field, direction) = text.split_once('|').ok_or_else(wrong)?;
    let field = match field {
        "createdAt" => Field::Created,
        "updatedAt" => Field::Updated,
        _ => return Err(wrong()),
    };
    match direction {
        "ASC" => Ok((field, false)),
        "DESC" => Ok((field, true)),
        _ => Err(wrong()),
    }
}

struct Filter {
    connection: Option<String>,
    workspaces: Vec<String>,
    kind: Option<String>,
    status: Option<String>,
    created: (Option<i64>, Option<i64>),
    updated: (Option<i64>, Option<i64>),
}

impl Filter {
    fn parse(params: &Params, store: &Store) -> Result<Self, Failure> {
        let one_of = |name: &str, allowed: &[&str]| match params.text(name) {
            Some(text) if !allowed.contains(&text) => {
                Err(Failure::Invalid(format!("{name}: is none of {}", allowed.join(", "))))
            }
            text => Ok(text.map(str::to_owned)),
        };
        let filter = Self {
            connection: params.id("connectionId")?,
            workspaces: params.ids("workspaceIds")?,
            kind: one_of("jobType", &["sync", "reset", "refresh", "clear"])?,
            status: one_of(
                "status",
                &["pending", "queued", "running", "incomplete", "failed", "succeeded", "cancelled"],
            )?,
            created: (params.time("createdAtStart")?, params.time("createdAtEnd")?),
            updated: (params.time("updatedAtStart")?, params.time("updatedAtEnd")?),
        };
        super::lists::readable(&filter.workspaces, store)?;
        Ok(filter)
    }

    fn admits(&self, job: &Job, moment: &Moment) -> bool {
        let within = |(start, end): (Option<i64>, Option<i64>), at: i64| {
            start.is_none_or(|start| at >= start) && end.is_none_or(|end| at <= end)
        };
        self.connection.as_ref().is_none_or(|id| *id == job.connection)
            && (self.workspaces.is_empty() || self.workspaces.contains(&job.workspace))
            && self.kind.as_ref().is_none_or(|kind| kind == job.kind)
            && self.status.as_ref().is_none_or(|status| status == moment.status.as_str())
            && within(self.created, job.created)
            && within(self.updated, moment.updated)
    }
}

/// `GET /jobs/{jobId}`
pub(super) async fn read(State(world): State<Arc<World>>, Path(id): Path<String>, uri: Uri) -> Response {
    answer(&uri, one(&world, &id).map(|job| ok(&job)))
}

fn one(world: &World, id: &str) -> Result<Value, Failure> {
    let store = world.read();
    let job = &store.jobs[position(&store, id)?];
    Ok(job.body(&job.at(world.millis(), world.options.job_duration)))
}

fn position(store: &Store, id: &str) -> Result<usize, Failure> {
    let id: i64 = id.parse().map_err(|_| Failure::Invalid("jobId: is not a number".into()))?;
    store.jobs.iter().position(|job| job.id == id).ok_or(Failure::NotFound)
}

/// `POST /jobs`
pub(super) async fn create(State(world): State<Arc<World>>, uri: Uri, body: JsonBody) -> Response {
    answer(&uri, start(&world, body).map(|job| ok(&job)))
}

fn start(world: &World, body: JsonBody) -> Result<Value, Failure> {
    let body = body.object()?;
    let (connection, job_type) = (required(&body, "connectionId")?, required(&body, "jobType")?);
    let job_type = match job_type {
        "sync" => "sync",
        "reset" => "reset",
        "clear" => "clear",
        "refresh" => return Err(Failure::unprocessable("jobType refresh is not possible here")),
        _ => return Err(Failure::Invalid("jobType: is none of sync, reset, clear".into())),
    };
    let (now, duration) = (world.millis(), world.options.job_duration);
    let mut store = world.write();
    let connection = store.find(Kind::Connection, connection).ok_or(Failure::NotFound)?;
    let (connection, workspace) = (connection.id.clone(), connection.workspace.clone());
    let busy = |job: &Job| matches!(job.at(now, duration).status, Status::Pending | Status::Running);
    if store.jobs.iter().any(|job| job.connection == connection && busy(job)) {
        return Err(Failure::conflict("a job of this connection is still going on"));
    }
    let job = Job {
        id: store.next_job_id(),
        connection,
        workspace,
        kind: job_type,
        created: now.div_euclid(1000),
        course: Course::Running(now),
        rows: 1035,
    };
    let body = job.body(&job.at(now, duration));
    store.jobs.push(job);
    Ok(body)
}

/// `DELETE /jobs/{jobId}`: cancels it, unless it is over, and answers with the job.
pub(super) async fn cancel(State(world): State<Arc<World>>, Path(id): Path<String>, uri: Uri) -> Response {
    answer(&uri, stop(&world, &id).map(|job| ok(&job)))
}

fn stop(world: &World, id: &str) -> Result<Value, Failure> {
    let (now, duration) = (world.millis(), world.options.job_duration);
    let mut store = world.write();
    let at = position(&store, id)?;
    let job = &mut store.jobs[at];
    let mut moment = job.at(now, duration);
    if !moment.status.is_terminal() {
        moment = Moment { status: Status::Cancelled, updated: now.div_euclid(1000) };
        job.course = Course::Over { status: moment.status, updated: moment.updated };
    }
    Ok(job.body(&moment))
}
