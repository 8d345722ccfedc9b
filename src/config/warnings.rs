//! What is allowed, and still likely not what the user wants.

use std::path::Path;

use super::Config;
use super::environment::Environment;
use super::file::File;
use super::listen;
use crate::guard::is_client_name;
use crate::secret::ClientKeys;
use crate::server::Listen;

/// Everything worth a line at start-up.
pub(super) fn all(config: &Config, file: Option<&File>, env: &Environment) -> Vec<String> {
    let upstream = &config.upstream;
    let mut warnings = Vec::new();
    warnings.extend(swallowed_localhost(config, env));
    warnings.extend(unreachable_in_container(&config.server.listen, env));
    if upstream.api_url.path().is_empty() {
        warnings.push(format!(
            "upstream.api_url {} has no path; the API of a self-managed Airbyte is {}/api/public/v1",
            upstream.api_url, upstream.api_url
        ));
    }
    if !upstream.api_url.is_https() && !upstream.api_url.is_loopback() {
        warnings.push(format!(
            "upstream.allow_http: the client secret and every token go to {} in clear",
            upstream.api_url.host()
        ));
    }
    warnings.extend(beyond_loopback(config));
    warnings.extend(client_keys(config));
    warnings.extend(sweeping(config));
    warnings.extend(file.and_then(|file| writable_by_all(&file.path)));
    warnings
}

/// Whoever listens to the network reads keys and data.
fn beyond_loopback(config: &Config) -> Option<String> {
    let open = config.server.listen.iter().find(|one| !listen::is_local(one))?;
    let open = listen::shown(open);
    Some(if config.keys.is_some() {
        format!(
            "{open}: client keys and data travel in clear; let something that speaks TLS stand in front of it"
        )
    } else {
        format!(
            "published_port: whoever reaches {open} uses your Airbyte account without a key; publish it to loopback \
             only (docker run -p 127.0.0.1:8484:8484)"
        )
    })
}

/// Keys that are none, and rules for clients who have none.
fn client_keys(config: &Config) -> Vec<String> {
    let Some(read) = config.keys.as_ref().and_then(|dir| dir.read(&ClientKeys::new(), is_client_name).ok())
    else {
        return Vec::new();
    };
    let mut warnings: Vec<_> =
        read.warnings.iter().map(|warning| format!("guard.keys_dir: {warning}")).collect();
    for rule in &config.guard.policy.rules {
        if let Some(name) = rule.clients().find(|name| !read.keys.contains_key(*name)) {
            warnings.push(format!("policy.rules: \"{rule}\" is about a client who has no key: {name}"));
        }
    }
    warnings
}

/// "allow GET /**" sounds harmless, and opens what answers with client secrets.
fn sweeping(config: &Config) -> Option<String> {
    let rule = config.guard.policy.sweeping()?;
    Some(format!(
        "policy.rules: \"{rule}\" also lifts the denials that hold by default, so client secrets of applications can be \
         read; put \"deny * /applications/**\" before it, and the same for /embedded/** and /dataplanes/**"
    ))
}

/// Clients that honour a proxy variable ask that proxy for `localhost`, unless told not to.
fn swallowed_localhost(config: &Config, env: &Environment) -> Option<String> {
    let on_tcp = config.server.listen.iter().any(|listen| matches!(listen, Listen::Tcp(_)));
    let name =
        ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"].into_iter().find(|n| env.text(n).is_some());
    let exempt = ["no_proxy", "NO_PROXY"].into_iter().filter_map(|name| env.text(name)).any(|list| {
        list.split([',', ' '])
            .map(|host| host.trim().trim_start_matches('.'))
            .any(|host| host == "*" || host.eq_ignore_ascii_case("localhost"))
    });
    let name = name.filter(|_| on_tcp && !exempt)?;
    Some(format!(
        "{name} is set and NO_PROXY does not list localhost: clients would ask that proxy for localhost and miss \
         this one; export NO_PROXY=localhost,127.0.0.1,::1"
    ))
}

/// In a container of its own, a loopback listener serves nobody; in a pod it serves the neighbours.
fn unreachable_in_container(listen: &[Listen], env: &Environment) -> Option<String> {
    let contained = ["/.dockerenv", "/run/.containerenv"].into_iter().any(|mark| Path::new(mark).exists());
    let in_pod = env.get("KUBERNETES_SERVICE_HOST").is_some();
    let all_local = listen.iter().all(|one| matches!(one, Listen::Tcp(_)) && listen::is_local(one));
    (contained && !in_pod && all_local).then(|| {
        "only processes in this container can reach this proxy; for docker run -p 127.0.0.1:8484:8484 add \
         --published-port"
            .to_owned()
    })
}

/// Whoever can write the file decides where the secret is sent and which command runs.
fn writable_by_all(path: &Path) -> Option<String> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        let mode = std::fs::metadata(path).ok()?.mode();
        (mode & 0o002 != 0).then(|| {
            format!(
                "{} can be changed by every user of this machine, and decides where the secret is sent; chmod o-w {}",
                path.display(),
                path.display()
            )
        })
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        None
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Flags, load};

    fn warned(variables: &[(&str, &str)]) -> bool {
        let env = variables.iter().copied().collect();
        let loaded = load(&Flags::default(), &env).expect("valid");
        loaded.warnings.iter().any(|warning| warning.contains("NO_PROXY"))
    }

    #[test]
    fn a_proxy_variable_that_swallows_localhost_is_a_warning() {
        assert!(warned(&[("http_proxy", "http://p:1")]));
        assert!(warned(&[("ALL_PROXY", "http://p:1"), ("NO_PROXY", "corp,notlocalhost")]));
        assert!(!warned(&[]));
        assert!(!warned(&[("HTTPS_PROXY", "http://p:1")]));
        assert!(!warned(&[("HTTP_PROXY", "http://p:1"), ("no_proxy", "corp, localhost")]));
        assert!(!warned(&[("HTTP_PROXY", "")]));
        assert!(!warned(&[("HTTP_PROXY", "http://p:1"), ("AIRBYTE_PROXY_LISTEN", "unix:/run/x.sock")]));
    }
}
