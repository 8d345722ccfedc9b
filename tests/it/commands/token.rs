//! `token`: one token on stdout and nothing else, unless this machine's owner restricts what may be done with it.

use std::time::Duration;

use airbyte_proxy::demo::{Options, Simulator};
use http::StatusCode;

use crate::harness::daemon::got;
use crate::harness::process::{Start, airbyte, airbyte_proxy, client, wrapped};

/// Its tokens are meant to be printed, so no scan of the output looks for them.
fn token(airbyte: &Simulator, start: Start) -> Start {
    let at = airbyte.api_url();
    start.env("AIRBYTE_PROXY_UPSTREAM_API_URL", at).credentials(&airbyte.credentials())
}

async fn takes(airbyte: &Simulator, token: &str) {
    let request = client().get(format!("{}/workspaces", airbyte.api_url())).bearer_auth(token);
    assert_eq!(got(request).await.status, StatusCode::OK);
}

#[tokio::test]
async fn one_valid_token_and_nothing_else_is_on_stdout() {
    let airbyte = airbyte(Options::default());
    let ended = token(&airbyte, airbyte_proxy("token")).run().await;
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    takes(&airbyte, ended.stdout.strip_suffix('\n').expect("a line")).await;

    let ended = token(&airbyte, airbyte_proxy("token --header")).run().await;
    let header = ended.stdout.strip_suffix('\n').and_then(|line| line.strip_prefix("Authorization: Bearer "));
    takes(&airbyte, header.expect("a header")).await;
    assert_eq!((airbyte.handle().counts().mints, airbyte.handle().counts().unauthorized()), (2, 0));
}

#[tokio::test]
async fn json_tells_the_honest_end_of_the_token() {
    // It promises 900 s all the same.
    let life = Duration::from_secs(180);
    let airbyte = airbyte(Options { token_lifetime: life, ..Options::default() });
    let before = jiff::Timestamp::now();
    let ended = token(&airbyte, airbyte_proxy("token --json")).run().await;
    let after = jiff::Timestamp::now();
    let json: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
    takes(&airbyte, json["token"].as_str().expect("a token")).await;
    let expires_at: jiff::Timestamp =
        json["expires_at"].as_str().and_then(|at| at.parse().ok()).expect("a time");
    let life = jiff::SignedDuration::from_secs(180);
    let second = jiff::SignedDuration::from_secs(1);
    assert!(expires_at >= before + life - second - second && expires_at <= after + life, "{json}");
    assert_eq!(json.as_object().map(serde_json::Map::len), Some(2));
}

#[tokio::test]
async fn a_refusal_is_told_without_the_secret_and_names_doctor() {
    let airbyte = airbyte(Options::default());
    let start = airbyte_proxy("token").upstream(&airbyte);
    let ended = start
        .env("AIRBYTE_CLIENT_ID", airbyte.client_id())
        .env("AIRBYTE_CLIENT_SECRET", "hunter2-planted")
        .run()
        .await;
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""));
    assert!(ended.stderr.starts_with("no access token: "), "{}", ended.stderr);
    assert!(ended.stderr.contains("hint: airbyte-proxy doctor"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("hunter2"), "{}", ended.stderr);

    let ended = airbyte_proxy("token").upstream(&airbyte).run().await;
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""));
    assert!(ended.stderr.contains("airbyte-proxy init"), "{}", ended.stderr);
}

/// Through the binary, in a mount namespace where `/etc` is ours to write.
#[tokio::test]
async fn no_token_is_handed_out_below_a_ceiling() {
    let airbyte = airbyte(Options::default());
    let within = |ceiling: &str| {
        let script = format!(
            "mount -t tmpfs none /etc && mkdir -m 755 /etc/airbyte-proxy && umask 022 && \
             echo '{ceiling}' > /etc/airbyte-proxy/policy.toml && exec \"$0\" \"$@\""
        );
        token(&airbyte, wrapped(&["unshare", "-rm", "sh", "-c", &script], "token"))
    };
    // A ceiling that takes nothing away also shows whether there are namespaces here.
    let open = within("read_only = false").run().await;
    if open.code != Some(0) && open.stderr.contains("unshare") {
        return println!("skipped: no mount namespaces here");
    }
    assert_eq!(open.code, Some(0), "{}", open.stderr);
    let minted = airbyte.handle().counts().mints;
    for ceiling in ["read_only = true", "rules = [\"deny DELETE /**\"]", "allow_credentials = false"] {
        let refused = within(ceiling).run().await;
        assert_eq!((refused.code, refused.stdout.as_str()), (Some(1), ""), "{ceiling}");
        assert!(refused.stderr.contains("/etc/airbyte-proxy/policy.toml restricts"), "{}", refused.stderr);
    }
    assert_eq!(airbyte.handle().counts().mints, minted, "nobody was asked");
}
