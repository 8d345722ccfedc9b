//! Who may call, and what: pure rules over a request's head and its peer.
//!
//! A proxy that adds credentials is a confused deputy: whoever reaches it has the account's rights. So before a body is
//! read, a permit taken or a token touched, [`Guard::check`] asks, in this order:
//!
//! 1. *peer*: may this machine or user be here at all;
//! 2. *framing*: does everybody agree where the request ends (RFC 9112 §6);
//! 3. *form*: one host, one path, each with one reading;
//! 4. *host*: is it one of our names, or has a web page bent a name of its own to our address;
//! 5. *origin*: is it a web page of somebody else's;
//! 6. *key*: does it show the key of a client, where those are on ([`Keys`]);
//! 7. *wishes*: upgrades and expectations that cannot be granted;
//! 8. *policy*: may this be done ([`Policy`]).
//!
//! This room does no I/O, knows no token, and allocates nothing for a request that passes, client
//! keys aside. Refusals teach: what was
//! asked, which rule, which setting. None of them repeats a query.

mod fields;
mod framing;
mod host;
mod keys;
mod origin;
mod pattern;
mod policy;
mod refusal;
mod target;

#[cfg(test)]
mod tests;

use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, header};

use self::fields::{Field, Fields};
use self::host::{Authority, is_local_name};
use self::keys::Carried;
use self::origin::Origins;
use self::policy::Asked;
use self::refusal::Shown;
use crate::airbyte::BaseUrl;
use crate::problem;
use crate::server::Peer;

pub use self::host::{HostError, HostName};
pub use self::keys::{Client, Keys, is_client_name};
pub use self::origin::{Cors, Origin, OriginError};
pub use self::pattern::PatternError;
pub use self::policy::{Access, Ceiling, Policy, Rule, RuleError};
pub use self::refusal::Refusal;
pub use self::target::{Api, FAVICON, Route};

/// Validated settings of the guard. The default serves this machine, over TCP.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// `guard.allowed_hosts`: names we answer to besides `localhost`, `127.0.0.1` and `[::1]`.
    pub allowed_hosts: Vec<HostName>,
    /// `guard.allowed_origins`: web pages that may use us besides our own.
    pub allowed_origins: Vec<Origin>,
    /// `public_url`: the address under which people know us, where it is another one.
    pub public_url: Option<PublicUrl>,
    /// Listeners beyond loopback may do without client keys, since the user says who can reach them.
    pub published_port: bool,
    /// Users that may use the Unix socket, ours among them. Nobody else gets past it, whatever the file's mode.
    pub socket_uids: Vec<u32>,
    /// The Configuration API has been opened (`upstream.config_api_url`).
    pub config_api: bool,
    /// `policy.*`.
    pub policy: Policy,
}

/// `public_url`, whose host and origin count as ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl {
    url: BaseUrl,
    host: HostName,
    origin: Origin,
}

impl PublicUrl {
    /// Fails where a browser could not send that host.
    pub fn new(url: BaseUrl) -> Result<Self, OriginError> {
        let host = HostName::of(&url).map_err(OriginError::Host)?;
        let origin = Origin::of(&url)?;
        Ok(Self { url, host, origin })
    }

    /// The base of links and documents.
    pub fn url(&self) -> &BaseUrl {
        &self.url
    }
}

/// The rules, ready to be asked. Built once and shared.
#[derive(Debug)]
pub struct Guard {
    names: Vec<HostName>,
    origins: Origins,
    published_port: bool,
    socket_uids: Vec<u32>,
    config_api: bool,
    policy: Policy,
    keys: Option<Keys>,
}

/// A request that may go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admitted {
    /// Where to.
    pub route: Route,
    /// A page of another origin asks, and may: its browser must be told so. A preflight is answered here.
    pub cors: Option<Cors>,
    /// On OPTIONS (RFC 9110 §7.6.2): 0 is answered here, anything else goes on as one less.
    pub max_forwards: Option<u64>,
    /// Who is asking, where a client key tells.
    pub client: Option<Client>,
    /// On a token path only: a key is still to be shown, by the body.
    pub key_in_body: bool,
}

impl Guard {
    /// Puts the rules together. With `keys`, TCP clients must show one; which are good may change at any time.
    pub fn new(config: Config, keys: Option<Keys>) -> Self {
        let mut names = config.allowed_hosts;
        let public = config.public_url.map(|public| {
            names.push(public.host);
            public.origin
        });
        Self {
            names,
            origins: Origins { allowed: config.allowed_origins, public },
            published_port: config.published_port,
            socket_uids: config.socket_uids,
            config_api: config.config_api,
            policy: config.policy,
            keys,
        }
    }

