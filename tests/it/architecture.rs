//! Which room may name what. A room that grows a forbidden dependency fails here, with the line.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use airbyte_proxy::config::KEYS;

/// Source text without what is no code, line by line as it was.
mod code {
    /// The code, and the rest: comments (line and block), strings (escaped and raw) and characters. Each with every line
    /// break, so that lines keep their numbers.
    pub(super) fn and_words(text: &str) -> (String, String) {
        let (mut code, mut words) = (String::with_capacity(text.len()), String::new());
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let length = skipped(rest, code.chars().next_back());
            if length == 0 {
                code.push(first);
                words.extend((first == '\n').then_some(first));
                rest = &rest[first.len_utf8()..];
                continue;
            }
            let (gone, after) = rest.split_at(length);
            code.push(' ');
            code.extend(gone.chars().filter(|c| *c == '\n'));
            words.push_str(gone);
            words.push(' ');
            rest = after;
        }
        (code, words)
    }

    /// How many bytes at the start of `rest` are no code.
    fn skipped(rest: &str, before: Option<char>) -> usize {
        let to =
            |end: &str, from: usize| rest[from..].find(end).map_or(rest.len(), |at| from + at + end.len());
        if rest.starts_with("//") {
            return rest.find('\n').unwrap_or(rest.len());
        }
        if rest.starts_with("/*") {
            return block_comment(rest);
        }
        if rest.starts_with('"') {
            return quoted(rest, '"');
        }
        if let Some(inner) = rest.strip_prefix('\'') {
            // 'x' and '\n' are characters, 'x is a lifetime.
            let mut chars = inner.chars();
            return match (chars.next(), chars.next()) {
                (Some('\\'), _) => quoted(rest, '\''),
                (Some(c), Some('\'')) => 2 + c.len_utf8(),
                _ => 0,
            };
        }
        let in_a_word = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
        let raw = rest.strip_prefix("br").or_else(|| rest.strip_prefix('r')).filter(|_| !in_a_word);
        if let Some(raw) = raw {
            let hashes = raw.bytes().take_while(|b| *b == b'#').count();
            if raw[hashes..].starts_with('"') {
                let open = rest.len() - raw.len() + hashes + 1;
                return to(&format!("\"{}", "#".repeat(hashes)), open);
            }
        }
        0
    }

    fn quoted(rest: &str, end: char) -> usize {
        let mut escaped = false;
        for (at, c) in rest.char_indices().skip(1) {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                c if c == end => return at + c.len_utf8(),
                _ => {}
            }
        }
        rest.len()
    }

    fn block_comment(rest: &str) -> usize {
        let (mut depth, mut at) = (0_usize, 0);
        loop {
            let tail = &rest[at..];
            let Some(c) = tail.chars().next() else { return at };
            if tail.starts_with("/*") {
                (depth, at) = (depth + 1, at + 2);
            } else if tail.starts_with("*/") {
                (depth, at) = (depth - 1, at + 2);
                if depth == 0 {
                    return at;
                }
            } else {
                at += c.len_utf8();
            }
        }
    }
}

struct Source {
    /// Below `src`, with `/`.
    path: String,
    code: String,
    words: String,
}

fn sources() -> Vec<Source> {
    fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                collect(&path, files);
            } else if path.extension().is_some_and(|e| e == "rs") {
                files.push(path);
            }
        }
    }
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&src, &mut files);
    let source = |file: PathBuf| {
        let path = file.strip_prefix(&src).expect("below src").to_string_lossy().replace('\\', "/");
        let text = fs::read_to_string(&file).expect("readable");
        let (code, words) = code::and_words(&text);
        Source { path, code, words }
    };
    files.into_iter().map(source).collect()
}

fn line_of(text: &str, at: usize) -> usize {
    1 + text[..at].matches('\n').count()
}

/// Whether the word is no part of a longer one.
fn stands_alone(code: &str, at: usize) -> bool {
    !code[..at].chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_')
}

