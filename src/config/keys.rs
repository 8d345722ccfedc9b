//! The one table of configuration keys.
//!
//! Flags, environment names, suggestions, the output of `check` and the test against `config/airbyte-proxy.toml` all
//! derive from it. To add a key: one row here, its use in `validate`, its lines in the example file.

use std::time::Duration;

use super::environment::PREFIX;

/// One configuration key.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// `upstream.api_url`.
    pub name: &'static str,
    /// What its value may be.
    pub kind: Kind,
    /// The default as one would write it in the environment; none where the key is off or derived.
    pub default: Option<&'static str>,
    /// One line of help, without a period.
    pub doc: &'static str,
    /// Whether there is a flag, and whether `--help` shows it.
    pub on_command_line: Flag,
}

/// Whether a key can be given on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flag {
    /// Yes, and `--help` shows it.
    Shown,
    /// Yes; `--help` tells the rule by which it is named.
    Hidden,
    /// No.
    None,
}

/// What a value may be.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// `true` or `false`.
    Switch,
    /// A whole number between the two.
    Count(u64, u64),
    /// `10s`, `5m`, between the two.
    Duration(Duration, Duration),
    /// `1MiB` or a number of bytes, at most this many.
    Size(u64),
    /// One of these words.
    Word(&'static [&'static str]),
    /// An http or https URL.
    Url,
    /// An http or https URL, or this word.
    UrlOr(&'static str),
    /// The URL under which people know this proxy.
    OwnUrl,
    /// What people call this proxy.
    Name,
    /// Host names, without ports.
    Hosts,
    /// Origins of web pages.
    Origins,
    /// Numbers of users.
    Users,
    /// Rules of the policy.
    Rules,
    /// How to get out of this network: `environment`, `none`, or the URL of a proxy, perhaps with a password.
    Proxy,
    /// A file. In the configuration file, relative to its folder.
    Path,
    /// Addresses to listen on.
    Listen,
    /// An identifier that is not shown in full.
    Id,
    /// A program and its arguments.
    Command,
}

impl Key {
    /// `AIRBYTE_PROXY_UPSTREAM_API_URL`; for credentials the names that Airbyte's own tools use, `AIRBYTE_CLIENT_ID`.
    pub fn env(&self) -> String {
        let (prefix, name) = match self.credential() {
            Some(name) => ("AIRBYTE_", name),
            None => (PREFIX, self.name),
        };
        format!("{prefix}{}", name.replace('.', "_").to_ascii_uppercase())
    }

    /// `--upstream-api-url`; for credentials without the section, `--client-id`.
    pub fn flag(&self) -> String {
        format!("--{}", self.credential().unwrap_or(self.name).replace(['.', '_'], "-"))
    }

    /// The name below `credentials`, whose keys are layered as pairs and not one by one.
    pub fn credential(&self) -> Option<&'static str> {
        self.name.strip_prefix("credentials.")
    }
}

/// The row of `name`.
pub fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}
const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}
const ANY_TIME: Kind = Kind::Duration(ms(1), secs(86_400));
const GIB: u64 = 1024 * 1024 * 1024;

const fn row(
    name: &'static str,
    kind: Kind,
    default: Option<&'static str>,
    flag: Flag,
    doc: &'static str,
) -> Key {
    Key { name, kind, default, doc, on_command_line: flag }
}

use Flag::{Hidden, Shown};

/// The words of `policy.preset`, and of `preset` in a ceiling.
pub(crate) const PRESETS: &[&str] = &["full", "read-only", "sync-only"];

