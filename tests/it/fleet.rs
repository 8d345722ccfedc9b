//! Many proxies and one token endpoint, in virtual time. `docs/fleet.md` has the figures of thousands; these are the
//! promises behind them.

#[path = "../../benches/fleet/model/mod.rs"]
mod model;

use model::{Beyond, Endpoint, HOUR, Kind, MINUTE, Plan, QUARTER, SECOND, Trouble, run, steady};

const MEMBERS: usize = 200;
/// Each of them once a second.
const ALL: f64 = 200.0;
/// When something happens to them.
const THEN: i64 = 15 * MINUTE;

fn plan(until: i64) -> Plan {
    Plan {
        seed: 1,
        kind: Kind::Proxy,
        members: MEMBERS,
        start_within: SECOND,
        endpoint: Endpoint::new(QUARTER),
        rotations: Vec::new(),
        asleep: None,
        until,
    }
}

/// Not in step, and in trouble from then on for this long.
fn troubled(trouble: Trouble, minutes: i64) -> Plan {
    let end = THEN + minutes * MINUTE;
    let plan = plan(end + HOUR / 2);
    Plan { start_within: 9 * MINUTE, endpoint: plan.endpoint.clone().with(THEN, end, trouble), ..plan }
}

const TROUBLES: [Trouble; 4] =
    [Trouble::Refused, Trouble::Hangs, Trouble::Answers(500, None), Trouble::Answers(429, Some(30))];

#[test]
fn a_fleet_started_together_spreads_out_within_an_hour() {
    for life in [QUARTER, 3 * MINUTE] {
        let plan = Plan { endpoint: Endpoint::new(life), ..plan(HOUR) };
        let asked = run(plan.clone()).asked;
        let usual = steady(MEMBERS, life);
        let (busiest, mean) = (asked.busiest_minute(MINUTE, HOUR), asked.mean(HOUR / 2, HOUR));
        assert!(busiest < 2.2 * usual, "{busiest} a second where {usual} would be even, tokens of {life} ms");
        assert!((mean / usual - 1.0).abs() < 0.1, "no more often than ever: {mean}, {usual}");
        let others = run(Plan { kind: Kind::Eager, ..plan }).asked;
        assert!(others.peak(MINUTE, HOUR) > 100, "a fixed margin keeps them in step");
    }
}

#[test]
fn a_fleet_that_wakes_together_spreads_out_as_well() {
    let wake = 3 * HOUR;
    let asked = run(Plan { asleep: Some((HOUR, wake)), ..plan(wake + HOUR) }).asked;
    assert_eq!(asked.sum(HOUR + MINUTE, wake), 0, "asleep");
    assert!(asked.mean(wake, wake + 5 * SECOND) * 5.0 >= ALL);
    let busiest = asked.busiest_minute(wake + MINUTE, wake + HOUR);
    assert!(busiest < 2.2 * steady(MEMBERS, QUARTER), "{busiest}");
}

#[test]
fn an_outage_shorter_than_the_spare_life_costs_no_request() {
    for trouble in TROUBLES {
        let record = run(troubled(trouble, 4));
        let end = THEN + 4 * MINUTE;
        assert_eq!(record.ever_without(THEN), 0, "{trouble:?}");
        assert_eq!(record.failed.sum(THEN, end + HOUR / 2) + record.late.sum(THEN, end + HOUR / 2), 0);
        let (asked, usual) =
            (record.asked.busiest_minute(end + MINUTE, end + HOUR / 2), steady(MEMBERS, QUARTER));
        assert!(asked < 2.2 * usual, "{trouble:?}: and nobody is in step afterwards: {asked}, {usual}");
    }
}

#[test]
fn after_an_outage_each_asks_about_once_in_the_first_minute_and_then_as_often_as_ever() {
    for (trouble, minutes) in TROUBLES.into_iter().zip([10, 10, 20, 20]) {
        let end = THEN + minutes * MINUTE;
        let record = run(troubled(trouble, minutes));
        assert!(record.ever_without(THEN) > MEMBERS / 4, "{trouble:?}: longer than the spare life");
        let last = record.waited(end, 1.0).expect("all of them");
        assert!(last <= 31 * SECOND, "{trouble:?} for {minutes} min: {last} ms");
        let first = record.asked.mean(end, end + MINUTE) * 60.0 / ALL;
        assert!(first <= 1.3, "{trouble:?} for {minutes} min: {first} times");
        let later = record.asked.busiest_minute(end + MINUTE, end + HOUR / 2) / steady(MEMBERS, QUARTER);
        assert!(later < 2.2, "{trouble:?} for {minutes} min: {later} times as often");
    }
}

#[test]
fn each_asks_every_five_seconds_on_average_however_long_the_endpoint_is_down() {
    for trouble in [Trouble::Refused, Trouble::Answers(503, None)] {
        let asked = run(troubled(trouble, 40)).asked;
        let hardest = asked.busiest_minute(THEN, THEN + 40 * MINUTE);
        assert!(hardest <= 0.22 * ALL, "{trouble:?}: {hardest} a second");
    }
}

#[test]
fn a_wrong_secret_that_all_read_costs_nothing_while_the_old_one_works() {
    let endpoint = Endpoint::new(QUARTER).with(0, i64::MAX, Trouble::Wrong(2));
    let plan =
        Plan { endpoint, start_within: 9 * MINUTE, rotations: vec![(THEN, 90 * SECOND)], ..plan(2 * HOUR) };
    let record = run(plan);
    assert_eq!((record.ever_without(THEN), record.failed.sum(THEN, 2 * HOUR)), (0, 0));
    let asked = record.asked.mean(THEN + 5 * MINUTE, 2 * HOUR);
    assert!(asked < ALL / 45.0, "{asked} a second, the tries of the new one included");
}

#[test]
fn an_endpoint_that_gives_a_few_tokens_a_second_serves_all_in_the_end() {
    for beyond in [Beyond::Answers(429, None), Beyond::Answers(503, Some(30)), Beyond::Queues(30)] {
        let endpoint = Endpoint::new(QUARTER).with_limit(4, beyond);
        let record = run(Plan { endpoint, ..plan(HOUR / 2) });
        let last = record.waited(0, 1.0).expect("all of them");
        assert!(last < 4 * MINUTE, "{beyond:?}: 50 s are needed, {last} ms were");
        assert_eq!(record.ever_without(10 * MINUTE), 0, "{beyond:?}: and nobody goes without again");
        assert_eq!(record.longest_without(0), last);
    }
}

#[test]
fn the_same_seed_gives_the_same_figures() {
    let figures = |seed| {
        let plan = Plan { seed, members: 20, ..troubled(Trouble::Hangs, 10) };
        format!("{:?}", run(plan))
    };
    assert_eq!(figures(1), figures(1));
    assert_ne!(figures(1), figures(2));
}
