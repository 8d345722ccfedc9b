//! The proxies that are compared, and how each is told to do the same: keep connections to the upstream, verify its
//! certificate, use as many threads as it is given cores, add the header, and write one line a request to a file in
//! memory.

use std::fs::{File, OpenOptions, read_to_string, write};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use crate::upstream::{CLIENT_ID, CLIENT_SECRET};
use crate::{Result, authority, bare, child};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Ours,
    Nginx,
    Haproxy,
    Envoy,
    Caddy,
    /// No peer: see [`bare`].
    Bare,
}

pub(crate) const KINDS: [Kind; 6] =
    [Kind::Ours, Kind::Nginx, Kind::Haproxy, Kind::Envoy, Kind::Caddy, Kind::Bare];

/// One that is there.
#[derive(Debug, Clone)]
pub(crate) struct Proxy {
    pub(crate) kind: Kind,
    pub(crate) program: PathBuf,
    /// With its version.
    pub(crate) name: String,
}

const ENVOY_H2: &str = "http2_protocol_options: { max_concurrent_streams: 100 }";

/// Where and how it is to run.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    /// Of the whole run: the certificates.
    pub(crate) shared: &'a Path,
    /// Its own.
    pub(crate) folder: &'a Path,
    pub(crate) port: u16,
    pub(crate) upstream: u16,
    pub(crate) h2: bool,
    pub(crate) workers: usize,
    pub(crate) cores: &'a [u32],
    /// The token, for whoever cannot ask for one.
    pub(crate) token: &'a str,
    pub(crate) files: u64,
}

/// The first program of this name on PATH, or where Debian keeps servers.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    folders.map(|folder| folder.join(name)).find(|file| file.is_file())
}

impl Kind {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Ours => "airbyte-proxy",
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::Envoy => "envoy",
            Self::Caddy => "caddy",
            Self::Bare => "bare",
        }
    }

    /// nginx asks upstreams by HTTP/1.1 only.
    pub(crate) fn speaks(self, h2: bool) -> bool {
        !(h2 && self == Self::Nginx)
    }

    /// Whether it asks for tokens itself.
    pub(crate) fn mints(self) -> bool {
        matches!(self, Self::Ours | Self::Envoy)
    }

    /// Whether it does what ours does, so that ours may be measured by it.
    pub(crate) fn is_peer(self) -> bool {
        !matches!(self, Self::Ours | Self::Bare)
    }

    /// Whether it writes a line a request.
    pub(crate) fn logs(self) -> bool {
        self != Self::Bare
    }

    fn version(self, program: &Path) -> Result<String> {
        let argument = match self {
            Self::Bare => return Ok("bare hyper relay".to_owned()),
            Self::Nginx | Self::Haproxy => "-v",
            Self::Caddy => "version",
            Self::Ours | Self::Envoy => "--version",
        };
        let output = std::process::Command::new(program).arg(argument).stdin(Stdio::null()).output()?;
        // nginx says it on standard error.
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        let number = said.split(|c: char| !(c.is_ascii_digit() || c == '.'));
        let number = number.map(|word| word.trim_matches('.')).find(|word| word.matches('.').count() == 2);
        Ok(format!("{} {}", self.word(), number.unwrap_or("?")))
    }
}

impl Proxy {
    pub(crate) fn new(kind: Kind, program: PathBuf) -> Result<Self> {
        let name = kind.version(&program)?;
        Ok(Self { kind, program, name })
    }

    /// The file with one line a request.
    pub(crate) fn log(folder: &Path) -> PathBuf {
        folder.join("access.log")
    }

    /// What it said besides.
    pub(crate) fn words(folder: &Path) -> String {
        let all = read_to_string(folder.join("output")).unwrap_or_default();
        let all = all + &read_to_string(folder.join("error.log")).unwrap_or_default();
        all.lines().rev().take(5).collect::<Vec<_>>().join(" | ")
    }

