//! How often the endpoint is asked, whatever it answers.

use super::events::ready;
use super::world::{Endpoint, Shape, World};
use crate::token::grant::FailureKind;
use crate::token::lease::Why;
use crate::token::lifecycle::Event;

fn failing(kind: FailureKind, asked: Option<u64>) -> World {
    let mut world = World::without_credentials(5);
    world.endpoint(Endpoint::Fails(kind, asked));
    world.latency(0);
    world.credentials(true);
    world
}

#[test]
fn a_thousand_instances_spread_over_a_last_of_the_life() {
    let mut renewals: Vec<i64> = (0..1000)
        .map(|seed| {
            let mut world = ready(seed);
            world.seconds(590);
            world.gaps()[0]
        })
        .collect();
    renewals.sort_unstable();
    let (first, last) = (renewals[0], renewals[999]);
    assert!(first >= 495_000 && last <= 585_100, "{first} … {last}");
    assert!(last - first >= 81_000, "at least 9 %: {first} … {last}");
    let (early, late) = (renewals[250], renewals[750]);
    assert!((late - early) >= 36_000, "evenly: half of them within {} ms", late - early);
}

/// From the token at hand to the start of the next mint, for each of four hundred, in order.
fn renewals(out_of_turn: impl Fn(u64) -> World) -> Vec<i64> {
    let mut renewals: Vec<i64> = (0..400)
        .map(|seed| {
            let mut world = out_of_turn(seed);
            let starts = world.model.starts.len();
            world.seconds(590);
            world.gaps()[starts - 1]
        })
        .collect();
    renewals.sort_unstable();
    renewals
}

#[test]
fn after_a_mint_out_of_turn_instances_spread_over_the_time_between_renewals() {
    let start: fn(u64) -> World = |seed| {
        let mut world = World::new(seed);
        world.pass(100);
        world
    };
    let outage: fn(u64) -> World = |seed| {
        let mut world = ready(seed);
        world.endpoint(Endpoint::Fails(FailureKind::Transient, None));
        world.seconds(900);
        world.endpoint(Endpoint::Grants(Shape::Plain, 900));
        world.until(|w| w.generation() == Some(2));
        world
    };
    let revoked: fn(u64) -> World = |seed| {
        let mut world = ready(seed);
        world.seconds(60);
        world.renewed(1);
        world.pass(100);
        world
    };
    let rotated: fn(u64) -> World = |seed| {
        let mut world = ready(seed);
        world.seconds(60);
        world.credentials(true);
        world.pass(100);
        world
    };
    for (cause, out_of_turn) in
        [("start", start), ("outage", outage), ("401", revoked), ("credentials", rotated)]
    {
        let renewals = renewals(out_of_turn);
        let (first, last) = (renewals[0], renewals[399]);
        assert!(first >= 45_000 && last <= 585_100, "{cause}: {first} … {last}");
        for (quarter, expected) in [(100, 180_000), (200, 315_000), (300, 450_000)] {
            let off = (renewals[quarter] - expected).abs();
            assert!(off < 45_000, "{cause}: evenly, but {quarter} of them by {} ms", renewals[quarter]);
        }
    }
}

#[test]
fn whoever_was_held_up_falls_back_into_its_rhythm() {
    for seed in 0..200 {
        let mut world = ready(seed);
        world.seconds(490);
        world.endpoint(Endpoint::Fails(FailureKind::Transient, None));
        world.until(|w| w.model.starts.len() == 2);
        let due = world.model.starts[1].at;
        world.seconds(240);
        world.endpoint(Endpoint::Grants(Shape::Plain, 900));
        world.until(|w| w.generation() == Some(3));
        let renewals: Vec<_> = world.model.starts.iter().filter(|s| s.at > due + 270_000).collect();
        let next = renewals[0].at - due;
        assert!((495_000..=585_100).contains(&next), "seed {seed}: {next} ms after the one that failed");
    }
}

#[test]
fn an_idle_hour_takes_a_bounded_number_of_looks() {
    let mut world = ready(1);
    let looks = world.looks;
    world.seconds(3600);
    assert!(world.looks - looks <= 1250, "{} looks", world.looks - looks);
    assert!(world.looks - looks >= 720, "but one every five seconds, to notice a suspend");
}

#[test]
fn an_hour_without_endpoint_takes_a_bounded_number_of_looks() {
    let mut world = failing(FailureKind::Transient, None);
    world.seconds(3600);
    assert!(world.looks <= 3000, "{} looks", world.looks);
}

