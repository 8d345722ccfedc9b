//! Client keys on a listener that several clients share.

use std::sync::Arc;

use base64::Engine as _;
use tokio::sync::Semaphore;

use super::*;

const ETL: &str = "etl-key-0123456789-0123456789";
const BI: &str = "bi-key-0123456789-0123456789";

/// A folder as Kubernetes mounts a Secret: links into `..data`, which is a link itself.
struct Secret {
    folder: tempfile::TempDir,
    version: u32,
}

impl Secret {
    fn new(keys: &[(&str, &str)]) -> Self {
        let mut secret = Self { folder: tempfile::tempdir().expect("tempdir"), version: 0 };
        secret.swap(keys);
        secret
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Everything at once, by exchanging one link.
    fn swap(&mut self, keys: &[(&str, &str)]) {
        self.version += 1;
        let version = format!("..v{}", self.version);
        std::fs::create_dir(self.path().join(&version)).expect("mkdir");
        for (name, key) in keys {
            private(&self.path().join(&version).join(name), key);
        }
        symlink(&version, self.path().join("..tmp")).expect("link");
        std::fs::rename(self.path().join("..tmp"), self.path().join("..data")).expect("swap");
        for (name, _) in keys {
            let link = self.path().join(name);
            if !link.is_symlink() {
                symlink(format!("..data/{name}"), link).expect("link");
            }
        }
        for entry in std::fs::read_dir(self.path()).expect("read").map(|entry| entry.expect("entry")) {
            let name = entry.file_name().into_string().expect("UTF-8");
            if !name.starts_with('.') && keys.iter().all(|(key, _)| *key != name) {
                std::fs::remove_file(entry.path()).expect("rm");
            }
        }
    }
}

fn keyed(upstream: &Upstream, secret: &Secret) -> Command {
    let mut command = serve(upstream);
    command.arg("--guard-keys-dir").arg(secret.path());
    command
}

fn bearer(key: &str) -> String {
    format!("Bearer {key}")
}

fn basic(user: &str, key: &str) -> String {
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{user}:{key}")))
}

#[tokio::test]
async fn two_clients_of_one_listener_have_different_rights_and_names_in_the_log() {
    let upstream = upstream().await;
    let secret = Secret::new(&[("etl", ETL), ("bi", BI)]);
    let mut command = keyed(&upstream, &secret);
    let rules = "allow POST /jobs as etl; deny POST,PUT,PATCH,DELETE /**; deny * /tags/** as bi";
    command.env("AIRBYTE_PROXY_POLICY_RULES", rules);
    let mut proxy = Proxy::start(command).await;
    let (etl, bi) = (bearer(ETL), bearer(BI));
    for (method, target, key, status) in [
        ("POST", "/v1/jobs", &etl, 200),
        ("POST", "/v1/jobs", &bi, 403),
        ("GET", "/v1/tags/1", &etl, 200),
        ("GET", "/v1/tags/1", &bi, 403),
        ("DELETE", "/v1/jobs/1", &etl, 403),
        ("GET", "/v1/jobs", &bi, 200),
    ] {
        assert_eq!(
            proxy.status(method, target, &[("Authorization", key)]).await,
            status,
            "{method} {target}"
        );
        let client = if *key == etl { "etl" } else { "bi" };
        let event = proxy.access(status).await;
        assert_eq!(event["client"], client, "{event}");
        assert_eq!(event["error"].as_str(), (status == 403).then_some("path-not-allowed"), "{event}");
    }
    assert_eq!(passed(&upstream), ["POST /v1/jobs", "GET /v1/tags/1", "GET /v1/jobs"]);
    let written = proxy.end().await;
    assert!(!written.contains("key-0123456789"), "a key in the log: {written}");
}

#[tokio::test]
async fn one_client_has_at_most_half_of_the_requests_under_way() {
    let gate = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&gate);
    let upstream = Upstream::start(Speaks::Http1, move |_| {
        let held = Arc::clone(&held);
        async move {
            let _passed = held.acquire().await.expect("open");
            Response::new(full("ok"))
        }
    })
    .await;
    let secret = Secret::new(&[("etl", ETL), ("bi", BI)]);
    let mut command = keyed(&upstream, &secret);
    command.env("AIRBYTE_PROXY_LIMITS_IN_FLIGHT", "2");
    let proxy = Arc::new(Proxy::start(command).await);
    let ask = |key: &str| {
        let (proxy, key) = (Arc::clone(&proxy), bearer(key));
        tokio::spawn(async move { proxy.status("GET", "/v1/jobs", &[("Authorization", &key)]).await })
    };
    let (mut first, mut second) = (ask(ETL), ask(ETL));
    // The other one waits behind the gate.
    let (refused, waits) = timeout(PATIENCE, async {
        tokio::select! {
            refused = &mut first => (refused, second),
            refused = &mut second => (refused, first),
        }
    })
    .await
    .expect("one of them is refused");
    assert_eq!(refused.expect("a task"), 503);
    let other = ask(BI);
    gate.add_permits(2);
    assert_eq!((waits.await.expect("a task"), other.await.expect("a task")), (200, 200));
}

