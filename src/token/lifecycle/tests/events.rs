//! What each event does, one row after another.

use super::world::{Endpoint, Shape, World, timed_out};
use crate::token::grant::FailureKind;
use crate::token::lease::Why;
use crate::token::lifecycle::{Event, Note};

const REFUSED: Endpoint = Endpoint::Fails(FailureKind::Rejected, None);
const DOWN: Endpoint = Endpoint::Fails(FailureKind::Transient, None);

/// Has just got a token of 900 s, which it will renew like any but the first.
pub(super) fn ready(seed: u64) -> World {
    let mut world = World::new(seed);
    world.pass(100);
    assert_eq!(world.generation(), Some(1));
    world.as_if_in_turn(seed);
    world
}

#[test]
fn a_fresh_token_is_lent_at_once_and_starts_no_mint() {
    let mut world = ready(1);
    world.seconds(490);
    let caller = world.acquire();
    assert_eq!(world.got(caller), Some(Ok(1)));
    assert_eq!(world.model.starts.len(), 1);
}

#[test]
fn renewal_starts_by_itself_once_the_token_is_advisory() {
    let mut world = ready(1);
    world.endpoint(Endpoint::Hangs);
    world.seconds(586);
    assert!(world.model.starts.len() > 1, "nobody asked");
    let caller = world.acquire();
    assert_eq!(world.got(caller), Some(Ok(1)), "and nobody waits");
}

#[test]
fn nobody_waits_while_a_live_token_exists_however_near_its_end() {
    let mut world = ready(1);
    world.endpoint(Endpoint::Hangs);
    world.seconds(850);
    world.until(|w| w.model.flight.is_some());
    for newer_than in [None, Some(0)] {
        let caller = world.ask(newer_than);
        assert_eq!(world.got(caller), Some(Ok(1)));
    }
}

#[test]
fn without_a_token_callers_wait_for_the_running_mint() {
    let mut world = World::new(1);
    world.latency(9000);
    world.endpoint(DOWN);
    let first = world.acquire();
    assert_eq!(world.got(first), None);
    world.step(Event::RetryNow);
    world.endpoint(Endpoint::Grants(Shape::Plain, 900));
    let second = world.acquire();
    world.pass(100);
    assert_eq!((world.got(first), world.got(second)), (Some(Ok(1)), Some(Ok(1))), "one mint serves all");
    assert_eq!(world.model.starts.len(), 1);
}

#[test]
fn without_a_token_callers_wait_for_a_near_retry() {
    let mut world = World::new(1);
    world.answer_now(Err(timed_out()));
    let caller = world.acquire();
    assert_eq!(world.got(caller), None);
    world.seconds(2);
    assert_eq!(world.got(caller), Some(Ok(1)));
}

#[test]
fn nobody_waits_for_a_retry_that_is_far_away() {
    let mut world = World::without_credentials(1);
    world.endpoint(REFUSED);
    world.credentials(false);
    world.seconds(1);
    let caller = world.acquire();
    let refusal = world.got(caller).expect("at once").expect_err("no token");
    assert_eq!(refusal.why, Why::Rejected("no answer".to_owned()));
    assert!((29..=36).contains(&refusal.next_attempt.as_secs()), "{refusal:?}");
}

#[test]
fn a_caller_waits_for_credentials_that_are_still_being_read() {
    let mut world = World::without_credentials(1);
    let (early, patient) = (world.acquire(), world.acquire());
    world.seconds(3);
    assert!(world.got(early).is_none(), "a command may take its time");
    world.credentials(true);
    world.seconds(1);
    assert!(world.got(early).expect("answered").is_ok() && world.got(patient).expect("answered").is_ok());
}

#[test]
fn once_the_source_of_the_credentials_has_failed_nobody_waits() {
    let mut world = World::without_credentials(1);
    let waiting = world.acquire();
    world.step(Event::NoCredentials);
    assert_eq!(world.got(waiting).expect("at once").expect_err("no token").why, Why::NoCredentials);
    let caller = world.acquire();
    assert_eq!(world.got(caller).expect("at once").expect_err("no token").why, Why::NoCredentials);
}

#[test]
fn a_caller_gives_up_after_twelve_seconds() {
    let mut world = World::without_credentials(1);
    world.endpoint(Endpoint::Hangs);
    world.credentials(true);
    let caller = world.acquire();
    world.pass(11_999);
    assert_eq!(world.got(caller), None);
    world.pass(1);
    let refusal = world.got(caller).expect("in time").expect_err("no token");
    assert!(matches!(refusal.why, Why::Failed(_)), "{refusal:?}");
}

