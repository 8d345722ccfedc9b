//! The document against the table of endpoints, and against itself.

use std::collections::BTreeSet;

use super::parts::{OPERATIONS, SCHEMAS};
use super::*;

fn document() -> Value {
    serde_json::from_str(&openapi("http://localhost:1")).expect("JSON")
}

/// Every value under `key`, at any depth.
fn all_under<'v>(key: &str, value: &'v Value, found: &mut Vec<&'v Value>) {
    match value {
        Value::Object(members) => {
            found.extend(members.get(key));
            members.values().for_each(|value| all_under(key, value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| all_under(key, value, found)),
        _ => {}
    }
}

#[test]
fn the_files_can_be_read() {
    assert_eq!(PARTS.info["version"], "1.0.0");
    serde_json::from_str::<parts::Parts>(include_str!("parts.json")).expect("parts.json");
    serde_json::from_str::<Map<String, Value>>(include_str!("schemas.json")).expect("schemas.json");
    assert!(!OPERATIONS.is_empty() && !SCHEMAS.is_empty());
}

#[test]
fn no_operation_is_missing_and_none_is_invented() {
    let document = document();
    let mut described = BTreeSet::new();
    for (path, operations) in document["paths"].as_object().expect("paths") {
        for (method, operation) in operations.as_object().expect("operations") {
            let name = operation["operationId"].as_str().expect("a name").to_owned();
            described.insert((method.to_ascii_uppercase(), path.clone(), name));
        }
    }
    let table: BTreeSet<_> = endpoints()
        .iter()
        .map(|one| (one.method.to_owned(), one.path.to_owned(), one.operation.to_owned()))
        .collect();
    assert_eq!(described, table);
    let told: BTreeSet<_> = OPERATIONS.keys().map(String::as_str).collect();
    let names: BTreeSet<_> = endpoints().iter().map(|endpoint| endpoint.operation).collect();
    assert_eq!(told, names, "operations.json");
    let tags: BTreeSet<_> = endpoints().iter().map(|endpoint| endpoint.tag).collect();
    assert_eq!(tags, PARTS.tags.iter().map(|(name, _)| name.as_str()).collect());
}

#[test]
fn parameters_bodies_and_statuses_are_those_of_the_table() {
    let document = document();
    for endpoint in endpoints() {
        let operation = &document["paths"][endpoint.path][endpoint.method.to_ascii_lowercase()];
        let parameters: Vec<_> = operation["parameters"].as_array().into_iter().flatten().collect();
        let resolved = parameters.iter().map(|one| match one["$ref"].as_str() {
            Some(place) => &document["components"]["parameters"][place.rsplit('/').next().expect("a name")],
            None => one,
        });
        let described: BTreeSet<_> = resolved
            .map(|one| (one["name"].as_str().expect("a name"), one["required"] == true, one["in"].as_str()))
            .filter(|(_, _, place)| *place != Some("header"))
            .collect();
        let in_query = endpoint.query.iter().map(|one| (one.name, one.required, Some("query")));
        let in_path: Vec<_> = endpoint.in_path().collect();
        let in_path = in_path.iter().map(|one| (one.name, true, Some("path")));
        assert_eq!(described, in_query.chain(in_path).collect(), "{}", endpoint.operation);
        let content = operation["requestBody"]["content"].as_object();
        let content: BTreeSet<_> = content.into_iter().flat_map(Map::keys).map(String::as_str).collect();
        assert_eq!(content, endpoint.content_types.iter().copied().collect(), "{}", endpoint.operation);
        assert!(operation["responses"][endpoint.success.to_string()].is_object(), "{}", endpoint.operation);
    }
}

#[test]
fn everything_is_described_and_nothing_leads_nowhere() {
    let document = document();
    let mut found = Vec::new();
    all_under("description", &document, &mut found);
    assert!(found.iter().all(|text| !text.is_null()), "a description is missing");
    let parameters = endpoints().iter().flat_map(|endpoint| &endpoint.query).map(|one| one.name);
    for name in parameters {
        assert!(PARTS.parameters.contains_key(name), "{name} is not described");
    }
    let mut references = Vec::new();
    all_under("$ref", &document, &mut references);
    let mut used = BTreeSet::new();
    for reference in references {
        let place = reference.as_str().expect("a reference").strip_prefix('#').expect("within");
        assert!(document.pointer(place).is_some(), "{place}");
        used.extend(place.strip_prefix("/components/schemas/"));
    }
    for name in document["components"]["schemas"].as_object().expect("schemas").keys() {
        assert!(used.contains(name.as_str()), "nothing has a {name}");
    }
}

#[test]
fn nothing_is_signed_in_with_and_the_servers_are_the_callers() {
    let document = document();
    for (place, named) in [("/security", false), ("/components/securitySchemes", false), ("/servers/1", true)]
    {
        assert_eq!(document.pointer(place).is_some(), named, "{place}");
    }
    assert_eq!(document["servers"][0]["url"], "http://localhost:1/v1");
    assert_eq!(document["servers"][1]["url"], "http://localhost:1/-/all/v1");
}

#[test]
fn every_body_has_an_example_without_a_variable() {
    let document = document();
    assert!(!document.to_string().contains("{{"), "a variable has no sample");
    for endpoint in endpoints().iter().filter(|endpoint| !endpoint.content_types.is_empty()) {
        let operation = &document["paths"][endpoint.path][endpoint.method.to_ascii_lowercase()];
        let example = &operation["requestBody"]["content"]["application/json"]["example"];
        assert!(example.is_object(), "{}", endpoint.operation);
    }
    let source = &document["paths"]["/sources"]["post"]["requestBody"]["content"]["application/json"];
    assert_eq!(source["example"]["workspaceId"], PARTS.samples["workspaceId"].as_str());
}

#[test]
fn what_the_proxy_adds_to_lists_is_told_for_lists_alone() {
    let document = document();
    for endpoint in endpoints() {
        let operation = &document["paths"][endpoint.path][endpoint.method.to_ascii_lowercase()];
        let prefer = json!({ "$ref": "#/components/parameters/prefer" });
        let told = operation["parameters"].as_array().is_some_and(|all| all.contains(&prefer));
        let lines = operation.pointer("/responses/200/content/application~1x-ndjson").is_some();
        assert_eq!((told, lines), (endpoint.paginated, endpoint.paginated), "{}", endpoint.operation);
    }
    let limit = &document["components"]["parameters"]["limit"]["schema"];
    assert_eq!(
        limit["anyOf"],
        json!([{ "type": "integer", "minimum": 1, "maximum": 100 }, { "const": "all" }])
    );
}