#[tokio::test]
async fn every_carrier_works_and_none_reaches_upstream() {
    let upstream = upstream().await;
    let secret = Secret::new(&[("etl", ETL), ("bi", BI)]);
    let proxy = Proxy::start(keyed(&upstream, &secret)).await;
    let (etl, bi, password) = (bearer(ETL), bearer(BI), basic("run", ETL));
    for (fields, status) in [
        (&[("Authorization", etl.as_str())][..], 200),
        (&[("Authorization", password.as_str())], 200),
        (&[("Airbyte-Proxy-Key", ETL)], 200),
        (&[("Airbyte-Proxy-Key", ETL), ("Authorization", &etl)], 200),
        // With a key no name is wrong.
        (&[("Airbyte-Proxy-Key", ETL), ("Host", "airbyte.corp.example")], 200),
        (&[("Airbyte-Proxy-Key", ETL), ("Authorization", &bi)], 401),
        (&[("Airbyte-Proxy-Key", "wrong-0123456789")], 401),
        (&[("Airbyte-Proxy-Key", &ETL[1..])], 401),
        (&[], 401),
        (&[("Host", "airbyte.corp.example")], 401),
        // With a key a page of others is still one.
        (&[("Airbyte-Proxy-Key", ETL), ("Origin", "http://evil.example")], 403),
        (&[("Airbyte-Proxy-Key", ETL), ("Sec-Fetch-Site", "cross-site")], 403),
    ] {
        assert_eq!(proxy.status("GET", "/v1/jobs", fields).await, status, "{fields:?}");
    }
    let seen = upstream.seen();
    assert_eq!(seen.len(), 5);
    for head in seen {
        assert_eq!(head.headers["authorization"], "Bearer upstream-token-1");
        assert_eq!(head.headers.get_all("authorization").iter().count(), 1);
        let all = format!("{:?}", head.headers);
        assert!(!head.headers.contains_key("airbyte-proxy-key") && !all.contains(ETL), "{all}");
    }
}

#[tokio::test]
async fn without_a_key_one_is_told_how_to_send_it_and_probes_need_none() {
    let upstream = upstream().await;
    let secret = Secret::new(&[("etl", ETL)]);
    let mut command = keyed(&upstream, &secret);
    // The exemption is from having keys, not from showing them.
    command.arg("--published-port");
    let mut proxy = Proxy::start(command).await;
    let refused = proxy.send("GET", "/v1/jobs", &[("Authorization", "Bearer wrong-0123456789")], "").await;
    assert_eq!((refused.status, refused.problem().as_str()), (401, "key-required"));
    let challenges = ["Basic realm=\"airbyte-proxy\"", "Bearer realm=\"airbyte-proxy\""];
    assert_eq!(refused.all("www-authenticate"), challenges);
    assert!(
        refused.body.contains("curl -u :KEY") && !refused.body.contains("wrong-0123"),
        "{}",
        refused.body
    );
    let event = proxy.access(401).await;
    assert_eq!((&event["error"], &event["rule"]), (&"key-required".into(), &"guard.keys_dir".into()));
    assert!(event.get("client").is_none(), "{event}");
    for (method, target, status) in
        [("GET", "/-/live", 200), ("GET", "/-/", 401), ("GET", "/", 401), ("GET", "/nowhere", 401)]
    {
        assert_eq!(proxy.status(method, target, &[]).await, status, "{target}");
    }
    let mut healthcheck = serve(&upstream);
    healthcheck.arg("healthcheck").arg("--listen").arg(proxy.at.to_string());
    assert!(healthcheck.status().await.expect("run").success());
    assert!(upstream.seen().is_empty());
}

