//! What is generated from the grammar: help, completions, manual pages.

use std::fmt::Write as _;
use std::process::Stdio;

use crate::harness::process::airbyte_proxy;

/// As the help of the program lists them.
async fn commands() -> Vec<String> {
    let help = airbyte_proxy("--help").run().await.stdout;
    let list = help.split("\nCommands:\n").nth(1).and_then(|rest| rest.split("\n\n").next()).expect("a list");
    let first = |line: &str| line.strip_prefix("  ")?.split(' ').next().map(str::to_owned);
    list.lines().filter_map(first).filter(|name| !name.is_empty()).collect()
}

/// To accept what has changed: `SNAPSHOTS=overwrite cargo test --test it commands::help`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_help_is_as_it_was_read_last() {
    let mut all = String::new();
    for name in [String::new()].into_iter().chain(commands().await) {
        let asked = if name.is_empty() { "--help".to_owned() } else { format!("{name} --help") };
        let asked = asked.replace("help --help", "help help");
        let ended = airbyte_proxy(&asked).run().await;
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{asked}");
        let _ = write!(all, "$ airbyte-proxy {asked}\n{}\n", ended.stdout);
    }
    snapbox::assert_data_eq!(all, snapbox::file!["help.txt"].raw());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn completions_name_every_command_and_bash_reads_them() {
    let commands = commands().await;
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let ended = airbyte_proxy(&format!("completions {shell}")).run().await;
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        for name in &commands {
            assert!(ended.stdout.contains(name.as_str()), "{shell}: {name}");
        }
    }
    let script = "eval \"$($0 completions bash)\" && \
                  COMP_WORDS=(airbyte-proxy hea) COMP_CWORD=1 && \
                  _airbyte__proxy airbyte-proxy hea airbyte-proxy && echo \"${COMPREPLY[@]}\"";
    let bash = tokio::process::Command::new("bash")
        .args(["-c", script, env!("CARGO_BIN_EXE_airbyte-proxy")])
        .stdin(Stdio::null())
        .output();
    let bash = bash.await.expect("bash");
    let said = [bash.stdout, bash.stderr].concat();
    assert_eq!(String::from_utf8_lossy(&said), "healthcheck\n");
    assert_eq!(airbyte_proxy("completions nosuch").run().await.code, Some(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_has_a_manual_page() {
    let program = airbyte_proxy("man").run().await.stdout;
    let name = "\n.SH NAME\nairbyte\\-proxy \\- kubectl proxy for the Airbyte API";
    assert!(program.starts_with(".ie") && program.contains(name), "{program}");
    for command in commands().await {
        let page = airbyte_proxy(&format!("man {command}")).run().await;
        assert_eq!(page.code, Some(0), "{}", page.stderr);
        assert!(page.stdout.contains(&format!(".TH airbyte-proxy-{command} 1")), "{}", page.stdout);
        assert!(program.contains(&format!("airbyte\\-proxy\\-{command}(1)")), "{program}");
    }
    let none = airbyte_proxy("man nosuch").run().await;
    assert_eq!((none.code, none.stdout.as_str()), (Some(2), ""));
}
