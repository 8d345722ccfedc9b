//! The documents that promise something name the tests that hold it, and those tests exist.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

/// Names of functions that are tests, in all sources below `folder`.
fn tests_in(folder: &Path, names: &mut HashSet<String>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            tests_in(&path, names);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("readable");
            let mut marked = false;
            for line in text.lines().map(str::trim) {
                marked |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
                let line = line.strip_prefix("async ").unwrap_or(line);
                if let Some(name) = line.strip_prefix("fn ").and_then(|rest| rest.split('(').next())
                    && std::mem::take(&mut marked)
                {
                    names.insert(name.to_owned());
                }
            }
        }
    }
}

/// Words in backquotes that can only be names of tests: settings have a dot or fewer words.
fn named(text: &str) -> Vec<&str> {
    let words = text.split('`').skip(1).step_by(2);
    words
        .filter(|word| word.matches('_').count() >= 2)
        .filter(|word| word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'))
        .collect()
}

#[test]
fn every_claim_names_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut tests = HashSet::new();
    tests_in(&root.join("src"), &mut tests);
    tests_in(&root.join("tests"), &mut tests);
    for (document, rows) in [("docs/conformance.md", 35), ("SECURITY.md", 12), ("docs/agents.md", 9)] {
        let text = fs::read_to_string(root.join(document)).expect("readable");
        let missing: Vec<_> = named(&text).into_iter().filter(|name| !tests.contains(*name)).collect();
        assert!(missing.is_empty(), "{document} names what is no test: {missing:?}");
        // In a table of claims, a line without a test claims without proof.
        let claims = text.lines().filter(|line| line.starts_with("| ") && line.matches(" | ").count() >= 2);
        let claims = claims.filter(|line| !line.contains("held by") && !line.contains(" µs | "));
        let claims: Vec<_> = claims.filter(|line| !line.starts_with("| request | time")).collect();
        assert!(claims.len() >= rows, "{document}: {} claims", claims.len());
        for claim in claims {
            let proof = claim.trim_end_matches(" |").rsplit(" | ").next().unwrap_or_default();
            assert!(!named(proof).is_empty(), "{document}: nothing holds {claim}");
        }
    }
}
