//! The guard through the binary: policy, client keys, CORS, the ceiling. What is refused must not reach upstream.

#![cfg(unix)]

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use http::Response;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::harness::upstream::{Body, Speaks, Upstream, full};

mod ceiling;
mod cors;
mod keys;
mod policy;

const PATIENCE: Duration = Duration::from_secs(20);

/// An upstream that answers everything.
async fn upstream() -> Upstream {
    Upstream::start(Speaks::Http1, |_| async { answer() }).await
}

fn answer() -> Response<Body> {
    // What an upstream says of origins is not ours to pass on.
    let response = Response::builder().header("access-control-allow-origin", "*").header("x-upstream", "1");
    response.body(full("{}")).expect("response")
}

/// `airbyte-proxy serve` in front of some upstream. Dropping it ends it.
struct Proxy {
    at: SocketAddr,
    child: Child,
    lines: mpsc::UnboundedReceiver<String>,
    /// Everything it has written so far, as far as anybody asked.
    written: Vec<String>,
}

/// The command line and the environment for [`Proxy::start`].
fn command(program: &str, upstream: &Upstream) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("AIRBYTE_CLIENT_ID", "id")
        .env("AIRBYTE_CLIENT_SECRET", "upstream-secret")
        // By number: one of the tests has no /etc/hosts.
        .env("AIRBYTE_PROXY_UPSTREAM_API_URL", upstream.api_url().replace("localhost", "127.0.0.1"))
        .env("AIRBYTE_PROXY_LISTEN", "127.0.0.1:0")
        .env("AIRBYTE_PROXY_WORKERS", "1")
        .env("AIRBYTE_PROXY_LOG_FORMAT", "json");
    command
}

fn serve(upstream: &Upstream) -> Command {
    command(env!("CARGO_BIN_EXE_airbyte-proxy"), upstream)
}

impl Proxy {
    async fn start(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("spawn");
        let mut stderr = BufReader::new(child.stderr.take().expect("piped")).lines();
        let (send, lines) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok(Some(line)) = stderr.next_line().await {
                let _ = send.send(line);
            }
        });
        let mut proxy = Self { at: ([127, 0, 0, 1], 0).into(), child, lines, written: Vec::new() };
        let listening = proxy.event(|event| event["message"] == "listening").await;
        let address = listening["address"].as_str().expect("an address");
        if let Some(address) = address.strip_prefix("http://") {
            let mut at: SocketAddr = address.parse().expect("address");
            at.set_ip([127, 0, 0, 1].into());
            proxy.at = at;
            // Before the first token there are other reasons to be refused.
            let ready = async { while proxy.status("GET", "/-/ready", &[]).await != 200 {} };
            timeout(PATIENCE, ready).await.expect("ready in time");
        }
        proxy
    }

    /// The next event that is it.
    async fn event(&mut self, is: impl Fn(&Value) -> bool) -> Value {
        let next = async {
            loop {
                let line = self.lines.recv().await;
                let Some(line) = line else { panic!("it has ended: {:#?}", self.written) };
                self.written.push(line.clone());
                if let Ok(event) = serde_json::from_str::<Value>(&line)
                    && is(&event)
                {
                    return event;
                }
            }
        };
        timeout(PATIENCE, next).await.expect("the event in time")
    }

    /// The access event of the next request with this status.
    async fn access(&mut self, status: u16) -> Value {
        self.event(|event| {
            event["target"] == "access" && event["status"] == status && event["route"] != "/-/"
        })
        .await
    }

    /// Sends `method` and `target` as they are, with these fields and nothing but a host besides.
    async fn send(&self, method: &str, target: &str, fields: &[(&str, &str)], body: &str) -> Answer {
        let mut head = format!("{method} {target} HTTP/1.1\r\n");
        if fields.iter().all(|(name, _)| *name != "Host") {
            head += "Host: localhost\r\n";
        }
        for (name, value) in fields {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        let request = format!("{head}Content-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
        let mut tcp = TcpStream::connect(self.at).await.expect("connected");
        tcp.write_all(request.as_bytes()).await.expect("written");
        let mut answer = Vec::new();
        let _ = timeout(PATIENCE, tcp.read_to_end(&mut answer)).await.expect("an answer in time");
        Answer::parse(&String::from_utf8_lossy(&answer))
    }

    async fn status(&self, method: &str, target: &str, fields: &[(&str, &str)]) -> u16 {
        self.send(method, target, fields, "").await.status
    }

    /// Sends until the status is `status`: a change that is noticed by polling. At most as long as is promised.
    async fn becomes(&self, status: u16, target: &str, fields: &[(&str, &str)]) {
        let asking = async { while self.status("GET", target, fields).await != status {} };
        timeout(Duration::from_secs(5), asking).await.expect("in use within 5 s");
    }

    /// Stops it and yields everything it has written.
    async fn end(mut self) -> String {
        self.child.kill().await.expect("killed");
        while let Some(line) = self.lines.recv().await {
            self.written.push(line);
        }
        self.written.join("\n")
    }
}

struct Answer {
    status: u16,
    fields: Vec<(String, String)>,
    body: String,
}

impl Answer {
    fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head: {text:?}"));
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).expect("a status");
        let fields = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()));
        Self { status, fields: fields.collect(), body: body.to_owned() }
    }

    fn all(&self, name: &str) -> Vec<&str> {
        self.fields.iter().filter(|(n, _)| n == name).map(|(_, value)| value.as_str()).collect()
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// The last part of a problem's type.
    fn problem(&self) -> String {
        let kind = self.json()["type"].as_str().unwrap_or_default().to_owned();
        kind.rsplit(':').next().unwrap_or_default().to_owned()
    }

    fn cors(&self) -> Vec<&str> {
        let of = |name: &str| name.starts_with("access-control-");
        self.fields.iter().map(|(name, _)| name.as_str()).filter(|name| of(name)).collect()
    }
}

/// Method, target and body-less requests that got through, in order.
fn passed(upstream: &Upstream) -> Vec<String> {
    upstream.seen().iter().map(|head| format!("{} {}", head.method, head.uri)).collect()
}

fn private(path: &Path, content: &str) {
    std::fs::write(path, content).expect("write");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).expect("chmod");
}
