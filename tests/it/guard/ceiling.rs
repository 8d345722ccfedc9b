//! The ceiling: what users set, it caps.
//!
//! Its place is fixed, so that no user can move it. In process a test names another one; the binary is given a root
//! folder of its own, where the system lets us make one.

use std::sync::Arc;

use airbyte_proxy::app::App;
use airbyte_proxy::clock::Clock;
use airbyte_proxy::config::{CeilingFile, Environment, Flags, Loaded, Problems, load_below};
use airbyte_proxy::server::{Listen, Stop};
use tokio::task::JoinSet;

use super::*;

fn below(ceiling: &Path, variables: &[(&str, &str)]) -> Result<Loaded, Problems> {
    let owner = rustix::process::geteuid().as_raw();
    let fixed = [
        ("AIRBYTE_CLIENT_ID", "id"),
        ("AIRBYTE_CLIENT_SECRET", "s"),
        ("AIRBYTE_PROXY_LISTEN", "127.0.0.1:0"),
    ];
    let env: Environment = fixed.iter().chain(variables).copied().collect();
    load_below(&CeilingFile::new(ceiling, owner), &Flags::default(), &env)
}

fn written(text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().expect("tempdir");
    let path = folder.path().join("policy.toml");
    private(&path, text);
    (folder, path)
}

#[tokio::test]
async fn what_users_set_can_only_tighten() {
    let upstream = upstream().await;
    let (_folder, path) = written(
        "preset = \"sync-only\"\nallow_credentials = false\nrules = [\"deny DELETE /**\", \"deny * /tags\"]\n",
    );
    let loose = [
        ("AIRBYTE_PROXY_UPSTREAM_API_URL", upstream.api_url()),
        ("AIRBYTE_PROXY_POLICY_PRESET", "full".to_owned()),
        ("AIRBYTE_PROXY_READ_ONLY", "false".to_owned()),
        ("AIRBYTE_PROXY_POLICY_RULES", "allow * /**; allow GET /applications/**".to_owned()),
    ];
    let loose: Vec<_> = loose.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let loaded = below(&path, &loose).expect("valid");
    let source = loaded.credentials.expect("credentials");
    let app = App::bind(&loaded.config, source, Clock::system(), Stop::new()).await.expect("bound");
    let Some(&Listen::Tcp(at)) = app.addresses().first() else { panic!("an address") };
    let mut tasks = JoinSet::new();
    tasks.spawn(async move { app.run(Arc::default()).await });
    let status = async |method: &str, target: &str| {
        let mut tcp = TcpStream::connect(at).await.expect("connected");
        let head = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        tcp.write_all(head.as_bytes()).await.expect("written");
        let mut answer = String::new();
        let _ = tcp.read_to_string(&mut answer).await;
        Answer::parse(&answer)
    };
    let ready = async { while status("GET", "/-/ready").await.status != 200 {} };
    timeout(PATIENCE, ready).await.expect("ready in time");
    for (method, target, expected) in [
        ("GET", "/v1/jobs", 200),
        ("POST", "/v1/jobs", 200),
        ("DELETE", "/v1/jobs/1", 403),
        ("POST", "/v1/sources", 403),
        ("GET", "/v1/tags", 403),
        ("GET", "/v1/applications", 403),
        ("GET", "/v1/%61pplications", 403),
    ] {
        let answer = status(method, target).await;
        assert_eq!(answer.status, expected, "{method} {target}");
        let capped = answer.body.contains(&format!("capped by {}", path.display()));
        assert_eq!(capped, expected == 403, "{method} {target}: {}", answer.body);
    }
    assert_eq!(passed(&upstream), ["GET /v1/jobs", "POST /v1/jobs"]);
}

