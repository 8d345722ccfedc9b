//! Random histories. The properties are the checks of the model, made at every step.

use proptest::prelude::*;

use super::model::Start;
use super::world::{Endpoint, Shape, TELLTALE, World};
use crate::token::grant::FailureKind;
use crate::token::lease::Unavailable;
use crate::token::lifecycle::Event;

/// A hundred years, in milliseconds.
const CENTURY: i64 = 36_525 * 86_400_000;

#[derive(Debug, Clone)]
enum Act {
    Pass(i64),
    Suspend(i64),
    JumpWall(i64),
    Endpoint(Endpoint),
    Latency(i64),
    Acquire,
    AskNewer { older: u64 },
    Leave,
    Unauthorized { older: u64, replayed: bool },
    Renewed,
    Accepted,
    Credentials { good: bool },
    Judge { version: u64, good: bool },
    OverdueAnswer,
    RetryNow,
    Drain,
    Close,
}

fn span() -> impl Strategy<Value = i64> {
    prop_oneof![
        3 => 1..1000i64,
        4 => 1000..20_000i64,
        3 => 20_000..600_000i64,
        1 => 600_000..7_200_000i64,
    ]
}

fn endpoint() -> impl Strategy<Value = Endpoint> {
    use Shape::{Bare, Dead, Huge, Jwt, NoIat, Plain, Silent, Zero};
    let shape = prop::sample::select(vec![Plain, Plain, Jwt, Jwt, NoIat, Bare, Silent, Zero, Huge, Dead]);
    let life = prop::sample::select(vec![1, 2, 3, 5, 9, 10, 15, 60, 180, 900, 900, 3600, 86_400]);
    let kind = prop::sample::select(vec![
        FailureKind::Transient,
        FailureKind::Transient,
        FailureKind::ServerError,
        FailureKind::Rejected,
        FailureKind::Misconfigured,
    ]);
    let asked = prop::option::weighted(0.3, prop::sample::select(vec![0, 1, 7, 25, 60, 3600, u64::MAX]));
    prop_oneof![
        6 => (shape, life).prop_map(|(shape, life)| Endpoint::Grants(shape, life)),
        4 => (kind, asked).prop_map(|(kind, asked)| Endpoint::Fails(kind, asked)),
        1 => Just(Endpoint::Hangs),
        1 => Just(Endpoint::Repeats),
    ]
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        20 => span().prop_map(Act::Pass),
        2 => (1000..10_000_000i64).prop_map(Act::Suspend),
        2 => prop_oneof![-CENTURY..=CENTURY, -2_000_000..2_000_000i64].prop_map(Act::JumpWall),
        6 => endpoint().prop_map(Act::Endpoint),
        2 => prop_oneof![0..500i64, 500..10_900i64].prop_map(Act::Latency),
        8 => Just(Act::Acquire),
        2 => (0..3u64).prop_map(|older| Act::AskNewer { older }),
        2 => Just(Act::Leave),
        4 => (0..3u64, prop::bool::weighted(0.3))
            .prop_map(|(older, replayed)| Act::Unauthorized { older, replayed }),
        2 => Just(Act::Renewed),
        1 => Just(Act::Accepted),
        3 => prop::bool::ANY.prop_map(|good| Act::Credentials { good }),
        1 => (1..4u64, prop::bool::ANY).prop_map(|(version, good)| Act::Judge { version, good }),
        1 => Just(Act::OverdueAnswer),
        1 => Just(Act::RetryNow),
    ]
}

fn history() -> impl Strategy<Value = Vec<Act>> {
    let end = prop_oneof![4 => Just(None), 1 => Just(Some(Act::Drain)), 1 => Just(Some(Act::Close))];
    (prop::collection::vec(act(), 1..80), end, prop::collection::vec(act(), 0..10)).prop_map(
        |(mut acts, end, more)| {
            acts.extend(end);
            acts.extend(more);
            acts
        },
    )
}

fn perform(world: &mut World, act: &Act) {
    let generation = world.model.live().map_or(0, |t| t.generation);
    match *act {
        Act::Pass(millis) => world.pass(millis),
        Act::Suspend(millis) => world.suspend(millis),
        Act::JumpWall(millis) => world.jump_wall(millis),
        Act::Endpoint(endpoint) => world.endpoint(endpoint),
        Act::Latency(millis) => world.latency(millis),
        Act::Acquire => drop(world.acquire()),
        Act::AskNewer { older } => drop(world.ask(Some(generation.saturating_sub(older)))),
        Act::Leave => {
            let first = world.model.waiters.keys().next().copied();
            world.step(Event::Gone { waiter: first.unwrap_or(0) });
        }
        Act::Unauthorized { older, replayed } => {
            world.step(Event::Unauthorized { generation: generation.saturating_sub(older), replayed });
        }
        Act::Renewed => drop(world.renewed(generation)),
        Act::Accepted => world.step(Event::Accepted),
        Act::Credentials { good } => drop(world.credentials(good)),
        Act::Judge { version, good } => world.set_good(version, good),
        Act::OverdueAnswer => world.overdue_answer(),
        Act::RetryNow => world.step(Event::RetryNow),
        Act::Drain => world.step(Event::Drain),
        Act::Close => world.step(Event::Close),
    }
}

/// A minute in a fixed rhythm: some callers stay, and of those who leave some are there only if `leavers` says so.
fn minute(
    seed: u64,
    ends: &[Endpoint],
    stay: &[bool],
    leave: &[bool],
    leavers: bool,
) -> (Vec<Start>, Vec<Answer>) {
    let mut world = World::new(seed);
    let mut staying = Vec::new();
    for round in 0..300 {
        world.endpoint(ends[round * ends.len() / 300]);
        if stay[round % stay.len()] {
            staying.push(world.ask(None));
        }
        if leavers && leave[round % leave.len()] {
            let leaver = world.ask(Some(0));
            world.step(Event::Gone { waiter: leaver });
        }
        world.tick_after(200);
    }
    let answers = staying.iter().map(|caller| world.answers.get(caller).cloned()).collect();
    (world.model.starts, answers)
}

type Answer = Option<(i64, Result<u64, Unavailable>)>;

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, max_shrink_iters: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_promise_holds_in_any_history(acts in history(), seed: u64) {
        let mut world = World::without_credentials(seed);
        for act in &acts {
            perform(&mut world, act);
        }
        world.pass(13_000);
        prop_assert!(world.model.waiters.is_empty(), "invariant 9: everybody has an answer in the end");
        prop_assert!(!format!("{:?}", world.life).contains(TELLTALE), "invariant 15");
    }

    #[test]
    fn callers_that_leave_change_neither_the_mints_nor_the_answers_of_others(
        seed: u64,
        ends in prop::collection::vec(endpoint(), 1..5),
        stay in prop::collection::vec(prop::bool::weighted(0.1), 1..40),
        leave in prop::collection::vec(any::<bool>(), 1..40),
    ) {
        let without = minute(seed, &ends, &stay, &leave, false);
        prop_assert_eq!(without, minute(seed, &ends, &stay, &leave, true), "invariant 8");
    }
}
