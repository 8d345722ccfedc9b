//! What is built on the metrics: the dashboard, the alert rules and the page that explains them.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::scrape;
use crate::harness::simulated::stage;

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Words that can only be names of metrics.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'));
    let ours = |word: &&str| word.starts_with("airbyte_proxy_") || word.starts_with("process_");
    words.filter(ours).map(str::to_owned).collect()
}

/// The names that samples have.
async fn there_are() -> BTreeSet<String> {
    let stage = stage(|_| {}).await;
    let text = scrape(&stage.proxy).await.text;
    let mut names = BTreeSet::new();
    for family in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = family.split_once(' ').expect("a name and a type");
        let suffixes: &[&str] = match kind {
            "counter" => &["_total"],
            "info" => &["_info"],
            "histogram" => &["_bucket", "_sum", "_count"],
            "gauge" => &[""],
            other => panic!("{other}"),
        };
        names.extend(suffixes.iter().map(|suffix| format!("{name}{suffix}")));
    }
    names
}

#[tokio::test]
async fn every_metric_that_dashboard_and_alerts_name_exists() {
    let there = there_are().await;
    for (path, least) in [("config/grafana/airbyte-proxy.json", 20), ("config/prometheus/alerts.yml", 3)] {
        let named = named(&read(path));
        let missing: Vec<_> = named.difference(&there).collect();
        assert!(missing.is_empty() && named.len() >= least, "{path}: {missing:?} of {named:?}");
    }
}

#[tokio::test]
async fn the_page_explains_every_metric_and_no_other() {
    let base = |name: String| {
        let name = name.strip_suffix("_bucket").or_else(|| name.strip_suffix("_sum")).unwrap_or(&name);
        name.strip_suffix("_count").unwrap_or(name).to_owned()
    };
    let there: BTreeSet<_> = there_are().await.into_iter().map(base).collect();
    let page = read("docs/metrics.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let explained: BTreeSet<_> = rows.filter(|name| name.contains('_')).map(str::to_owned).collect();
    assert_eq!(explained, there);
    let named: BTreeSet<_> = named(&page).into_iter().map(base).collect();
    assert!(named.is_subset(&there), "{:?}", named.difference(&there).collect::<Vec<_>>());
}

#[test]
fn the_dashboard_is_whole() {
    let dashboard: Value = serde_json::from_str(&read("config/grafana/airbyte-proxy.json")).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64().expect("a number")).collect();
    assert_eq!(ids.len(), panels.len());
    for panel in panels {
        let title = panel["title"].as_str().expect("a title");
        assert!(panel["description"].as_str().is_some_and(|text| text.ends_with('.')), "{title}");
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title}");
        for target in panel["targets"].as_array().expect("queries") {
            let expr = target["expr"].as_str().expect("a query");
            assert!(expr.contains("job=~\"$job\", instance=~\"$instance\""), "{title}: {expr}");
            for (open, close) in [('(', ')'), ('{', '}'), ('[', ']')] {
                assert_eq!(expr.matches(open).count(), expr.matches(close).count(), "{title}: {expr}");
            }
        }
    }
}

/// Prometheus' own checker, if there is one.
#[expect(clippy::disallowed_methods, reason = "a switch of the test run, not a setting of the program")]
fn promtool() -> Option<Command> {
    let promtool = std::env::var_os("AIRBYTE_PROXY_TEST_PROMTOOL").filter(|path| !path.is_empty());
    if promtool.is_none() {
        println!("skipped: AIRBYTE_PROXY_TEST_PROMTOOL names no promtool");
    }
    promtool.map(|promtool| {
        let mut command = Command::new(promtool);
        command.current_dir(env!("CARGO_MANIFEST_DIR"));
        command
    })
}

#[test]
fn promtool_accepts_the_alert_rules_and_each_fires_when_it_should() {
    for arguments in [
        ["check", "rules", "config/prometheus/alerts.yml"],
        ["test", "rules", "tests/metrics/alerts_test.yml"],
    ] {
        let Some(mut promtool) = promtool() else { return };
        let checked = promtool.args(arguments).output().expect("it runs");
        let said = String::from_utf8_lossy(&[checked.stdout, checked.stderr].concat()).into_owned();
        assert!(checked.status.success() && said.contains("SUCCESS"), "{said}");
    }
}

#[test]
fn promtool_can_read_every_query_of_the_dashboard() {
    let Some(mut promtool) = promtool() else { return };
    let dashboard: Value = serde_json::from_str(&read("config/grafana/airbyte-proxy.json")).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let queries = panels.iter().flat_map(|panel| panel["targets"].as_array().expect("queries"));
    let rules = queries.enumerate().map(|(n, target)| {
        let expr = target["expr"].as_str().expect("a query").replace("$__rate_interval", "5m");
        serde_json::json!({ "record": format!("dashboard:query_{n}"), "expr": expr })
    });
    let rules: Vec<_> = rules.collect();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("rules.yml");
    // JSON is YAML.
    let groups = serde_json::json!({ "groups": [{ "name": "dashboard", "rules": rules }] });
    std::fs::write(&file, groups.to_string()).expect("written");
    let checked = promtool.args(["check", "rules"]).arg(&file).output().expect("it runs");
    let said = String::from_utf8_lossy(&[checked.stdout, checked.stderr].concat()).into_owned();
    assert!(checked.status.success() && said.contains("SUCCESS"), "{said}");
}
