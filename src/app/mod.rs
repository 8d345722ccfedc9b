//! Composition root: configuration → bound [`App`] → run until told → drained.
//!
//! The only place where rooms meet. `bind` takes every resource that can be refused, so that a start either succeeds as a
//! whole or leaves nothing behind; `run` fails only by a bug.

mod credentials;
mod state;

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::{Id, JoinSet};
use tokio::time::timeout;
use zeroize::Zeroizing;

use self::state::{State, about};
use crate::clock::{Clock, Jitter};
use crate::config::{Config, is_own};
use crate::control::Control;
use crate::guard::{self, Guard, Keys};
use crate::mint::{self, HttpMinter};
use crate::outbound::{Outbound, OutboundError};
use crate::proxy::upstream::SetupError;
use crate::proxy::{self, Probes, Proxy, Shared};
use crate::secret::{ClientKeys, KeysDir, KeysError, KeysFingerprint, KeysRead, Source};
use crate::server::{self, BindError, Bound, Drained, Listen, Passed, Stop};
use crate::telemetry::metrics::Metrics;
use crate::token::{Keeper, TokenHandle};

/// The daemon, bound to its addresses and not yet serving.
#[derive(Debug)]
pub struct App {
    bound: Bound,
    probes: Option<(Bound, Probes)>,
    proxy: Proxy,
    keeper: Keeper,
    tokens: TokenHandle,
    credentials: Source,
    keys: Option<KeyRing>,
    clock: Clock,
    stop: Stop,
}

