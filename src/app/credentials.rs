//! Gets the client id and secret, and gets them again whenever they may be others.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::FILE_POLL;
use crate::clock::{Clock, Now};
use crate::secret::{Fingerprint, Source};
use crate::token::TokenHandle;

/// Between two attempts to get credentials from a source that fails.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// Between two runs of a command whose secret the token endpoint refuses: a manager may ask a person each time. The
/// longer when it goes on saying the same.
const ASK_AGAIN: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(300));

/// Gets the credentials, and gets them again when their files change, when the token endpoint refuses what a command
/// printed, or when somebody says so. Ends only with the process.
pub(super) async fn provide(source: Source, tokens: TokenHandle, clock: Clock, reload: Arc<Notify>) {
    let source = Arc::new(source);
    let mut known = None;
    let mut pause = RETRY.0;
    let mut told = false;
    let mut refusals = Refusals::new(&source, &tokens, &clock);
    loop {
        // Taken first, so that a change in between is a change.
        let seen = fingerprint(&source).await;
        match source.load().await {
            Ok(credentials) => {
                if known.as_ref() != Some(&credentials) {
                    tokens.credentials(credentials.clone());
                    known = Some(credentials);
                    refusals.pause = ASK_AGAIN.0;
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
        if std::mem::take(&mut told) {
            // Only now: the next attempt is to be made with what has just been read.
            tokens.retry_now();
        }
        if known.is_none() {
            tokio::select! {
                () = clock.nap(pause) => {}
                () = reload.notified() => told = true,
            }
            pause = (pause * 2).min(RETRY.1);
            continue;
        }
        tokio::select! {
            () = changed(&source, seen.as_ref(), &clock) => {}
            () = refusals.next() => {}
            () = reload.notified() => told = true,
        }
    }
}

/// Tells when to run a command again because of what the token endpoint says to its secret.
struct Refusals<'a> {
    has_command: bool,
    tokens: &'a TokenHandle,
    clock: &'a Clock,
    last: Option<Now>,
    pause: Duration,
}

impl<'a> Refusals<'a> {
    fn new(source: &Source, tokens: &'a TokenHandle, clock: &'a Clock) -> Self {
        Self { has_command: source.has_command(), tokens, clock, last: None, pause: ASK_AGAIN.0 }
    }

    async fn next(&mut self) {
        if !self.has_command {
            return std::future::pending().await;
        }
        if let Some(last) = self.last {
            self.clock.nap(self.pause.saturating_sub(self.clock.now().since(last))).await;
        }
        let mut changes = self.tokens.changes();
        while !self.tokens.status().refused {
            // The handle keeps the sender.
            if changes.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
        if self.last.replace(self.clock.now()).is_some() {
            self.pause = (self.pause * 2).min(ASK_AGAIN.1);
        }
        tracing::info!("the token endpoint refuses the credentials; running the command again");
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

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::path::Path;
    use std::pin::Pin;
    use std::sync::Mutex;

    use tokio::sync::watch;
    use tokio::time::timeout;

    use super::*;
    use crate::clock::{Hand, Jitter};
    use crate::secret::{AccessToken, ClientCredentials, Half, Origin, Secret, Trusted};
    use crate::token::{Config, Failure, FailureKind, Grant, Keeper, Minter, Outcome};

    const SOON: Duration = Duration::from_secs(20);

    /// Knows one secret, and notes what it is asked with.
    struct Endpoint {
        right: Mutex<String>,
        asked: watch::Sender<Vec<String>>,
    }

    impl Minter for Endpoint {
        fn mint(&self, credentials: Arc<ClientCredentials>) -> Pin<Box<dyn Future<Output = Outcome> + Send>> {
            let secret = credentials.client_secret.expose().to_owned();
            let right = *self.right.lock().unwrap() == secret;
            let token = AccessToken::parse(&format!("token.{}", self.asked.borrow().len())).expect("valid");
            self.asked.send_modify(|asked| asked.push(secret));
            Box::pin(async move {
                if right {
                    let expires_in = Some(Duration::from_secs(900));
                    return Ok(Grant { token, expires_in, expires_at: None, issued_at: None, date: None });
                }
                let message = "refused".to_owned();
                Err(Failure { kind: FailureKind::Rejected, retry_after: None, message })
            })
        }
    }

    /// A command that prints the file `secret` of its folder, and adds a line to `runs`.
    struct Fixture {
        folder: tempfile::TempDir,
        endpoint: Arc<Endpoint>,
        tokens: TokenHandle,
        reload: Arc<Notify>,
        hand: Hand,
        _tasks: tokio::task::JoinSet<()>,
    }

    impl Fixture {
        fn new(right: &str, printed: &str) -> Self {
            let folder = tempfile::tempdir().expect("tempdir");
            std::fs::write(folder.path().join("secret"), printed).expect("written");
            let script = "cd \"$0\" && echo run >> runs && cat secret";
            let argv = ["/bin/sh", "-c", script].into_iter().map(str::to_owned);
            let argv = argv.chain([folder.path().display().to_string()]).collect();
            let half = |origin| Half { place: "test".to_owned(), origin };
            let id = half(Origin::Value(Secret::new("id".to_owned())));
            let source = Source::new(id, half(Origin::Command(argv)), Trusted::default());
            let endpoint =
                Endpoint { right: Mutex::new(right.to_owned()), asked: watch::Sender::new(Vec::new()) };
            let endpoint = Arc::new(endpoint);
            let (clock, hand) = Clock::manual();
            let minter = Arc::clone(&endpoint) as Arc<dyn Minter>;
            let (keeper, tokens) = Keeper::new(Config::default(), clock.clone(), Jitter::seeded(1), minter);
            let reload = Arc::new(Notify::new());
            let mut tasks = tokio::task::JoinSet::new();
            tasks.spawn(keeper.run());
            tasks.spawn(provide(source, tokens.clone(), clock, Arc::clone(&reload)));
            Self { folder, endpoint, tokens, reload, hand, _tasks: tasks }
        }

        fn print(&self, secret: &str) {
            let new = self.folder.path().join("secret.new");
            std::fs::write(&new, secret).expect("written");
            std::fs::rename(new, self.folder.path().join("secret")).expect("renamed");
        }

        fn runs(&self) -> usize {
            let runs = std::fs::read_to_string(Path::new(self.folder.path()).join("runs"));
            runs.map_or(0, |runs| runs.lines().count())
        }

        /// The time passes until `wanted` is true of the secrets that were tried, as fast as things happen.
        async fn until_asked(&self, wanted: impl Fn(&[String]) -> bool) {
            let mut asked = self.endpoint.asked.subscribe();
            timeout(SOON, asked.wait_for(|asked| wanted(asked))).await.expect("in time").expect("there");
        }

        async fn until_runs(&self, number: usize) {
            let ran = async {
                while self.runs() < number {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            timeout(SOON, ran).await.expect("in time");
        }

        async fn until_healthy(&self) {
            let mut changes = self.tokens.changes();
            let healthy = async {
                while self.tokens.status().generation.is_none() || self.tokens.status().refused {
                    changes.changed().await.expect("there");
                }
            };
            timeout(SOON, healthy).await.expect("in time");
        }
    }

    #[tokio::test]
    async fn a_command_whose_secret_is_refused_is_run_again() {
        let fixture = Fixture::new("old", "old");
        fixture.until_asked(|asked| asked == ["old"]).await;
        fixture.until_healthy().await;
        "new".clone_into(&mut fixture.endpoint.right.lock().unwrap());
        fixture.print("new");
        // The token dies; the next is asked for with what the command said last.
        let mut driven = tokio::time::interval(Duration::from_millis(1));
        let drive = async {
            loop {
                driven.tick().await;
                fixture.hand.advance(Duration::from_secs(1));
            }
        };
        tokio::select! {
            () = fixture.until_asked(|asked| asked.ends_with(&["old".to_owned(), "new".to_owned()])) => {}
            () = drive => {}
        }
        fixture.until_healthy().await;
        assert_eq!(fixture.runs(), 2);
    }

    #[tokio::test]
    async fn a_command_that_prints_the_same_again_is_not_run_all_the_time() {
        let fixture = Fixture::new("right", "wrong");
        // At the start, and at the first refusal.
        fixture.until_runs(2).await;
        for (number, pause) in [(3, 30), (4, 60), (5, 120), (6, 240), (7, 300), (8, 300)] {
            fixture.hand.advance(Duration::from_secs(pause - 1));
            for _ in 0..100 {
                tokio::time::sleep(Duration::from_micros(100)).await;
            }
            assert_eq!(fixture.runs(), number - 1, "not before {pause} s");
            fixture.hand.advance(Duration::from_secs(1));
            fixture.until_runs(number).await;
        }
    }

    #[tokio::test]
    async fn a_reload_asks_again_with_what_it_has_read() {
        let fixture = Fixture::new("right", "wrong");
        fixture.until_runs(2).await;
        "right".clone_into(&mut fixture.endpoint.right.lock().unwrap());
        fixture.print("right");
        // An attempt may be made at any time, if somebody says so.
        fixture.hand.advance(Duration::from_secs(10));
        fixture.reload.notify_one();
        fixture.until_runs(3).await;
        let asked = async {
            let mut nap = tokio::time::interval(Duration::from_millis(1));
            loop {
                nap.tick().await;
                fixture.hand.advance(Duration::from_millis(100));
            }
        };
        tokio::select! {
            () = fixture.until_healthy() => {}
            () = asked => {}
        }
        let asked = fixture.endpoint.asked.borrow().clone();
        assert_eq!(asked, ["wrong", "right"]);
    }
}
