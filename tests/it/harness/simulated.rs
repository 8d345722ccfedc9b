//! The proxy in front of the simulated Airbyte, both on one clock that the test moves.

use std::time::Duration;

use airbyte_proxy::clock::{Clock, Hand};
use airbyte_proxy::demo::{Handle, Options, Simulator};
use tokio::task::JoinHandle;

use super::daemon::{Daemon, Settings, settings, start};
use super::talk::soon;
use super::trace;

pub(crate) struct Stage {
    pub(crate) proxy: Daemon,
    pub(crate) airbyte: Handle,
    pub(crate) hand: Hand,
    _simulator: Simulator,
    _tokens: trace::Tokens,
}

/// Tokens of 15 minutes, and a token endpoint that does `prepare` from the start.
pub(crate) async fn stage(prepare: impl FnOnce(&Handle)) -> Stage {
    stage_with(prepare, |_| {}).await
}

pub(crate) async fn stage_with(prepare: impl FnOnce(&Handle), adjust: impl FnOnce(&mut Settings)) -> Stage {
    stage_of(Options { record: 16, ..Options::default() }, prepare, adjust).await
}

/// The same, of an Airbyte like this.
pub(crate) async fn stage_of(
    options: Options,
    prepare: impl FnOnce(&Handle),
    adjust: impl FnOnce(&mut Settings),
) -> Stage {
    let (clock, hand) = Clock::manual();
    let simulator = Simulator::start(Options { clock: clock.clone(), ..options });
    let simulator = simulator.expect("a free port");
    let airbyte = simulator.handle();
    prepare(&airbyte);
    let mut settings = settings(&simulator.api_url());
    settings.clock = clock;
    settings.credentials = simulator.credentials();
    adjust(&mut settings);
    let tokens = trace::Tokens::of(airbyte.clone());
    Stage { proxy: start(settings).await, airbyte, hand, _simulator: simulator, _tokens: tokens }
}

impl Stage {
    /// The result of `task`. Half a second passes whenever it has none yet.
    pub(crate) async fn while_time_passes<T>(&self, mut task: JoinHandle<T>) -> T {
        let waiting = async {
            loop {
                // The pause is for sockets and other tasks; how long it is decides nothing.
                tokio::select! {
                    ended = &mut task => return ended.expect("a task"),
                    () = tokio::time::sleep(Duration::from_millis(2)) => {}
                }
                self.hand.advance(Duration::from_millis(500));
            }
        };
        soon(waiting).await
    }
}
