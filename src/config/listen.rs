//! Where to listen: `127.0.0.1:8484`, `[::1]:8484`, `localhost:8484`, `8484`, `unix:/path`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use super::problem::Wrong;
use super::raw::Raw;
use crate::server::Listen;

const FORMS: &str = "127.0.0.1:8484, [::1]:8484, localhost:8484, 8484 or unix:/path";
/// `sun_path` less its closing NUL, in the smaller of Linux (108) and macOS (104).
const MAX_UNIX_PATH: usize = 103;

/// Parses the array, each of whose items may stand for two addresses.
pub(crate) fn parse(raw: &Raw) -> Result<Vec<Listen>, Wrong> {
    let Raw::List(items) = raw else {
        return Err(Wrong::new(format!("must be an array, found {}", raw.describe(false)))
            .hint("listen = [\"127.0.0.1:8484\"]"));
    };
    let mut all = Vec::new();
    for item in items {
        for listen in one(item)? {
            if all.contains(&listen) {
                return Err(Wrong::new(format!("names {} twice", shown(&listen)))
                    .hint("a port alone, and localhost, stand for 127.0.0.1 and [::1]"));
            }
            all.push(listen);
        }
    }
    if all.is_empty() {
        return Err(Wrong::new("is empty, so nobody could reach the proxy").hint(FORMS));
    }
    Ok(all)
}

fn one(item: &Raw) -> Result<Vec<Listen>, Wrong> {
    let unclear = || Wrong::new(format!("{} is no place to listen", item.describe(false))).hint(FORMS);
    let text = match item {
        Raw::Integer(port) => return u16::try_from(*port).map(loopbacks).map_err(|_| unclear()),
        Raw::Text(text) => text.trim(),
        _ => return Err(unclear()),
    };
    if let Some(path) = text.strip_prefix("unix:") {
        return unix(path);
    }
    if let Ok(port) = text.parse::<u16>() {
        return Ok(loopbacks(port));
    }
    if let Some(port) = text.strip_prefix("localhost:") {
        return port.parse().map(loopbacks).map_err(|_| unclear());
    }
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Ok(vec![Listen::Tcp(address)]);
    }
    if text.starts_with("http://") || text.starts_with("https://") {
        return Err(unclear().hint("an address, not a URL: 127.0.0.1:8484"));
    }
    if let Ok(ip) = text.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
        return Err(unclear().hint(format!("with its port: {}", SocketAddr::new(ip, 8484))));
    }
    Err(unclear())
}

fn loopbacks(port: u16) -> Vec<Listen> {
    vec![
        Listen::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
        Listen::Tcp(SocketAddr::from((Ipv6Addr::LOCALHOST, port))),
    ]
}

/// What `published_port` listens on where `listen` is not given.
pub(crate) fn everywhere(port: u16) -> Vec<Listen> {
    vec![
        Listen::Tcp(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))),
        Listen::Tcp(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))),
    ]
}

fn unix(path: &str) -> Result<Vec<Listen>, Wrong> {
    if cfg!(not(unix)) {
        return Err(Wrong::new("Unix sockets do not exist on this system"));
    }
    if !path.starts_with('/') {
        return Err(
            Wrong::new("the path of a Unix socket must be absolute").hint("unix:/run/user/1000/x.sock")
        );
    }
    if path.len() > MAX_UNIX_PATH {
        return Err(Wrong::new(format!("the path of a Unix socket must not exceed {MAX_UNIX_PATH} bytes")));
    }
    Ok(vec![Listen::Unix(PathBuf::from(path))])
}

/// As it is written in the configuration.
pub(crate) fn shown(listen: &Listen) -> String {
    match listen {
        Listen::Tcp(address) => address.to_string(),
        Listen::Unix(path) => format!("unix:{}", path.display()),
    }
}

/// Whether only this machine can reach it.
pub(crate) fn is_local(listen: &Listen) -> bool {
    match listen {
        Listen::Tcp(address) => address.ip().to_canonical().is_loopback(),
        Listen::Unix(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listens(items: &[&str]) -> Result<Vec<String>, String> {
        let items = items.iter().map(|item| Raw::Text((*item).to_owned())).collect();
        parse(&Raw::List(items))
            .map(|all| all.iter().map(shown).collect())
            .map_err(|wrong| format!("{} | {}", wrong.what, wrong.hint.unwrap_or_default()))
    }

    #[test]
    fn a_port_is_both_loopbacks() {
        let both = Ok(vec!["127.0.0.1:9000".to_owned(), "[::1]:9000".to_owned()]);
        assert_eq!(listens(&["9000"]), both);
        assert_eq!(listens(&["localhost:9000"]), both);
        assert_eq!(parse(&Raw::List(vec![Raw::Integer(9000)])).map(|all| all.len()), Ok(2));
    }

    #[test]
    fn what_cannot_be_listened_on_is_told_apart() {
        for (item, says) in [
            ("airbyte.corp:80", "no place to listen"),
            ("127.0.0.1", "with its port: 127.0.0.1:8484"),
            ("::1", "with its port: [::1]:8484"),
            ("http://127.0.0.1:8484", "not a URL"),
            ("unix:x.sock", "absolute"),
            ("localhost:99999", "no place to listen"),
            ("", "no place to listen"),
        ] {
            let error = listens(&[item]).expect_err(item);
            assert!(error.contains(says), "{error}");
        }
        assert!(listens(&["8484", "[::1]:8484"]).expect_err("twice").contains("twice"));
        assert!(listens(&[]).is_err());
    }
}
