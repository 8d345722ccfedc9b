//! What may be done, asked by real requests.

use super::*;

/// The ways to say it; each must work alone.
fn read_only_by(way: &str, upstream: &Upstream, folder: &Path) -> Command {
    let mut command = serve(upstream);
    match way {
        "flag" => command.arg("--read-only"),
        "variable" => command.env("AIRBYTE_PROXY_READ_ONLY", "true"),
        "preset" => command.args(["--policy-preset", "read-only"]),
        "file" => {
            let file = folder.join("x.toml");
            std::fs::write(&file, "read_only = true\n").expect("write");
            command.arg("--config").arg(file)
        }
        // Rules do not lift it.
        _ => command.args(["--read-only", "--policy-rules", "allow * /**"]),
    };
    command
}

#[tokio::test]
async fn read_only_lets_reads_through_and_nothing_else_however_it_is_said() {
    let folder = tempfile::tempdir().expect("tempdir");
    for way in ["flag", "variable", "preset", "file", "rules besides"] {
        let upstream = upstream().await;
        let proxy = Proxy::start(read_only_by(way, &upstream, folder.path())).await;
        assert_eq!(proxy.status("GET", "/v1/jobs", &[]).await, 200, "{way}");
        for method in ["POST", "PUT", "PATCH", "DELETE", "BREW", "get"] {
            let refused = proxy.send(method, "/v1/jobs", &[], "").await;
            assert_eq!(refused.status, 405, "{way} {method}");
            assert_eq!(refused.all("allow"), ["GET, HEAD, OPTIONS"], "{way} {method}");
            assert_eq!(refused.problem(), "method-not-allowed");
        }
        assert_eq!(passed(&upstream), ["GET /v1/jobs"], "{way}");
    }
}

#[tokio::test]
async fn no_spelling_gets_past_read_only_and_the_default_denials() {
    let upstream = upstream().await;
    let mut command = serve(&upstream);
    command.arg("--read-only");
    let proxy = Proxy::start(command).await;
    let overrides = [
        ("X-HTTP-Method-Override", "DELETE"),
        ("X-HTTP-Method", "DELETE"),
        ("X-Method-Override", "DELETE"),
        ("X_HTTP_Method_Override", "DELETE"),
        ("X-Original-URL", "/v1/applications"),
        ("X-Rewrite-URL", "/v1/applications"),
    ];
    let as_get: Vec<_> = overrides.map(|(name, _)| (name, "GET")).into();
    for (method, target, fields, status) in [
        ("GET", "/v1/jobs/7", &overrides[..], 200),
        ("POST", "/v1/jobs", &as_get[..], 405),
        ("POST", "/v1/jobs/", &[], 405),
        ("POST", "/v1//jobs", &[], 405),
        ("DELETE", "/api/public/v1/jobs/7", &[], 405),
        ("HEAD", "/v1/jobs/", &[], 200),
        ("OPTIONS", "/v1/jobs", &[], 200),
        ("GET", "/v1/applications", &[], 403),
        ("GET", "/v1/applications/", &[], 403),
        ("GET", "/v1//applications", &[], 403),
        ("GET", "/v1/%61pplications", &[], 403),
        ("GET", "/v1/Applications", &[], 403),
        ("GET", "/v1/%41PPLICATIONS", &[], 403),
        ("GET", "/v1/applications;x=1", &[], 403),
        ("GET", "/api/public/v1/applications", &[], 403),
        ("GET", "http://localhost/v1/applications", &[], 403),
        ("GET", "/v1/applications/../jobs", &[], 400),
        ("GET", "/v1/jobs/../applications", &[], 400),
        ("GET", "/v1/jobs/%2e%2e/applications", &[], 400),
        ("GET", "/v1/jobs%2F..%2Fapplications", &[], 400),
        ("GET", "/v1/jobs/..%5capplications", &[], 400),
        ("GET", "/v1/applications%00", &[], 400),
        ("GET", "/V1/jobs", &[], 404),
        ("GET", "/%761/jobs", &[], 404),
        ("GET", "/applications", &[], 404),
    ] {
        assert_eq!(proxy.status(method, target, fields).await, status, "{method} {target}");
    }
    let seen = upstream.seen();
    assert_eq!(passed(&upstream), ["GET /v1/jobs/7", "HEAD /v1/jobs/", "OPTIONS /v1/jobs"]);
    for (name, _) in overrides {
        assert!(!seen[0].headers.contains_key(name), "{name} got through");
    }
}

