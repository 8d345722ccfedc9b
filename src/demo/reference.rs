//! Lists as they ought to arrive: straight from the rows, without pages.

use http::Uri;
use serde_json::Value;

use super::data::{Kind, Row};
use super::errors::Failure;
use super::job_list::{Field, Filter as JobFilter, Order};
use super::lists::{self, Filter, List};
use super::others::organization;
use super::params::Params;
use super::world::World;

/// All rows of the list at `target`, in order; `None` if there is no such list, or its parameters are wrong.
pub(super) fn rows(world: &World, target: &str) -> Option<Vec<Value>> {
    let uri: Uri = format!("/v1{target}").parse().ok()?;
    let list = List::at(uri.path())?;
    let params = Params::of(&uri).ok()?;
    match list {
        List::Main(kind) => main(world, kind, &params),
        List::Jobs => jobs(world, &params),
        List::Groups => groups(world, &params),
        List::Members(group) => members(world, &group),
    }
    .ok()
}

fn main(world: &World, kind: Kind, params: &Params) -> Result<Vec<Value>, Failure> {
    let store = world.read();
    let filter = Filter::parse(kind, params, &store)?;
    Ok(store.rows(kind).iter().filter(|row| filter.admits(row)).map(body).collect())
}

fn jobs(world: &World, params: &Params) -> Result<Vec<Value>, Failure> {
    let store = world.read();
    let filter = JobFilter::parse(params, &store)?;
    let order = Order::parse(params)?;
    let (now, duration) = (world.millis(), world.options.job_duration);
    let mut jobs: Vec<_> = store.jobs.iter().map(|job| (job, job.at(now, duration))).collect();
    jobs.retain(|(job, moment)| filter.admits(job, moment));
    jobs.sort_by_key(|(job, moment)| match order.field {
        Field::Created => job.created,
        Field::Updated => moment.updated,
    });
    if order.descending {
        jobs.reverse();
    }
    let body = |(job, moment)| serde_json::to_value(super::jobs::Job::body(job, &moment, &store.routes));
    Ok(jobs.into_iter().filter_map(|job| body(job).ok()).collect())
}

fn groups(world: &World, params: &Params) -> Result<Vec<Value>, Failure> {
    let store = world.read();
    let organization = organization(params, &store)?;
    Ok(store.rows(Kind::Group).iter().filter(|row| lists::of(row, &organization)).map(body).collect())
}

fn members(world: &World, group: &str) -> Result<Vec<Value>, Failure> {
    let store = world.read();
    let group = store.find(Kind::Group, group).ok_or(Failure::NotFound)?;
    Ok(store.members_of(&group.id).map(lists::member).collect())
}

fn body(row: &Row) -> Value {
    row.body.clone().into()
}
