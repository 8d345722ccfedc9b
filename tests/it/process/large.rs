//! Bodies of 1 GiB pass in little memory, both ways, byte for byte.

use std::pin::Pin;
use std::sync::LazyLock;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Method, Request, Response, header};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use crate::harness::process::{Process, airbyte_proxy};
use crate::harness::upstream::{Body, Speaks, Upstream, full};
use crate::harness::{tls, trace};

const GIB: u64 = 1024 * 1024 * 1024;
/// What the proxy may have had at most, in KiB.
const LIMIT: u64 = 40 * 1024;

/// The length of the pattern is a prime, so no block of any size fits it.
const PERIOD: usize = 65_521;
const BLOCK: usize = 64 * 1024;

static PATTERN: LazyLock<Bytes> = LazyLock::new(|| {
    let one = |at: usize| u8::try_from((at * 31 + at / 251) % 256).expect("a byte");
    (0..PERIOD + BLOCK).map(|at| one(at % PERIOD)).collect()
});

/// `length` bytes of the pattern from position `at` of the body.
fn pattern(at: u64, length: usize) -> Bytes {
    let start = usize::try_from(at % PERIOD as u64).expect("small");
    PATTERN.slice(start..start + length.min(BLOCK))
}

/// A body that is made while it is sent.
struct Made {
    at: u64,
    length: u64,
}

impl http_body::Body for Made {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        let left = self.length - self.at;
        if left == 0 {
            return Poll::Ready(None);
        }
        let block = pattern(self.at, usize::try_from(left).unwrap_or(BLOCK));
        self.at += block.len() as u64;
        Poll::Ready(Some(Ok(Frame::data(block))))
    }

    fn is_end_stream(&self) -> bool {
        self.at == self.length
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.length - self.at)
    }
}

/// Reads a body to its end, holds it against the pattern, and says how long it was.
async fn checked<B>(mut body: B) -> u64
where
    B: http_body::Body<Data = Bytes, Error: std::fmt::Debug> + Unpin,
{
    let mut at = 0;
    while let Some(frame) = body.frame().await {
        let Ok(mut data) = frame.expect("a whole body").into_data() else { continue };
        while !data.is_empty() {
            let part = data.split_to(data.len().min(BLOCK));
            assert!(part == pattern(at, part.len()), "other bytes than were sent, around {at}");
            at += part.len() as u64;
        }
    }
    at
}

async fn upstream(request: Request<Incoming>) -> Response<Body> {
    if request.method() == Method::GET {
        return Response::new(Made { at: 0, length: GIB }.boxed());
    }
    let length = checked(request.into_body()).await;
    Response::new(full(length.to_string()))
}

async fn send<B>(proxy: &Process, request: Request<B>) -> Response<Incoming>
where
    B: http_body::Body<Data = Bytes, Error = std::io::Error> + Send + 'static,
{
    let tcp = tokio::net::TcpStream::connect(proxy.addr).await.expect("connected");
    let io = hyper_util::rt::TokioIo::new(tcp);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.expect("a connection");
    tokio::spawn(connection);
    sender.send_request(request).await.expect("an answer")
}

fn request(method: Method, length: u64) -> Request<Made> {
    let request = Request::builder().method(method).uri("/v1/sources").header(header::HOST, "localhost");
    request.body(Made { at: 0, length }).expect("a request")
}

#[expect(clippy::print_stdout, reason = "a figure of the test run")]
fn both_ways(speaks: Speaks) {
    trace::silent(async {
        let upstream = Upstream::start(speaks, upstream).await;
        let proxy = airbyte_proxy("--listen 127.0.0.1:0")
            .at_its_own_level()
            .env("AIRBYTE_PROXY_UPSTREAM_API_URL", upstream.api_url())
            .env("AIRBYTE_PROXY_UPSTREAM_CA_FILE", tls::ca_file())
            .env("AIRBYTE_CLIENT_ID", "an-id")
            .env("AIRBYTE_CLIENT_SECRET", "a-secret-of-nobody")
            .start()
            .await;
        let up = send(&proxy, request(Method::POST, GIB)).await;
        let counted = up.into_body().collect().await.expect("a whole answer").to_bytes();
        assert_eq!(counted, GIB.to_string());
        let after_upload = proxy.peak_memory();
        let down = send(&proxy, request(Method::GET, 0)).await;
        assert_eq!(down.headers()[header::CONTENT_LENGTH], GIB.to_string());
        assert_eq!(checked(down.into_body()).await, GIB);
        let after_both = proxy.peak_memory();
        println!("{speaks:?}: VmHWM {after_upload} KiB after 1 GiB up, {after_both} KiB after 1 GiB down");
        assert!(after_both < LIMIT, "{after_both} KiB");
        proxy.stop().await;
    });
}

#[test]
fn one_gib_up_and_down_takes_under_40_mib() {
    both_ways(Speaks::Http1);
}

#[test]
fn one_gib_up_and_down_over_http2_and_tls_takes_under_40_mib() {
    both_ways(Speaks::Http2Tls);
}

/// The user's own tool, which asks to continue before it sends, and reads a file.
#[test]
fn curl_uploads_and_downloads_1_gib() {
    if std::process::Command::new("curl").arg("--version").output().is_err() {
        return println!("skipped: there is no curl here");
    }
    trace::silent(async {
        let counts = |request: Request<Incoming>| async {
            if request.method() == Method::GET {
                return upstream(request).await;
            }
            let mut body = request.into_body();
            let mut length = 0;
            while let Some(frame) = body.frame().await {
                length += frame.expect("a whole body").into_data().map_or(0, |data| data.len());
            }
            Response::new(full(length.to_string()))
        };
        let upstream = Upstream::start(Speaks::Http1, counts).await;
        let proxy = airbyte_proxy("--listen 127.0.0.1:0")
            .at_its_own_level()
            .env("AIRBYTE_PROXY_UPSTREAM_API_URL", upstream.api_url())
            .env("AIRBYTE_CLIENT_ID", "an-id")
            .env("AIRBYTE_CLIENT_SECRET", "a-secret-of-nobody")
            .start()
            .await;
        // Takes no room on the disk.
        let zeros = tempfile::NamedTempFile::new().expect("a file");
        zeros.as_file().set_len(GIB).expect("sparse");
        let curl = |arguments: Vec<String>| async {
            let mut curl = tokio::process::Command::new("curl");
            curl.args(["--silent", "--show-error", "--fail", "--noproxy", "*"]).args(arguments);
            let output = curl.kill_on_drop(true).output().await.expect("it runs");
            assert!(output.status.success(), "{output:?}");
            String::from_utf8_lossy(&output.stdout).into_owned()
        };
        let file = zeros.path().display().to_string();
        let url = proxy.url("/v1/sources");
        assert_eq!(curl(vec!["--upload-file".into(), file, url.clone()]).await, GIB.to_string());
        let counted = ["--output", "/dev/null", "--write-out", "%{size_download}"].map(str::to_owned);
        assert_eq!(curl([&counted[..], &[url]].concat()).await, GIB.to_string());
        println!("curl: VmHWM {} KiB", proxy.peak_memory());
        assert!(proxy.peak_memory() < LIMIT);
        proxy.stop().await;
    });
}
