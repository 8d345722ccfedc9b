//! `config/airbyte-proxy.toml` documents every key, with the default that the code has.

use airbyte_proxy::config::{Environment, Flags, KEYS, Loaded, load};

const EXAMPLE: &str = include_str!("../../../config/airbyte-proxy.toml");

/// The commented `# key = value` lines, as (whole key, value).
fn commented() -> Vec<(String, &'static str)> {
    let mut section = String::new();
    let mut found = Vec::new();
    for line in EXAMPLE.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            section = format!("{name}.");
        } else if let Some((key, value)) = key_line(line) {
            found.push((format!("{section}{key}"), value));
        }
    }
    found
}

fn key_line(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.strip_prefix("# ")?.split_once(" = ")?;
    key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_').then_some((key, value))
}

fn loaded(toml: &str) -> Loaded {
    let folder = tempfile::tempdir().expect("tempdir");
    let path = folder.path().join("x.toml");
    std::fs::write(&path, toml).expect("write");
    let flags = Flags { config: Some(path), ..Flags::default() };
    load(&flags, &Environment::default()).expect("valid")
}

#[test]
fn example_names_every_key_in_the_order_of_the_table() {
    let documented: Vec<_> = commented().into_iter().map(|(key, _)| key).collect();
    let keys: Vec<_> = KEYS.iter().map(|key| key.name).collect();
    assert_eq!(documented, keys);
}

#[test]
fn example_shows_the_defaults_of_the_code() {
    let documented = commented();
    for row in loaded("").rows {
        let (_, shown) = documented.iter().find(|(key, _)| key == row.key).expect(row.key);
        if let Some(default) = row.value {
            assert_eq!(*shown, default, "{}", row.key);
        }
    }
}

#[test]
fn example_changes_nothing_as_it_is_nor_with_its_defaults_uncommented() {
    let defaults = loaded("");
    assert_eq!(loaded(EXAMPLE).config, defaults.config);
    let names: Vec<_> = defaults.rows.iter().filter(|row| row.value.is_some()).map(|row| row.key).collect();
    let mut keys = commented().into_iter();
    let uncommented: Vec<_> = EXAMPLE
        .lines()
        .map(|line| match key_line(line) {
            Some(_) if keys.next().is_some_and(|(key, _)| names.contains(&&*key)) => &line[2..],
            _ => line,
        })
        .collect();
    let loaded = loaded(&uncommented.join("\n"));
    assert_eq!(loaded.config, defaults.config);
    assert!(loaded.rows.iter().all(|row| row.value.is_none() || row.origin.to_string().contains("x.toml:")));
}

/// `docs/configuration.md` has the one table of all keys.
#[test]
fn the_documented_table_is_the_table_of_the_code() {
    let page = include_str!("../../../docs/configuration.md");
    let keys = page.split("## Keys").nth(1).and_then(|rest| rest.split("\n## ").next()).expect("the section");
    let documented: Vec<_> = keys.lines().filter(|line| line.starts_with("| `")).collect();
    let expected: Vec<_> = KEYS
        .iter()
        .map(|key| {
            let default = key.default.map_or(String::new(), |default| format!("`{default}`"));
            format!("| `{}` | {default} | {} |", key.name, key.doc)
        })
        .collect();
    assert_eq!(documented, expected, "write this into docs/configuration.md:\n{}", expected.join("\n"));
}

/// Blocks of `docs/configuration.md` are right, and mean what they say.
#[test]
fn documented_blocks_load() {
    use std::os::unix::fs::PermissionsExt as _;

    use airbyte_proxy::config::{CeilingFile, load_below};

    let page = include_str!("../../../docs/configuration.md");
    let block = |fence: &str| {
        let after = page.split(&format!("```{fence}\n")).nth(1).expect("a block");
        after.split("```").next().expect("its end").to_owned()
    };
    let folder = tempfile::tempdir().expect("tempdir");
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("inside")).expect("mkdir");
        std::fs::write(&path, text).expect("write");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("chmod");
        path
    };
    let keys = write("keys/etl", "etl-key-0123456789");
    let keys = keys.parent().expect("a folder").display().to_string();
    let file = write("x.toml", &block("toml").replace("/etc/airbyte-proxy/keys", &keys));
    let ceiling = write("ceiling/policy.toml", &block("toml ceiling"));
    let flags = Flags { config: Some(file), ..Flags::default() };
    let ceiling = CeilingFile::new(ceiling, rustix::process::geteuid().as_raw());
    let loaded = load_below(&ceiling, &flags, &Environment::default()).expect("valid");
    let policy = loaded.config.guard.policy;
    assert_eq!(policy.rules.len(), 3);
    assert!(policy.sweeping().is_none(), "the example must not open what hands out credentials");
    assert!(policy.ceiling.is_some_and(|ceiling| ceiling.restricts() && !ceiling.allow_credentials));
    let about_clients: Vec<_> = loaded.warnings.iter().filter(|w| w.contains("policy.rules")).collect();
    assert!(about_clients.is_empty(), "{about_clients:?}");
}
