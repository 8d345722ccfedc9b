//! Configuration as a user meets it: through the binary.

#![cfg(unix)]

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

mod example;
mod wrong;

/// Stands wherever a careless user could put a secret, and must not come back.
const PLANTED: &str = "hunter2-planted";

/// One call of the binary in a folder of its own, with no environment but what is given.
struct Call {
    folder: tempfile::TempDir,
    command: Command,
    stdin: &'static str,
}

/// `airbyte-proxy` with `arguments`, separated by spaces.
fn airbyte_proxy(arguments: &str) -> Call {
    let folder = tempfile::tempdir().expect("tempdir");
    let mut command = Command::new(env!("CARGO_BIN_EXE_airbyte-proxy"));
    command.args(arguments.split(' ').filter(|argument| !argument.is_empty()));
    command.current_dir(&folder).env_clear().env("HOME", folder.path()).env("PATH", "/usr/bin:/bin");
    Call { folder, command, stdin: "" }
}

impl Call {
    fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// One more argument, which may contain spaces.
    fn arg(mut self, argument: &str) -> Self {
        self.command.arg(argument);
        self
    }

    fn credentials(self) -> Self {
        self.env("AIRBYTE_CLIENT_ID", "0123456789abcdef0").env("AIRBYTE_CLIENT_SECRET", PLANTED)
    }

    fn file(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("inside")).expect("mkdir");
        std::fs::write(path, content).expect("write");
        self
    }

    fn mode(self, name: &str, mode: u32) -> Self {
        use std::os::unix::fs::PermissionsExt as _;
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(self.folder.path().join(name), permissions).expect("chmod");
        self
    }

    fn stdin(mut self, text: &'static str) -> Self {
        self.stdin = text;
        self
    }

    fn run(mut self) -> Ran {
        self.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.command.spawn().expect("spawn");
        // It may have ended without reading.
        let _ = child.stdin.take().expect("piped").write_all(self.stdin.as_bytes());
        Ran::new(&child.wait_with_output().expect("wait"), self.folder.path())
    }
}

