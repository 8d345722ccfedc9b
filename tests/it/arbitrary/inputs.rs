//! Inputs: proper requests, taken apart and put together wrongly; and some noise.

/// Proper requests, or what an attacker takes for one.
static SEEDS: &[&str] = &[
    "GET /v1/workspaces HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "GET /v1/jobs?limit=20&orderBy=createdAt%7CDESC HTTP/1.1\r\nHost: 127.0.0.1:8484\r\nUser-Agent: curl/8\r\nAccept: */*\r\n\r\n",
    "POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 18\r\n\r\n{\"jobType\":\"sync\"}",
    "POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nX-T: 1\r\n\r\n",
    "POST /api/public/v1/sources HTTP/1.1\r\nHost: [::1]:1\r\nContent-Length: 48\r\n\r\nGET /v1/smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n\r\n",
    "PUT /v1/sources/a;b=c//d?x=/?@ HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n{}",
    "GET http://localhost/v1/tags HTTP/1.1\r\nHost: localhost\r\nConnection: close, X-Y\r\nX-Y: 1\r\n\r\n",
    "HEAD /v1/users HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\nSec-Fetch-Site: same-origin\r\n\r\n",
    "OPTIONS /v1/regions HTTP/1.1\r\nHost: localhost\r\nMax-Forwards: 3\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "DELETE /v1/connections/%61bc HTTP/1.0\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n",
    "GET /-/ready HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "POST /v1/applications/token HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}",
    "GET /v1/jobs HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n",
    "GET /v1/workspaces HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer mine\r\nCookie: a=b\r\nX-Forwarded-For: 1\r\nTransfer_Encoding: chunked\r\n\r\n",
];

/// What makes parsers disagree.
static PIECES: &[&str] = &[
    "\r\n",
    "\n",
    "\r",
    "\r\n\r\n",
    "\0",
    " ",
    "\t",
    "\x0b",
    "\x7f",
    "\u{e9}",
    "\u{feff}",
    ":",
    ",",
    ";",
    "%",
    "%00",
    "%2e%2e",
    "%2F",
    "%5c",
    "%zz",
    "/",
    "//",
    "/../",
    "/./",
    "..;/",
    "\\",
    "#",
    "?",
    "@",
    "[",
    "]",
    "|",
    "\"",
    "<",
    "0",
    "00",
    "-1",
    "+1",
    "0x",
    "18446744073709551615",
    "18446744073709551616",
    "ffffffffffffffff",
    "chunked",
    "gzip",
    "identity",
    "HTTP/1.0",
    "HTTP/1.1",
    "HTTP/2.0",
    "Host: localhost\r\n",
    "Host: evil.example\r\n",
    "Host:\r\n",
    "Content-Length: 5\r\n",
    "Content-Length: 0\r\n",
    "Content-Length: 5, 5\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding: chunked, chunked\r\n",
    "Transfer-Encoding : chunked\r\n",
    "Transfer-Encoding:\x0bchunked\r\n",
    "Connection: close\r\n",
    "Connection: content-length\r\n",
    "Connection: host, authorization, transfer-encoding\r\n",
    "Expect: 100-continue\r\n",
    "Origin: null\r\n",
    "Sec-Fetch-Site: cross-site\r\n",
    "Upgrade: websocket\r\n",
    "X-Http-Method-Override: DELETE\r\n",
    "Authorization: Bearer x\r\n",
    " folded\r\n",
    "X: \u{fc}\r\n",
    "GET",
    "POST",
    "CONNECT",
    "TRACE",
    "PRI",
    "get",
    "http://localhost",
    "http://evil.example",
    "https://",
    "*",
    "/v1",
    "/api/public/v1",
    "/api/v1",
    "/applications",
    "/-/",
    "localhost",
    "127.0.0.1",
    "GET /v1/x HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "0\r\n\r\n",
    "1\r\nx\r\n",
    "\x16\x03\x01\x02",
];

/// The same inputs for the same seed.
pub(super) struct Inputs(fastrand::Rng);

impl Inputs {
    pub(super) fn new(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    pub(super) fn next(&mut self) -> Vec<u8> {
        if self.0.u8(..) < 4 {
            return (0..self.0.usize(..300)).map(|_| self.0.u8(..)).collect();
        }
        let mut input = Vec::new();
        for _ in 0..=(self.0.usize(..3) * self.0.usize(..2)) {
            input.extend_from_slice(self.pick(SEEDS));
        }
        for _ in 0..self.0.usize(..4) {
            self.mutate(&mut input);
        }
        input
    }

    fn pick<'a>(&mut self, from: &'a [&str]) -> &'a [u8] {
        from[self.0.usize(..from.len())].as_bytes()
    }

    /// A short part of `input`.
    fn part(&mut self, input: &[u8]) -> std::ops::Range<usize> {
        let start = self.0.usize(..=input.len());
        let most = (input.len() - start).min(24);
        start..start + self.0.usize(..=most)
    }

    fn mutate(&mut self, input: &mut Vec<u8>) {
        let part = self.part(input);
        match self.0.u8(..9) {
            0 => drop(input.drain(part)),
            1 => {
                let copy = input[part.clone()].to_vec();
                input.splice(part.end..part.end, copy);
            }
            2 => {
                let piece = self.pick(PIECES);
                input.splice(part.start..part.start, piece.iter().copied());
            }
            3 => {
                let piece = self.pick(PIECES);
                input.splice(part, piece.iter().copied());
            }
            4 => input[part].iter_mut().for_each(|byte| *byte ^= 0x20),
            5 => {
                let byte = self.0.u8(..);
                input.splice(part.start..part.start, [byte]);
            }
            6 => self.add_line(input),
            7 => {
                let other = self.pick(SEEDS);
                let other = other[self.part(other)].to_vec();
                input.splice(part, other);
            }
            _ if self.0.u8(..8) == 0 => input.truncate(part.start),
            _ => {}
        }
    }

    /// After a line end, which is where a field does most.
    fn add_line(&mut self, input: &mut Vec<u8>) {
        let ends: Vec<_> = (1..input.len()).filter(|&i| input[i - 1] == b'\n').collect();
        if !ends.is_empty() {
            let at = ends[self.0.usize(..ends.len())];
            let piece = self.pick(PIECES);
            input.splice(at..at, piece.iter().copied());
        }
    }
}
