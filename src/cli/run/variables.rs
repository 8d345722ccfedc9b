//! What the command finds in its environment: the way to its proxy, and nothing that would let it do without.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::net::SocketAddr;

use tokio::process::Command;

use super::super::export::VARIABLES;
use super::CLIENT;
use crate::config::{Environment, KEYS, Key, trusted_variable};
use crate::secret::{Half, Origin, Secret};
use crate::server::passed;

/// Credentials under the names that clients of Airbyte read. With them they would ask Airbyte for tokens, or show theirs
/// instead of the key.
const OF_CLIENTS: [&str; 4] = [
    "AIRBYTE_CLIENT_SECRET",
    "AIRBYTE_CLOUD_CLIENT_ID",
    "AIRBYTE_CLOUD_CLIENT_SECRET",
    "AIRBYTE_BEARER_TOKEN",
];
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// The command as it is to be started; it shares our standard streams.
pub(super) fn command(
    line: &[OsString],
    env: &Environment,
    secret: &Half,
    address: SocketAddr,
    key: &Secret,
) -> Command {
    let mut command = Command::new(line.first().cloned().unwrap_or_default());
    command.args(line.iter().skip(1));
    for name in withheld(env, secret) {
        command.env_remove(name);
    }
    command.envs(given(env, address, key));
    command
}

/// Every variable of our configuration and of Airbyte's credentials, and any other that holds the secret.
fn withheld(env: &Environment, secret: &Half) -> BTreeSet<String> {
    let mut names: BTreeSet<String> = KEYS.iter().map(Key::env).collect();
    names.extend(env.own_names().map(str::to_owned));
    names.extend(OF_CLIENTS.map(str::to_owned));
    // Sockets that were passed to us are not for the command.
    names.extend(passed::VARIABLES.map(str::to_owned));
    if secret.place.starts_with(&format!("${}/", trusted_variable())) {
        names.insert(trusted_variable().to_owned());
    }
    if let Origin::Value(secret) = &secret.origin {
        names.extend(env.holding(secret.expose().trim()).map(str::to_owned));
    }
    names
}

fn given(env: &Environment, address: SocketAddr, key: &Secret) -> Vec<(&'static str, String)> {
    let base = format!("http://{address}");
    // Clients make Basic credentials of it.
    let with_key = format!("http://{CLIENT}:{}@{address}", key.expose());
    let mut given: Vec<_> = VARIABLES
        .iter()
        .map(|(_, name, value)| match *name {
            "AIRBYTE_CLOUD_BEARER_TOKEN" => (*name, key.expose().to_owned()),
            // It shows its key as a token, so its URLs need none.
            "AIRBYTE_PROXY_URL" | "AIRBYTE_CLOUD_API_URL" | "AIRBYTE_CLOUD_CONFIG_API_URL" => {
                (*name, value.replace("{base}", &base))
            }
            _ => (*name, value.replace("{base}", &with_key)),
        })
        .collect();
    given.push(("AIRBYTE_PROXY_KEY", key.expose().to_owned()));
    let direct = direct(env.text("no_proxy").or_else(|| env.text("NO_PROXY")));
    given.extend(["NO_PROXY", "no_proxy"].map(|name| (name, direct.clone())));
    given
}

/// `NO_PROXY`, with loopback in it.
fn direct(list: Option<&str>) -> String {
    let list = list.unwrap_or_default().trim();
    if list == "*" {
        return list.to_owned();
    }
    let known: Vec<_> = list.split([',', ' ']).map(str::trim).filter(|host| !host.is_empty()).collect();
    let missing = LOOPBACK.into_iter().filter(|host| !known.contains(host));
    known.iter().copied().chain(missing).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_added_to_what_is_asked_for_directly() {
        assert_eq!(direct(None), "localhost,127.0.0.1,::1");
        assert_eq!(direct(Some("corp, localhost")), "corp,localhost,127.0.0.1,::1");
        assert_eq!(direct(Some(" * ")), "*");
    }

    #[test]
    fn whatever_holds_the_secret_is_withheld() {
        let env: Environment = [
            ("AIRBYTE_CLIENT_SECRET_FILE", "/x"),
            ("AIRBYTE_PROXY_READ_ONLY", "true"),
            ("COPY", "id:hunter2"),
            ("CREDENTIALS_DIRECTORY", "/y"),
            ("HOME", "/z"),
        ]
        .into_iter()
        .collect();
        let half = |place: &str, origin| Half { place: place.to_owned(), origin };
        let by_value = withheld(&env, &half("x", Origin::Value(Secret::new("hunter2\n".to_owned()))));
        for name in ["AIRBYTE_CLIENT_SECRET_FILE", "AIRBYTE_PROXY_READ_ONLY", "COPY"] {
            assert!(by_value.contains(name), "{name}");
        }
        assert!(!by_value.contains("HOME") && !by_value.contains("CREDENTIALS_DIRECTORY"));
        let file = Origin::File { path: "/y/client-secret".into(), bare: false };
        let by_systemd = withheld(&env, &half("$CREDENTIALS_DIRECTORY/client-secret", file));
        assert!(by_systemd.contains("CREDENTIALS_DIRECTORY") && !by_systemd.contains("COPY"));
    }
}
