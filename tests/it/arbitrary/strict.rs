//! An upstream that takes nothing but well-formed requests with exactly one token, and complains of the rest.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// The field that numbers its answers.
pub(super) const ID: &str = "x-upstream-id";

#[derive(Default)]
struct Record {
    /// Of whole requests, by the number of their answers.
    targets: HashMap<u64, Vec<u8>>,
    /// Requests whose body broke off.
    broken: u64,
    complaints: Vec<String>,
}

pub(super) struct Strict {
    addr: SocketAddr,
    record: Arc<Mutex<Record>>,
    _task: JoinSet<()>,
}

impl Strict {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let addr = listener.local_addr().expect("bound");
        let record = Arc::new(Mutex::new(Record::default()));
        let recorded = Arc::clone(&record);
        let mut task = JoinSet::new();
        task.spawn(async move {
            loop {
                let Ok((tcp, _)) = listener.accept().await else { return };
                tokio::spawn(serve(tcp, Arc::clone(&recorded)));
            }
        });
        Self { addr, record, _task: task }
    }

    pub(super) fn api_url(&self) -> String {
        format!("http://localhost:{}/v1", self.addr.port())
    }

    fn record(&self) -> std::sync::MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it was asked, in the request that this is the answer of.
    pub(super) fn target(&self, id: u64) -> Vec<u8> {
        self.record().targets.get(&id).cloned().expect("it was asked that")
    }

    pub(super) fn answered(&self) -> u64 {
        self.record().targets.len() as u64
    }

    pub(super) fn broken(&self) -> u64 {
        self.record().broken
    }

    pub(super) fn complaints(&self) -> Vec<String> {
        self.record().complaints.clone()
    }
}

/// Bytes of one connection.
struct Reader {
    tcp: TcpStream,
    buffer: Vec<u8>,
}

impl Reader {
    /// Up to and including `end`; `None` at the end of the connection.
    async fn until(&mut self, end: &[u8]) -> Option<Vec<u8>> {
        loop {
            if let Some(at) = self.buffer.windows(end.len()).position(|w| w == end) {
                return Some(self.buffer.drain(..at + end.len()).collect());
            }
            self.more().await?;
        }
    }

    async fn exactly(&mut self, n: usize) -> Option<Vec<u8>> {
        while self.buffer.len() < n {
            self.more().await?;
        }
        Some(self.buffer.drain(..n).collect())
    }

    async fn more(&mut self) -> Option<()> {
        (self.tcp.read_buf(&mut self.buffer).await.ok()? > 0).then_some(())
    }
}

async fn serve(tcp: TcpStream, record: Arc<Mutex<Record>>) {
    let mut reader = Reader { tcp, buffer: Vec::new() };
    while let Some(bytes) = reader.until(b"\r\n\r\n").await {
        let complain = |what: &str| {
            let text = format!("{what}: {}", bytes.escape_ascii());
            record.lock().unwrap_or_else(PoisonError::into_inner).complaints.push(text);
        };
        let head = match Head::parse(&bytes) {
            Ok(head) => head,
            Err(what) => return complain(what),
        };
        match head.body(&mut reader).await {
            Ok(Some(())) => {}
            Ok(None) => {
                record.lock().unwrap_or_else(PoisonError::into_inner).broken += 1;
                return;
            }
            Err(what) => return complain(what),
        }
        let id = {
            let mut record = record.lock().unwrap_or_else(PoisonError::into_inner);
            let id = record.targets.len() as u64;
            record.targets.insert(id, head.target);
            id
        };
        let content = if head.method == b"HEAD" { "" } else { "ok" };
        let answer = format!("HTTP/1.1 200 OK\r\n{ID}: {id}\r\ncontent-length: 2\r\n\r\n{content}");
        if reader.tcp.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

struct Head {
    method: Vec<u8>,
    target: Vec<u8>,
    length: Option<usize>,
    chunked: bool,
}

/// Of RFC 9110 §5.6.2.
fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b))
}

/// Of RFC 3986, path and query.
fn is_target(bytes: &[u8]) -> bool {
    let plain = |b: &u8| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@%/?".contains(b);
    bytes.starts_with(b"/v1") && bytes.iter().all(plain)
}

/// Fields that are not for upstream.
const NOT_FOR_UPSTREAM: [&str; 13] = [
    "connection",
    "keep-alive",
    "te",
    "trailer",
    "upgrade",
    "http2-settings",
    "expect",
    "cookie",
    "origin",
    "referer",
    "transfer_encoding",
    "x-http-method",
    "x-http-method-override",
];

/// Families of such fields.
const NOT_FOR_UPSTREAM_EITHER: [&str; 3] = ["proxy-", "sec-fetch-", "x-forwarded-"];

impl Head {
    fn parse(bytes: &[u8]) -> Result<Self, &'static str> {
        let mut lines = bytes[..bytes.len() - 4].split(|&b| b == b'\n');
        let mut line = || lines.next().map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let first = line().unwrap_or_default();
        let words: Vec<&[u8]> = first.split(|&b| b == b' ').collect();
        let &[method, target, b"HTTP/1.1"] = words.as_slice() else { return Err("request line") };
        if !is_token(method) || !is_target(target) {
            return Err("method or target");
        }
        let mut head =
            Self { method: method.to_vec(), target: target.to_vec(), length: None, chunked: false };
        let (mut hosts, mut tokens) = (0, 0);
        while let Some(line) = line() {
            let colon = line.iter().position(|&b| b == b':').ok_or("a line without a colon")?;
            let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
            if !is_token(name) || value.iter().any(|&b| (b < b' ' && b != b'\t') || b == 0x7f) {
                return Err("a field");
            }
            let name = String::from_utf8_lossy(name).to_ascii_lowercase();
            match name.as_str() {
                "host" if value.starts_with(b"localhost:") => hosts += 1,
                "authorization" if value.starts_with(b"Bearer upstream-token-") => tokens += 1,
                "host" | "authorization" => return Err("not ours"),
                "content-length" if head.length.is_none() => {
                    let digits = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
                    head.length = Some(digits.ok_or("length")?);
                }
                "content-length" => return Err("two lengths"),
                "transfer-encoding" if value == b"chunked" && !head.chunked => head.chunked = true,
                "transfer-encoding" => return Err("transfer coding"),
                name if NOT_FOR_UPSTREAM.contains(&name) => return Err("not for upstream"),
                name if NOT_FOR_UPSTREAM_EITHER.iter().any(|start| name.starts_with(start)) => {
                    return Err("not for upstream");
                }
                _ => {}
            }
        }
        match (hosts, tokens, head.length.is_some() && head.chunked) {
            (1, 1, false) => Ok(head),
            (1, 1, true) => Err("two framings"),
            _ => Err("not one host and one token"),
        }
    }

    /// Reads the body to its end; `None` if it has none.
    async fn body(&self, reader: &mut Reader) -> Result<Option<()>, &'static str> {
        if let Some(length) = self.length {
            return Ok(reader.exactly(length).await.map(drop));
        }
        if !self.chunked {
            return Ok(Some(()));
        }
        loop {
            let Some(line) = reader.until(b"\r\n").await else { return Ok(None) };
            let digits = std::str::from_utf8(&line[..line.len() - 2]).map_err(|_| "chunk size")?;
            let size = usize::from_str_radix(digits, 16).map_err(|_| "chunk size")?;
            let Some(chunk) = reader.exactly(size + 2).await else { return Ok(None) };
            if !chunk.ends_with(b"\r\n") {
                return Err("chunk end");
            }
            if size == 0 {
                return Ok(Some(()));
            }
        }
    }
}