#[tokio::test]
async fn keys_let_a_listener_be_reached_from_elsewhere() {
    let upstream = upstream().await;
    let secret = Secret::new(&[("etl", ETL)]);
    let mut command = keyed(&upstream, &secret);
    command.env("AIRBYTE_PROXY_LISTEN", "0.0.0.0:0");
    let proxy = Proxy::start(command).await;
    assert_eq!(proxy.status("GET", "/v1/jobs", &[]).await, 401);
    assert_eq!(proxy.status("GET", "/v1/jobs", &[("Airbyte-Proxy-Key", ETL)]).await, 200);
    assert!(proxy.end().await.contains("travel in clear"));
}

#[tokio::test]
async fn swapped_keys_are_in_force_within_five_seconds_and_half_written_ones_lock_nobody_out() {
    let upstream = upstream().await;
    let mut secret = Secret::new(&[("etl", ETL), ("bi", BI)]);
    let mut proxy = Proxy::start(keyed(&upstream, &secret)).await;
    let with = |key: &'static str| [("Airbyte-Proxy-Key", key)];
    assert_eq!(proxy.status("GET", "/v1/jobs", &with(ETL)).await, 200);

    secret.swap(&[("etl", "etl-new-0123456789"), ("bi", ""), ("web", "web-key-0123456789")]);
    proxy.becomes(200, "/v1/jobs", &with("etl-new-0123456789")).await;
    assert_eq!(proxy.status("GET", "/v1/jobs", &with(ETL)).await, 401, "the old key is gone");
    assert_eq!(proxy.status("GET", "/v1/jobs", &with("web-key-0123456789")).await, 200, "a new client");
    assert_eq!(proxy.status("GET", "/v1/jobs", &with(BI)).await, 200, "an empty file takes no key away");
    let told = proxy.event(|event| event["level"] == "WARN").await;
    let told = told["message"].as_str().unwrap_or_default();
    assert!(told.contains("bi: is empty; the key before stays good"), "{told}");

    // The whole folder gone is somebody's mistake, not a revocation.
    let elsewhere = secret.path().with_extension("moved");
    std::fs::rename(secret.path(), &elsewhere).expect("mv");
    let told = proxy.event(|event| event["level"] == "WARN").await;
    assert!(told["message"].as_str().unwrap_or_default().contains("no such folder"), "{told}");
    assert_eq!(proxy.status("GET", "/v1/jobs", &with(BI)).await, 200);
    std::fs::rename(&elsewhere, secret.path()).expect("mv");

    secret.swap(&[("etl", "etl-new-0123456789")]);
    proxy.becomes(401, "/v1/jobs", &with("web-key-0123456789")).await;
    assert_eq!(proxy.status("GET", "/v1/jobs", &with("etl-new-0123456789")).await, 200);
    assert_eq!(proxy.status("GET", "/v1/jobs", &with(BI)).await, 401, "revoked");
    let written = proxy.end().await;
    assert!(!written.contains("0123456789"), "a key in the log: {written}");
}

