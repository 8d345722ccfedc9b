//! How `doctor` tells what it found.

use airbyte_proxy::demo::Options;
use airbyte_proxy::secret::Secret;

use super::{configured, doctor, flowing};
use crate::harness::process::airbyte;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_set_up_that_works_is_told_to() {
    let airbyte = airbyte(Options { record: 4, ..Options::default() });
    let ended = configured(&airbyte.api_url(), &airbyte).run().await;
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{}", ended.stdout);
    let text = flowing(&ended);
    for part in [
        "listen http://127.0.0.1:0: free",
        "way out direct",
        "secret from AIRBYTE_CLIENT_SECRET",
        "ok POST /v1/applications/token json 200 a token",
        "ok GET /v1/workspaces 200 a list with rows",
        "issuer https://cloud.airbyte.com/auth/realms/_airbyte-application-clients",
        "life 15 min by its exp, 15 min by expires_in",
        "clock the same as Airbyte's",
        "all is well: Airbyte gives tokens, and its API takes them.",
    ] {
        assert!(text.contains(part), "{part}\nis not in\n{}", ended.stdout);
    }
    let counts = airbyte.handle().counts();
    assert_eq!((counts.token_requests, counts.authorized), (1, 1), "one question each");
    assert_eq!(airbyte.handle().seen()[0].target, "/v1/workspaces?limit=1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bare_host_leads_to_what_to_write() {
    let airbyte = airbyte(Options { self_managed_only: true, refuse_json: true, ..Options::default() });
    let ended = doctor(&format!("--url {}", airbyte.addr()), &airbyte).run().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stdout);
    let end = format!(
        "; write into the configuration:\n  upstream.api_url = \"{}\"\n  token.body = \"form\"\n",
        airbyte.self_managed_url()
    );
    assert!(ended.stdout.ends_with(&end), "{}", ended.stdout);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn words_stay_within_80_columns_and_nothing_secret_is_among_them() {
    let airbyte = airbyte(Options { clock_skew: 3600, refuse_json: true, ..Options::default() });
    for arguments in ["", "--json"] {
        let ended = configured(&format!("http://{}", airbyte.addr()), &airbyte)
            .env("HTTP_PROXY", "http://someone:hunter2-of-a-proxy@127.0.0.1:9")
            .arg(if arguments.is_empty() { "--log-level=info" } else { arguments })
            .run()
            .await;
        assert_eq!(ended.code, Some(1), "{}", ended.stdout);
        let credentials = airbyte.credentials();
        let tokens = airbyte.handle().tokens();
        let secrets = tokens.iter().chain([&credentials.client_secret]).map(Secret::expose);
        for secret in secrets.chain(["hunter2-of-a-proxy", "\x1b["]) {
            assert!(!ended.stdout.contains(secret) && !ended.stderr.contains(secret), "{}", ended.stdout);
        }
        let signature = tokens[0].expose().rsplit('.').next().expect("a JWT");
        assert!(!ended.stdout.contains(signature));
        if arguments.is_empty() {
            let long: Vec<_> = ended.stdout.lines().filter(|line| line.chars().count() > 80).collect();
            assert!(long.is_empty(), "{long:#?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn programs_get_json() {
    let airbyte = airbyte(Options { self_managed_only: true, ..Options::default() });
    let ended = configured(&airbyte.api_url(), &airbyte).arg("--json").run().await;
    assert_eq!(ended.code, Some(1));
    let report: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert_eq!(report["ok"], false);
    assert_eq!(report["asked"][0]["works"], false);
    assert_eq!(report["asked"][1]["answer"], "200 a token");
    let setting = &report["wrong"][0]["settings"][0];
    assert_eq!(setting["key"], "upstream.api_url");
    assert_eq!(setting["value"], format!("\"{}\"", airbyte.self_managed_url()));
    assert_eq!(setting["set_by"], "--upstream-api-url");
    assert_eq!(report["token"]["lifetime_by_exp"], 900);
}
