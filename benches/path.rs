//! What a request costs this program in instructions: `cargo bench --bench path -- --count`.
//!
//! Runs the whole of it under valgrind's callgrind, from the client's socket to the upstream's, with its access log, and
//! without TLS, whose cost is the processor's and the library's. Client and upstream are another process, which is not
//! counted, and one request is under way at a time. Two runs of different length make the difference what a request
//! costs. Instructions do not depend on what else the machine does; they do on the compiler and the processor, so the
//! baseline is for the compiler that it names.
//!
//! Ends with 1 if any differs from `benches/path.baseline` by more than 3 %; `-- --count --write` writes a new one.
#![allow(
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::exit,
    reason = "a measurement, not the program"
)]

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::num::NonZeroUsize;
use std::process::{Command, Stdio};
use std::sync::Arc;

use airbyte_proxy::airbyte::BaseUrl;
use airbyte_proxy::airbyte::paths::TOKEN_ENDPOINT;
use airbyte_proxy::app::App;
use airbyte_proxy::clock::Clock;
use airbyte_proxy::config::Config;
use airbyte_proxy::proxy::{self, upstream};
use airbyte_proxy::secret::{Half, Origin, Secret, Source, Trusted};
use airbyte_proxy::server::{self, Listen, Stop};
use airbyte_proxy::{guard, mint, telemetry, token};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};

/// Upstream's protocol and the request.
const KINDS: [&str; 4] = ["h1-get", "h2-get", "h1-post", "h2-post"];
/// Requests of the shorter and the longer run.
const TIMES: [u64; 2] = [500, 2500];
/// By how much a count may differ, in percent.
const LEEWAY: f64 = 3.0;
const BODY: usize = 1024;
const BASELINE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/path.baseline");

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["role-proxy", kind, times] => proxy(kind, times),
        ["role-ends", kind, times] => ends(kind, times.parse().expect("a number")),
        ["--count"] => std::process::exit(i32::from(!count(false))),
        ["--count", "--write"] => std::process::exit(i32::from(!count(true))),
        _ => println!("cargo bench --bench path -- --count [--write]: needs valgrind, takes a minute"),
    }
}

/// Counts, compares and tells. `false` if anything costs more, or so much less that the baseline is out of date.
fn count(write: bool) -> bool {
    let compiler = Command::new("rustc").arg("--version").output().expect("rustc runs");
    let compiler = String::from_utf8_lossy(&compiler.stdout).trim().to_owned();
    let baseline = std::fs::read_to_string(BASELINE).unwrap_or_default();
    if !write && !baseline.lines().any(|line| line.strip_prefix("# ") == Some(&compiler)) {
        println!("the baseline is of another compiler than {compiler}");
    }
    let mut fresh = format!(
        "# Instructions a request, by `cargo bench --bench path -- --count --write` and\n# {compiler}\n"
    );
    let mut good = true;
    for kind in KINDS {
        let counted = TIMES.map(|times| instructions(kind, times));
        let each = (counted[1] - counted[0]) / (TIMES[1] - TIMES[0]);
        let _ = writeln!(fresh, "{kind} {each}");
        let before = baseline.lines().find_map(|line| line.strip_prefix(kind)?.trim().parse::<u32>().ok());
        let change = before.map(|before| {
            100.0 * (f64::from(u32::try_from(each).unwrap_or(u32::MAX)) / f64::from(before) - 1.0)
        });
        good &= change.is_some_and(|change| change.abs() <= LEEWAY);
        let change = change.map_or("no baseline".to_owned(), |change| format!("{change:+.1} %"));
        println!("{kind}: {each} instructions a request, {change}");
    }
    if write {
        std::fs::write(BASELINE, fresh).expect("written");
    }
    good || write
}

/// Of a whole run.
fn instructions(kind: &str, times: u64) -> u64 {
    let this = std::env::current_exe().expect("a path");
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--log-fd=1"]);
    valgrind.arg(this).args(["role-proxy", kind, &times.to_string()]).stderr(Stdio::null());
    let output = valgrind.output().expect("valgrind runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}: {said}", output.status);
    let collected = said.lines().find_map(|line| line.split_once("Collected : "));
    collected.and_then(|(_, number)| number.trim().parse().ok()).expect("callgrind says how many")
}

