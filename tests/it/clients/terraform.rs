//! The Terraform provider's requests, as read from its source, sent by curl.

use airbyte_proxy::demo::Options;
use tokio::process::Command;

use super::{script, succeeds, there_is};
use crate::harness::process::{airbyte, in_front_of};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_terraform_sends_for_plan_apply_and_destroy_is_answered() {
    if !there_is("python3") || !there_is("curl") {
        return;
    }
    let airbyte = airbyte(Options::default());
    let proxy = in_front_of(&airbyte).start().await;
    // With and without credentials; self-managed, its token_url is to be given in full.
    let self_managed = ["--credentials", "--token-url", "/api/public/v1/applications/token"];
    let ways: [(&str, &[&str]); 3] =
        [("/v1", &[]), ("/v1", &["--credentials"]), ("/api/public/v1", &self_managed)];
    for (base, more) in ways {
        succeeds(
            Command::new("python3")
                .arg(script("terraform.py"))
                .arg(proxy.url(base))
                .args(more)
                .arg("--definitions"),
        )
        .await;
    }
    let counts = airbyte.handle().counts();
    assert_eq!((counts.mints, counts.unauthorized()), (1, 0), "its own tokens never leave: {counts:?}");
    proxy.stop().await;
}
