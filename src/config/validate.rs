//! Settings, each right by itself → a configuration that is right as a whole.

use std::net::IpAddr;
use std::num::NonZeroUsize;

use tracing::level_filters::LevelFilter;

use super::environment::Environment;
use super::listen;
use super::problem::{Problems, Wrong};
use super::raw::quoted;
use super::settings::Settings;
use super::value::Value;
use super::{Config, credentials};
use crate::airbyte::{BaseUrl, paths};
use crate::guard::{Access, Policy};
use crate::proxy::upstream::{HttpVersion, OutboundProxy};
use crate::secret::{ClientKeys, KeysDir};
use crate::server::Listen;
use crate::{guard, mint, proxy, server, telemetry, token};

const CLOUD_API_HOST: &str = "api.airbyte.com";
const CLOUD_WEB_HOST: &str = "cloud.airbyte.com";
const CLOUD_CONFIG_API_URL: &str = "https://cloud.airbyte.com/api/v1";
const KEYS_DIR: &str = "guard.keys_dir";

/// Builds the configuration. None only where `problems` says why.
pub(super) fn build(settings: &mut Settings, env: &Environment, problems: &mut Problems) -> Option<Config> {
    let server = server(settings, problems);
    let upstream = upstream(settings, &server.listen, problems);
    let mint = upstream.as_ref().and_then(|upstream| mint(settings, upstream, &server.listen, problems));
    let proxy = proxy(settings, problems);
    let guard = guard(settings, problems);
    let keys = keys(settings, env, problems);
    let probes = probes(settings, &server.listen, problems);
    Some(Config {
        name: settings.name("name").map(str::to_owned),
        server,
        probes,
        proxy,
        guard,
        allow_quit: settings.switch("control.allow_quit"),
        keys,
        upstream: upstream?,
        mint: mint?,
        token: token::Config { max_lifetime: settings.duration("token.max_lifetime") },
        log: log(settings),
    })
}

fn server(settings: &mut Settings, problems: &mut Problems) -> server::Config {
    let workers = usize::try_from(settings.count("workers")).ok().and_then(NonZeroUsize::new);
    server::Config {
        listen: listeners(settings, problems),
        published_port: settings.switch("published_port"),
        // The guard asks for the uid, so the mode need not; 0600 would keep them out before it is asked.
        socket_mode: if settings.entry("guard.socket_uids").is_some() { 0o666 } else { 0o600 },
        workers: workers.or_else(|| std::thread::available_parallelism().ok()).unwrap_or(NonZeroUsize::MIN),
        max_connections: settings.size("limits.connections"),
        head_timeout: settings.duration("limits.head_timeout"),
        idle_timeout: settings.duration("limits.idle_timeout"),
        write_timeout: settings.duration("limits.write_timeout"),
        drain_delay: settings.duration("drain.delay"),
        drain_grace: settings.duration("drain.grace"),
    }
}

/// Where to listen, after `published_port` has had its say.
pub(super) fn listeners(settings: &mut Settings, problems: &mut Problems) -> Vec<Listen> {
    let published = settings.switch("published_port");
    let Some(Value::Listen(listen)) = settings.value("listen") else {
        return Vec::new();
    };
    let listen = listen.clone();
    if published && !settings.is_given("listen") {
        let everywhere = listen::everywhere(default_port());
        let shown: Vec<_> = everywhere.iter().map(|one| quoted(&listen::shown(one))).collect();
        settings.derive("listen", Value::Listen(everywhere.clone()), format!("[{}]", shown.join(", ")));
        return everywhere;
    }
    // A wrong folder of keys is told for itself.
    let keys = settings.entry(KEYS_DIR).is_some() || settings.is_wrong(KEYS_DIR);
    if let Some(open) = listen.iter().find(|one| !listen::is_local(one) && !published && !keys) {
        let open = listen::shown(open);
        let wrong = Wrong::new(format!(
            "{open} is reachable from other machines, where anyone could use your Airbyte account"
        ));
        let hint = "127.0.0.1:8484, or client keys, so that only those who have one are served:\n\
                    --guard-keys-dir FOLDER (docs/configuration.md, \"Client keys\")\n\
                    or --published-port in a container whose port is published to this machine only:\n\
                    docker run -p 127.0.0.1:8484:8484 …";
        problems.add(settings.problem("listen", wrong.hint(hint)));
    }
    listen
}

