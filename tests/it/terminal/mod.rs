//! The first minutes as a person has them: what the README says, typed into a real terminal (tmux), and all that is seen.
//!
//! What it shows is `docs/first-minutes.txt`, which people read. To accept what has changed:
//! `SNAPSHOTS=overwrite cargo test --test it terminal`.

mod tmux;

use std::path::Path;

use airbyte_proxy::demo::{Options, Simulator, Sizes};
use airbyte_proxy::secret::{ClientCredentials, Secret};

use self::tmux::{Terminal, Window};
use crate::harness::process::{airbyte, free_port};
use crate::simulator::python;

/// What stands in the text for what is another at each run.
struct Named {
    airbyte: String,
    port: u16,
    home: String,
}

impl Named {
    fn in_place(&self, shown: &str) -> String {
        let text = shown
            .replace(&self.airbyte, "localhost:8000")
            .replace(&self.port.to_string(), "8484")
            .replace(&self.home, "/home/you");
        // Where the tests run in a container, the proxy says so.
        let lines = text.lines().filter(|line| !line.contains("only processes in this container"));
        lines.map(still).collect::<Vec<_>>().join("\n") + "\n"
    }
}

/// A line of the log has a time in front, and perhaps times and an id in it.
fn still(line: &str) -> String {
    let words: Vec<_> = line.split(' ').map(|word| steady(word).unwrap_or(word)).collect();
    words.join(" ").trim_end().to_owned()
}

fn steady(word: &str) -> Option<&'static str> {
    if is_time(word) {
        return Some("09:30:00");
    }
    if word.strip_prefix("^C").is_some_and(is_time) {
        return Some("^C09:30:00");
    }
    let number = |name: &str| {
        word.strip_prefix(name).is_some_and(|value| value.starts_with(|c: char| c.is_ascii_digit()))
    };
    [("duration_ms=", "duration_ms=31.4"), ("upstream_ms=", "upstream_ms=31.2")]
        .into_iter()
        .find_map(|(name, instead)| number(name).then_some(instead))
        .or_else(|| word.starts_with("request_id=").then_some("request_id=5f0c2d9a41b7e683"))
}

fn is_time(word: &str) -> bool {
    let two_digits = |part: &str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
    word.split(':').count() == 3 && word.split(':').all(two_digits)
}

fn one_of_each() -> Simulator {
    let client_secret = Secret::new("what-is-typed-blindly-into-a-terminal".to_owned());
    let client_id = "3b1f0a52-6d5e-4c5b-9d0a-2f7c1e8b4a60".to_owned();
    airbyte(Options {
        self_managed_only: true,
        credentials: Some(ClientCredentials { client_id, client_secret }),
        sizes: Sizes { workspaces: 2, ..Sizes::default() },
        ..Options::default()
    })
}

async fn init(first: &Window<'_>, airbyte: &Simulator, address: &str) {
    first.types("airbyte-proxy init").await;
    first.shows("Airbyte's URL").await;
    first.types(address).await;
    first.shows("Client id:").await;
    first.types(&airbyte.client_id()).await;
    first.shows("Client secret").await;
    first.types(airbyte.client_secret().expose()).await;
    first.prompts().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_minutes_in_a_terminal_are_as_they_were_read_last() {
    let (Some(python), true) = (python(), tmux::is_there()) else { return };
    let (airbyte, port) = (one_of_each(), free_port());
    let folder = tempfile::tempdir().expect("a folder");
    let (home, address) = (folder.path(), format!("localhost:{}", airbyte.addr().port()));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/terminal/script.py");
    std::fs::copy(script, home.join("script.py")).expect("copied");
    let programs = [Path::new(env!("CARGO_BIN_EXE_airbyte-proxy")), Path::new(&python)];
    let terminal =
        Terminal::start(home, &programs, &[("AIRBYTE_PROXY_LISTEN", &format!("127.0.0.1:{port}"))]);

    let first = terminal.window().await;
    init(&first, &airbyte, &address).await;
    first.types("airbyte-proxy").await;
    first.shows("token minted").await;

    let second = terminal.window().await;
    second.types(&format!("curl localhost:{port}/v1/workspaces")).await;
    second.prompts().await;
    second.types("cat script.py").await;
    second.prompts().await;
    second.types("airbyte-proxy run -- python script.py").await;
    second.prompts().await;

    first.shows("/v1/workspaces").await;
    first.interrupts().await;
    first.prompts().await;

    let named = Named { airbyte: address, port, home: home.display().to_string() };
    let shown = format!(
        "In a terminal:\n\n{}\nIn another one, while the proxy runs:\n\n{}",
        named.in_place(&first.all().await),
        named.in_place(&second.all().await)
    );
    assert!(!shown.contains(airbyte.client_secret().expose()), "the secret is shown");
    let tokens = airbyte.handle().tokens();
    assert!(
        !tokens.is_empty() && tokens.iter().all(|token| !shown.contains(token.expose())),
        "a token is shown"
    );
    snapbox::assert_data_eq!(shown, snapbox::file!["../../../docs/first-minutes.txt"].raw());
}
