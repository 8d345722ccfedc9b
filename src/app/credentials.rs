//! Gets the client id and secret, and gets them again whenever they may be others.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::FILE_POLL;
use crate::clock::Clock;
use crate::secret::{Fingerprint, Source};
use crate::token::TokenHandle;

/// Between two attempts to get credentials from a source that fails.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// Gets the credentials, and gets them again when their files change or somebody says so. Ends only with the process.
pub(super) async fn provide(source: Source, tokens: TokenHandle, clock: Clock, reload: Arc<Notify>) {
    let source = Arc::new(source);
    let mut known = None;
    let mut pause = RETRY.0;
    loop {
        // Taken first, so that a change in between is a change.
        let seen = fingerprint(&source).await;
        match source.load().await {
            Ok(credentials) => {
                if known.as_ref() != Some(&credentials) {
                    tokens.credentials(credentials.clone());
                    known = Some(credentials);
                }
            }
            // A file that is being replaced is half there for a moment; whatever is in use stays in use.
            Err(error) => {
                tracing::warn!(
                    reason = %error,
                    in_use = known.is_some(),
                    "the client id and secret cannot be read"
                );
                tokens.no_credentials();
            }
        }
        if known.is_none() {
            tokio::select! {
                () = clock.nap(pause) => {}
                () = reload.notified() => {}
            }
            pause = (pause * 2).min(RETRY.1);
            continue;
        }
        tokio::select! {
            () = changed(&source, seen.as_ref(), &clock) => {}
            () = reload.notified() => tokens.retry_now(),
        }
    }
}

async fn changed(source: &Arc<Source>, seen: Option<&Fingerprint>, clock: &Clock) {
    if !source.has_files() {
        return std::future::pending().await;
    }
    while fingerprint(source).await.as_ref() == seen {
        clock.nap(FILE_POLL).await;
    }
}

/// Not on this thread: a file on a network's disk may take for ever to be looked at, and the listeners live here.
/// None only while the runtime goes down.
async fn fingerprint(source: &Arc<Source>) -> Option<Fingerprint> {
    let source = Arc::clone(source);
    tokio::task::spawn_blocking(move || source.fingerprint()).await.ok()
}
