//! One end of a connection in the test's own hands: bytes are said and heard when the test says so.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Whatever a test waits for happens at once or never; this only turns never into a failure.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(60), what).await.expect("it happens soon")
}

trait Io: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

/// A connection, from either side.
pub(crate) struct Talk {
    io: Box<dyn Io>,
    buffer: Vec<u8>,
}

impl Talk {
    pub(crate) fn over(io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Self {
        Self { io: Box::new(io), buffer: Vec::new() }
    }

    pub(crate) async fn with(addr: SocketAddr) -> Self {
        let tcp = soon(TcpStream::connect(addr)).await.expect("connected");
        tcp.set_nodelay(true).expect("nodelay");
        Self::over(tcp)
    }

    /// To hear and to say at the same time.
    pub(crate) fn split(self) -> (Self, Self) {
        let (read, write) = tokio::io::split(self.io);
        let hears = tokio::io::join(read, tokio::io::sink());
        let says = tokio::io::join(tokio::io::empty(), write);
        (Self { io: Box::new(hears), buffer: self.buffer }, Self::over(says))
    }

    pub(crate) async fn say(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_say(bytes).await.expect("written");
    }

    /// Answers a request for a token with one that lives for so many seconds.
    pub(crate) async fn grant(&mut self, token: &str, seconds: u32) {
        let body = format!(r#"{{"access_token":"{token}","token_type":"Bearer","expires_in":{seconds}}}"#);
        self.say(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())).await;
    }

    /// Says it unless the other side has left.
    pub(crate) async fn try_say(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        soon(self.io.write_all(bytes.as_ref())).await?;
        soon(self.io.flush()).await
    }

    /// No more from us; the other side may go on.
    pub(crate) async fn finish(&mut self) {
        soon(self.io.shutdown()).await.expect("shut down");
    }

    /// Everything up to and including `end`.
    pub(crate) async fn until(&mut self, end: &[u8]) -> Vec<u8> {
        loop {
            if let Some(at) = self.buffer.windows(end.len()).position(|w| w == end) {
                return self.buffer.drain(..at + end.len()).collect();
            }
            let more = self.more().await;
            assert!(more, "closed before {:?}: {:?}", show(end), show(&self.buffer));
        }
    }

    /// A message head, as text with lower-case names.
    pub(crate) async fn head(&mut self) -> Head {
        let bytes = self.until(b"\r\n\r\n").await;
        Head(bytes)
    }

    /// A message head, or `None` if the other side closes or resets before there is one.
    pub(crate) async fn try_head(&mut self) -> Option<Head> {
        loop {
            if let Some(at) = self.buffer.windows(4).position(|w| w == b"\r\n\r\n") {
                return Some(Head(self.buffer.drain(..at + 4).collect()));
            }
            if !self.more().await {
                return None;
            }
        }
    }

    pub(crate) async fn exactly(&mut self, n: usize) -> Vec<u8> {
        while self.buffer.len() < n {
            let more = self.more().await;
            assert!(more, "closed after {} of {n} bytes", self.buffer.len());
        }
        self.buffer.drain(..n).collect()
    }

    /// `n` bytes, or fewer if the other side closes or resets.
    pub(crate) async fn up_to(&mut self, n: usize) -> Vec<u8> {
        while self.buffer.len() < n && self.more().await {}
        self.buffer.drain(..n.min(self.buffer.len())).collect()
    }

    /// All that comes until the other side closes or resets.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        while self.more().await {}
        std::mem::take(&mut self.buffer)
    }

    /// [`rest`](Self::rest) as text.
    pub(crate) async fn rest_text(&mut self) -> String {
        show(&self.rest().await)
    }

    /// Whether the other side says no more and ends properly, which over TLS takes a goodbye.
    pub(crate) async fn ends_properly(&mut self) -> bool {
        let mut byte = [0; 1];
        self.buffer.is_empty() && matches!(soon(self.io.read(&mut byte)).await, Ok(0))
    }

    /// Whether nothing has come so far.
    pub(crate) async fn heard_nothing(&mut self) -> bool {
        let mut chunk = [0; 1];
        tokio::select! {
            biased;
            read = self.io.read(&mut chunk) => {
                if let Ok(n) = read {
                    self.buffer.extend_from_slice(&chunk[..n]);
                }
                false
            }
            () = std::future::ready(()) => self.buffer.is_empty(),
        }
    }

    async fn more(&mut self) -> bool {
        let mut chunk = vec![0; 16 * 1024];
        match soon(self.io.read(&mut chunk)).await {
            Ok(0) | Err(_) => false,
            Ok(n) => {
                self.buffer.extend_from_slice(&chunk[..n]);
                true
            }
        }
    }
}

/// The head of a request or response, byte for byte.
#[derive(Debug, Clone)]
pub(crate) struct Head(Vec<u8>);

impl Head {
    pub(crate) fn text(&self) -> String {
        show(&self.0)
    }

    /// The request or status line.
    pub(crate) fn first_line(&self) -> String {
        self.text().lines().next().unwrap_or_default().to_owned()
    }

    /// Raw values of the lines named `name`, in order.
    pub(crate) fn raw(&self, name: &str) -> Vec<Vec<u8>> {
        let lines = self.0.split(|b| *b == b'\n').skip(1);
        let split = lines.filter_map(|line| {
            let at = line.iter().position(|b| *b == b':')?;
            Some((line.get(..at)?, line.get(at + 1..)?))
        });
        split
            .filter(|(n, _)| n.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, v)| v.trim_ascii().to_vec())
            .collect()
    }

    /// Values of the lines named `name`, in order.
    pub(crate) fn all(&self, name: &str) -> Vec<String> {
        self.raw(name).iter().map(|v| show(v)).collect()
    }
}

pub(crate) fn show(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
