//! `init` with a real keyring: GNOME's, on a session bus of its own, reached by libsecret's `secret-tool`.

use airbyte_proxy::demo::Options;

use crate::harness::process::{airbyte, wrapped};
use crate::harness::trace;

const NEEDED: [&str; 3] = ["secret-tool", "gnome-keyring-daemon", "dbus-run-session"];

/// The daemon makes a keyring with an empty password, and returns when it serves. It ends with its bus.
const SESSION: &str = r#"
printf '\n' | gnome-keyring-daemon --unlock --components=secrets >/dev/null
"$0" init --secret-store keychain --client-secret-stdin --client-id "$ID" --url "$URL"
"$0" token >/dev/null
secret-tool lookup service airbyte-proxy client-id "$ID" | cmp - mine
"#;

fn is_there(program: &str) -> bool {
    let folders = ["/usr/bin", "/bin"];
    folders.iter().any(|folder| std::path::Path::new(folder).join(program).exists())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_keyring_keeps_the_secret_and_gives_it_back() {
    if let Some(missing) = NEEDED.iter().find(|program| !is_there(program)) {
        println!("skipped: there is no {missing}");
        return;
    }
    let airbyte = airbyte(Options::default());
    let secret = airbyte.client_secret();
    trace::secret(secret.expose());
    let start = wrapped(&["dbus-run-session", "--", "sh", "-ec", SESSION], "");
    let home = start.folder().to_owned();
    std::fs::write(home.join("mine"), secret.expose()).expect("written");
    let start = start.env("ID", airbyte.client_id()).env("URL", airbyte.api_url());
    let ended = start.env("XDG_RUNTIME_DIR", &home).stdin(secret.expose()).run().await;
    assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
    assert!(ended.stdout.contains("in the keychain of this session (secret-tool)"), "{}", ended.stdout);
    let counts = airbyte.handle().counts();
    assert_eq!(
        (counts.mints, counts.refused),
        (2, 0),
        "init has tried it, and token has read it: {counts:?}"
    );
}
