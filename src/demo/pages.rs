//! What goes wrong, or changes, from page to page.

use std::collections::HashSet;

use fastrand::Rng;

use super::data::{Kind, Row, Store, uuid};
use super::faults::ApiFault;
use super::jobs::{Course, Job, JobType, Status};
use super::lists::List;

/// What happens to the rows of a list between two of its pages, so that pages overlap or skip rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// So many new rows come before all others. Jobs that do so are older than all others; members are users who were
    /// not in the group, as long as there are any.
    Insert(usize),
    /// So many rows, the first ones, are gone, as if they had never been.
    Delete(usize),
    /// The rows are in another order. Jobs, which have an order, are so within the same second.
    Shuffle,
}

/// When a page goes wrong.
#[derive(Debug, Clone, Copy)]
pub(super) enum When {
    /// From the n-th page on, counted from 1 since this was asked for.
    Page(u64),
    /// At pages with this offset.
    Offset(usize),
}

#[derive(Debug)]
struct Planned {
    when: When,
    seen: u64,
    times: u64,
    fault: ApiFault,
}

/// What was asked for, and how far it is.
#[derive(Debug)]
pub(super) struct Pages {
    planned: Vec<Planned>,
    every: u64,
    changes: Vec<Change>,
    answered: u64,
    random: Rng,
}

impl Pages {
    pub(super) fn new(seed: u64) -> Self {
        Self { planned: Vec::new(), every: 1, changes: Vec::new(), answered: 0, random: Rng::with_seed(seed) }
    }

    pub(super) fn plan(&mut self, when: When, fault: ApiFault, times: u64) {
        self.planned.push(Planned { when, seen: 0, times, fault });
    }

    pub(super) fn clear(&mut self) {
        self.planned.clear();
    }

    /// What happens to the page that is due now. Every plan counts it; the oldest that is due is carried out.
    pub(super) fn fault(&mut self, offset: usize) -> Option<ApiFault> {
        let mut fault = None;
        for plan in &mut self.planned {
            plan.seen += 1;
            let due = match plan.when {
                When::Page(n) => plan.seen >= n,
                When::Offset(at) => offset == at,
            };
            if due && plan.times > 0 && fault.is_none() {
                plan.times -= 1;
                fault = Some(plan.fault.clone());
            }
        }
        self.planned.retain(|plan| plan.times > 0);
        fault
    }

    pub(super) fn change_every(&mut self, every: u64, changes: &[Change]) {
        self.every = every.max(1);
        self.changes = changes.to_vec();
        self.answered = 0;
    }

    /// The changes that are due after one more page, with what they draw from.
    pub(super) fn due(&mut self) -> Option<(Vec<Change>, Rng)> {
        if self.changes.is_empty() {
            return None;
        }
        self.answered += 1;
        self.answered.is_multiple_of(self.every).then(|| (self.changes.clone(), self.random.fork()))
    }
}

/// Changes the rows of `list`.
pub(super) fn change(store: &mut Store, list: &List, change: Change, random: &mut Rng) {
    match list {
        List::Main(kind) => change_rows(store, *kind, change, random),
        List::Groups => change_rows(store, Kind::Group, change, random),
        List::Jobs => change_jobs(store, change, random),
        List::Members(group) => change_members(store, group, change, random),
    }
}

fn change_rows(store: &mut Store, kind: Kind, change: Change, random: &mut Rng) {
    let rows = store.rows_mut(kind);
    match change {
        Change::Insert(count) => {
            // A new row looks like one that is there; without any there is nothing to look like.
            let Some(model) = rows.iter().find(|row| !row.deleted).cloned() else { return };
            let new = (0..count).map(|n| {
                let id = uuid(random);
                let place = if kind == Kind::Workspace { &id } else { &model.workspace };
                let mut row = Row::new(kind, id.clone(), place, model.body.clone().into());
                row.body.insert("name".to_owned(), format!("Come later {}", n + 1).into());
                row
            });
            let new: Vec<_> = new.collect();
            rows.splice(..0, new);
        }
        Change::Delete(count) => drop(rows.drain(..count.min(rows.len()))),
        Change::Shuffle => random.shuffle(rows),
    }
}

fn change_jobs(store: &mut Store, change: Change, random: &mut Rng) {
    match change {
        Change::Insert(count) => {
            let Some(first) = store.jobs.first().cloned() else { return };
            let new: Vec<_> =
                std::iter::zip((0..count).rev(), std::iter::repeat_with(|| store.next_job_id()))
                    .map(|(before, id)| {
                        let created = first.created - 1 - i64::try_from(before).unwrap_or(0);
                        let course = Course::Over { status: Status::Succeeded, updated: created + 1 };
                        Job { id, created, course, route: first.route, rows: 1, kind: JobType::Sync }
                    })
                    .collect();
            store.jobs.splice(..0, new);
        }
        Change::Delete(count) => drop(store.jobs.drain(..count.min(store.jobs.len()))),
        Change::Shuffle => {
            let ties = store.jobs.chunk_by_mut(|a, b| a.created == b.created);
            ties.for_each(|ties| random.shuffle(ties));
        }
    }
}

fn change_members(store: &mut Store, group: &str, change: Change, random: &mut Rng) {
    let users = store.rows(Kind::User).len();
    let Some((_, members)) = store.members.iter_mut().find(|(of, _)| of.eq_ignore_ascii_case(group)) else {
        return;
    };
    match change {
        Change::Insert(count) => {
            let inside: HashSet<_> = members.iter().copied().collect();
            let new: Vec<_> = (0..users).filter(|user| !inside.contains(user)).take(count).collect();
            members.splice(..0, new);
        }
        Change::Delete(count) => drop(members.drain(..count.min(members.len()))),
        Change::Shuffle => random.shuffle(members),
    }
}
