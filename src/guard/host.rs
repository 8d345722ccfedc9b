//! Host names and authorities: the strict parser, and the names we answer to.
//!
//! Stricter than RFC 3986 §3.2: no userinfo, no percent-encoding, no zone, no trailing dot, no empty port, because
//! each of them is a second spelling of a name and no ordinary client writes one. The underscore is accepted though
//! no DNS host name has it: container names do, and whoever uses one should be told which setting allows it.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use crate::airbyte::BaseUrl;

/// Why some bytes are not `host` or `host:port`. Says nothing of the bytes themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HostError {
    /// Nothing there.
    #[error("it is empty")]
    Empty,
    /// A character that is not part of a host name.
    #[error("the byte at position {at} does not belong into a host name")]
    Character {
        /// Offset in bytes.
        at: usize,
    },
    /// `localhost.` is another spelling of `localhost`, with cookies and rules of its own.
    #[error("it ends with a dot")]
    TrailingDot,
    /// Brackets without an IPv6 address in them.
    #[error("there is no IPv6 address in the brackets")]
    Ipv6,
    /// Not 1 to 65535 without leading zeros.
    #[error("the port is not a number from 1 to 65535")]
    Port,
    /// Longer than any DNS name.
    #[error("it is longer than 253 bytes")]
    TooLong,
    /// In a setting only: the port is ignored, so giving one would be misleading.
    #[error("it has a port; names are allowed with any port, leave it out")]
    UnwantedPort,
    /// In a setting only: `0.0.0.0` and `[::]` are where one listens, never whom one calls.
    #[error("it is the unspecified address, which is nobody's name")]
    Unspecified,
    /// In a setting only.
    #[error("it is a pattern; host names are listed one by one")]
    Wildcard,
}

/// The longest DNS name in text form (RFC 1035 §2.3.4).
const MAX_NAME: usize = 253;

/// A host as a request names it, borrowed. Equality is that of hosts, not of spelling.
#[derive(Debug, Clone, Copy)]
pub(super) enum Host<'a> {
    /// A registered name, as written.
    Name(&'a str),
    /// Four decimal octets, exactly.
    V4(Ipv4Addr),
    /// An address from within brackets.
    V6(Ipv6Addr),
}

impl PartialEq for Host<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Name(a), Self::Name(b)) => a.eq_ignore_ascii_case(b),
            (Self::V4(a), Self::V4(b)) => a == b,
            (Self::V6(a), Self::V6(b)) => a == b,
            _ => false,
        }
    }
}

impl fmt::Display for Host<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::V4(ip) => ip.fmt(f),
            Self::V6(ip) => write!(f, "[{ip}]"),
        }
    }
}

/// `host` or `host:port` of a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Authority<'a> {
    pub(super) host: Host<'a>,
    pub(super) port: Option<u16>,
}

impl<'a> Authority<'a> {
    /// Parses the value of a `Host` line, or the authority of an absolute-form target. Never panics, whatever the
    /// bytes.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, HostError> {
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => return Err(HostError::Character { at: error.valid_up_to() }),
        };
        if text.is_empty() {
            return Err(HostError::Empty);
        }
        if let Some(rest) = text.strip_prefix('[') {
            let (inner, port) = rest.split_once(']').ok_or(HostError::Ipv6)?;
            let host = Host::V6(inner.parse().map_err(|_| HostError::Ipv6)?);
            let port = match port.strip_prefix(':') {
                Some(port) => Some(parse_port(port)?),
                None if port.is_empty() => None,
                None => return Err(HostError::Character { at: inner.len() + 2 }),
            };
            return Ok(Self { host, port });
        }
        let (name, port) = match text.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (text, None),
        };
        Ok(Self { host: parse_name(name)?, port: port.map(parse_port).transpose()? })
    }

    /// The port, given or that of `http`.
    pub(super) fn http_port(&self) -> u16 {
        self.port.unwrap_or(80)
    }

    /// Same host and port, for the scheme `http`.
    pub(super) fn same_http(&self, other: &Self) -> bool {
        self.host == other.host && self.http_port() == other.http_port()
    }
}

fn parse_name(name: &str) -> Result<Host<'_>, HostError> {
    if name.is_empty() {
        return Err(HostError::Empty);
    }
    let ok = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    if let Some(at) = name.bytes().position(|b| !ok(b)) {
        return Err(HostError::Character { at });
    }
    if name.ends_with('.') {
        return Err(HostError::TrailingDot);
    }
    if name.len() > MAX_NAME {
        return Err(HostError::TooLong);
    }
    // Most names start with a letter; only digits can be an address.
    if name.as_bytes().first().is_some_and(u8::is_ascii_digit)
        && let Ok(ip) = name.parse()
    {
        return Ok(Host::V4(ip));
    }
    Ok(Host::Name(name))
}

fn parse_port(port: &str) -> Result<u16, HostError> {
    if port.starts_with('0') || !port.bytes().all(|b| b.is_ascii_digit()) {
        return Err(HostError::Port);
    }
    port.parse().map_err(|_| HostError::Port)
}

/// A name we answer to: an entry of `guard.allowed_hosts`. Exact, without port, compared as hosts are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostName(Kept);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kept {
    Name(Box<str>),
    V4(Ipv4Addr),
    V6(Ipv6Addr),
}

impl HostName {
    /// Parses `proxy.corp.example`, `10.0.0.7`, `[fd00::7]` or `fd00::7`.
    pub fn parse(text: &str) -> Result<Self, HostError> {
        let text = text.trim();
        if text.contains('*') {
            return Err(HostError::Wildcard);
        }
        let name = if let Ok(ip) = text.parse::<Ipv6Addr>() {
            Self(Kept::V6(ip))
        } else {
            let authority = Authority::parse(text.as_bytes())?;
            if authority.port.is_some() {
                return Err(HostError::UnwantedPort);
            }
            Self::from(authority.host)
        };
        match name.0 {
            Kept::V4(ip) if ip.is_unspecified() => Err(HostError::Unspecified),
            Kept::V6(ip) if ip.is_unspecified() => Err(HostError::Unspecified),
            _ => Ok(name),
        }
    }