#[test]
fn without_a_token_six_attempts_at_once_then_one_every_five_seconds() {
    let mut world = failing(FailureKind::Transient, None);
    world.seconds(30);
    for _ in 0..600 {
        world.step(Event::RetryNow);
        world.seconds(1);
    }
    let starts = world.model.starts.len();
    assert!(starts <= 6 + 630 / 5, "{starts} starts");
    assert!(starts >= 600 / 5, "{starts} starts");
    assert!(world.gaps().iter().all(|gap| *gap >= 1000));
}

#[test]
fn tokens_of_a_second_are_minted_every_five() {
    for life in 1..=4 {
        let mut world = World::without_credentials(2);
        world.endpoint(Endpoint::Grants(Shape::Plain, life));
        world.credentials(true);
        world.seconds(120);
        let starts = world.model.starts.len();
        assert!((20..=24).contains(&starts), "L = {life} s: {starts} mints in two minutes");
    }
}

#[test]
fn callers_wait_while_the_floor_forbids_a_mint() {
    for life in 1..=10 {
        let mut world = World::without_credentials(2);
        world.endpoint(Endpoint::Grants(Shape::Plain, life));
        world.credentials(true);
        for _ in 0..300 {
            world.acquire();
            world.pass(100);
        }
        world.seconds(6);
        assert!(world.answers.values().all(|(_, answer)| answer.is_ok()), "L = {life} s");
        assert_eq!(world.answers.len(), 300);
    }
}

#[test]
fn tokens_of_ten_seconds_are_renewed_unnoticed() {
    let mut world = World::without_credentials(3);
    world.endpoint(Endpoint::Grants(Shape::Plain, 10));
    world.credentials(true);
    world.pass(100);
    for _ in 0..600 {
        let caller = world.acquire();
        assert!(matches!(world.got(caller), Some(Ok(_))), "at once");
        world.pass(100);
    }
}

#[test]
fn rejected_credentials_are_tried_after_30_60_120_300_seconds() {
    let mut world = failing(FailureKind::Rejected, None);
    world.seconds(1200);
    let gaps = world.gaps();
    for (gap, base) in gaps.iter().zip([30_000, 60_000, 120_000, 300_000, 300_000]) {
        assert!((base..=base * 6 / 5).contains(gap), "{gaps:?}");
    }
    assert!(gaps.len() >= 5);
}

#[test]
fn a_wrong_endpoint_backs_off_like_rejected_credentials_and_says_so() {
    let mut world = failing(FailureKind::Misconfigured, None);
    world.seconds(31 * 6 / 5);
    assert_eq!(world.model.starts.len(), 2);
    let caller = world.acquire();
    assert!(matches!(world.got(caller), Some(Err(r)) if matches!(r.why, Why::WrongEndpoint(_))));
}

#[test]
fn with_a_live_token_rejection_pauses_a_minute_at_most_and_tries_near_the_end() {
    for seed in 0..100 {
        let mut world = ready(seed);
        world.endpoint(Endpoint::Fails(FailureKind::Rejected, None));
        world.seconds(891);
        assert_eq!(world.generation(), None);
        let born = world.model.starts[0].at;
        let gaps = world.gaps();
        assert!(gaps[1..].iter().all(|gap| *gap <= 60_200), "{gaps:?}");
        let late = world.model.starts.iter().filter(|s| (840_000..890_000).contains(&(s.at - born)));
        assert!(late.count() >= 1, "seed {seed}: an attempt between mandatory and hard");
    }
}

#[test]
fn three_500s_before_any_success_count_as_rejection() {
    let mut world = failing(FailureKind::ServerError, None);
    world.seconds(20);
    assert_eq!(world.model.starts.len(), 3);
    let caller = world.acquire();
    assert!(matches!(world.got(caller), Some(Err(r)) if matches!(r.why, Why::Rejected(_))));
}

#[test]
fn other_failures_between_two_500s_break_the_row() {
    let mut world = failing(FailureKind::ServerError, None);
    for _ in 0..4 {
        let starts = world.model.starts.len();
        world.until(|w| w.model.starts.len() > starts);
        world.endpoint(Endpoint::Fails(FailureKind::Transient, None));
        world.until(|w| w.model.starts.len() >= starts + 2);
        world.endpoint(Endpoint::Fails(FailureKind::ServerError, None));
    }
    assert!(world.gaps().iter().all(|gap| *gap <= 10_200), "{:?}", world.gaps());
}