#[test]
fn each_library_has_its_room() {
    for (word, rooms) in [
        ("axum::", &["control/", "demo/"][..]),
        ("reqwest::", &["mint/"]),
        ("clap::", &["cli/"]),
        ("clap_complete::", &["cli/"]),
        ("clap_mangen::", &["cli/"]),
        ("rpassword::", &["cli/init/"]),
        ("toml::", &["config/"]),
        ("tracing_subscriber::", &["telemetry/", "token/keeper_tests/"]),
        ("flate2::", &["control/", "demo/", "proxy/lists/"]),
        ("h2::", &["proxy/upstream/"]),
        ("httparse::", &["proxy/upstream/http1/"]),
        ("listenfd::", &["server/"]),
        ("sd_notify::", &["cli/"]),
        ("rustls::", &["outbound/", "proxy/upstream/"]),
        ("SystemTime", &["clock.rs"]),
        ("std::time::Instant", &["clock.rs"]),
        ("tokio::time::Instant", &["clock.rs"]),
        ("std::env::var", &["config/", "cli/", "main.rs"]),
    ] {
        for source in sources() {
            if rooms.iter().any(|room| source.path.starts_with(room)) {
                continue;
            }
            for (at, _) in source.code.match_indices(word) {
                let line = line_of(&source.code, at);
                assert!(
                    !stands_alone(&source.code, at),
                    "{word} belongs in {rooms:?}: src/{}:{line}",
                    source.path
                );
            }
        }
    }
}

/// "No telemetry" is true of what the program contains: here is every place that opens a connection.
#[test]
fn whoever_opens_a_connection_is_named_here() {
    // Of these, `mint` and `proxy` go to Airbyte, and the others to an airbyte-proxy of this machine.
    let places = ["mint/", "proxy/upstream/dial.rs", "cli/ask.rs", "server/bind.rs", "server/socket.rs"];
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    for source in sources().iter().filter(|source| !source.path.contains("tests")) {
        let ways = [
            "Stream::connect",
            "Connector::new",
            "reqwest::Client",
            "UdpSocket",
            "UnixDatagram",
            "lookup_host",
        ];
        for way in ways.iter().filter(|way| source.code.contains(*way)) {
            let place = places.iter().find(|place| source.path.starts_with(*place));
            assert!(
                place.is_some(),
                "src/{} has {way}, and docs/install.md does not tell of it",
                source.path
            );
            seen.extend(place.copied());
        }
    }
    assert_eq!(seen.len(), places.len(), "only {seen:?} open connections");
}

/// The rooms that `code` names as `crate::x`, `crate::{x, y::z}` or `super::super::x`, each with its line.
fn rooms_named(code: &str) -> Vec<(String, usize)> {
    let mut named = Vec::new();
    for (at, word) in code.match_indices("crate::") {
        if !stands_alone(code, at) {
            continue;
        }
        let rest = &code[at + word.len()..];
        let firsts = match rest.strip_prefix('{') {
            Some(group) => firsts_of(group),
            None => vec![rest],
        };
        named.extend(firsts.into_iter().map(|first| (word_at(first), line_of(code, at))));
    }
    named
}

/// What follows each `{` or `,` on the outermost level of a group, up to its end.
fn firsts_of(group: &str) -> Vec<&str> {
    let mut firsts = vec![group];
    let mut depth = 0_usize;
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => firsts.push(&group[at + 1..]),
            _ => {}
        }
    }
    firsts
}

