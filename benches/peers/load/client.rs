//! One HTTP/1.1 connection, without a library.

use std::net::SocketAddr;

use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::Plan;
use crate::content;

/// Room for any head, and for what comes of a body at a time.
const BUFFER: usize = 64 * 1024;

const LENGTH: &[u8] = b"\r\ncontent-length: ";

pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// The bytes of a request, body included.
pub(super) fn request(plan: &Plan) -> Vec<u8> {
    let method = if plan.upload.is_some() { "POST" } else { "GET" };
    let (target, port) = (&plan.target, plan.proxy.port());
    let body = plan.upload.map(content::bytes);
    let framing = body
        .as_ref()
        .map(|body| format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len()));
    let mut bytes = format!(
        "{method} {target} HTTP/1.1\r\nhost: localhost:{port}\r\nuser-agent: benchmark\r\naccept: */*\r\n{}\r\n",
        framing.unwrap_or_default()
    )
    .into_bytes();
    bytes.extend_from_slice(&body.unwrap_or_default());
    bytes
}

impl Connection {
    pub(crate) async fn open(proxy: SocketAddr) -> Result<Self, String> {
        let stream = TcpStream::connect(proxy).await.map_err(|error| format!("connecting: {error}"))?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        // Grows when a body needs it: ten thousand idle ones must not cost the machine's memory.
        Ok(Self { stream, buffer: vec![0; 2048] })
    }

    /// Sends and reads the answer, which must be 200 with exactly these bytes.
    pub(crate) async fn ask(&mut self, request: &[u8], expected: &Bytes) -> Result<(), String> {
        if expected.len() > self.buffer.len() {
            self.buffer.resize(BUFFER, 0);
        }
        self.stream.write_all(request).await.map_err(|error| format!("writing: {error}"))?;
        let (head, mut filled) = self.head().await?;
        // With what there is of the body, which often says what is wrong.
        check(&self.buffer[..filled], expected.len())?;
        let mut seen = 0;
        let mut from = head;
        loop {
            let piece = &self.buffer[from..filled];
            let wanted = expected.get(seen..seen + piece.len());
            if wanted != Some(piece) {
                return Err(format!("the body is wrong after {seen} bytes"));
            }
            seen += piece.len();
            if seen == expected.len() {
                return Ok(());
            }
            (from, filled) = (0, self.read(0).await?);
        }
    }

    /// Where the head ends, and how much has been read.
    async fn head(&mut self) -> Result<(usize, usize), String> {
        let mut filled = 0;
        loop {
            filled += self.read(filled).await?;
            let end = self.buffer[..filled].windows(4).position(|four| four == b"\r\n\r\n");
            if let Some(end) = end {
                return Ok((end + 4, filled));
            }
            if filled == self.buffer.len() {
                return Err("the head does not end".into());
            }
        }
    }

    async fn read(&mut self, from: usize) -> Result<usize, String> {
        match self.stream.read(&mut self.buffer[from..]).await {
            Ok(0) => Err("the connection was closed".into()),
            Ok(n) => Ok(n),
            Err(error) => Err(format!("reading: {error}")),
        }
    }
}

fn check(head: &[u8], length: usize) -> Result<(), String> {
    let told = || String::from_utf8_lossy(head).into_owned();
    if !head.starts_with(b"HTTP/1.1 200 ") {
        return Err(format!("the answer is {:?}", told()));
    }
    let place = head.windows(LENGTH.len()).position(|line| line.eq_ignore_ascii_case(LENGTH));
    let digits = place.map(|place| &head[place + LENGTH.len()..]).unwrap_or_default();
    let digits = digits.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let said = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
    if said == Some(length) { Ok(()) } else { Err(format!("the length is not {length} in {:?}", told())) }
}