#[tokio::test]
async fn an_sdk_gets_in_with_its_key_as_client_secret() {
    let upstream = upstream().await;
    let secret = Secret::new(&[("etl", ETL)]);
    let mut command = keyed(&upstream, &secret);
    // Neither of these is about the token paths.
    command.args(["--read-only", "--policy-rules", "deny * /**"]);
    let mut proxy = Proxy::start(command).await;
    let json = ("Content-Type", "application/json");
    let form = ("Content-Type", "application/x-www-form-urlencoded");
    let good = format!(r#"{{"client_id":"x","client_secret":"{ETL}","grant-type":"client_credentials"}}"#);
    let good_form = format!("grant_type=client_credentials&client_id=x&client_secret={ETL}");
    let large = format!(r#"{{"pad":"{}","client_secret":"{ETL}"}}"#, "x".repeat(64 * 1024));
    let password = basic("x", ETL);
    let in_head = [("Authorization", password.as_str())];
    for path in [
        "/v1/applications/token",
        "/api/public/v1/applications/token",
        "/api/v1/applications/token",
        "/applications/token",
    ] {
        for (fields, body) in
            [(&[json][..], good.as_str()), (&[form], &good_form), (&in_head, "grant_type=client_credentials")]
        {
            let granted = proxy.send("POST", path, fields, body).await;
            assert_eq!((granted.status, granted.json()["access_token"].as_str()), (200, Some(ETL)), "{path}");
            assert_eq!(proxy.access(200).await["client"], "etl");
        }
        for (fields, body) in [
            (&[json][..], r#"{"client_id":"x","client_secret":"wrong-0123456789"}"#),
            (&[json], ""),
            (&[json], "client_secret"),
            (&[form], "client_id=x"),
            (&[json], &large),
        ] {
            let refused = proxy.send("POST", path, fields, body).await;
            let error = refused.json()["error"].clone();
            assert_eq!((refused.status, error.as_str()), (401, Some("invalid_client")), "{path} {body:.40}");
            assert_eq!(refused.all("cache-control"), ["no-store"]);
            let event = proxy.access(401).await;
            assert_eq!((&event["error"], &event["rule"]), (&"key-required".into(), &"guard.keys_dir".into()));
        }
    }
    let page = [json, ("Origin", "http://evil.example")];
    assert_eq!(proxy.send("POST", "/v1/applications/token", &page, &good).await.status, 403);
    assert!(upstream.seen().is_empty());
    assert!(!proxy.end().await.contains(ETL), "a key in the log");
}

#[tokio::test]
async fn without_keys_any_secret_gets_the_dummy() {
    let upstream = upstream().await;
    let proxy = Proxy::start(serve(&upstream)).await;
    let body = r#"{"client_secret":"whatever-0123456789"}"#;
    let granted = proxy.send("POST", "/v1/applications/token", &[], body).await;
    assert_eq!(granted.status, 200);
    assert_eq!(granted.json()["access_token"], "airbyte-proxy-needs-no-token");
}

/// By `curl`, as another user where this one may become one.
#[tokio::test]
async fn the_socket_is_for_listed_users() {
    const SOMEBODY: u32 = 65_534;
    let upstream = upstream().await;
    let folder = tempfile::tempdir().expect("tempdir");
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).expect("chmod");
    for (uids, mode, theirs) in
        [(None, 0o600, None), (Some("1"), 0o666, Some("403")), (Some("65534"), 0o666, Some("200"))]
    {
        let socket = folder.path().join("s");
        let mut command = serve(&upstream);
        command.env("AIRBYTE_PROXY_LISTEN", format!("unix:{}", socket.display()));
        if let Some(uids) = uids {
            command.env("AIRBYTE_PROXY_GUARD_SOCKET_UIDS", uids);
        }
        let proxy = Proxy::start(command).await;
        let got = std::fs::metadata(&socket).expect("a socket").permissions().mode() & 0o777;
        assert_eq!(got, mode, "{uids:?}");
        let status = async |uid: Option<u32>| {
            let mut curl = Command::new("curl");
            // Needs no token.
            curl.args(["-s", "-o", "/dev/null", "-w", "%{http_code}", "http://x/-/live", "--unix-socket"]);
            curl.arg(&socket);
            if let Some(uid) = uid {
                curl.uid(uid);
            }
            String::from_utf8(curl.output().await.expect("curl").stdout).expect("a status")
        };
        assert_eq!(status(None).await, "200", "{uids:?}");
        if rustix::process::geteuid().is_root() {
            assert_eq!(status(Some(SOMEBODY)).await, theirs.unwrap_or("000"), "{uids:?}");
        }
        proxy.end().await;
        std::fs::remove_file(&socket).expect("rm");
    }
}

#[tokio::test]
async fn one_client_that_is_too_fast_slows_down_nobody_else() {
    let upstream = upstream().await;
    let secret = Secret::new(&[("etl", ETL), ("bi", BI)]);
    let mut command = keyed(&upstream, &secret);
    command.env("AIRBYTE_PROXY_LIMITS_RATE_PER_CLIENT", "1");
    let proxy = Proxy::start(command).await;
    let ask = async |key| proxy.send("GET", "/v1/jobs", &[("Airbyte-Proxy-Key", key)], "").await;
    // However slow this machine is, it does not take a second for each.
    let mut last = ask(ETL).await;
    assert_eq!(last.status, 200);
    for _ in 0..20 {
        if last.status == 200 {
            last = ask(ETL).await;
        }
    }
    assert_eq!((last.status, last.problem().as_str()), (429, "rate-limited"));
    assert_eq!(last.all("retry-after"), ["1"]);
    assert_eq!(ask(BI).await.status, 200);
}
