//! Rotation: new credentials are tried first, old ones stay until the new ones have worked.

use super::events::ready;
use super::world::{Endpoint, Shape, World, timed_out};
use crate::token::grant::{Failure, FailureKind};
use crate::token::lifecycle::{Event, Note};

fn refused() -> Failure {
    Failure { kind: FailureKind::Rejected, ..timed_out() }
}

#[test]
fn good_new_credentials_are_used_at_once_and_promoted() {
    let mut world = ready(1);
    world.seconds(60);
    let new = world.credentials(true);
    world.pass(100);
    assert_eq!((world.generation(), world.promoted.last()), (Some(2), Some(&new)));
    assert_eq!(world.model.starts.last().map(|s| s.credentials), Some(new));
}

#[test]
fn new_credentials_that_are_refused_leave_the_old_ones_in_use() {
    let mut world = ready(1);
    world.seconds(490);
    let old = world.model.starts[0].credentials;
    let new = world.credentials(false);
    world.seconds(1);
    assert!(world.notes.iter().any(|n| matches!(n, Note::CandidateRejected { .. })));
    assert_eq!(world.generation(), Some(1), "the live token stays");
    world.seconds(400);
    assert_eq!(world.generation(), Some(2));
    assert!(world.model.starts.iter().any(|s| s.credentials == old && s.at > world.model.starts[1].at));
    assert_eq!(world.promoted, [old], "and {new} was never promoted");
}

#[test]
fn without_a_token_the_old_ones_are_tried_right_after_the_new_ones_were_refused() {
    let mut world = ready(1);
    world.endpoint(Endpoint::Fails(FailureKind::Transient, None));
    world.seconds(891);
    assert_eq!(world.generation(), None);
    let new = world.credentials(false);
    world.endpoint(Endpoint::Grants(Shape::Plain, 900));
    world.seconds(12);
    assert_eq!(world.generation(), Some(2), "the old ones");
    let used: Vec<_> = world.model.starts.iter().rev().take(2).map(|s| s.credentials).collect();
    assert_eq!(used, [new - 1, new]);
    assert_eq!(world.gaps().last(), Some(&1000), "after the floor between starts, and no more");
}

#[test]
fn refused_new_credentials_are_tried_again_later() {
    let mut world = ready(1);
    let new = world.credentials(false);
    world.seconds(20);
    world.set_good(new, true);
    world.seconds(30);
    assert_eq!(world.promoted.last(), Some(&new));
}

#[test]
fn new_credentials_forgive_backoff_but_no_floor() {
    let mut world = World::without_credentials(1);
    world.credentials(false);
    world.pass(200);
    world.credentials(true);
    assert_eq!(world.model.starts.len(), 1);
    world.pass(800);
    assert_eq!(world.model.starts.len(), 2);
    world.pass(100);
    assert_eq!(world.generation(), Some(1));
}

#[test]
fn a_refusal_of_credentials_that_were_replaced_meanwhile_delays_the_new_ones_no_further() {
    let mut world = World::without_credentials(1);
    world.credentials(false);
    world.credentials(true);
    world.answer_now(Err(refused()));
    world.pass(1100);
    assert_eq!(world.generation(), Some(1));
}

#[test]
fn a_refusal_of_the_old_ones_delays_the_new_ones_no_further() {
    let mut world = ready(1);
    let old = world.model.starts[0].credentials;
    world.set_good(old, false);
    world.seconds(600);
    world.until(|w| w.model.flight.is_some());
    world.credentials(true);
    world.pass(1200);
    assert_eq!(world.generation(), Some(2), "although the old ones were refused after the new ones had come");
}

#[test]
fn retry_now_starts_the_backoff_of_refused_new_credentials_afresh() {
    let mut world = ready(1);
    world.seconds(10);
    let new = world.credentials(false);
    world.seconds(100);
    world.step(Event::RetryNow);
    world.seconds(37);
    let tries: Vec<_> =
        world.model.starts.iter().filter(|s| s.credentials == new).map(|s| s.at - 3_600_250).collect();
    assert_eq!(tries.len(), 4, "{tries:?}");
}

#[test]
fn credentials_that_worked_are_kept_even_if_newer_ones_came_meanwhile() {
    let mut world = World::without_credentials(1);
    let first = world.credentials(true);
    world.credentials(false);
    world.pass(100);
    assert_eq!(world.promoted, [first]);
    world.as_if_in_turn(1);
    world.seconds(600);
    assert_eq!(world.generation(), Some(2), "renewed with the first, since the second are wrong");
}

#[test]
fn new_credentials_that_are_answered_500_do_not_keep_the_old_ones_from_being_used() {
    let mut world = ready(1);
    let new = world.credentials(true);
    for _ in 0..3 {
        world.until(|w| w.model.flight.as_ref().is_some_and(|f| f.credentials == new));
        world.answer_now(Err(Failure { kind: FailureKind::ServerError, ..timed_out() }));
    }
    assert!(world.notes.iter().any(|n| matches!(n, Note::CandidateRejected { .. })));
}

#[test]
fn wrong_new_credentials_cost_no_request() {
    for seed in 0..20 {
        let mut world = ready(seed);
        world.credentials(false);
        for _ in 0..2000 {
            let caller = world.acquire();
            assert!(matches!(world.got(caller), Some(Ok(_))), "seed {seed}");
            world.seconds(1);
        }
    }
}