/// Where probes alone are answered: anywhere, for there is nothing to be had but health and figures.
fn probes(settings: &Settings, listen: &[Listen], problems: &mut Problems) -> Vec<Listen> {
    const NAME: &str = "control.listen";
    let Some(Value::Listen(probes)) = settings.value(NAME) else {
        return Vec::new();
    };
    let chosen = |one: &Listen| matches!(one, Listen::Tcp(at) if at.port() == 0);
    if let Some(taken) = probes.iter().find(|one| !chosen(one) && listen.contains(one)) {
        let wrong = Wrong::new(format!("{} is listened on already (listen)", listen::shown(taken)));
        problems.add(settings.problem(NAME, wrong.hint("another port; listen answers /-/metrics too")));
    }
    probes.clone()
}

fn default_port() -> u16 {
    let default = server::Config::default();
    default
        .listen
        .iter()
        .find_map(|one| if let Listen::Tcp(at) = one { Some(at.port()) } else { None })
        .unwrap_or(0)
}

fn upstream(
    settings: &mut Settings,
    listen: &[Listen],
    problems: &mut Problems,
) -> Option<proxy::upstream::Config> {
    let api_url = settings.url("upstream.api_url")?.clone();
    encrypted(settings, "upstream.api_url", &api_url, problems);
    plausible(settings, &api_url, problems);
    ours(settings, "upstream.api_url", &api_url, listen, problems);
    Some(proxy::upstream::Config {
        config_api_url: config_api_url(settings, &api_url, listen, problems),
        api_url,
        ca_file: settings.path("upstream.ca_file").cloned(),
        http: match settings.word("upstream.http") {
            "http1" => HttpVersion::Http1,
            "http2" => HttpVersion::Http2,
            _ => HttpVersion::Auto,
        },
        proxy: match settings.value("upstream.proxy") {
            Some(Value::Proxy(proxy)) => proxy.clone(),
            _ => OutboundProxy::default(),
        },
        connect_timeout: settings.duration("upstream.connect_timeout"),
        response_timeout: settings.duration("upstream.response_timeout"),
        body_idle_timeout: settings.duration("upstream.body_idle_timeout"),
        idle_timeout: settings.duration("upstream.idle_timeout"),
        max_age: settings.duration("upstream.max_age"),
        warm: true,
    })
}

/// Plain http carries the secret or the token in clear.
fn encrypted(settings: &Settings, name: &str, url: &BaseUrl, problems: &mut Problems) {
    if url.is_https() || url.is_loopback() || settings.switch("upstream.allow_http") {
        return;
    }
    let what = format!("plain http to {} would send the client secret and every token in clear", url.host());
    let hint = "https://, or upstream.allow_http = true where the network between is yours alone";
    problems.add(settings.problem(name, Wrong::new(what).hint(hint)));
}

/// URLs that cannot be meant, and would end in a misleading 401.
fn plausible(settings: &Settings, url: &BaseUrl, problems: &mut Problems) {
    let mut wrong = |what: &str, hint: &str| {
        problems.add(settings.problem("upstream.api_url", Wrong::new(what).hint(hint)));
    };
    if url.host().eq_ignore_ascii_case(CLOUD_WEB_HOST) {
        wrong("is Airbyte Cloud's web UI, not its API", paths::CLOUD_API_URL);
    } else if url.host().eq_ignore_ascii_case(CLOUD_API_HOST) && url.path() != "/v1" {
        wrong("Airbyte Cloud's API lives at /v1", paths::CLOUD_API_URL);
    }
}

/// A proxy that asks itself goes round in circles; as its own token endpoint it would believe its own dummy token.
fn ours(settings: &Settings, name: &str, url: &BaseUrl, listen: &[Listen], problems: &mut Problems) {
    if listen.iter().any(|listen| is_own(url, listen)) {
        let wrong = Wrong::new("is the address that this proxy itself listens on");
        problems.add(settings.problem(name, wrong.hint("the URL of Airbyte, not of the proxy")));
    }
}

