//! The lifecycle without its keeper, for simulations: the caller says what time it is and what the endpoint answers.
//!
//! The program itself uses none of it.

use std::time::Duration;

use super::Config;
use super::grant::Outcome;
use super::lifecycle::{Action, Event, Lifecycle, Note};
use crate::clock::{Jitter, Now};

/// One proxy's token, driven by hand.
#[derive(Debug)]
pub struct Rehearsal {
    life: Lifecycle,
    versions: u64,
}

/// What the proxy does in answer to something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// Asks the endpoint for a token.
    Ask {
        /// To be given back with the answer.
        attempt: u64,
        /// Those it asks with; the first are 1.
        credentials: u64,
    },
    /// Has a new token.
    Minted,
    /// Has no token any more.
    Died,
    /// Lends a token to the caller of this number.
    Lend(u64),
    /// Tells the caller of this number that there is none.
    Refuse(u64),
}

impl Rehearsal {
    /// A proxy that has not read its credentials yet.
    pub fn new(config: Config, jitter: Jitter, now: Now) -> Self {
        Self { life: Lifecycle::new(config.max_lifetime, jitter, now), versions: 0 }
    }

    /// Credentials were read, for the first time or because they have changed.
    pub fn credentials(&mut self, now: Now) -> Vec<Deed> {
        self.versions += 1;
        self.step(now, Event::NewCredentials { version: self.versions })
    }

    /// Time has passed. To be called whenever [`next_look`](Self::next_look) says.
    pub fn look(&mut self, now: Now) -> Vec<Deed> {
        self.step(now, Event::Tick)
    }

    /// What came of an attempt.
    pub fn answered(&mut self, now: Now, attempt: u64, outcome: Outcome) -> Vec<Deed> {
        self.step(now, Event::Answered { attempt, outcome })
    }

    /// A request needs a token. While there is one, nobody has to ask: it is lent from memory.
    pub fn acquire(&mut self, now: Now, caller: u64) -> Vec<Deed> {
        self.step(now, Event::Acquire { waiter: caller, newer_than: None })
    }

    /// How long nothing happens by itself.
    pub fn next_look(&self, now: Now) -> Duration {
        self.life.next_look(now)
    }

    fn step(&mut self, now: Now, event: Event) -> Vec<Deed> {
        self.life.step(now, event).into_iter().filter_map(|action| deed(&action)).collect()
    }
}

/// What of it shows outside. An attempt that was given up has no answer that counts.
fn deed(action: &Action) -> Option<Deed> {
    match *action {
        Action::Mint { attempt, credentials } => Some(Deed::Ask { attempt, credentials }),
        Action::Grant { waiter, .. } => Some(Deed::Lend(waiter)),
        Action::Refuse { waiter, .. } => Some(Deed::Refuse(waiter)),
        Action::Note(Note::Minted { .. }) => Some(Deed::Minted),
        Action::Note(Note::Died { .. }) => Some(Deed::Died),
        Action::Abort { .. } | Action::Promote { .. } | Action::DropConnections | Action::Note(_) => None,
    }
}