/// Why it cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// An address cannot be had.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// An address for probes cannot be had.
    #[error("control.listen: {0}")]
    Probes(BindError),
    /// There is no way out.
    #[error(transparent)]
    Outbound(#[from] OutboundError),
    /// No token can be asked for.
    #[error(transparent)]
    Mint(#[from] mint::BuildError),
    /// No request can be sent.
    #[error(transparent)]
    Upstream(#[from] SetupError),
    /// There are no client keys to be had.
    #[error("guard.keys_dir: {0}")]
    Keys(#[from] KeysError),
    /// What is to be asked is one of our own addresses.
    #[error("{key}: {url} is an address this proxy listens on itself")]
    Itself {
        /// `upstream.api_url`, `token.url`, …
        key: &'static str,
        /// What it says.
        url: String,
    },
}

impl StartError {
    /// What to do about it, where there is something.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Bind(error) => error.hint(),
            Self::Probes(_) => Some("name another place, or leave control.listen out".to_owned()),
            Self::Keys(error) => Some(error.hint().to_owned()),
            _ => None,
        }
    }

    /// Whether the user wrote something wrongly, rather than the machine having refused.
    pub fn is_configuration(&self) -> bool {
        !matches!(self, Self::Bind(_) | Self::Probes(_))
    }
}

/// The daemon has ended because one of its tasks had; the log says so.
#[derive(Debug, thiserror::Error)]
#[error("the task of the {0} ended unexpectedly")]
pub struct Fallen(&'static str);

const KEEPER: &str = "token";
/// How long the token may take to be forgotten.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What runs beside the server, by name. Dropped, all of it is.
#[derive(Default)]
struct Tasks {
    running: JoinSet<()>,
    names: HashMap<Id, &'static str>,
}

impl Tasks {
    fn start(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.names.insert(self.running.spawn(task).id(), name);
    }

    /// The next to end, by itself or by a panic.
    async fn first(&mut self) -> &'static str {
        let id = match self.running.join_next_with_id().await {
            Some(Ok((id, ()))) => id,
            Some(Err(panicked)) => panicked.id(),
            None => return std::future::pending().await,
        };
        self.names.get(&id).copied().unwrap_or_default()
    }

    /// Waits until that one has ended; briefly.
    async fn ended(&mut self, name: &str) {
        let _ = timeout(LAST_WORDS, async { while self.first().await != name {} }).await;
    }
}

/// How often secret files are looked at. Polled, because Kubernetes swaps a link in a parent folder, which no watch on
/// the file sees.
const FILE_POLL: Duration = Duration::from_secs(2);

impl App {
    /// Takes every resource: addresses, roots of trust, clients. Nothing is asked of upstream.
    pub async fn bind(
        config: &Config,
        credentials: Source,
        clock: Clock,
        stop: Stop,
    ) -> Result<Self, StartError> {
        Self::bind_or(config, credentials, clock, stop, Passed::default()).await
    }

    /// The same on the sockets that were passed to us, if any were.
    pub async fn bind_or(
        config: &Config,
        credentials: Source,
        clock: Clock,
        stop: Stop,
        passed: Passed,
    ) -> Result<Self, StartError> {
        let ring = config.keys.clone().map(KeyRing::read).transpose()?;
        let keys = ring.as_ref().map(|ring| ring.keys.clone());
        let app = Self::bind_with(config, credentials, clock, stop, keys, passed).await?;
        Ok(Self { keys: ring, ..app })
    }

    /// The same for clients with these keys, whatever the configuration says of keys.
    pub async fn bind_for(
        config: &Config,
        credentials: Source,
        clock: Clock,
        stop: Stop,
        clients: &ClientKeys,
    ) -> Result<Self, StartError> {
        let keys = Keys::default();
        put_in_force(&keys, clients);
        Self::bind_with(config, credentials, clock, stop, Some(keys), Passed::default()).await
    }

    async fn bind_with(
        config: &Config,
        credentials: Source,
        clock: Clock,
        stop: Stop,
        keys: Option<Keys>,
        passed: Passed,
    ) -> Result<Self, StartError> {
        let upstream = &config.upstream;
        let targets = [Some(&upstream.api_url), upstream.config_api_url.as_ref(), Some(&config.mint.url)];
        let targets: Vec<_> = targets.into_iter().flatten().collect();
        let outbound = Outbound::new(&targets, upstream.ca_file.as_deref(), &upstream.proxy)?;
        let minter = HttpMinter::new(config.mint.clone(), &outbound)?;
        let (keeper, tokens) = Keeper::new(config.token, clock.clone(), Jitter::random(), Arc::new(minter));
        let about = about(config, keys.is_some());
        let guard = guard(config, keys);
        let metrics = Arc::new(Metrics::new(proxy::labels(&guard), clock.now()));
        let connections = metrics.connections();
        let state = State {
            tokens: tokens.clone(),
            stop: stop.clone(),
            public_url: config.proxy.lists.public_url.clone(),
            metrics: Arc::clone(&metrics),
            about,
            policy: Arc::new(config.guard.policy.clone()),
            allow_quit: config.allow_quit,
        };
        let control = Control::new(state.clone());
        let shared = Arc::new(Shared::new(&config.proxy, tokens.clone(), guard, control, metrics));
        let proxy = Proxy::new(shared, upstream, &outbound, &keeper.resumed())?;
        let bound = server::bind_or(&config.server, passed).await?.counting(connections);
        told_of_files(bound.file_limit(), config.server.max_connections);
        let probes = probes(config, state).await?;
        let app = Self { bound, probes, proxy, keeper, tokens, credentials, keys: None, clock, stop };
        app.refuse_itself(config)?;
        Ok(app)
    }

    /// Where it listens.
    pub fn addresses(&self) -> Vec<Listen> {
        self.bound.addresses()
    }

    /// Where it answers probes besides.
    pub fn probe_addresses(&self) -> Vec<Listen> {
        self.probes.as_ref().map(|(bound, _)| bound.addresses()).unwrap_or_default()
    }

    /// The token, for whoever shows how it is.
    pub fn tokens(&self) -> &TokenHandle {
        &self.tokens
    }

    /// Serves until `stop` says otherwise and requests in flight have ended. `reload` makes it look at the credentials
    /// again and forget what it holds against the token endpoint.
    ///
    /// A task of ours that ends before that begins the drain: without it, the daemon would go on and serve errors, or
    /// yesterday's keys, until somebody noticed.
    pub async fn run(self, reload: Arc<Notify>) -> Result<Drained, Fallen> {
        let Self { bound, probes, proxy, keeper, tokens, credentials, keys, clock, stop } = self;
        let mut tasks = Tasks::default();
        tasks.start(KEEPER, keeper.run());
        if let Some(ring) = keys {
            tasks.start("client keys", ring.renew(clock.clone()));
        }
        tasks.start("credentials", credentials::provide(credentials, tokens.clone(), clock, reload));
        if let Some((bound, probes)) = probes {
            // Of its own, so that it goes on until everything else has ended.
            let stop = Stop::new();
            tasks.start("probes", async move {
                let _ = bound.serve(move |_| probes.clone(), stop).await;
            });
        }
        let worker = move |_| {
            let proxy = proxy.for_worker();
            proxy.warm();
            proxy
        };
        let told = async {
            stop.draining().await;
            tokens.drain();
        };
        let mut serving = pin!(async { tokio::join!(bound.serve(worker, stop.clone()), told).0 });
        tokio::select! {
            drained = &mut serving => {
                tokens.close();
                tasks.ended(KEEPER).await;
                Ok(drained)
            }
            task = tasks.first() => {
                tracing::error!(task, "a task ended unexpectedly; this is a bug in airbyte-proxy");
                stop.drain();
                let _ = serving.await;
                Err(Fallen(task))
            }
        }
    }

    /// Again, although the configuration was looked at for this: now the ports are known that the kernel chose.
    fn refuse_itself(&self, config: &Config) -> Result<(), StartError> {
        let ours = [self.addresses(), self.probe_addresses()].concat();
        let upstream = &config.upstream;
        let urls = [
            ("upstream.api_url", Some(&upstream.api_url)),
            ("upstream.config_api_url", upstream.config_api_url.as_ref()),
            ("token.url", Some(&config.mint.url)),
        ];
        for (key, url) in urls {
            if let Some(url) = url.filter(|url| ours.iter().any(|listen| is_own(url, listen))) {
                return Err(StartError::Itself { key, url: url.to_string() });
            }
        }
        Ok(())
    }
}

/// Clients of the listener for probes at the same time. They are few, and must not take up what is for others.
const PROBE_CONNECTIONS: usize = 128;

/// The listener for probes, on a thread of its own: it answers however busy the others are.
async fn probes(config: &Config, state: State) -> Result<Option<(Bound, Probes)>, StartError> {
    if config.probes.is_empty() {
        return Ok(None);
    }
    let server = server::Config {
        listen: config.probes.clone(),
        workers: NonZeroUsize::MIN,
        max_connections: PROBE_CONNECTIONS,
        ..config.server.clone()
    };
    let bound = server::bind(&server).await.map_err(StartError::Probes)?;
    for address in bound.addresses() {
        tracing::info!(address = %address, "answering probes");
    }
    Ok(Some((bound, Probes::new(Control::probes(state)))))
}

/// Says how many files may be open: a connection is one, and a limit that can never be reached protects nobody.
fn told_of_files(limit: Option<u64>, connections: usize) {
    let Some(limit) = limit else { return };
    tracing::debug!(limit, "files that may be open");
    if limit < u64::try_from(connections).unwrap_or(u64::MAX) {
        tracing::warn!(
            files = limit,
            connections,
            "limits.connections is above the number of files that may be open (ulimit -n); \
             connections beyond that wait to be accepted"
        );
    }
}

/// Who may call, as far as it follows from the rest of the configuration.
fn guard(config: &Config, keys: Option<Keys>) -> Guard {
    let mut guard = config.guard.clone();
    guard.published_port = config.server.published_port;
    guard.config_api = config.upstream.config_api_url.is_some();
    guard.socket_uids.extend(own_uid());
    Guard::new(guard, keys)
}

/// The client keys in force, and the folder they come from.
#[derive(Debug)]
struct KeyRing {
    dir: KeysDir,
    seen: KeysFingerprint,
    read: KeysRead,
    keys: Keys,
}

impl KeyRing {
    fn read(dir: KeysDir) -> Result<Self, KeysError> {
        // Taken first, so that a change in between is a change.
        let seen = dir.fingerprint();
        let read = dir.read(&ClientKeys::new(), guard::is_client_name)?;
        let ring = Self { dir, seen, read, keys: Keys::default() };
        ring.put_in_force();
        Ok(ring)
    }

    /// Reads them again whenever they change. Ends only with the process.
    async fn renew(mut self, clock: Clock) {
        loop {
            clock.nap(FILE_POLL).await;
            // The folder may be on a network's disk. Failing to join happens only while the runtime goes down.
            match tokio::task::spawn_blocking(move || self.look()).await {
                Ok(ring) => self = ring,
                Err(_) => return,
            }
        }
    }

    fn look(mut self) -> Self {
        let seen = self.dir.fingerprint();
        // What could not be read may be readable by now without having changed.
        if seen == self.seen && self.read.warnings.is_empty() {
            return self;
        }
        self.seen = seen;
        let read = self.dir.read(&self.read.keys, guard::is_client_name).unwrap_or_else(|error| KeysRead {
            keys: self.read.keys.clone(),
            warnings: vec![format!("{error}; the keys before stay good")],
        });
        for warning in read.warnings.iter().filter(|warning| !self.read.warnings.contains(warning)) {
            tracing::warn!("guard.keys_dir: {warning}");
        }
        if read.keys != self.read.keys {
            tracing::info!(clients = read.keys.len(), "client keys have changed");
        }
        self.read = read;
        self.put_in_force();
        self
    }

    fn put_in_force(&self) {
        put_in_force(&self.keys, &self.read.keys);
    }
}

fn put_in_force(keys: &Keys, clients: &ClientKeys) {
    let clients = clients.iter();
    keys.replace(clients.map(|(name, key)| (name.as_str(), Zeroizing::new(key.expose().to_owned()))));
}

/// Whoever runs the proxy may use its socket.
fn own_uid() -> Vec<u32> {
    #[cfg(unix)]
    return vec![rustix::process::getuid().as_raw()];
    #[cfg(not(unix))]
    return Vec::new();
}