#[test]
fn the_rows_of_check_say_what_is_capped() {
    let (_folder, path) = written("read_only = true\nrules = [\"deny * /tags\"]\n");
    let loaded = below(&path, &[("AIRBYTE_PROXY_POLICY_PRESET", "full")]).expect("valid");
    let capped = |key| loaded.rows.iter().find(|row| row.key == key).and_then(|row| row.capped.clone());
    let by = format!("capped by {}: ", path.display());
    assert_eq!(capped("read_only"), Some(format!("{by}true")));
    assert_eq!(capped("policy.preset"), Some(format!("{by}\"read-only\"")));
    assert_eq!(capped("policy.rules"), Some(format!("{by}denials")));
    assert_eq!(capped("listen"), None);
    assert_eq!(loaded.config.guard.policy.keeps_token(), path.to_str());
}

#[test]
fn a_ceiling_that_cannot_be_trusted_or_read_ends_the_start() {
    let (_folder, path) = written("read_only = maybe\n");
    let told = below(&path, &[]).expect_err("invalid").to_string();
    assert!(told.contains("policy.toml: line 1: "), "{told}");
    private(&path, "");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).expect("chmod");
    let told = below(&path, &[]).expect_err("open").to_string();
    assert!(told.contains("can be changed by others (mode 0666)"), "{told}");
    // Not a user's file with root's name on it, whatever is in it.
    private(&path, "");
    let env: Environment = [("AIRBYTE_CLIENT_ID", "id")].into_iter().collect();
    let stranger = rustix::process::geteuid().as_raw() + 1;
    let told = load_below(&CeilingFile::new(&path, stranger), &Flags::default(), &env).expect_err("foreign");
    assert!(told.to_string().contains("it belongs to uid"), "{told}");
}

/// Through the binary, in a mount namespace where `/etc` is ours to write. Where there are none, the tests above stand
/// alone.
#[tokio::test]
async fn the_binary_heeds_the_ceiling_at_its_fixed_place() {
    let upstream = upstream().await;
    let namespaced = |script: &str, arguments: &str| {
        let mut command = command("unshare", &upstream);
        let prepare = "mount -t tmpfs none /etc && mkdir -m 755 /etc/airbyte-proxy && umask 022";
        let script =
            format!("{prepare} && {script} && exec {} {arguments}", env!("CARGO_BIN_EXE_airbyte-proxy"));
        command.args(["-rm", "sh", "-c", &script]);
        command
    };
    let mut probe = command("unshare", &upstream);
    probe.args(["-rm", "sh", "-c", "mount -t tmpfs none /etc"]).stderr(Stdio::null());
    if !probe.status().await.is_ok_and(|status| status.success()) {
        println!("skipped: no mount namespaces here");
        return;
    }
    let write = "echo 'read_only = true' > /etc/airbyte-proxy/policy.toml";
    let proxy = Proxy::start(namespaced(write, "--policy-rules 'allow * /**' --read-only=false")).await;
    assert_eq!(proxy.status("GET", "/v1/jobs", &[]).await, 200);
    let refused = proxy.send("POST", "/v1/jobs", &[], "").await;
    assert_eq!(refused.status, 405);
    assert!(refused.body.contains("capped by /etc/airbyte-proxy/policy.toml"), "{}", refused.body);
    assert_eq!(passed(&upstream), ["GET /v1/jobs"]);

    let check = namespaced(write, "check").output().await.expect("run");
    let told = String::from_utf8_lossy(&check.stdout).into_owned();
    let row = "read_only = false   (default; capped by /etc/airbyte-proxy/policy.toml: true)";
    assert!(told.contains(row), "{told}");
    let open = format!("{write} && chmod 666 /etc/airbyte-proxy/policy.toml");
    for arguments in ["check", "serve"] {
        let refused = namespaced(&open, arguments).output().await.expect("run");
        assert_eq!(refused.status.code(), Some(2), "{arguments}");
        let told = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(told.starts_with("/etc/airbyte-proxy/policy.toml: a ceiling is for uid 0 alone"), "{told}");
    }
}