    /// The host of `url`, for `public_url`.
    pub fn of(url: &BaseUrl) -> Result<Self, HostError> {
        Self::parse(url.host())
    }

    pub(super) fn as_host(&self) -> Host<'_> {
        match &self.0 {
            Kept::Name(name) => Host::Name(name),
            Kept::V4(ip) => Host::V4(*ip),
            Kept::V6(ip) => Host::V6(*ip),
        }
    }
}

impl From<Host<'_>> for HostName {
    fn from(host: Host<'_>) -> Self {
        Self(match host {
            Host::Name(name) => Kept::Name(name.to_ascii_lowercase().into()),
            Host::V4(ip) => Kept::V4(ip),
            Host::V6(ip) => Kept::V6(ip),
        })
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_host().fmt(f)
    }
}

/// The names every listener answers to. Exact: `localhost.`, `foo.localhost`, `0.0.0.0` and mapped addresses are not
/// among them, and neither are container names, since any network's resolver may answer those.
pub(super) fn is_local_name(host: Host<'_>) -> bool {
    match host {
        Host::Name(name) => name.eq_ignore_ascii_case("localhost"),
        Host::V4(ip) => ip == Ipv4Addr::LOCALHOST,
        Host::V6(ip) => ip == Ipv6Addr::LOCALHOST,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<Authority<'_>, HostError> {
        Authority::parse(text.as_bytes())
    }

    #[test]
    fn hosts_with_and_without_port_parse() {
        for (text, host, port) in [
            ("localhost", "localhost", None),
            ("LOCALHOST:8484", "localhost", Some(8484)),
            ("127.0.0.1:1", "127.0.0.1", Some(1)),
            ("[::1]:9", "[::1]", Some(9)),
            ("[0:0:0:0:0:0:0:1]", "[::1]", None),
            ("airbyte_proxy:65535", "airbyte_proxy", Some(65535)),
            ("127.1", "127.1", None),
        ] {
            let parsed = parse(text).expect(text);
            assert_eq!(HostName::from(parsed.host).to_string(), host, "{text}");
            assert_eq!(parsed.port, port, "{text}");
        }
    }

    #[test]
    fn second_spellings_of_a_host_are_malformed() {
        let long = "a".repeat(254);
        for (text, error) in [
            ("", HostError::Empty),
            (":80", HostError::Empty),
            ("localhost.", HostError::TrailingDot),
            ("localhost.:80", HostError::TrailingDot),
            ("a,b", HostError::Character { at: 1 }),
            ("a/b", HostError::Character { at: 1 }),
            ("u@localhost", HostError::Character { at: 1 }),
            ("loc%61lhost", HostError::Character { at: 3 }),
            ("local host", HostError::Character { at: 5 }),
            ("lök", HostError::Character { at: 1 }),
            ("::1", HostError::Empty),
            ("[::1", HostError::Ipv6),
            ("[fe80::1%25lo]", HostError::Ipv6),
            ("[127.0.0.1]", HostError::Ipv6),
            ("[::1]x", HostError::Character { at: 5 }),
            ("a:", HostError::Port),
            ("a:0", HostError::Port),
            ("a:080", HostError::Port),
            ("a:65536", HostError::Port),
            ("a:+80", HostError::Port),
            ("a:1:2", HostError::Port),
            (long.as_str(), HostError::TooLong),
        ] {
            assert_eq!(parse(text).err(), Some(error), "{text}");
        }
        assert_eq!(Authority::parse(b"\xff").err(), Some(HostError::Character { at: 0 }));
    }

    #[test]
    fn only_exact_local_names_are_local() {
        let local = |text: &str| is_local_name(parse(text).expect(text).host);
        for yes in ["localhost", "LocalHost:1", "127.0.0.1", "[::1]:9"] {
            assert!(local(yes), "{yes}");
        }
        for no in [
            "127.0.0.1.nip.io",
            "localhost.evil.example",
            "foo.localhost",
            "0.0.0.0:8080",
            "[::]",
            "[::ffff:127.0.0.1]",
            "127.1",
            "127.0.0.2",
            "127.0.0.01",
            "2130706433",
            "0x7f.1",
            "host.docker.internal",
            "host.containers.internal",
        ] {
            assert!(!local(no), "{no}");
        }
    }

    #[test]
    fn settings_take_names_without_port_or_pattern() {
        assert_eq!(HostName::parse(" Proxy.Corp.Example "), HostName::parse("proxy.corp.example"));
        assert_eq!(HostName::parse("fd00::7"), HostName::parse("[fd00:0::7]"));
        for (text, error) in [
            ("proxy:8484", HostError::UnwantedPort),
            ("*.corp.example", HostError::Wildcard),
            ("0.0.0.0", HostError::Unspecified),
            ("::", HostError::Unspecified),
            ("http://proxy", HostError::Port),
            ("", HostError::Empty),
        ] {
            assert_eq!(HostName::parse(text), Err(error), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_host_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Authority::parse(&bytes);
        }

        #[test]
        fn what_parses_prints_and_parses_to_the_same(text in "[a-zA-Z0-9._:\\[\\]-]{0,40}") {
            if let Ok(parsed) = parse(&text) {
                let name = HostName::from(parsed.host);
                prop_assert!(name.as_host() == parsed.host);
                prop_assert!(parse(&name.to_string()).expect("again").host == parsed.host);
            }
        }
    }
}