    /// Everything that can be decided from a request's head and its peer.
    pub fn check(&self, peer: &Peer, head: &Parts) -> Result<Admitted, Refusal> {
        let mut client = None;
        match self.judge(peer, head, &mut client) {
            Ok((route, cors, max_forwards)) => {
                let by_body = route == Route::Token && client.is_none() && self.asks_for_key(peer);
                Ok(Admitted { route, cors, max_forwards, client, key_in_body: by_body })
            }
            Err(refusal) => Err(refusal.of(client)),
        }
    }

    fn judge(
        &self,
        peer: &Peer,
        head: &Parts,
        client: &mut Option<Client>,
    ) -> Result<(Route, Option<Cors>, Option<u64>), Refusal> {
        self.check_peer(peer)?;
        let fields = Fields::collect(&head.headers)?;
        framing::check_transfer_encoding(fields.transfer_encoding, &head.headers)?;
        framing::check_sizes(head)?;
        let used = authority(fields.host)?;
        framing::check_method(&head.method)?;
        let route = target::check(head, &used)?;
        let carried = self.keys.as_ref().map(|keys| keys.carried(&head.headers));
        if let Some(Carried::Valid(holder)) = &carried {
            *client = Some(holder.clone());
        }
        let cors = match peer {
            // No browser reaches a Unix socket, so whatever name a client uses for it is fine; and the system has
            // told who it is, so a key only adds a name.
            Peer::Unix { .. } => None,
            Peer::Tcp { .. } => self.check_caller(head, &fields, &used, route, carried.as_ref())?,
        };
        framing::check_upgrade(&fields)?;
        framing::check_expect(&fields)?;
        let max_forwards = framing::max_forwards(&head.method, fields.max_forwards)?;
        let route = route.ok_or_else(|| target::unknown(head.uri.path()))?;
        // What a preflight announces is judged when it comes.
        if !cors.as_ref().is_some_and(|cors| cors.preflight) {
            self.check_policy(route, head, client.as_ref())?;
        }
        Ok((route, cors, max_forwards))
    }

    /// Host, origin and key of a TCP client.
    ///
    /// A page that has bent its name to our address has no key, so where one is asked for, the list of names adds
    /// nothing. The key comes after the origin: pages of others get a 403, no login dialog.
    fn check_caller(
        &self,
        head: &Parts,
        fields: &Fields<'_>,
        used: &Authority<'_>,
        route: Option<Route>,
        carried: Option<&Carried>,
    ) -> Result<Option<Cors>, Refusal> {
        let probe = route == Some(Route::Control) && is_probe(head);
        let valid = matches!(carried, Some(Carried::Valid(_)));
        if carried.is_none() || (probe && !valid) {
            self.check_host(used)?;
        }
        let preflight = head.method == Method::OPTIONS && !fields.preflight_method.is_absent();
        let cors = self.origins.check(fields, used, is_page(head), preflight)?;
        // Browsers send a preflight without credentials; and the token paths take the key in the body.
        let exempt = valid || probe || route == Some(Route::Token) || (preflight && cors.is_some());
        match carried {
            Some(carried) if !exempt => Err(keys::required(carried)),
            _ => Ok(cors),
        }
    }

    /// Whose key this is; none where keys are off.
    pub fn holder(&self, key: &[u8]) -> Option<Client> {
        self.keys.as_ref().and_then(|keys| keys.find(key))
    }

    fn asks_for_key(&self, peer: &Peer) -> bool {
        self.keys.is_some() && matches!(peer, Peer::Tcp { .. })
    }

    /// Every rule that can refuse, as [`Refusal::rule`] names it.
    pub fn rules(&self) -> Vec<String> {
        refusal::RULES.iter().map(|rule| (*rule).to_owned()).chain(self.policy.labels()).collect()
    }

    /// Whether answers differ by `Origin`, so that a cache must know.
    pub fn varies_by_origin(&self) -> bool {
        !self.origins.allowed.is_empty()
    }