/// What is counted: the program in one process with one worker, until the other process has had its answers.
fn proxy(kind: &str, times: &str) {
    let this = std::env::current_exe().expect("a path");
    let mut ends = Command::new(this)
        .args(["role-ends", kind, times])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("started");
    let mut said = BufReader::new(ends.stdout.take().expect("piped"));
    let mut port = String::new();
    said.read_line(&mut port).expect("a port");
    let config = config(kind, &format!("http://127.0.0.1:{}/v1", port.trim()));
    let _log = telemetry::init(&config.log);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let half = |value: &str| Half {
            place: "benchmark".to_owned(),
            origin: Origin::Value(Secret::new(value.to_owned())),
        };
        let source = Source::new(half("id"), half("secret"), Trusted::default());
        let app = App::bind(&config, source, Clock::system(), Stop::new()).await.expect("bound");
        let tokens = app.tokens().clone();
        let Some(Listen::Tcp(addr)) = app.addresses().pop() else { unreachable!("a TCP address") };
        let client = tokio::task::spawn_blocking(move || {
            let mut input = ends.stdin.take().expect("piped");
            writeln!(input, "{addr}").expect("told");
            ends.wait().expect("ended").success()
        });
        tokio::select! {
            _ = app.run(Arc::default()) => unreachable!("nobody ends it"),
            served = async {
                tokens.acquire().await.expect("a token");
                client.await
            } => assert!(served.expect("no panic"), "every request is answered"),
        }
    });
}

fn config(kind: &str, url: &str) -> Config {
    let mut upstream = upstream::Config::new(BaseUrl::parse(url).expect("a URL"));
    upstream.proxy = upstream::OutboundProxy::None;
    if kind.starts_with("h2") {
        upstream.http = upstream::HttpVersion::Http2;
    }
    Config {
        server: server::Config {
            listen: vec![Listen::Tcp(([127, 0, 0, 1], 0).into())],
            workers: NonZeroUsize::MIN,
            ..server::Config::default()
        },
        proxy: proxy::Config::default(),
        guard: guard::Config::default(),
        keys: None,
        probes: Vec::new(),
        name: None,
        allow_quit: false,
        mint: mint::Config::new(upstream.api_url.join(TOKEN_ENDPOINT)),
        upstream,
        token: token::Config::default(),
        log: telemetry::Config::default(),
    }
}

/// Both ends: the upstream, and a client that asks so many times.
fn ends(kind: &str, times: u64) {
    let upstream = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    println!("{}", upstream.local_addr().expect("bound").port());
    let h2 = kind.starts_with("h2");
    std::thread::spawn(move || serve(upstream, h2));
    let mut addr = String::new();
    std::io::stdin().read_line(&mut addr).expect("an address");
    let addr: SocketAddr = addr.trim().parse().expect("an address");
    let request = if kind.ends_with("post") {
        let head = "POST /v1/sources HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
        format!("{head}accept: */*\r\ncontent-length: {BODY}\r\n\r\n{}", "x".repeat(BODY))
    } else {
        "GET /v1/sources/1?limit=20 HTTP/1.1\r\nhost: localhost\r\nuser-agent: curl/8.14.1\r\naccept: */*\r\n\r\n".into()
    };
    let mut client = TcpStream::connect(addr).expect("connected");
    let mut buffer = vec![0; 64 * 1024];
    for _ in 0..times {
        client.write_all(request.as_bytes()).expect("written");
        let mut read = 0;
        // A head alone ends with a line break too, but is shorter than the body.
        while read < BODY || !buffer[..read].ends_with(b"\n") {
            let n = client.read(&mut buffer[read..]).expect("read");
            assert!(n > 0, "closed");
            read += n;
        }
        assert!(buffer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&buffer[..read]));
    }
}

#[tokio::main(flavor = "current_thread")]
async fn serve(listener: TcpListener, h2: bool) {
    listener.set_nonblocking(true).expect("a socket");
    let listener = tokio::net::TcpListener::from_std(listener).expect("a socket");
    loop {
        let (tcp, _) = listener.accept().await.expect("accepted");
        tcp.set_nodelay(true).expect("a socket");
        tokio::spawn(async move {
            let mut start = [0; 3];
            let n = tcp.peek(&mut start).await.unwrap_or_default();
            // The token is asked for by HTTP/1.1 all the same.
            if h2 && start[..n] == *b"PRI" {
                let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                let _ = builder.serve_connection(TokioIo::new(tcp), service_fn(answer)).await;
            } else {
                let builder = hyper::server::conn::http1::Builder::new();
                let _ = builder.serve_connection(TokioIo::new(tcp), service_fn(answer)).await;
            }
        });
    }
}

async fn answer(request: Request<Incoming>) -> hyper::Result<Response<Full<Bytes>>> {
    let mint = request.uri().path() == TOKEN_ENDPOINT_PATH;
    request.into_body().collect().await?;
    let body = if mint {
        r#"{"access_token":"a-token-of-the-benchmark","token_type":"Bearer","expires_in":86400}"#.to_owned()
    } else {
        format!("{}\n", "x".repeat(BODY - 1))
    };
    Ok(Response::new(Full::new(body.into())))
}

/// Where the upstream of this benchmark gives tokens.
const TOKEN_ENDPOINT_PATH: &str = "/v1/applications/token";
