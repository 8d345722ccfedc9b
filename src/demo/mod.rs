//! The simulated Airbyte: a token endpoint, an API with its quirks, and switches to make both misbehave.
//!
//! `airbyte-proxy demo` shows it to people without an account, and every test that needs an upstream talks to it. So
//! it is faithful where a proxy could tell the difference (tokens that really expire, error bodies in the shapes
//! Airbyte sends, links that lose filters) and small everywhere else: rows live in memory and no connector runs.
//!
//! This room may use axum. It knows the clock and the secrets, and nothing of the proxy it stands behind.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast;
use tokio::task::JoinHandle;

use crate::airbyte::paths::CLOUD_API_URL;
use crate::clock::Clock;
use crate::secret::{ClientCredentials, Secret};

mod auth;
mod coding;
mod config_api;
mod controls;
mod data;
mod errors;
mod faults;
mod handle;
mod issuer;
mod job_list;
mod jobs;
mod links;
mod lists;
mod misbehave;
mod others;
mod pages;
mod params;
mod reference;
mod resources;
mod routes;
mod seed;
mod serve;
mod small;
mod token;
mod world;

#[cfg(test)]
mod tests;

pub use faults::{ApiFault, Fault, Gate, Grant, Lifespan};
pub use handle::{Counts, Event, Handle, Refused, Seen, Unauthorized};
pub use pages::Change;
pub use seed::Sizes;

use world::World;

/// Which Airbyte is simulated, where their answers differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Style {
    /// Airbyte Cloud and self-managed Enterprise: tokens of Keycloak, wrong credentials are a 401 with an `errorId`.
    #[default]
    Cloud,
    /// Self-managed Core: tokens without `iat`, wrong credentials are a 400 in Micronaut's shape.
    Core,
}

/// How the simulated Airbyte is to be.
#[derive(Debug, Clone)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "servers differ in one thing or another, in any combination"
)]
pub struct Options {
    /// Where [`Simulator::start`] listens; port 0 asks the kernel for one.
    pub listen: SocketAddr,
    /// Its clock. Only the part that counts elapsed time is followed: a jump of the caller's wall clock does not
    /// change what time it is at Airbyte.
    pub clock: Clock,
    /// How far Airbyte's wall clock is ahead of the caller's, in seconds; shows in `exp`, `iat` and `Date`.
    pub clock_skew: i64,
    /// How long a token lives, in whole seconds.
    pub token_lifetime: Duration,
    /// Whose answers it gives.
    pub style: Style,
    /// The application that may have tokens; drawn at random if none is given.
    pub credentials: Option<ClientCredentials>,
    /// What `next` and `previous` begin with, such as [`CLOUD_API_URL`] or the pod name a self-managed server knows
    /// itself by. Its own address if none is given.
    pub link_base: Option<String>,
    /// Answers 403 to requests without `User-Agent`, as Airbyte's documentation once announced.
    pub require_user_agent: bool,
    /// Answers 401 to a token request that is a form, as some self-managed installations do.
    pub refuse_form: bool,
    /// Answers 415 to a token request that is JSON, as a gateway that only knows OAuth does.
    pub refuse_json: bool,
    /// Has the public API at `/api/public/v1` alone, as self-managed servers do: `/v1` is an unknown path.
    pub self_managed_only: bool,
    /// How many rows there are.
    pub sizes: Sizes,
    /// Rows are the same for the same seed and sizes, apart from their times.
    pub seed: u64,
    /// How long a job takes from creation to success; its first quarter it is pending.
    pub job_duration: Duration,
    /// Answers in gzip to those who take it, as gateways do.
    pub compress: bool,
    /// How long every answer of the API takes, by the tokio clock; see [`Handle::set_latency`].
    pub latency: Duration,
    /// Jobs and the four main lists are those of a server from before 2024: a page that is not full has no `next`, and
    /// an offset at or behind the end is answered with 500.
    pub older: bool,
    /// How many API requests, the latest ones, are kept for [`Handle::seen`].
    pub record: usize,
    /// Lets whoever reaches the API steer it: faults, a new beginning, what it has seen.
    pub controls: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            clock: Clock::system(),
            clock_skew: 0,
            token_lifetime: Duration::from_secs(900),
            style: Style::default(),
            credentials: None,
            link_base: None,
            require_user_agent: false,
            refuse_form: false,
            refuse_json: false,
            self_managed_only: false,
            sizes: Sizes::default(),
            seed: 1,
            job_duration: Duration::from_secs(8),
            compress: true,
            latency: Duration::ZERO,
            older: false,
            record: 0,
            controls: false,
        }
    }
}

/// A running simulated Airbyte. Dropping it ends it, connections included.
pub struct Simulator {
    addr: SocketAddr,
    world: Arc<World>,
    server: JoinHandle<()>,
}

impl Simulator {
    /// Listens and serves on the current tokio runtime.
    ///
    /// Fails if the address cannot be bound. Outside a runtime it panics, as everything of tokio does.
    pub fn start(mut options: Options) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind(options.listen)?;
        listener.set_nonblocking(true)?;
        let addr = listener.local_addr()?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        options.link_base.get_or_insert_with(|| format!("http://{addr}/v1"));
        let world = Arc::new(World::new(options));
        let server = tokio::spawn(serve::serve(listener, routes::router(&world), Arc::clone(&world)));
        Ok(Self { addr, world, server })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The base URL as on Airbyte Cloud: `http://ADDRESS/v1`.
    pub fn api_url(&self) -> String {
        format!("http://{}/v1", self.addr)
    }

    /// The base URL as on a self-managed Airbyte: `http://ADDRESS/api/public/v1`.
    pub fn self_managed_url(&self) -> String {
        format!("http://{}/api/public/v1", self.addr)
    }

    /// The application that may have tokens.
    pub fn credentials(&self) -> ClientCredentials {
        self.world.issuer().credentials().clone()
    }

    /// Its id.
    pub fn client_id(&self) -> String {
        self.credentials().client_id
    }

    /// Its secret.
    pub fn client_secret(&self) -> Secret {
        self.credentials().client_secret
    }

    /// Counters and switches.
    pub fn handle(&self) -> Handle {
        Handle::new(Arc::clone(&self.world))
    }

    /// What happens from now on, for a log; a slow reader loses the oldest.
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.world.subscribe()
    }

    /// The same Airbyte as a router, to be served by somebody else as well (over TLS or HTTP/2, say).
    pub fn router(&self) -> axum::Router {
        routes::router(&self.world)
    }

    /// Stops listening and cuts all connections; the address is free again afterwards.
    pub async fn stop(mut self) {
        self.server.abort();
        // An aborted task ends with an error that says just that.
        let _ = (&mut self.server).await;
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl fmt::Debug for Simulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulator").field("addr", &self.addr).finish_non_exhaustive()
    }
}

/// A simulated Airbyte without a listener: the router to mount and the handle to drive it.
///
/// Links begin with Airbyte Cloud's URL unless the options say otherwise.
pub fn detached(mut options: Options) -> (axum::Router, Handle) {
    options.link_base.get_or_insert_with(|| CLOUD_API_URL.to_owned());
    let world = Arc::new(World::new(options));
    (routes::router(&world), Handle::new(world))
}