fn word_at(text: &str) -> String {
    text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

const ROOMS: [&str; 18] = [
    "airbyte",
    "app",
    "browser",
    "cli",
    "clock",
    "config",
    "control",
    "demo",
    "diagnose",
    "guard",
    "mint",
    "outbound",
    "problem",
    "proxy",
    "secret",
    "server",
    "telemetry",
    "token",
];

#[test]
fn arrows_point_down() {
    let mut wrong = Vec::new();
    let sources = sources();
    for (room, may_know) in [
        ("airbyte", &[][..]),
        ("browser", &[]),
        ("clock", &[]),
        ("problem", &["browser"]),
        ("secret", &[]),
        ("telemetry", &["clock"]),
        ("token", &["clock", "secret", "telemetry"]),
        ("outbound", &["airbyte", "secret"]),
        ("mint", &["airbyte", "clock", "outbound", "secret", "telemetry", "token"]),
        ("server", &["clock", "telemetry"]),
        ("guard", &["airbyte", "problem", "server"]),
        ("control", &["airbyte", "browser", "clock", "guard", "problem", "telemetry"]),
        (
            "proxy",
            &[
                "airbyte",
                "browser",
                "clock",
                "control",
                "guard",
                "outbound",
                "problem",
                "server",
                "telemetry",
                "token",
            ],
        ),
        ("demo", &["airbyte", "clock", "secret"]),
        ("diagnose", &["airbyte", "clock", "config", "mint", "outbound", "secret", "server", "token"]),
        (
            "config",
            &[
                "airbyte",
                "clock",
                "guard",
                "mint",
                "outbound",
                "proxy",
                "secret",
                "server",
                "telemetry",
                "token",
            ],
        ),
    ] {
        for source in &sources {
            if source.path != format!("{room}.rs") && !source.path.starts_with(&format!("{room}/")) {
                continue;
            }
            for (named, line) in rooms_named(&source.code) {
                if named != room && ROOMS.contains(&named.as_str()) && !may_know.contains(&named.as_str()) {
                    wrong.push(format!("{room} must not know {named}: src/{}:{line}", source.path));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A key that does not exist is the worst advice there is.
#[test]
fn every_setting_that_anything_names_exists() {
    let mut wrong = Vec::new();
    let sections: BTreeSet<&str> = KEYS.iter().filter_map(|key| Some(key.name.split_once('.')?.0)).collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let pages = [
        "README.md",
        "docs/agents.md",
        "docs/ci.md",
        "docs/systemd.md",
        "docs/errors.md",
        "docs/architecture.md",
        "docs/configuration.md",
        "docs/lists.md",
        "docs/clients.md",
        "docs/documents.md",
        "docs/install.md",
        "docs/operations.md",
        "docs/metrics.md",
        "docs/pages.md",
        "docs/fleet.md",
    ];
    let pages = pages.map(|page| (page.to_owned(), fs::read_to_string(root.join(page)).expect("a page")));
    let rooms = sources().into_iter().filter(|source| !source.path.contains("tests"));
    for (place, text) in rooms.map(|source| (source.path, source.words)).chain(pages) {
        for section in &sections {
            let section = format!("{section}.");
            for (at, _) in text.match_indices(&section).filter(|(at, _)| stands_alone(&text, *at)) {
                let rest = &text[at + section.len()..];
                let name = format!("{section}{}", word_at(rest));
                // The end of a sentence, or no key: the name of a file, a row of `check`, an example of a slip.
                let others = ["policy.toml", "lists.md", "credentials.client_secret", "upstream.api_ulr"];
                let is_none = others.contains(&name.as_str());
                if rest.starts_with(|c: char| c.is_ascii_lowercase())
                    && !is_none
                    && KEYS.iter().all(|known| known.name != name)
                {
                    wrong.push(format!("{name}: {place}:{}", line_of(&text, at)));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "no such setting:\n{}", wrong.join("\n"));
}

#[test]
fn every_room_is_known_here() {
    let rooms: BTreeSet<String> = sources()
        .iter()
        .filter_map(|source| source.path.split(['/', '.']).next().map(str::to_owned))
        .filter(|room| room != "lib" && room != "main")
        .collect();
    assert_eq!(rooms.iter().map(String::as_str).collect::<Vec<_>>(), ROOMS);
}

#[test]
fn this_test_reads_code_and_nothing_else() {
    let code = code::and_words(
        "a(\"//x\\\"\", '\"', r#\"\"crate::y\"#); // crate::z\n/* /* \n */ crate::w */b::<'c>('\\'');",
    );
    assert_eq!(code.0, "a( ,  ,  );  \n \nb::<'c>( );");
    for (code, rooms) in [
        ("use crate::proxy;", &["proxy"][..]),
        ("use crate::{app, guard::{Api, Guard}, token::*};", &["app", "guard", "token"]),
        ("let x: crate::mint::Y = crate::Z;", &["mint", "Z"]),
        ("use hyper::body; use other_crate::proxy;", &[]),
        ("pub(crate) fn f() {}", &[]),
    ] {
        let named: Vec<_> = rooms_named(code).into_iter().map(|(room, _)| room).collect();
        assert_eq!(named, rooms, "{code}");
    }
}