#[test]
fn the_same_token_again_is_kept_and_asked_for_later() {
    let mut world = ready(1);
    world.endpoint(Endpoint::Repeats);
    world.seconds(600);
    assert!(world.notes.contains(&Note::SameToken));
    assert_eq!(world.generation(), Some(1));
    let gaps = world.gaps();
    assert!(gaps[1..].iter().all(|gap| *gap >= 30_000), "{gaps:?}");
    world.endpoint(Endpoint::Grants(Shape::Plain, 900));
    world.seconds(31);
    assert_eq!(world.generation(), Some(2));
}

#[test]
fn the_same_token_after_its_death_is_no_token() {
    let mut world = ready(1);
    world.endpoint(Endpoint::Repeats);
    world.seconds(1000);
    assert_eq!(world.generation(), None);
    world.endpoint(Endpoint::Grants(Shape::Plain, 900));
    world.seconds(6);
    assert_eq!(world.generation(), Some(2));
}

#[test]
fn an_answer_that_comes_after_we_gave_up_is_ignored() {
    let mut world = World::new(1);
    world.endpoint(Endpoint::Hangs);
    world.suspend(11_000);
    world.step(Event::Tick);
    world.until(|w| w.model.flight.is_some());
    world.overdue_answer();
    assert_eq!(world.generation(), None);
    assert!(world.life.view().next_attempt.is_none(), "the next attempt runs on");
}

#[test]
fn a_token_that_died_on_its_way_is_no_token() {
    let mut world = World::without_credentials(1);
    world.endpoint(Endpoint::Grants(Shape::Plain, 5));
    world.latency(4500);
    world.credentials(true);
    world.pass(4500);
    assert_eq!(world.generation(), None);
    assert!(matches!(world.notes.last(), Some(Note::Failed { .. })), "{:?}", world.notes);
}

#[test]
fn an_error_never_drops_a_live_token() {
    for kind in
        [FailureKind::Transient, FailureKind::ServerError, FailureKind::Rejected, FailureKind::Misconfigured]
    {
        let mut world = ready(1);
        world.endpoint(Endpoint::Fails(kind, None));
        world.pass(889_800);
        let caller = world.acquire();
        assert_eq!(world.got(caller), Some(Ok(1)), "{kind:?}");
        assert!(world.model.starts.len() > 2, "{kind:?}");
    }
}

#[test]
fn resuming_drops_connections_once() {
    let mut world = ready(1);
    world.suspend(7_200_000);
    world.step(Event::Tick);
    world.seconds(60);
    assert_eq!(world.resumed, 1);
    assert!(world.notes.iter().any(|n| matches!(n, Note::Resumed { gap } if gap.as_secs() == 7200)));
}

#[test]
fn napping_is_not_resuming() {
    let mut world = ready(1);
    world.seconds(3600);
    assert_eq!(world.resumed, 0);
}

#[test]
fn while_draining_a_mint_needs_somebody_who_waits() {
    let mut world = ready(1);
    world.step(Event::Drain);
    world.seconds(880);
    assert_eq!(world.model.starts.len(), 1);
    let caller = world.acquire();
    assert_eq!(world.got(caller), Some(Ok(1)), "the token at hand is still lent");
    world.seconds(20);
    assert_eq!(world.model.starts.len(), 1);
    let caller = world.acquire();
    world.seconds(1);
    assert_eq!(world.got(caller), Some(Ok(2)));
}

#[test]
fn while_draining_a_refused_token_is_renewed_for_the_request_that_waits() {
    let mut world = ready(1);
    world.seconds(20);
    world.step(Event::Drain);
    let caller = world.renewed(1);
    world.seconds(1);
    assert_eq!(world.got(caller), Some(Ok(2)));
}

#[test]
fn closing_refuses_everybody_and_gives_up_the_mint() {
    let mut world = World::new(1);
    let waiting = world.acquire();
    world.step(Event::Close);
    let late = world.acquire();
    for caller in [waiting, late] {
        assert_eq!(world.got(caller).expect("at once").expect_err("closed").why, Why::Closed);
    }
    world.credentials(true);
    world.step(Event::RetryNow);
    world.seconds(3600);
    assert_eq!((world.model.starts.len(), world.generation()), (1, None));
}

#[test]
fn closing_takes_the_token_from_readers() {
    let mut world = ready(1);
    world.step(Event::Close);
    assert_eq!(world.life.view().lease, None);
}
