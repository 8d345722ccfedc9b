//! The keeper and the handle together: a clock moved by hand, a minter that follows a script, no sleeps.

mod fixture;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::{JoinSet, yield_now};

use self::fixture::{
    DOWN, Fixture, Scripted, TELLTALE, credentials, gate, generation, grant, poll_once, settle, soon,
};
use crate::clock::{Clock, Jitter};
use crate::token::{Config, FailureKind, Health, Keeper, Why};

#[tokio::test(start_paused = true)]
async fn hundred_concurrent_callers_share_one_mint() {
    let (open, gate) = gate();
    let fixture = Fixture::new([gate]);
    let callers = fixture.callers(100);
    fixture.called(1).await;
    settle().await;
    open.send(Ok(grant(1, 900))).expect("the attempt waits");
    let answers = soon(callers.join_all()).await;
    assert!(answers.into_iter().all(|answer| generation(answer) == Ok(1)));
    assert_eq!(fixture.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn callers_that_leave_cancel_neither_the_mint_nor_the_others() {
    let (open, gate) = gate();
    let fixture = Fixture::new([gate]);
    let mut leaders = fixture.callers(3);
    fixture.called(1).await;
    settle().await;
    let others = fixture.callers(3);
    settle().await;
    leaders.shutdown().await;
    settle().await;
    assert!(!open.is_closed(), "the mint runs on");
    open.send(Ok(grant(1, 900))).expect("the attempt waits");
    assert!(soon(others.join_all()).await.into_iter().all(|answer| generation(answer) == Ok(1)));
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_while_a_live_token_exists_although_the_mint_hangs() {
    let (_open, gate) = gate();
    let fixture = Fixture::ready([gate]).await;
    fixture.renewing().await;
    let mut at_once = poll_once(fixture.handle.acquire());
    assert_eq!(at_once.take().map(generation), Some(Ok(1)));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_is_overdue_is_dropped_and_repeated() {
    let (open, gate) = gate();
    let fixture = Fixture::new([gate, Scripted::Grants(900)]);
    fixture.called(1).await;
    fixture.pass(10).await;
    assert!(!open.is_closed());
    fixture.pass(3).await;
    assert!(open.is_closed(), "its connection is not left behind");
    assert_eq!(fixture.handle.status().generation, Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_minter_that_panics_has_failed_for_now() {
    for panics in [Scripted::Panics, Scripted::PanicsAtOnce] {
        let fixture = Fixture::new([panics, Scripted::Grants(900)]);
        fixture.called(1).await;
        settle().await;
        assert_eq!(fixture.health(), Health::Broken);
        fixture.pass(2).await;
        assert_eq!(fixture.health(), Health::Ready);
    }
}

#[tokio::test(start_paused = true)]
async fn status_goes_from_starting_to_ready_to_degraded_and_back() {
    let (open, gate) = gate();
    let fixture = Fixture::new([gate, DOWN, Scripted::Grants(900)]);
    fixture.called(1).await;
    settle().await;
    assert_eq!(fixture.health(), Health::Starting);
    open.send(Ok(grant(1, 900))).expect("the attempt waits");
    settle().await;
    let status = fixture.handle.status();
    assert_eq!((status.health, status.generation, status.reason), (Health::Ready, Some(1), None));
    assert_eq!(status.expires_in, Some(Duration::from_secs(890)));
    fixture.renewing().await;
    let status = fixture.handle.status();
    assert_eq!((status.health, status.generation), (Health::Degraded, Some(1)));
    assert_eq!(status.reason.as_deref(), Some("scripted"));
    assert!(status.next_attempt.is_some_and(|next| next <= Duration::from_secs(1)));
    fixture.pass(2).await;
    let status = fixture.handle.status();
    assert_eq!((status.health, status.generation, status.next_attempt), (Health::Ready, Some(2), None));
}

#[tokio::test(start_paused = true)]
async fn status_goes_from_degraded_to_broken_when_the_token_dies() {
    let fixture = Fixture::ready((0..200).map(|_| DOWN)).await;
    fixture.pass(889).await;
    assert_eq!(fixture.health(), Health::Degraded);
    fixture.pass(2).await;
    let status = fixture.handle.status();
    assert_eq!((status.health, status.generation, status.expires_in), (Health::Broken, None, None));
}

#[tokio::test(start_paused = true)]
async fn without_credentials_status_is_broken_and_says_why() {
    let fixture = Fixture::without_credentials([Scripted::Grants(900)]);
    settle().await;
    assert_eq!(fixture.health(), Health::Starting);
    fixture.handle.no_credentials();
    settle().await;
    let status = fixture.handle.status();
    assert_eq!(status.health, Health::Broken);
    assert_eq!(status.reason, Some(Why::NoCredentials.to_string()));
    assert_eq!(generation(soon(fixture.handle.acquire()).await), Err(Why::NoCredentials));
    fixture.handle.credentials(credentials("late"));
    settle().await;
    assert_eq!(fixture.health(), Health::Ready);
}

#[tokio::test(start_paused = true)]
async fn whoever_watches_learns_of_changes() {
    let fixture = Fixture::without_credentials([Scripted::Grants(900)]);
    settle().await;
    let mut changes = fixture.handle.changes();
    fixture.handle.credentials(credentials("first"));
    while fixture.health() != Health::Ready {
        soon(changes.changed()).await.expect("the keeper lives");
    }
}

#[tokio::test(start_paused = true)]
async fn a_suspend_is_counted_once() {
    let mut fixture = Fixture::ready([Scripted::Grants(900)]).await;
    fixture.pass(30).await;
    assert!(!fixture.resumed.has_changed().expect("the keeper lives"));
    fixture.hand.advance(Duration::from_secs(7200));
    settle().await;
    fixture.pass(30).await;
    assert_eq!(*fixture.resumed.borrow_and_update(), 1);
}

#[tokio::test(start_paused = true)]
async fn waking_from_suspend_never_lends_the_old_token() {
    let fixture = Fixture::ready([Scripted::Grants(900)]).await;
    // The keeper has not looked at the clock yet: the handle itself must notice.
    fixture.hand.advance(Duration::from_secs(7200));
    assert_eq!(fixture.handle.status().generation, None);
    assert_eq!(generation(soon(fixture.handle.acquire()).await), Ok(2));
}

#[tokio::test(start_paused = true)]
async fn fifty_401s_at_once_share_one_mint() {
    let fixture = Fixture::ready([Scripted::Grants(900)]).await;
    fixture.pass(60).await;
    let mut requests = JoinSet::new();
    for _ in 0..50 {
        let handle = fixture.handle.clone();
        requests.spawn(async move { handle.renewed(1).await });
    }
    assert!(soon(requests.join_all()).await.into_iter().all(|answer| generation(answer) == Ok(2)));
    assert_eq!(fixture.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn doubt_ends_with_a_request_that_succeeds() {
    let fixture = Fixture::ready([Scripted::Grants(900), Scripted::Grants(900)]).await;
    fixture.pass(60).await;
    assert_eq!(generation(soon(fixture.handle.renewed(1)).await), Ok(2));
    fixture.handle.not_the_token(2);
    fixture.pass(31).await;
    assert!(soon(fixture.handle.renewed(2)).await.is_err(), "quiet");
    fixture.handle.accepted();
    assert_eq!(generation(soon(fixture.handle.renewed(2)).await), Ok(3));
}

#[tokio::test(start_paused = true)]
async fn new_credentials_are_used_and_refused_ones_leave_the_old_in_use() {
    let script = [Scripted::Fails(FailureKind::Rejected), Scripted::Grants(900), Scripted::Grants(900)];
    let fixture = Fixture::ready(script).await;
    fixture.handle.credentials(credentials("wrong"));
    fixture.pass(6).await;
    assert_eq!(fixture.health(), Health::Ready);
    fixture.handle.credentials(credentials("right"));
    fixture.pass(6).await;
    assert_eq!(fixture.handle.status().generation, Some(2));
    fixture.pass(600).await;
    assert_eq!(*fixture.minter.used.lock().unwrap(), ["first", "wrong", "right", "right"]);
}

#[tokio::test(start_paused = true)]
async fn retry_now_cuts_a_long_backoff_short() {
    let fixture = Fixture::new([Scripted::Fails(FailureKind::Rejected), Scripted::Grants(900)]);
    fixture.pass(5).await;
    let refused = soon(fixture.handle.acquire()).await.expect_err("rejected");
    assert!(refused.next_attempt >= Duration::from_secs(20), "{refused:?}");
    fixture.handle.retry_now();
    assert_eq!(generation(soon(fixture.handle.acquire()).await), Ok(1));
}

#[tokio::test(start_paused = true)]
async fn while_draining_only_a_caller_causes_a_mint() {
    let fixture = Fixture::ready([Scripted::Grants(900)]).await;
    fixture.handle.drain();
    fixture.pass(900).await;
    assert_eq!(fixture.calls(), 1);
    assert_eq!(generation(soon(fixture.handle.acquire()).await), Ok(2));
}

#[tokio::test(start_paused = true)]
async fn closing_answers_everybody_and_ends_the_keeper() {
    let (open, gate) = gate();
    let mut fixture = Fixture::new([gate]);
    let waiting = fixture.callers(3);
    fixture.called(1).await;
    settle().await;
    fixture.handle.close();
    assert!(soon(waiting.join_all()).await.into_iter().all(|answer| generation(answer) == Err(Why::Closed)));
    soon(&mut fixture.keeper).await.expect("no panic");
    assert_eq!(generation(soon(fixture.handle.acquire()).await), Err(Why::Closed));
    assert!(soon(fixture.handle.renewed(0)).await.is_err());
    assert!(open.is_closed(), "the mint is given up");
    assert_eq!(fixture.handle.status().generation, None);
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_messages_does_not_keep_the_answer_of_a_mint_out() {
    let fixture = Fixture::new([Scripted::Grants(900)]);
    for _ in 0..200 {
        for _ in 0..500 {
            fixture.handle.not_the_token(u64::MAX);
        }
        yield_now().await;
    }
    assert_eq!(fixture.health(), Health::Ready);
}

/// Everything that is written to it, as one string.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn neither_logs_nor_debug_output_contain_a_token_or_a_secret() {
    let written = Written::default();
    let writer = written.clone();
    let logs = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(logs);
    let (clock, _hand) = Clock::manual();
    let script = Arc::clone(&Fixture::new([]).minter);
    let (keeper, handle) = Keeper::new(Config::default(), clock, Jitter::seeded(1), script);
    handle.credentials(credentials("printed"));
    let printed = format!("{keeper:?} {handle:?}");
    assert!(!printed.contains(TELLTALE), "{printed}");

    let refused = Scripted::Fails(FailureKind::Rejected);
    let script = [DOWN, refused, Scripted::Panics, Scripted::Grants(900), Scripted::Grants(900)];
    let fixture = Fixture::ready(script).await;
    fixture.pass(60).await;
    fixture.handle.credentials(credentials("second"));
    let handle = fixture.handle.clone();
    let renewed = tokio::spawn(async move { handle.renewed(1).await });
    fixture.pass(60).await;
    let renewed = soon(renewed).await.expect("no panic");
    fixture.handle.not_the_token(1);
    let lease = soon(fixture.handle.acquire()).await;
    let printed = format!("{renewed:?} {lease:?} {:?} {:?}", fixture.handle.status(), fixture.handle);
    assert!(!printed.contains(TELLTALE), "{printed}");
    let logs = String::from_utf8_lossy(&written.0.lock().unwrap()).into_owned();
    // Whether a line is there at all depends on what other tests do to tracing's global caches; none may tell.
    assert!(!logs.contains(TELLTALE), "{logs}");
}
