//! The last things that became of the token, for people who look.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use super::lifecycle::Note;

/// How many are kept.
const KEPT: usize = 20;

/// Something that became of the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happening {
    /// In milliseconds since the Unix epoch.
    pub at: i64,
    /// Whether it is good, bad or neither.
    pub mood: Mood,
    /// What happened, in a sentence without a period.
    pub what: String,
}

/// How people are to take it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// A token has come.
    Good,
    /// There is a token still, but.
    Warning,
    /// There is none.
    Bad,
    /// Something else.
    Neutral,
}

#[derive(Debug, Default)]
pub(super) struct History(Mutex<VecDeque<Happening>>);

impl History {
    pub(super) fn add(&self, at: i64, note: &Note) {
        let (mood, what) = told(note);
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() == KEPT {
            all.pop_front();
        }
        all.push_back(Happening { at, mood, what });
    }

    /// Oldest first.
    pub(super) fn all(&self) -> Vec<Happening> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

fn told(note: &Note) -> (Mood, String) {
    match note {
        Note::Minted { generation, lifetime } => {
            (Mood::Good, format!("token {generation} obtained, good for {}", seconds(lifetime.as_secs())))
        }
        Note::SameToken => {
            (Mood::Neutral, "Airbyte repeated the token at hand; asking again later".to_owned())
        }
        Note::Failed { failure, live_for: Some(_), .. } => {
            (Mood::Warning, format!("not renewed, the token at hand is still good: {}", failure.message))
        }
        Note::Failed { failure, live_for: None, .. } => (Mood::Bad, format!("no token: {}", failure.message)),
        Note::CandidateRejected { failure } => (
            Mood::Warning,
            format!("the new credentials were refused, the old ones stay: {}", failure.message),
        ),
        Note::Suspected { generation } => {
            (Mood::Neutral, format!("Airbyte refused token {generation}; asking for another"))
        }
        Note::NotTheToken { .. } => {
            (Mood::Warning, "Airbyte answers 401 even with a new token, so it is not the token".to_owned())
        }
        Note::Died { generation } => {
            (Mood::Bad, format!("token {generation} expired before it could be renewed"))
        }
        Note::Resumed { gap } => {
            (Mood::Neutral, format!("the machine was asleep for {}", seconds(gap.as_secs())))
        }
    }
}

fn seconds(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        _ => format!("{} h", seconds / 3600),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::token::{Failure, FailureKind};

    #[test]
    fn the_last_things_are_kept_in_words() {
        let history = History::default();
        for generation in 1..=25 {
            let lifetime = Duration::from_secs(generation * 100);
            history.add(7, &Note::Minted { generation, lifetime });
        }
        let failure = Failure { kind: FailureKind::Transient, retry_after: None, message: "502".into() };
        history.add(8, &Note::Failed { failure, next: Duration::ZERO, live_for: None });
        let all = history.all();
        assert_eq!(all.len(), KEPT);
        assert_eq!((all[0].at, all[0].what.as_str()), (7, "token 7 obtained, good for 11 min"));
        assert_eq!((all[19].mood, all[19].what.as_str()), (Mood::Bad, "no token: 502"));
    }
}
