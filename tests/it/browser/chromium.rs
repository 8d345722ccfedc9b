//! A headless Chromium, spoken to over a pipe (the `DevTools` protocol, one JSON text and a NUL each).

use std::process::Stdio;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::harness::talk::soon;

/// A page comes at once or never.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);

/// The browser, if the run names one.
#[expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a switch of the test run, not a setting of the program"
)]
fn installed() -> Option<std::ffi::OsString> {
    let browser = std::env::var_os("AIRBYTE_PROXY_TEST_CHROMIUM").filter(|path| !path.is_empty());
    if browser.is_none() {
        println!("skipped: AIRBYTE_PROXY_TEST_CHROMIUM names no browser");
    }
    browser
}

/// One browser with one tab. Dropping it ends it.
pub(super) struct Chromium {
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    calls: u64,
    heard: Vec<Value>,
    session: Option<String>,
    _child: Child,
    _profile: TempDir,
}

impl Chromium {
    /// `hosts`: which names are which addresses, in the words of `--host-resolver-rules`.
    pub(super) async fn start(hosts: &str) -> Option<Self> {
        let browser = installed()?;
        let profile = tempfile::tempdir().expect("a folder");
        // It speaks on descriptors 3 and 4, and a shell is the way to them without unsafe code.
        let mut child = Command::new("/bin/sh")
            .args(["-c", "exec \"$0\" \"$@\" 3<&0 4>&1 0</dev/null 1>/dev/null 2>/dev/null"])
            .arg(browser)
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--disable-dev-shm-usage",
                "--no-first-run",
                "--no-proxy-server",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--remote-debugging-pipe",
            ])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg(format!("--host-resolver-rules={hosts}"))
            .env("HOME", profile.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the browser starts");
        let input = child.stdin.take().expect("piped");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        let mut browser = Self {
            input,
            output,
            calls: 0,
            heard: Vec::new(),
            session: None,
            _child: child,
            _profile: profile,
        };
        let tab = browser.call("Target.createTarget", json!({ "url": "about:blank" })).await;
        let attach = json!({ "targetId": tab["targetId"], "flatten": true });
        let session = browser.call("Target.attachToTarget", attach).await;
        browser.session = session["sessionId"].as_str().map(str::to_owned);
        Some(browser)
    }

    async fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.calls += 1;
        let mut message = json!({ "id": self.calls, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        self.input.write_all(format!("{message}\0").as_bytes()).await.expect("the browser listens");
        loop {
            let mut text = Vec::new();
            soon(self.output.read_until(0, &mut text)).await.expect("the browser speaks");
            assert_eq!(text.pop(), Some(0), "the browser has gone");
            let said: Value = serde_json::from_slice(&text).expect("JSON");
            if said["id"] == self.calls {
                return said["result"].clone();
            }
            if said["method"].is_string() {
                self.heard.push(said);
            }
        }
    }

    /// From now on, keeps what pages complain about and ask for.
    pub(super) async fn listen(&mut self) {
        for domain in ["Log.enable", "Runtime.enable", "Network.enable"] {
            self.call(domain, json!({})).await;
        }
    }

    /// What pages have complained about: exceptions, errors and warnings on the console, breaches of their policy.
    pub(super) fn complaints(&self) -> Vec<String> {
        let complaint = |said: &Value| {
            let about = &said["params"];
            match said["method"].as_str()? {
                "Runtime.exceptionThrown" => Some(about["exceptionDetails"].to_string()),
                "Runtime.consoleAPICalled" if about["type"] != "log" => Some(about["args"].to_string()),
                "Log.entryAdded" if about["entry"]["level"] != "info" => {
                    let entry = &about["entry"];
                    Some(format!("{} {}", entry["text"], entry["url"]))
                }
                _ => None,
            }
        };
        self.heard.iter().filter_map(complaint).collect()
    }

    /// The addresses that pages have asked for.
    pub(super) fn addresses(&self) -> Vec<String> {
        let asked = self.heard.iter().filter(|said| said["method"] == "Network.requestWillBeSent");
        asked.filter_map(|said| said["params"]["request"]["url"].as_str().map(str::to_owned)).collect()
    }

    /// Returns once the expression is true in the page.
    pub(super) async fn until(&mut self, expression: &str) {
        let becoming = async {
            while self.run(expression).await != true {
                // The pause spares the browser; how long it is decides nothing.
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        };
        let became = tokio::time::timeout(PATIENCE, becoming).await;
        assert!(became.is_ok(), "never: {expression}\n{}\n{:?}", self.text().await, self.complaints());
    }

    /// As if typed into the address bar.
    pub(super) async fn open(&mut self, url: &str) {
        // From elsewhere, or a page that is opened again could be taken for its predecessor.
        for url in ["about:blank", url] {
            self.call("Page.navigate", json!({ "url": url })).await;
            self.arrived(url).await;
        }
    }

    /// Returns once a document of `url` is whole.
    pub(super) async fn arrived(&mut self, url: &str) {
        let mut there = Value::Null;
        let arriving = async {
            while there != format!("complete {url}") {
                // The pause spares the browser; how long it is decides nothing.
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
                there = self.run("document.readyState + ' ' + location.href").await;
            }
        };
        let arrived = tokio::time::timeout(PATIENCE, arriving).await;
        assert!(arrived.is_ok(), "on the way to {url} at {there}");
    }

    /// What the expression becomes, in the page; promises are waited for.
    pub(super) async fn run(&mut self, expression: &str) -> Value {
        let parameters = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let did = self.call("Runtime.evaluate", parameters).await;
        assert!(did["exceptionDetails"].is_null(), "{expression}: {did}");
        did["result"]["value"].clone()
    }

    /// All the text of the page.
    pub(super) async fn text(&mut self) -> String {
        self.run("document.body.innerText").await.as_str().unwrap_or_default().to_owned()
    }
}