/// Whether requests to `url` would arrive at `listen`, as far as can be told without asking a name server.
pub fn is_own(url: &BaseUrl, listen: &Listen) -> bool {
    let Listen::Tcp(address) = listen else { return false };
    if url.is_https() || address.port() != url.port() {
        return false;
    }
    let at = address.ip().to_canonical();
    match url.host().trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
        // Linux takes a connection to no address as one to loopback.
        Ok(ip) if ip.is_unspecified() => at.is_loopback() || at.is_unspecified(),
        Ok(ip) => at == ip.to_canonical() || (at.is_unspecified() && ip.to_canonical().is_loopback()),
        Err(_) => url.is_loopback() && (at.is_loopback() || at.is_unspecified()),
    }
}

fn config_api_url(
    settings: &mut Settings,
    api_url: &BaseUrl,
    listen: &[Listen],
    problems: &mut Problems,
) -> Option<BaseUrl> {
    const NAME: &str = "upstream.config_api_url";
    match settings.value(NAME)? {
        Value::Url(url) => {
            let url = url.clone();
            encrypted(settings, NAME, &url, problems);
            ours(settings, NAME, &url, listen, problems);
            Some(url)
        }
        _ if api_url.host().eq_ignore_ascii_case(CLOUD_API_HOST) => {
            let wrong = Wrong::new("\"auto\" is for self-managed Airbyte; Cloud has it on another host");
            problems.add(settings.problem(NAME, wrong.hint(format!("\"{CLOUD_CONFIG_API_URL}\""))));
            None
        }
        _ => {
            let url = api_url.with_path(paths::CONFIG_API_PATH);
            settings.derive(NAME, Value::Url(url.clone()), quoted(&url.to_string()));
            Some(url)
        }
    }
}

fn mint(
    settings: &mut Settings,
    upstream: &proxy::upstream::Config,
    listen: &[Listen],
    problems: &mut Problems,
) -> Option<mint::Config> {
    const NAME: &str = "token.url";
    let url = if let Some(url) = settings.url(NAME) {
        let url = url.clone();
        encrypted(settings, NAME, &url, problems);
        same_host(settings, &url, upstream, problems);
        ours(settings, NAME, &url, listen, problems);
        url
    } else if settings.is_wrong(NAME) {
        return None;
    } else {
        let url = upstream.api_url.join(paths::TOKEN_ENDPOINT);
        settings.derive(NAME, Value::Url(url.clone()), quoted(&url.to_string()));
        url
    };
    let body = match settings.word("token.body") {
        "form" => mint::BodyFormat::Form,
        _ => mint::BodyFormat::Json,
    };
    Some(mint::Config { body, ..mint::Config::new(url) })
}

/// The permanent secret goes to the token endpoint: a slip there must not hand it to a stranger (RFC 9700 §4.12).
fn same_host(
    settings: &Settings,
    url: &BaseUrl,
    upstream: &proxy::upstream::Config,
    problems: &mut Problems,
) {
    let known = [Some(&upstream.api_url), upstream.config_api_url.as_ref()];
    let mut known = known.into_iter().flatten();
    if settings.switch("token.allow_other_host")
        || known.any(|known| known.host().eq_ignore_ascii_case(url.host()))
    {
        return;
    }
    let what = format!(
        "the client secret would go to {}, but upstream.api_url is at {}",
        url.host(),
        upstream.api_url.host()
    );
    let hint = "use the same host, or token.allow_other_host = true where the other one is yours too";
    problems.add(settings.problem("token.url", Wrong::new(what).hint(hint)));
}

fn proxy(settings: &Settings, problems: &mut Problems) -> proxy::Config {
    const ONE: &str = "limits.replay_body";
    const ALL: &str = "limits.replay_total";
    let both = settings.entry(ONE).is_some() && settings.entry(ALL).is_some();
    if both && settings.size(ALL) < settings.size(ONE) {
        let name = if settings.is_given(ALL) { ALL } else { ONE };
        let wrong = Wrong::new(format!("{ALL} must not be less than {ONE}"));
        problems.add(settings.problem(name, wrong.hint("raise the one or lower the other")));
    }
    let optional = |name| settings.entry(name).map(|_| settings.count(name));
    proxy::Config {
        max_in_flight: settings.size("limits.in_flight"),
        max_per_client: optional("limits.in_flight_per_client").and_then(|n| usize::try_from(n).ok()),
        rate: optional("limits.rate").and_then(|n| u32::try_from(n).ok()),
        rate_per_client: optional("limits.rate_per_client").and_then(|n| u32::try_from(n).ok()),
        body_idle_timeout: settings.duration("limits.body_idle_timeout"),
        replay_limit: settings.size(ONE),
        replay_total: settings.size(ALL),
        lists: proxy::lists::Config {
            mend_links: settings.switch("lists.mend_links"),
            pages_ahead: settings.size("lists.pages_ahead"),
            pages_at_once: settings.size("lists.pages_at_once"),
            public_url: settings.url("public_url").cloned(),
            ..proxy::lists::Config::default()
        },
    }
}