#[tokio::test]
async fn sync_only_starts_and_cancels_jobs_and_changes_nothing_else() {
    let upstream = upstream().await;
    let mut command = serve(&upstream);
    command.env("AIRBYTE_PROXY_POLICY_PRESET", "sync-only");
    let proxy = Proxy::start(command).await;
    for (method, target, status) in [
        ("GET", "/v1/sources", 200),
        ("POST", "/v1/jobs", 200),
        ("POST", "/v1/jobs/", 200),
        ("DELETE", "/v1/jobs/7", 200),
        ("POST", "/v1/sources", 403),
        ("POST", "/v1/Jobs", 403),
        ("DELETE", "/v1/jobs", 403),
        ("POST", "/v1/jobs/7", 403),
        ("PATCH", "/v1/connections/7", 403),
    ] {
        assert_eq!(proxy.status(method, target, &[]).await, status, "{method} {target}");
    }
    let through = ["GET /v1/sources", "POST /v1/jobs", "POST /v1/jobs/", "DELETE /v1/jobs/7"];
    assert_eq!(passed(&upstream), through);
    // The tighter of the two holds.
    let mut command = serve(&upstream);
    command.args(["--policy-preset", "sync-only", "--read-only"]);
    let both = Proxy::start(command).await;
    assert_eq!(both.status("POST", "/v1/jobs", &[]).await, 405);
}

#[tokio::test]
async fn rules_decide_in_their_order_and_a_refusal_teaches() {
    let upstream = upstream().await;
    let rules = ["allow GET /connections/*", "deny * /connections/**", "allow GET /applications"];
    let mut by_flags = serve(&upstream);
    by_flags.args(rules.iter().flat_map(|rule| ["--policy-rules", rule]));
    let mut by_variable = serve(&upstream);
    by_variable.env("AIRBYTE_PROXY_POLICY_RULES", rules.join("; "));
    for command in [by_flags, by_variable] {
        let mut proxy = Proxy::start(command).await;
        let before = upstream.seen().len();
        for (method, target, status) in [
            ("GET", "/v1/connections/7", 200),
            ("HEAD", "/v1/connections/7", 200),
            ("GET", "/api/public/v1/connections/7", 200),
            ("GET", "/v1/applications", 200),
            ("POST", "/v1/sources", 200),
            ("GET", "/v1/connections", 403),
            ("GET", "/v1/Connections", 403),
            ("GET", "/v1/%63onnections", 403),
            ("POST", "/v1/applications", 403),
        ] {
            assert_eq!(proxy.status(method, target, &[]).await, status, "{method} {target}");
        }
        assert_eq!(upstream.seen().len(), before + 5);

        let refused = proxy.send("DELETE", "/v1/connections/7?name=secret", &[], "").await;
        let detail = refused.json()["detail"].as_str().unwrap_or_default().to_owned();
        for part in ["DELETE /connections/7", "policy.rules[1]", "\"deny * /connections/**\""] {
            assert!(detail.contains(part), "{detail}");
        }
        assert!(!detail.contains("name=secret"), "{detail}");
        let event = proxy.event(|event| event["target"] == "access" && event["method"] == "DELETE").await;
        assert_eq!(
            (&event["error"], &event["rule"]),
            (&"path-not-allowed".into(), &"policy.rules[1]".into())
        );
        // The default denial names the setting that lifts it.
        let denied = proxy.send("GET", "/v1/dataplanes", &[], "").await;
        assert_eq!(denied.status, 200, "reading those is harmless");
        let denied = proxy.send("POST", "/v1/dataplanes", &[], "").await;
        let detail = denied.json()["detail"].as_str().unwrap_or_default().to_owned();
        assert!(detail.contains(r#"policy.rules = ["allow POST /dataplanes/**"]"#), "{detail}");
        assert_eq!(proxy.access(403).await["rule"], "default denial");
    }
}

#[tokio::test]
async fn listed_names_and_the_public_url_are_answered_to() {
    let upstream = upstream().await;
    let mut command = serve(&upstream);
    command
        .env("AIRBYTE_PROXY_GUARD_ALLOWED_HOSTS", "host.docker.internal,10.0.0.7")
        .env("AIRBYTE_PROXY_PUBLIC_URL", "https://airbyte.corp.example/");
    let mut proxy = Proxy::start(command).await;
    for (host, status) in [
        ("host.docker.internal:8484", 200),
        ("10.0.0.7", 200),
        ("airbyte.corp.example", 200),
        ("host.containers.internal", 403),
        ("corp.example", 403),
    ] {
        assert_eq!(proxy.status("GET", "/v1/jobs", &[("Host", host)]).await, status, "{host}");
    }
    let event = proxy.access(403).await;
    assert_eq!(event["rule"], "guard.allowed_hosts");
    let ours = ("Origin", "https://airbyte.corp.example");
    let answer = proxy.send("POST", "/v1/jobs", &[ours], "").await;
    assert_eq!((answer.status, answer.cors().len()), (200, 0));
    assert_eq!(upstream.seen().len(), 4);
}

/// `demo` has the guard too; what it would be without is the rest of this page.
#[tokio::test]
async fn the_demo_is_guarded_as_well() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_airbyte-proxy"));
    command.env_clear().args(["demo", "--listen", "127.0.0.1:0", "--read-only", "--log-format", "json"]);
    let proxy = Proxy::start(command).await;
    assert_eq!(proxy.status("GET", "/v1/workspaces", &[]).await, 200);
    assert_eq!(proxy.status("POST", "/v1/jobs", &[]).await, 405);
}
