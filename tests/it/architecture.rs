//! Which room may name what. A room that grows a forbidden dependency fails here, with the line.

use std::fs;
use std::path::{Path, PathBuf};

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
    files
}

/// Lines of code outside `rooms` that contain `word`.
fn outside(rooms: &[&str], word: &str) -> Vec<String> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    for file in sources(&src) {
        let relative = file.strip_prefix(&src).expect("below src").to_string_lossy().into_owned();
        if rooms.iter().any(|room| relative.starts_with(room)) {
            continue;
        }
        let text = fs::read_to_string(&file).expect("readable");
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            if code.contains(word) {
                found.push(format!("src/{relative}:{}: {line}", number + 1));
            }
        }
    }
    found
}

#[test]
fn each_library_has_its_room() {
    for (word, rooms) in [
        ("axum::", &["control", "demo"][..]),
        ("reqwest::", &["mint"]),
        ("clap::", &["cli"]),
        ("toml::", &["config"]),
        ("rustls::", &["outbound", "proxy/upstream"]),
        ("SystemTime", &["clock.rs"]),
        ("std::time::Instant", &["clock.rs"]),
        ("tokio::time::Instant", &["clock.rs"]),
        ("std::env::var", &["config", "cli", "main.rs"]),
    ] {
        let found = outside(rooms, word);
        assert!(found.is_empty(), "{word} belongs in {rooms:?}:\n{}", found.join("\n"));
    }
}

#[test]
fn arrows_point_down() {
    for (room, must_not_know) in [
        (
            "airbyte",
            &["token", "proxy", "mint", "server", "config", "guard", "control", "app", "cli", "secret"][..],
        ),
        ("secret", &["token", "proxy", "mint", "server", "config", "guard", "control", "app", "cli"]),
        (
            "clock",
            &["token", "proxy", "mint", "server", "config", "guard", "control", "app", "cli", "secret"],
        ),
        ("token", &["proxy", "mint", "server", "config", "guard", "control", "app", "cli", "airbyte"]),
        ("mint", &["proxy", "server", "config", "guard", "control", "app", "cli"]),
        ("outbound", &["token", "proxy", "mint", "server", "config", "guard", "control", "app", "cli"]),
        (
            "server",
            &["token", "proxy", "mint", "config", "guard", "control", "app", "cli", "airbyte", "secret"],
        ),
        ("guard", &["token", "proxy", "mint", "config", "control", "app", "cli", "secret"]),
        ("proxy", &["config", "app", "cli", "demo", "mint"]),
        ("control", &["config", "app", "cli", "demo", "mint", "proxy"]),
        ("demo", &["config", "app", "cli", "proxy", "mint", "token", "server", "guard", "control"]),
        ("config", &["app", "cli", "demo"]),
    ] {
        let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let folder = src.join(room);
        let files = if folder.is_dir() { sources(&folder) } else { vec![src.join(format!("{room}.rs"))] };
        for file in files {
            let text = fs::read_to_string(&file).expect("readable");
            for other in must_not_know {
                let named = text.lines().map(|l| l.split("//").next().unwrap_or_default());
                let word = format!("crate::{other}::");
                let line = named.enumerate().find(|(_, l)| l.contains(&word));
                assert!(
                    line.is_none(),
                    "{} names {word} in line {:?}",
                    file.display(),
                    line.map(|(n, _)| n + 1)
                );
            }
        }
    }
}