#[test]
fn after_a_success_500s_are_an_outage() {
    let mut world = ready(1);
    world.endpoint(Endpoint::Fails(FailureKind::ServerError, None));
    world.seconds(1000);
    world.endpoint(Endpoint::Grants(Shape::Plain, 900));
    world.seconds(11);
    assert_eq!(world.generation(), Some(2));
}

#[test]
fn retry_now_forgives_backoff_but_no_floor() {
    let mut world = failing(FailureKind::Rejected, None);
    world.pass(100);
    world.step(Event::RetryNow);
    world.pass(899);
    assert_eq!(world.model.starts.len(), 1, "a second between starts");
    world.pass(1);
    assert_eq!(world.model.starts.len(), 2);
    world.seconds(29);
    assert_eq!(world.model.starts.len(), 2, "and it backs off again, from the beginning");
    world.seconds(8);
    assert_eq!(world.model.starts.len(), 3);
}

#[test]
fn retry_now_right_after_a_success_mints_nothing() {
    let mut world = ready(1);
    world.step(Event::RetryNow);
    world.seconds(400);
    assert_eq!(world.model.starts.len(), 1);
}

#[test]
fn retry_after_and_a_backoff_on_top_of_it_are_at_most_thirty_seconds_without_a_token() {
    for (asked, honoured) in [(0, 1000), (7, 7000), (25, 25_000), (3600, 25_000)] {
        let mut world = failing(FailureKind::Transient, Some(asked));
        world.seconds(300);
        let gaps = world.gaps();
        // The bucket may want more than so short a pause.
        let most = honoured.max(5000) + 5000;
        assert!(gaps.iter().all(|gap| (honoured..=most).contains(gap)), "{asked}: {gaps:?}");
    }
}

#[test]
fn instances_that_started_together_do_not_try_again_together() {
    let mut last: Vec<i64> = (0..200)
        .map(|seed| {
            let mut world = World::without_credentials(seed);
            world.endpoint(Endpoint::Fails(FailureKind::Transient, None));
            world.credentials(true);
            world.until(|w| w.model.starts.len() == 12);
            let gaps = world.gaps();
            assert!(gaps.iter().all(|gap| *gap <= 10_200), "{gaps:?}");
            gaps.iter().sum()
        })
        .collect();
    last.sort_unstable();
    assert!(last[180] - last[20] >= 2500, "most of them within {} ms", last[180] - last[20]);
}

#[test]
fn instances_that_are_told_the_same_retry_after_do_not_come_back_together() {
    let mut third: Vec<i64> = (0..200)
        .map(|seed| {
            let mut world = World::without_credentials(seed);
            world.endpoint(Endpoint::Fails(FailureKind::Transient, Some(20)));
            world.credentials(true);
            world.until(|w| w.model.starts.len() == 4);
            world.model.starts[3].at - world.model.starts[0].at
        })
        .collect();
    third.sort_unstable();
    assert!(third[180] - third[20] >= 3000, "most of them within {} ms", third[180] - third[20]);
}

#[test]
fn retry_after_is_honoured_up_to_a_minute_with_a_token() {
    for (asked, expected) in [(7, 7000), (60, 60_000), (3600, 60_000)] {
        let mut world = ready(1);
        world.latency(0);
        world.endpoint(Endpoint::Fails(FailureKind::Transient, Some(asked)));
        world.seconds(780);
        let gaps = world.gaps();
        assert!(gaps.len() > 1 && gaps[1..].iter().all(|gap| *gap >= expected), "{asked}: {gaps:?}");
        assert!(gaps[1..].iter().all(|gap| *gap <= expected + 30_000), "{asked}: {gaps:?}");
    }
}

#[test]
fn near_the_end_of_a_token_retries_are_at_most_five_seconds_apart() {
    for seed in 0..20 {
        let mut world = ready(seed);
        world.latency(0);
        world.endpoint(Endpoint::Fails(FailureKind::Transient, None));
        world.seconds(889);
        let mandatory = world.model.starts[0].at + 840_000;
        let late: Vec<_> = world.model.starts.iter().map(|s| s.at).filter(|at| *at > mandatory).collect();
        assert!(late.len() >= 9, "seed {seed}: {} retries in 50 s", late.len());
        assert!(late.windows(2).all(|pair| pair[1] - pair[0] <= 5000), "seed {seed}");
    }
}