/// Every key, in the order in which `check` and the example file show them.
#[rustfmt::skip]
pub const KEYS: &[Key] = &[
    row("listen", Kind::Listen, Some("127.0.0.1:8484,[::1]:8484"), Shown,
        "Where to listen: ADDRESS:PORT, localhost:PORT, PORT or unix:/path; repeatable"),
    row("published_port", Kind::Switch, Some("false"), Shown,
        "Listen on all addresses of a container whose port is published to 127.0.0.1 only"),
    row("workers", Kind::Count(0, 1024), Some("0"), Hidden,
        "Threads that serve connections; 0 is one per core"),

    row("name", Kind::Name, None, Hidden,
        "What this proxy is called on its pages and in the log, such as prod, where there are several"),
    row("public_url", Kind::OwnUrl, None, Hidden,
        "The URL under which people know this proxy, where it is not its address"),
    row("read_only", Kind::Switch, Some("false"), Shown,
        "Let nothing through that changes anything"),

    row("upstream.api_url", Kind::Url, Some(crate::airbyte::paths::CLOUD_API_URL), Shown,
        "The Airbyte API; self-managed: https://HOST/api/public/v1"),
    row("upstream.config_api_url", Kind::UrlOr("auto"), None, Hidden,
        "The Configuration API, served at /api/v1; auto is /api/v1 of the same host"),
    row("upstream.ca_file", Kind::Path, None, Hidden,
        "Certificates (PEM) to trust besides the system's"),
    row("upstream.allow_http", Kind::Switch, Some("false"), Hidden,
        "Allow plain http to another machine; the secret then travels in clear"),
    row("upstream.http", Kind::Word(&["auto", "http1", "http2"]), Some("auto"), Hidden,
        "HTTP versions offered to Airbyte"),
    row("upstream.proxy", Kind::Proxy, Some("environment"), Hidden,
        "Way out of this network: environment, none or http://PROXY:PORT"),
    row("upstream.connect_timeout", ANY_TIME, Some("5s"), Hidden,
        "DNS, TCP and TLS together"),
    row("upstream.response_timeout", ANY_TIME, Some("10m"), Hidden,
        "From the end of a request to the head of its response"),
    row("upstream.body_idle_timeout", ANY_TIME, Some("5m"), Hidden,
        "Longest pause within a response body"),
    row("upstream.idle_timeout", ANY_TIME, Some("30s"), Hidden,
        "How long an unused connection to Airbyte is kept"),
    row("upstream.max_age", ANY_TIME, Some("10m"), Hidden,
        "A connection to Airbyte older than this takes no new request"),

    row("token.url", Kind::Url, None, Hidden,
        "The token endpoint; without it upstream.api_url + /applications/token"),
    row("token.allow_other_host", Kind::Switch, Some("false"), Hidden,
        "Allow a token endpoint on a host that is not the API's"),
    row("token.body", Kind::Word(&["json", "form"]), Some("json"), Hidden,
        "How id and secret are sent to the token endpoint"),
    row("token.max_lifetime", Kind::Duration(secs(1), secs(86_400)), Some("24h"), Hidden,
        "Tokens are taken to live no longer than this"),

    row("credentials.client_id", Kind::Id, None, Shown,
        "Client id of the Airbyte application"),
    row("credentials.client_id_file", Kind::Path, None, Hidden,
        "File that holds the client id"),
    row("credentials.client_secret_file", Kind::Path, None, Shown,
        "File that holds the client secret, readable by you alone"),
    row("credentials.client_secret_command", Kind::Command, None, Flag::None,
        "Program that prints the client secret, with its arguments; no shell"),

    row("guard.allowed_hosts", Kind::Hosts, None, Hidden,
        "Host names to answer to besides localhost, 127.0.0.1 and [::1]"),
    row("guard.allowed_origins", Kind::Origins, None, Hidden,
        "Web pages that may use the proxy, by origin; only they are told so (CORS)"),
    row("guard.keys_dir", Kind::Path, None, Hidden,
        "Folder with the keys that TCP clients must show, one file a client"),
    row("guard.socket_uids", Kind::Users, None, Hidden,
        "Users who may use a Unix socket besides the one who runs the proxy"),

    row("policy.preset", Kind::Word(PRESETS), Some("full"), Hidden,
        "What is possible at all: full, read-only, or sync-only (reads, starting and cancelling jobs)"),
    row("policy.rules", Kind::Rules, None, Hidden,
        "Rules such as \"deny * /connections/**\"; the first that matches decides"),

    row("control.listen", Kind::Listen, None, Hidden,
        "Where to answer probes and Prometheus besides, without keys; proxies nothing"),
    row("control.allow_quit", Kind::Switch, Some("false"), Hidden,
        "Let POST /-/quit end the proxy, as SIGTERM does"),

    row("lists.mend_links", Kind::Switch, Some("true"), Hidden,
        "Links to other pages lead back to the proxy and keep all filters"),
    row("lists.pages_ahead", Kind::Count(0, 4), Some("1"), Hidden,
        "Pages of a whole list to fetch while the one before them is sent"),
    row("lists.pages_at_once", Kind::Count(1, 1024), Some("8"), Hidden,
        "Pages that all whole lists together ask for at the same time"),

    row("limits.connections", Kind::Count(1, 1_000_000), Some("16384"), Hidden,
        "Client connections at the same time"),
    row("limits.in_flight", Kind::Count(1, 1_000_000), Some("1024"), Hidden,
        "Requests at the same time; more are answered 503"),
    row("limits.in_flight_per_client", Kind::Count(1, 1_000_000), None, Hidden,
        "Of these, how many one client key or remote address may have; without it half of them"),
    row("limits.rate", Kind::Count(1, 1_000_000), None, Hidden,
        "Requests a second in all; more are answered 429, and further pages of whole lists wait"),
    row("limits.rate_per_client", Kind::Count(1, 1_000_000), None, Hidden,
        "The same of one client key or remote address"),
    row("limits.head_timeout", ANY_TIME, Some("10s"), Hidden,
        "From the first byte of a request's head to its last"),
    row("limits.idle_timeout", ANY_TIME, Some("75s"), Hidden,
        "How long a client's connection may stay silent between requests"),
    row("limits.write_timeout", ANY_TIME, Some("60s"), Hidden,
        "How long a client may refuse to take bytes of a response"),
    row("limits.body_idle_timeout", ANY_TIME, Some("30s"), Hidden,
        "How long a client may pause within a request body"),
    row("limits.replay_body", Kind::Size(GIB), Some("1MiB"), Hidden,
        "Largest request body kept for one repetition with a new token"),
    row("limits.replay_total", Kind::Size(64 * GIB), Some("64MiB"), Hidden,
        "Memory for all kept bodies together"),

    row("drain.delay", Kind::Duration(Duration::ZERO, secs(3600)), Some("0s"), Hidden,
        "After SIGTERM, how long to go on accepting while readiness is already false"),
    row("drain.grace", Kind::Duration(Duration::ZERO, secs(86_400)), Some("25s"), Hidden,
        "After that, how long requests in flight may take"),

    row("log.format", Kind::Word(&["auto", "human", "json"]), Some("auto"), Hidden,
        "auto is human on a terminal, json otherwise"),
    row("log.level", Kind::Word(&["off", "error", "warn", "info", "debug", "trace"]), Some("info"), Shown,
        "Least severe level written"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_in_every_layer() {
        for (i, key) in KEYS.iter().enumerate() {
            for other in &KEYS[i + 1..] {
                assert_ne!(key.env(), other.env());
                assert_ne!(key.flag(), other.flag());
            }
        }
    }

    #[test]
    fn one_name_serves_three_layers() {
        let key = find("upstream.api_url").expect("a key");
        assert_eq!(key.env(), "AIRBYTE_PROXY_UPSTREAM_API_URL");
        assert_eq!(key.flag(), "--upstream-api-url");
        for short in ["--listen", "--published-port", "--client-id"] {
            assert!(KEYS.iter().any(|key| key.flag() == short), "{short}");
        }
    }
}