    /// The command that runs it in the foreground.
    pub(crate) fn command(&self, place: &Place<'_>) -> Result<Command> {
        let mut command = child::pinned(&self.program, place.cores);
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", place.folder);
        command.current_dir(place.folder).stdin(Stdio::null());
        let other = || File::create(place.folder.join("output"));
        let log = || OpenOptions::new().create(true).append(true).open(Self::log(place.folder));
        log()?;
        match self.kind {
            Kind::Ours => {
                command.args(["--listen", &format!("127.0.0.1:{}", place.port)]);
                command.args(["--upstream-api-url", &format!("https://localhost:{}/v1", place.upstream)]);
                command.arg("--upstream-ca-file").arg(authority::ca(place.shared));
                command.args(["--workers", &place.workers.to_string()]);
                command.env("AIRBYTE_CLIENT_ID", CLIENT_ID).env("AIRBYTE_CLIENT_SECRET", CLIENT_SECRET);
                command.stdout(other()?).stderr(log()?);
            }
            Kind::Nginx => {
                let file = place.fill("nginx.conf", include_str!("conf/nginx.conf"))?;
                command.arg("-e").arg(place.folder.join("error.log")).arg("-c").arg(file);
                command.stdout(other()?).stderr(other()?);
            }
            Kind::Haproxy => {
                let file = place.fill("haproxy.cfg", include_str!("conf/haproxy.cfg"))?;
                command.args(["-db", "-f"]).arg(file).stdout(log()?).stderr(other()?);
            }
            Kind::Envoy => {
                let file = place.fill("envoy.yaml", include_str!("conf/envoy.yaml"))?;
                command.arg("-c").arg(file).args(["--concurrency", &place.workers.to_string()]);
                command.args(["--disable-hot-restart", "--log-level", "error"]);
                command.args(["--file-flush-interval-msec", "1000"]);
                command.stdout(other()?).stderr(other()?);
            }
            Kind::Bare => {
                let plan = bare::Plan {
                    folder: place.shared.to_owned(),
                    port: place.port,
                    upstream: place.upstream,
                    h2: place.h2,
                    token: place.token.to_owned(),
                };
                command.arg(bare::ROLE).arg(serde_json::to_string(&plan)?);
                command.stdout(other()?).stderr(other()?);
            }
            Kind::Caddy => {
                let file = place.fill("Caddyfile", include_str!("conf/Caddyfile"))?;
                command.args(["run", "--adapter", "caddyfile", "--config"]).arg(file);
                command.env("GOMAXPROCS", place.workers.to_string());
                command.stdout(other()?).stderr(other()?);
            }
        }
        Ok(command)
    }
}

impl Place<'_> {
    /// Writes `template` with everything filled in.
    fn fill(&self, name: &str, template: &str) -> Result<PathBuf> {
        let path = |path: PathBuf| path.display().to_string();
        // Whoever is not root keeps its user; workers of root's nginx would lose the right to these folders.
        let user = if rustix::process::getuid().is_root() { "user root;" } else { "" };
        let connections = self.files / 2 - 500;
        let values = [
            ("{USER}", user.to_owned()),
            ("{DIR}", path(self.folder.to_owned())),
            ("{LOG}", path(Proxy::log(self.folder))),
            ("{CA}", path(authority::ca(self.shared))),
            ("{PORT}", self.port.to_string()),
            ("{UPSTREAM}", self.upstream.to_string()),
            ("{WORKERS}", self.workers.to_string()),
            ("{FILES}", self.files.to_string()),
            ("{CONNECTIONS}", connections.to_string()),
            ("{TOKEN}", self.token.to_owned()),
            ("{ID}", CLIENT_ID.to_owned()),
            ("{SECRET}", CLIENT_SECRET.to_owned()),
            ("{ALPN}", if self.h2 { "h2" } else { "http/1.1" }.to_owned()),
            ("{ENVOY_HTTP}", if self.h2 { ENVOY_H2 } else { "http_protocol_options: {}" }.to_owned()),
            ("{CADDY_HTTP}", if self.h2 { "2" } else { "1.1" }.to_owned()),
        ];
        let text = values.iter().fold(template.to_owned(), |text, (name, value)| text.replace(name, value));
        let file = self.folder.join(name);
        write(&file, text)?;
        Ok(file)
    }
}
