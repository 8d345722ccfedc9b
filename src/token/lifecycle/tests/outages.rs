//! An endpoint that is down, lies or talks nonsense; machines that sleep; clocks that jump.

use super::events::ready;
use super::world::{Endpoint, Shape, World};
use crate::token::grant::FailureKind;
use crate::token::lease::Why;
use crate::token::lifecycle::Event;

const YEAR: i64 = 365 * 86_400_000;
const DOWN: [Endpoint; 5] = [
    Endpoint::Fails(FailureKind::Transient, None),
    Endpoint::Fails(FailureKind::ServerError, None),
    Endpoint::Fails(FailureKind::Transient, Some(60)),
    Endpoint::Fails(FailureKind::Misconfigured, None),
    Endpoint::Hangs,
];

/// One caller a second. Returns how many were refused or are waiting.
fn unserved(world: &mut World, seconds: i64) -> usize {
    let before = world.answers.values().filter(|(_, a)| a.is_err()).count();
    for _ in 0..seconds {
        world.acquire();
        world.seconds(1);
    }
    let refused = world.answers.values().filter(|(_, a)| a.is_err()).count() - before;
    refused + world.model.waiters.len()
}

#[test]
fn down_at_start_it_recovers_within_sixteen_seconds() {
    for seed in 0..60 {
        for down in [Endpoint::Hangs, Endpoint::Fails(FailureKind::Transient, None)] {
            let mut world = World::without_credentials(seed);
            world.endpoint(down);
            world.credentials(true);
            world.pass(20_000 + i64::try_from(seed).expect("small") * 700);
            assert_eq!(world.generation(), None);
            world.endpoint(Endpoint::Grants(Shape::Plain, 900));
            world.pass(16_100);
            assert_eq!(world.generation(), Some(1), "seed {seed}, {down:?}");
        }
    }
}

#[test]
fn four_minutes_down_in_fifteen_cost_no_request_whenever_they_begin() {
    for (seed, begin) in (0..900).step_by(15).enumerate() {
        for down in DOWN {
            let mut world = ready(seed as u64);
            let mut unserved_callers = unserved(&mut world, begin);
            world.endpoint(down);
            unserved_callers += unserved(&mut world, 240);
            world.endpoint(Endpoint::Grants(Shape::Plain, 900));
            unserved_callers += unserved(&mut world, 120);
            assert_eq!(unserved_callers, 0, "{down:?} from {begin} s on");
        }
    }
}

#[test]
fn an_answer_that_is_no_token_is_an_outage_like_any_other() {
    let mut world = World::without_credentials(1);
    world.endpoint(Endpoint::Grants(Shape::Dead, 900));
    world.credentials(true);
    let caller = world.acquire();
    world.seconds(60);
    assert!(matches!(world.got(caller), Some(Err(refusal)) if matches!(refusal.why, Why::Failed(_))));
    assert!(world.model.starts.len() <= 6 + 12, "paced like a failure");
    world.endpoint(Endpoint::Grants(Shape::Plain, 900));
    world.seconds(11);
    assert_eq!(world.generation(), Some(1));
}

#[test]
fn a_claim_of_900_for_a_token_of_180_is_not_believed() {
    let mut world = World::without_credentials(1);
    world.endpoint(Endpoint::Grants(Shape::Jwt, 180));
    world.credentials(true);
    world.pass(100);
    assert_eq!(unserved(&mut world, 3600), 0, "the model watches that none of them is dead at the endpoint");
    assert!(world.generation().is_some_and(|g| g >= 30));
    world.endpoint(Endpoint::Hangs);
    world.seconds(180);
    assert_eq!(world.generation(), None);
}

#[test]
fn after_a_suspend_of_two_hours_the_old_token_is_never_lent() {
    for seed in 0..20 {
        let mut world = ready(seed);
        world.seconds(30);
        world.suspend(7_200_000);
        let caller = world.acquire();
        assert_eq!(world.got(caller), None, "neither from memory nor by the keeper");
        world.pass(100);
        assert_eq!(world.got(caller), Some(Ok(2)));
    }
}

#[test]
fn an_attempt_that_slept_through_a_suspend_is_given_up_and_repeated() {
    let mut world = World::new(1);
    world.suspend(7_200_000);
    let caller = world.acquire();
    world.seconds(2);
    assert_eq!(world.got(caller), Some(Ok(1)));
    assert_eq!(world.model.starts.len(), 2);
}

#[test]
fn a_suspend_that_only_the_wall_clock_shows_ages_the_token_too() {
    let mut world = ready(1);
    world.jump_wall(7_200_000);
    let caller = world.acquire();
    assert_eq!(world.got(caller), None);
    world.seconds(6);
    assert_eq!(world.got(caller), Some(Ok(2)));
}

#[test]
fn setting_the_wall_clock_back_makes_no_token_younger() {
    let mut world = ready(1);
    world.endpoint(Endpoint::Hangs);
    world.jump_wall(-600_000);
    world.seconds(889);
    assert_eq!(world.generation(), Some(1), "nor older");
    world.seconds(2);
    assert_eq!(world.generation(), None);
}

#[test]
fn what_the_wall_clock_has_aged_stays_old_when_it_is_set_back() {
    let mut world = ready(1);
    world.endpoint(Endpoint::Hangs);
    world.jump_wall(500_000);
    world.step(Event::Tick);
    world.jump_wall(-500_000);
    world.seconds(391);
    assert_eq!(world.generation(), None);
}

#[test]
fn a_wall_clock_that_jumps_by_a_century_during_a_mint_causes_no_busy_loop() {
    for jump in [YEAR * 100, -YEAR * 100] {
        let mut world = ready(1);
        world.endpoint(Endpoint::Hangs);
        world.step(Event::NewCredentials { version: 1 });
        world.seconds(6);
        assert!(world.model.flight.is_some());
        world.jump_wall(jump);
        let looks = world.looks;
        world.seconds(3);
        assert!(world.looks - looks <= 4, "{} looks", world.looks - looks);
    }
}

#[test]
fn a_wall_clock_set_forward_during_an_outage_costs_at_most_a_short_backoff() {
    for seed in 0..40 {
        let mut world = ready(seed);
        world.endpoint(Endpoint::Fails(FailureKind::Transient, None));
        world.seconds(720);
        world.jump_wall(3_600_000);
        world.step(Event::Tick);
        world.endpoint(Endpoint::Grants(Shape::Plain, 900));
        world.pass(5200);
        assert_eq!(world.generation(), Some(2), "seed {seed}");
    }
}

#[test]
fn a_wall_clock_that_jumps_every_second_causes_no_storm() {
    let mut world = ready(1);
    for minute in 0..600 {
        world.jump_wall(if minute % 2 == 0 { YEAR } else { -YEAR });
        world.seconds(1);
    }
    assert!(world.model.starts.len() <= 600 / 5 + 6, "{} mints in ten minutes", world.model.starts.len());
}
