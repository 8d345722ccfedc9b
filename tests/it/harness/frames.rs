//! An HTTP/2 server frame by frame (RFC 9113 §4.1), for what a proper one would never do.

use super::talk::Talk;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PUSH_PROMISE: u8 = 5;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const ACK: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

pub(crate) const MAX_CONCURRENT_STREAMS: u16 = 3;

pub(crate) const NO_ERROR: u32 = 0;
pub(crate) const INTERNAL_ERROR: u32 = 2;
pub(crate) const REFUSED_STREAM: u32 = 7;
pub(crate) const CANCEL: u32 = 8;

#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

/// The server's side of a connection.
pub(crate) struct Frames(Talk);

impl Frames {
    /// Reads the preface and says these settings.
    pub(crate) async fn start(mut talk: Talk, settings: &[(u16, u32)]) -> Self {
        assert_eq!(talk.exactly(24).await, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        let mut frames = Self(talk);
        let payload =
            settings.iter().flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat());
        frames.send(SETTINGS, 0, 0, &payload.collect::<Vec<u8>>()).await;
        frames
    }

    pub(crate) async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).expect("a frame").to_be_bytes();
        let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
        // It may have hung up: what it then does is for the test to look at.
        let _ = self.0.try_say([head.as_slice(), payload].concat()).await;
    }

    /// Any frame, or `None` at the end of the connection.
    async fn any(&mut self) -> Option<Frame> {
        let head = self.0.up_to(9).await;
        let [a, b, c, kind, flags, s @ ..] = <[u8; 9]>::try_from(head).ok()?;
        let payload = self.0.exactly(u32::from_be_bytes([0, a, b, c]) as usize).await;
        Some(Frame { kind, flags, stream: u32::from_be_bytes(s), payload })
    }

    /// The next frame that is about a request; answers what has to be answered.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        loop {
            let frame = self.any().await?;
            match frame.kind {
                SETTINGS if frame.flags & ACK == 0 => self.send(SETTINGS, ACK, 0, &[]).await,
                PING if frame.flags & ACK == 0 => self.send(PING, ACK, 0, &frame.payload).await,
                HEADERS | DATA | RST_STREAM | GOAWAY => return Some(frame),
                _ => {}
            }
        }
    }

    pub(crate) async fn expect(&mut self, kind: u8) -> Frame {
        let frame = self.next().await.expect("not closed");
        assert_eq!(frame.kind, kind, "{frame:?}");
        frame
    }

    /// A whole request: its stream and its body.
    pub(crate) async fn request(&mut self) -> (u32, Vec<u8>) {
        let head = self.expect(HEADERS).await;
        let mut body = Vec::new();
        let mut flags = head.flags;
        while flags & END_STREAM == 0 {
            let data = self.expect(DATA).await;
            assert_eq!(data.stream, head.stream);
            body.extend(data.payload);
            flags = data.flags;
        }
        (head.stream, body)
    }

    /// `:status: 200` and nothing else.
    pub(crate) async fn ok(&mut self, stream: u32) {
        self.send(HEADERS, END_HEADERS | END_STREAM, stream, &[0x88]).await;
    }

    pub(crate) async fn reset(&mut self, stream: u32, code: u32) {
        self.send(RST_STREAM, 0, stream, &code.to_be_bytes()).await;
    }

    pub(crate) async fn go_away(&mut self, last: u32, code: u32) {
        self.send(GOAWAY, 0, 0, &[last.to_be_bytes(), code.to_be_bytes()].concat()).await;
    }

    /// Gives room for `bytes` more on the connection and on `stream`.
    pub(crate) async fn window(&mut self, stream: u32, bytes: u32) {
        self.send(WINDOW_UPDATE, 0, 0, &bytes.to_be_bytes()).await;
        self.send(WINDOW_UPDATE, 0, stream, &bytes.to_be_bytes()).await;
    }

    /// Nothing about any request comes before the end of the connection.
    pub(crate) async fn closes(&mut self) {
        while let Some(frame) = self.next().await {
            assert!(matches!(frame.kind, GOAWAY | RST_STREAM), "{frame:?}");
        }
    }
}

/// A header field as a literal that is not indexed (RFC 7541 §6.2.2).
pub(crate) fn field(name: &str, value: &str) -> Vec<u8> {
    let length = |text: &str| u8::try_from(text.len()).expect("short");
    [&[0, length(name)], name.as_bytes(), &[length(value)], value.as_bytes()].concat()
}