/// What came of a [`Call`]. Nothing in it may be a secret.
struct Ran {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Ran {
    fn new(output: &Output, folder: &Path) -> Self {
        let text = |bytes: &[u8]| {
            let text = String::from_utf8(bytes.to_vec()).expect("UTF-8");
            assert!(!text.contains(PLANTED), "prints a secret: {text}");
            text.replace(&format!("{}/", folder.display()), "[FOLDER]/")
        };
        Self { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    fn line(&self, start: &str) -> &str {
        self.stdout.lines().find(|line| line.starts_with(start)).unwrap_or_default()
    }
}

#[test]
fn check_tells_the_source_of_each_setting() {
    let ran = airbyte_proxy("check --config x.toml --log-level debug")
        .credentials()
        .file(
            "x.toml",
            "[log]\nlevel = \"warn\"\nformat = \"json\"\n[drain]\ngrace = \"1s\"\ndelay = \"2s\"\n",
        )
        .env("AIRBYTE_PROXY_LOG_LEVEL", "error")
        .env("AIRBYTE_PROXY_DRAIN_GRACE", "3s")
        .run();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(ran.line("log.level"), "log.level = \"debug\"   (--log-level)");
    assert_eq!(ran.line("drain.grace"), "drain.grace = \"3s\"   (AIRBYTE_PROXY_DRAIN_GRACE)");
    assert_eq!(ran.line("drain.delay"), "drain.delay = \"2s\"   (x.toml:6)");
    assert_eq!(ran.line("log.format"), "log.format = \"json\"   (x.toml:3)");
    assert_eq!(ran.line("workers"), "workers = 0   (default)");
    assert_eq!(ran.line("public_url"), "public_url = (not set)");
    assert_eq!(
        ran.line("credentials.client_id"),
        "credentials.client_id = \"01234567…\"   (AIRBYTE_CLIENT_ID)"
    );
    assert_eq!(
        ran.line("credentials.client_secret"),
        "credentials.client_secret = [redacted]   (AIRBYTE_CLIENT_SECRET)"
    );
}

#[test]
fn the_users_file_is_found_and_the_current_directory_is_not_searched() {
    let ran = airbyte_proxy("check")
        .credentials()
        .file("config.toml", "nonsense")
        .file("airbyte-proxy.toml", "nonsense")
        .file("airbyte-proxy/config.toml", "nonsense")
        .file(".config/airbyte-proxy/config.toml", "workers = 3")
        .run();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(ran.line("workers"), "workers = 3   ([FOLDER]/.config/airbyte-proxy/config.toml:1)");
}

#[test]
fn a_secret_arrives_by_stdin_file_or_command() {
    let check = |arguments: &str| airbyte_proxy(&format!("check --config x.toml {arguments}"));
    let by_stdin =
        check("--client-id x --client-secret-stdin").file("x.toml", "").stdin("hunter2-planted\n").run();
    assert!(by_stdin.stdout.contains("[redacted]   (--client-secret-stdin)"), "{}", by_stdin.stderr);

    let file = "[credentials]\nclient_id = \"x\"\nclient_secret_file = \"s/secret\"";
    let by_file = check("").file("x.toml", file).file("s/secret", PLANTED).mode("s/secret", 0o600).run();
    assert_eq!(by_file.code, Some(0), "{}", by_file.stderr);

    let command = "[credentials]\nclient_id = \"x\"\nclient_secret_command = [\"echo\", \"hunter2-planted\"]";
    let by_command = check("").file("x.toml", command).run();
    assert_eq!(by_command.code, Some(0), "{}", by_command.stderr);
}

/// Root may read everything, so it steps down to `nobody` first, with a copy of the binary that nobody can reach.
#[test]
fn a_secret_file_of_somebody_else_names_our_uid_and_its_mode() {
    use std::os::unix::process::CommandExt as _;

    let mut call = airbyte_proxy("check").file("s", PLANTED).env("AIRBYTE_CLIENT_ID", "x");
    let folder = call.folder.path().to_owned();
    let us = rustix::process::geteuid();
    let (uid, mode) = if us.is_root() { (65_534, 0o600) } else { (us.as_raw(), 0) };
    if us.is_root() {
        let binary = folder.join("airbyte-proxy");
        // Not copied here: a test that forks meanwhile would keep the copy open for writing, and so unfit to run.
        let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_airbyte-proxy")).arg(&binary).status();
        assert!(copied.expect("cp").success());
        call = call.mode("airbyte-proxy", 0o755).mode("", 0o755);
        let mut command = Command::new(binary);
        command.arg("check").env_clear().env("AIRBYTE_CLIENT_ID", "x").current_dir("/").uid(uid);
        call.command = command;
    }
    let secret = folder.join("s");
    let ran = call.mode("s", mode).env("AIRBYTE_CLIENT_SECRET_FILE", secret.to_str().expect("UTF-8")).run();
    assert_eq!(ran.code, Some(2));
    let told = format!("[FOLDER]/s: permission denied: we run as uid {uid}, the file belongs to uid {us}");
    assert!(ran.stderr.contains(&told), "{}", ran.stderr);
    assert!(ran.stderr.contains(&format!("has mode {mode:04o}\n  hint: ")), "{}", ran.stderr);
}

#[test]
fn a_proxy_variable_is_a_warning_without_its_password() {
    let proxy = format!("http://u:{PLANTED}@proxy:3128");
    let ran = airbyte_proxy("check")
        .credentials()
        .env("AIRBYTE_PROXY_UPSTREAM_PROXY", &proxy)
        .env("http_proxy", &proxy)
        .run();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("warning: http_proxy is set and NO_PROXY does not list localhost"),
        "{}",
        ran.stderr
    );
    assert!(ran.stdout.contains("http://[redacted]@proxy:3128"), "{}", ran.stdout);
}

#[test]
fn without_credentials_the_ways_on_are_told() {
    let ran = airbyte_proxy("").run();
    assert_eq!(ran.code, Some(2));
    snapbox::assert_data_eq!(ran.stderr, snapbox::file!["no-credentials.txt"].raw());
}

#[test]
fn help_names_the_first_two_commands() {
    let ran = airbyte_proxy("--help").run();
    assert_eq!(ran.code, Some(0));
    let lines: Vec<_> = ran.stdout.lines().map(str::trim).collect();
    let demo = lines.iter().position(|line| *line == "airbyte-proxy demo").expect("demo");
    assert_eq!(lines[demo + 1], "curl http://localhost:8484/v1/workspaces");
    assert!(lines.len() < 48, "{} lines", lines.len());
}

#[test]
fn a_closed_or_full_stdout_is_no_panic() {
    for arguments in ["check", "--help", "--version"] {
        let mut call = airbyte_proxy(arguments).credentials();
        let mut child = call.command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("spawn");
        drop(child.stdout.take());
        let ended = child.wait_with_output().expect("wait");
        assert_eq!(String::from_utf8_lossy(&ended.stderr).find("panicked"), None, "{arguments}");
        assert_eq!(ended.status.code(), Some(0), "{arguments}");
    }
    if let Ok(full) = std::fs::File::options().write(true).open("/dev/full") {
        let ended = airbyte_proxy("check").credentials().command.stdout(full).output().expect("run");
        assert_eq!(ended.status.code(), Some(0));
    }
}

/// Answers one request with `status`.
fn answer_once(mut stream: impl std::io::Read + std::io::Write, status: &str) -> String {
    let mut request = [0; 256];
    let n = stream.read(&mut request).expect("read");
    write!(stream, "HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").expect("write");
    String::from_utf8_lossy(&request[..n]).lines().next().unwrap_or_default().to_owned()
}

#[test]
fn healthcheck_asks_the_configured_listener() {
    for (status, ready, code) in [("200 OK", "", 0), ("503 Service Unavailable", "--ready", 1)] {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
        let at = listener.local_addr().expect("address");
        let server = std::thread::spawn(move || answer_once(listener.accept().expect("accept").0, status));
        // Credentials and the rest are none of its business.
        let ran =
            airbyte_proxy(&format!("healthcheck {ready} --listen {at} --upstream-api-url nonsense")).run();
        assert_eq!(ran.code, Some(code), "{}", ran.stderr);
        let path = if ready.is_empty() { "/-/live" } else { "/-/ready" };
        assert_eq!(server.join().expect("server"), format!("GET {path} HTTP/1.1"));
    }
}

#[test]
fn healthcheck_asks_a_unix_socket() {
    let mut call = airbyte_proxy("healthcheck --listen");
    let socket = call.folder.path().join("s");
    let listener = std::os::unix::net::UnixListener::bind(&socket).expect("bind");
    let server = std::thread::spawn(move || answer_once(listener.accept().expect("accept").0, "200 OK"));
    call.command.arg(format!("unix:{}", socket.display()));
    assert_eq!(call.run().code, Some(0));
    server.join().expect("server");
}

#[test]
fn healthcheck_knows_only_0_and_1() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("address");
    for arguments in [
        format!("healthcheck --listen {free}"),
        "healthcheck --listen nonsense".to_owned(),
        "healthcheck --nonsense".to_owned(),
        "healthcheck --listen 127.0.0.1:0".to_owned(),
        "healthcheck --client-secret x".to_owned(),
    ] {
        let ran = airbyte_proxy(&arguments).run();
        assert_eq!(ran.code, Some(1), "{arguments}");
        assert!(!ran.stderr.is_empty(), "{arguments}");
    }
}