    /// The value of `Access-Control-Allow-Origin` for an answer to this request, also to a refused one: a page that
    /// may use us may know why something is refused.
    pub fn allowed_origin(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        if self.origins.allowed.is_empty() {
            return None;
        }
        let mut lines = headers.get_all(header::ORIGIN).iter();
        match (lines.next(), lines.next()) {
            (Some(origin), None) => self.origins.listed(Field::One(origin)).cloned(),
            _ => None,
        }
    }

    fn check_peer(&self, peer: &Peer) -> Result<(), Refusal> {
        match peer {
            Peer::Tcp { remote, local } => {
                let from_here = remote.ip().to_canonical().is_loopback();
                match local.ip().to_canonical().is_loopback() {
                    // Linux can be told to route other machines to loopback (CVE-2020-8558).
                    true if from_here => Ok(()),
                    false if self.published_port || self.keys.is_some() => Ok(()),
                    true => Err(stranger("this address serves callers on this machine only")),
                    false => Err(stranger(
                        "without client keys (guard.keys_dir) only this machine is served, at its loopback addresses; \
                         in a container whose port is published to loopback (docker run -p 127.0.0.1:8484:8484), \
                         add --published-port",
                    )),
                }
            }
            Peer::Unix { uid: Some(uid) } if self.socket_uids.contains(uid) => Ok(()),
            Peer::Unix { uid: Some(uid) } => Err(stranger(format!(
                "user {uid} may not use this socket; to allow it, set guard.socket_uids = [{uid}]"
            ))),
            Peer::Unix { uid: None } => Err(stranger("the system does not tell which user is calling")),
        }
    }

    fn check_host(&self, used: &Authority<'_>) -> Result<(), Refusal> {
        if is_local_name(used.host) || self.names.iter().any(|name| name.as_host() == used.host) {
            return Ok(());
        }
        let name = HostName::from(used.host).to_string();
        let shown = Shown(name.as_bytes());
        let mut detail = format!("\"{shown}\" is not a name of this proxy");
        // Whatever is said here, a rebound page cannot read it; the person at a terminal can.
        if HostName::parse(&name).is_ok() && name.len() <= 100 {
            detail = format!("{detail}; to answer to it, set guard.allowed_hosts = [\"{shown}\"]");
        }
        if name == "host.docker.internal" || name == "host.containers.internal" {
            detail.push_str(
                "; better, give containers a client key (guard.keys_dir): any network may claim this name",
            );
        }
        Err(Refusal::new(problem::HOST_NOT_ALLOWED, "guard.allowed_hosts", detail))
    }

    fn check_policy(&self, route: Route, head: &Parts, client: Option<&Client>) -> Result<(), Refusal> {
        let Route::Api { api, prefix, .. } = route else {
            return Ok(());
        };
        if api == Api::Config && !self.config_api {
            return Err(Refusal::new(
                problem::UNKNOWN_PATH,
                "upstream.config_api_url",
                "the Configuration API (/api/v1) is not open here; to open it, set upstream.config_api_url. The public \
                 API is below /v1/",
            ));
        }
        let path = head.uri.path().get(prefix..).unwrap_or_default();
        let asked = Asked { method: &head.method, api, path, client: client.map(Client::name) };
        self.policy.check(asked).map_err(|refusal| refusal.to(route))
    }
}

fn stranger(detail: impl Into<String>) -> Refusal {
    Refusal::new(problem::PEER_NOT_ALLOWED, "peer", detail).closing()
}

/// What orchestrators and our own `healthcheck` ask, with no key at hand.
fn is_probe(head: &Parts) -> bool {
    matches!(head.method, Method::GET | Method::HEAD) && matches!(head.uri.path(), "/-/live" | "/-/ready")
}

/// Our static pages, which a link from anywhere may open.
fn is_page(head: &Parts) -> bool {
    head.method == Method::GET && matches!(head.uri.path(), "/" | "/-/" | "/-/explorer")
}

/// One `Host`, well formed (RFC 9112 §3.2). HTTP/1.0 clients may leave it out; we do not let them, since a request
/// that somebody makes a server send might.
fn authority(host: Field<'_>) -> Result<Authority<'_>, Refusal> {
    let invalid = |detail: String| Refusal::new(problem::HOST_INVALID, "rfc9112", detail);
    match host {
        Field::One(value) => Authority::parse(value.as_bytes())
            .map_err(|error| invalid(format!("the Host header is not a host and port: {error}"))),
        Field::Absent => Err(invalid("there is no Host header".to_owned())),
        Field::Many => Err(invalid("there is more than one Host header".to_owned())),
    }
}