fn guard(settings: &Settings, problems: &mut Problems) -> guard::Config {
    const PUBLIC_URL: &str = "public_url";
    let public_url = settings.url(PUBLIC_URL).and_then(|url| {
        let wrong = |error: guard::OriginError| {
            Wrong::new(error.to_string()).hint("as people type it: https://airbyte.corp.example")
        };
        let public = guard::PublicUrl::new(url.clone()).map_err(wrong);
        public.map_err(|wrong| problems.add(settings.problem(PUBLIC_URL, wrong))).ok()
    });
    guard::Config {
        allowed_hosts: match settings.value("guard.allowed_hosts") {
            Some(Value::Hosts(hosts)) => hosts.clone(),
            _ => Vec::new(),
        },
        allowed_origins: match settings.value("guard.allowed_origins") {
            Some(Value::Origins(origins)) => origins.clone(),
            _ => Vec::new(),
        },
        public_url,
        socket_uids: match settings.value("guard.socket_uids") {
            Some(Value::Users(uids)) => uids.clone(),
            _ => Vec::new(),
        },
        policy: policy(settings, problems),
        // The composition root adds what follows from other rooms.
        ..guard::Config::default()
    }
}

fn policy(settings: &Settings, problems: &mut Problems) -> Policy {
    const RULES: &str = "policy.rules";
    let rules = settings.rules(RULES);
    let keys = settings.entry(KEYS_DIR).is_some() || settings.is_wrong(KEYS_DIR);
    if let Some(rule) = rules.iter().find(|rule| !keys && rule.clients().next().is_some()) {
        let wrong =
            Wrong::new(format!("\"{rule}\" names a client, but there are no client keys to know one by"));
        problems.add(settings.problem(RULES, wrong.hint("set guard.keys_dir, or leave out \"as …\"")));
    }
    Policy {
        access: access(settings.switch("read_only"), settings.word("policy.preset")),
        rules: rules.to_vec(),
        ceiling: None,
    }
}

/// The tighter of the two.
pub(super) fn access(read_only: bool, preset: &str) -> Access {
    let preset = match preset {
        "read-only" => Access::ReadOnly,
        "sync-only" => Access::SyncOnly,
        _ => Access::Full,
    };
    if read_only { preset.min(Access::ReadOnly) } else { preset }
}

/// Looks at the keys. A folder without a good one would serve nobody.
fn keys(settings: &Settings, env: &Environment, problems: &mut Problems) -> Option<KeysDir> {
    let path = settings.path(KEYS_DIR)?;
    let dir = KeysDir::new(path.clone(), credentials::trusted(env));
    let wrong = match dir.read(&ClientKeys::new(), guard::is_client_name) {
        Ok(read) if read.keys.is_empty() => {
            let make = "one file a client: openssl rand -base64 32 > FOLDER/CLIENT, chmod 600";
            let hints: Vec<_> = [make].into_iter().chain(read.warnings.iter().map(String::as_str)).collect();
            let wrong = Wrong::new(format!("{}: no client key that can be used", path.display()));
            wrong.hint(hints.join("\n"))
        }
        Ok(_) => return Some(dir),
        Err(error) => Wrong::new(error.to_string()).hint(error.hint()),
    };
    problems.add(settings.problem(KEYS_DIR, wrong));
    None
}

pub(super) fn log(settings: &Settings) -> telemetry::Config {
    telemetry::Config {
        format: match settings.word("log.format") {
            "human" => telemetry::Format::Human,
            "json" => telemetry::Format::Json,
            _ => telemetry::Format::Auto,
        },
        level: settings.word("log.level").parse().unwrap_or(LevelFilter::INFO),
    }
}
