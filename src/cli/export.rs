//! `airbyte-proxy export`: the documents that the `/-/` routes hand out, and variables for known clients, on stdout.

use std::net::SocketAddr;
use std::process::ExitCode;

use clap::ArgMatches;

use super::ask::reachable;
use super::{USAGE, args, output};
use crate::airbyte;
use crate::config::{Environment, listeners, public_url};
use crate::server::Listen;

pub(super) fn run(matches: &ArgMatches, env: &Environment) -> ExitCode {
    let flags = args::flags(matches);
    let known = public_url(&flags, env).map(|url| url.to_string());
    let Some(base) = known.or_else(|| base(&listeners(&flags, env))) else {
        output::stderr(
            "there is no address to write into it: no listener has a fixed TCP port\n  \
             hint: --listen 127.0.0.1:8484, or set public_url",
        );
        return ExitCode::from(USAGE);
    };
    let document = matches.get_one::<String>(args::DOCUMENT).map(String::as_str);
    output::stdout(&match document {
        Some("openapi") => airbyte::openapi(&base),
        Some("postman") => airbyte::postman(&base),
        _ => variables(&base, matches.get_flag(args::DOTENV)),
    });
    ExitCode::SUCCESS
}

/// The address as people type it: by name where either of the addresses behind that name would do.
fn base(listeners: &[Listen]) -> Option<String> {
    let tcp = listeners.iter().filter_map(|listen| match listen {
        Listen::Tcp(address) if address.port() != 0 => Some(reachable(*address)),
        _ => None,
    });
    let addresses: Vec<_> = tcp.collect();
    let first = addresses.first()?;
    let twin = |other: &SocketAddr| {
        let loopback = first.ip().is_loopback() && other.ip().is_loopback();
        loopback && other.port() == first.port() && other.is_ipv4() != first.is_ipv4()
    };
    let both = addresses.iter().any(twin);
    Some(if both { format!("http://localhost:{}", first.port()) } else { format!("http://{first}") })
}

/// What clients read, and what for: a comment, a name, a value.
pub(super) const VARIABLES: [(&str, &str, &str); 6] = [
    ("Scripts: the base URL of the API, and the proxy itself", "AIRBYTE_API_URL", "{base}/v1"),
    ("", "AIRBYTE_PROXY_URL", "{base}"),
    (
        "PyAirbyte: it insists on a token, and any will do; with client keys, the key",
        "AIRBYTE_CLOUD_API_URL",
        "{base}/api/public/v1",
    ),
    ("", "AIRBYTE_CLOUD_CONFIG_API_URL", "{base}/api/v1"),
    ("", "AIRBYTE_CLOUD_BEARER_TOKEN", "unused"),
    ("Terraform: server_url = var.airbyte_server_url", "TF_VAR_airbyte_server_url", "{base}/v1"),
];

fn variables(base: &str, dotenv: bool) -> String {
    let mut lines = Vec::new();
    for (comment, name, value) in VARIABLES {
        if !comment.is_empty() {
            lines.push(format!("# {comment}"));
        }
        let value = value.replace("{base}", base);
        lines.push(if dotenv {
            format!("{name}={value}")
        } else {
            format!("export {name}={}", quoted(&value))
        });
    }
    lines.join("\n")
}

/// For a shell; untouched if it means nothing to one.
fn quoted(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._~:/@%+,=".contains(c);
    if value.chars().all(plain) { value.to_owned() } else { format!("'{}'", value.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(addresses: &[&str]) -> Option<String> {
        let listeners = addresses.iter().map(|address| match address.strip_prefix("unix:") {
            Some(path) => Listen::Unix(path.into()),
            None => Listen::Tcp(address.parse().expect("an address")),
        });
        base(&listeners.collect::<Vec<_>>())
    }

    #[test]
    fn the_address_is_one_that_works() {
        for (listeners, expected) in [
            (&["127.0.0.1:8484", "[::1]:8484"][..], Some("http://localhost:8484")),
            (&["127.0.0.1:8484"], Some("http://127.0.0.1:8484")),
            (&["127.0.0.1:1", "[::1]:2"], Some("http://127.0.0.1:1")),
            (&["0.0.0.0:8484"], Some("http://127.0.0.1:8484")),
            (&["0.0.0.0:1", "[::]:1"], Some("http://localhost:1")),
            (&["unix:/run/x.sock", "10.0.0.1:80"], Some("http://10.0.0.1:80")),
            (&["unix:/run/x.sock"], None),
            (&["127.0.0.1:0"], None),
            (&[], None),
        ] {
            assert_eq!(of(listeners).as_deref(), expected, "{listeners:?}");
        }
    }

    #[test]
    fn a_shell_gets_values_that_it_leaves_alone() {
        assert_eq!(quoted("http://localhost:8484/v1"), "http://localhost:8484/v1");
        assert_eq!(quoted("http://[::1]:8484/v1"), "'http://[::1]:8484/v1'");
        assert_eq!(quoted("https://x/$(a)'b"), r"'https://x/$(a)'\''b'");
        let lines = variables("http://x", false);
        let sets = |line: &str| line.starts_with('#') || line.starts_with("export ");
        assert!(lines.lines().all(sets), "{lines}");
        assert!(lines.contains("\nexport TF_VAR_airbyte_server_url=http://x/v1"), "{lines}");
        let lines = variables("http://x", true);
        assert!(lines.contains("\nAIRBYTE_API_URL=http://x/v1\n") && !lines.contains("export"), "{lines}");
    }
}
