//! 401s from upstream.

use super::events::ready;
use super::world::{Endpoint, World};
use crate::token::grant::FailureKind;
use crate::token::lifecycle::Event;

fn mints(world: &World) -> usize {
    world.model.starts.len()
}

fn unauthorized(world: &mut World, generation: u64, replayed: bool) {
    world.step(Event::Unauthorized { generation, replayed });
}

/// A token that is old enough to be doubted.
fn settled() -> World {
    let mut world = ready(1);
    world.seconds(60);
    world
}

#[test]
fn fifty_401s_of_a_revoked_token_cause_one_mint_and_fifty_replays() {
    let mut world = settled();
    let callers: Vec<_> = (0..50).map(|_| world.renewed(1)).collect();
    world.pass(100);
    assert!(callers.iter().all(|c| world.got(*c) == Some(Ok(2))));
    let late = world.renewed(1);
    assert_eq!(world.got(late), Some(Ok(2)), "whoever comes late takes the new one");
    world.seconds(300);
    assert_eq!(mints(&world), 2);
}

#[test]
fn late_401_of_an_old_generation_causes_no_mint() {
    let mut world = settled();
    world.renewed(1);
    world.seconds(60);
    for replayed in [false, true] {
        unauthorized(&mut world, 1, replayed);
    }
    world.seconds(300);
    assert_eq!((mints(&world), world.generation()), (2, Some(2)));
    unauthorized(&mut world, 2, false);
    assert_eq!(mints(&world), 3, "and leaves no doubt behind");
}

#[test]
fn a_401_of_a_generation_that_never_was_causes_no_mint() {
    let mut world = settled();
    unauthorized(&mut world, 7, false);
    unauthorized(&mut world, u64::MAX, true);
    world.seconds(60);
    assert_eq!(mints(&world), 1);
}

#[test]
fn a_token_younger_than_ten_seconds_is_not_doubted() {
    let mut world = ready(1);
    world.pass(9899);
    let caller = world.renewed(1);
    assert!(matches!(world.got(caller), Some(Err(_))), "the 401 stands, at once");
    assert_eq!(mints(&world), 1);
    world.pass(1);
    unauthorized(&mut world, 1, false);
    assert_eq!(mints(&world), 2);
}

#[test]
fn mints_caused_by_401s_are_thirty_seconds_apart() {
    let mut world = settled();
    for _ in 0..120 {
        let generation = world.generation().expect("live");
        unauthorized(&mut world, generation, false);
        world.seconds(1);
    }
    assert_eq!(mints(&world), 1 + 4, "one at once, three more in two minutes");
    assert!(world.gaps()[1..].iter().all(|gap| *gap >= 30_000), "{:?}", world.gaps());
}

#[test]
fn one_generation_is_doubted_once() {
    let mut world = settled();
    world.endpoint(Endpoint::Repeats);
    unauthorized(&mut world, 1, false);
    world.pass(100);
    for _ in 0..120 {
        unauthorized(&mut world, 1, false);
        world.seconds(1);
    }
    assert_eq!(mints(&world), 2);
}

#[test]
fn a_doubted_token_is_held_back_two_seconds_for_the_running_mint() {
    let mut world = settled();
    world.endpoint(Endpoint::Hangs);
    unauthorized(&mut world, 1, false);
    let caller = world.acquire();
    world.pass(1999);
    assert_eq!(world.got(caller), None);
    world.pass(1);
    assert_eq!(world.got(caller), Some(Ok(1)), "better than nothing");
}

#[test]
fn a_caller_with_an_older_401_is_held_back_two_seconds_as_well() {
    let mut world = settled();
    world.renewed(1);
    world.seconds(60);
    world.endpoint(Endpoint::Hangs);
    unauthorized(&mut world, 2, false);
    let caller = world.renewed(1);
    world.pass(2000);
    assert_eq!(world.got(caller), Some(Ok(2)));
}

#[test]
fn a_doubted_token_is_lent_when_no_mint_is_running() {
    let mut world = settled();
    world.endpoint(Endpoint::Fails(FailureKind::Rejected, None));
    unauthorized(&mut world, 1, false);
    let held = world.acquire();
    world.pass(100);
    assert_eq!(world.got(held), Some(Ok(1)), "the mint failed");
    let caller = world.acquire();
    assert_eq!(world.got(caller), Some(Ok(1)));
}

#[test]
fn a_401_waits_for_a_mint_that_is_running_anyway() {
    let mut world = ready(1);
    world.latency(5000);
    world.seconds(495);
    world.until(|w| w.model.flight.is_some());
    let caller = world.renewed(1);
    world.seconds(5);
    assert_eq!(world.got(caller), Some(Ok(2)));
    world.seconds(300);
    assert_eq!(mints(&world), 2);
}

#[test]
fn a_401_does_not_wait_for_a_retry_that_is_far_away() {
    let mut world = settled();
    world.endpoint(Endpoint::Fails(FailureKind::Rejected, None));
    let first = world.renewed(1);
    world.pass(100);
    assert!(matches!(world.got(first), Some(Err(_))), "the 401 stands");
    let second = world.renewed(1);
    assert!(matches!(world.got(second), Some(Err(_))), "at once");
}

/// Requests that are refused with any token, one every ten seconds: 401, mint, replay, 401.
fn hopeless_requests(world: &mut World, seconds: i64) -> usize {
    let before = mints(world);
    for _ in 0..seconds / 10 {
        let generation = world.generation().expect("live");
        let caller = world.renewed(generation);
        world.seconds(1);
        if let Some(Ok(newer)) = world.got(caller) {
            unauthorized(world, newer, true);
        }
        world.seconds(9);
    }
    mints(world) - before
}

#[test]
fn a_401_on_the_replay_quiets_doubt_for_1_2_4_8_15_minutes() {
    let mut world = settled();
    let begin = world.now.boot;
    hopeless_requests(&mut world, 4 * 3600);
    let caused: Vec<_> = world.model.starts.iter().map(|s| s.at).filter(|at| *at >= begin).collect();
    // Ordinary renewals of the 900 s tokens come between; those caused by a 401 start on a round of ten seconds.
    let caused: Vec<_> = caused.iter().filter(|at| (*at - begin) % 10_000 == 0).collect();
    let minutes: Vec<_> = caused.windows(2).map(|pair| (pair[1] - pair[0]) / 60_000).take(8).collect();
    assert_eq!(minutes, [1, 2, 4, 8, 15, 15, 15, 15]);
}

#[test]
fn a_request_that_succeeds_ends_the_quiet() {
    let mut world = settled();
    hopeless_requests(&mut world, 300);
    let generation = world.generation().expect("live");
    let before = mints(&world);
    unauthorized(&mut world, generation, false);
    assert_eq!(mints(&world), before, "quiet");
    assert!(world.life.view().doubted, "readers tell of successes only then");
    world.step(Event::Accepted);
    assert!(!world.life.view().doubted);
    unauthorized(&mut world, generation, false);
    assert_eq!(mints(&world), before + 1);
}

#[test]
fn a_mint_that_fails_after_a_401_backs_off_like_any_other() {
    let mut world = settled();
    world.endpoint(Endpoint::Fails(FailureKind::Transient, None));
    unauthorized(&mut world, 1, false);
    world.seconds(60);
    assert!(mints(&world) < 30, "{}", mints(&world));
    assert_eq!(world.generation(), Some(1));
}
