//! The operations as a Postman collection (format 2.1): a folder for each tag, and nothing to sign in with.
//!
//! Ids are variables. A list brings those of its first row (`sourceId`), which are shown; a creation brings others
//! (`newSourceId`), and only those are changed and deleted. What deletes stands in a folder of its own at the end, the last
//! created first, so that a run of the whole collection takes away what it has made, and nothing else.

use serde_json::{Value, json};

use super::endpoints::{Endpoint, Parameter, Type, endpoints};
use super::openapi::{PARTS, Said, said};

const FORMAT: &str = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json";
const ABOUT: &str = "The public Airbyte API through airbyte-proxy: no token is needed, nor any other authorization.\n\n\
                     Run as a whole, the collection changes and deletes only what it has created itself. A request whose \
                     ids nothing has brought yet is skipped.";
const LAST: &str = "Clean up";
const ABOUT_LAST: &str = "All that deletes or cancels. It concerns what this collection has created.";

/// The collection for callers who reach the API at `base` + `/v1`, such as `http://localhost:8484`, as JSON.
pub fn postman(base: &str) -> String {
    let items = |wanted: &dyn Fn(&Endpoint) -> bool| -> Vec<Value> {
        endpoints().iter().filter(|endpoint| wanted(endpoint)).map(item).collect()
    };
    let folders = PARTS.tags.iter().map(|(tag, description)| {
        let items = items(&|endpoint| endpoint.tag == tag && !deletes(endpoint));
        json!({ "name": tag, "description": description, "item": items })
    });
    let mut folders: Vec<_> = folders.collect();
    let mut last = items(&deletes);
    last.reverse();
    folders.push(json!({ "name": LAST, "description": ABOUT_LAST, "item": last }));
    let collection = json!({
        "info": { "name": "Airbyte, through airbyte-proxy", "description": ABOUT, "schema": FORMAT },
        "auth": { "type": "noauth" },
        "variable": [{ "key": "baseUrl", "value": format!("{base}/v1"), "type": "string" }],
        "event": [
            script("prerequest", include_str!("before.js").lines()),
            script("test", include_str!("after.js").lines()),
        ],
        "item": folders,
    });
    collection.to_string()
}

fn deletes(endpoint: &Endpoint) -> bool {
    endpoint.method == "DELETE"
}

fn item(endpoint: &Endpoint) -> Value {
    let said = said(endpoint.operation);
    let mut item = json!({
        "name": said.summary,
        "request": {
            "method": endpoint.method,
            "description": said.description,
            "url": url(endpoint),
            "header": headers(endpoint),
        },
    });
    if let Some(body) = body(endpoint, said) {
        item["request"]["body"] = body;
    }
    if let Some(lines) = remembers(endpoint) {
        item["event"] = json!([script("test", lines.iter().map(String::as_str))]);
    }
    // Elsewhere is not where the proxy is.
    item["protocolProfileBehavior"] = json!({ "followRedirects": false });
    item
}

fn script<'l>(listen: &str, lines: impl Iterator<Item = &'l str>) -> Value {
    json!({ "listen": listen, "script": { "type": "text/javascript", "exec": lines.collect::<Vec<_>>() } })
}

fn headers(endpoint: &Endpoint) -> Vec<Value> {
    let mut headers = vec![json!({ "key": "Accept", "value": "application/json" })];
    if !endpoint.content_types.is_empty() {
        headers.push(json!({ "key": "Content-Type", "value": "application/json" }));
    }
    if endpoint.paginated {
        headers.push(json!({ "key": "Prefer", "value": "pagination=all", "disabled": true }));
    }
    headers
}

fn body(endpoint: &Endpoint, said: &Said) -> Option<Value> {
    endpoint.content_types.first()?;
    let raw = serde_json::to_string_pretty(said.example.as_ref()?).ok()?;
    Some(json!({ "mode": "raw", "raw": raw, "options": { "raw": { "language": "json" } } }))
}

// === where it goes ===

fn url(endpoint: &Endpoint) -> Value {
    let parts = endpoint.path.split('/').skip(1);
    let path: Vec<_> = parts.map(|part| part.replace('{', ":").replace('}', "")).collect();
    let query: Vec<_> = endpoint.query.iter().map(in_query).collect();
    let given = query.iter().filter(|parameter| parameter["disabled"] != true);
    let given: Vec<_> = given.map(|one| format!("{}={}", text(&one["key"]), text(&one["value"]))).collect();
    let raw = format!(
        "{{{{baseUrl}}}}/{}{}{}",
        path.join("/"),
        if given.is_empty() { "" } else { "?" },
        given.join("&")
    );
    let variables: Vec<_> = endpoint
        .in_path()
        .map(|parameter| json!({ "key": parameter.name, "value": in_path(endpoint, &parameter) }))
        .collect();
    json!({ "raw": raw, "host": ["{{baseUrl}}"], "path": path, "query": query, "variable": variables })
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn in_query(parameter: &Parameter) -> Value {
    let value = match &parameter.is {
        Type::Limit => "20".to_owned(),
        Type::Offset => "0".to_owned(),
        Type::Boolean => "true".to_owned(),
        Type::Order => "createdAt|DESC".to_owned(),
        Type::DateTime => "2026-01-01T00:00:00Z".to_owned(),
        Type::Texts => "user@example.com".to_owned(),
        Type::OneOf(words) => words.first().copied().unwrap_or_default().to_owned(),
        Type::TextsByName | Type::Text | Type::Number => String::new(),
        Type::Uuid | Type::Uuids if parameter.name == "ids" => "{{userId}}".to_owned(),
        Type::Uuid | Type::Uuids => format!("{{{{{}}}}}", parameter.name.trim_end_matches('s')),
    };
    let description = PARTS.parameters.get(parameter.name);
    let mut query = json!({ "key": parameter.name, "value": value, "description": description });
    if !parameter.required {
        query["disabled"] = true.into();
    }
    query
}

fn in_path(endpoint: &Endpoint, parameter: &Parameter) -> String {
    if matches!(parameter.is, Type::Text | Type::OneOf(_)) {
        return PARTS.samples.get(parameter.name).cloned().unwrap_or_default();
    }
    let name = variable(endpoint.path, parameter.name);
    // Users are not made here.
    let listed = endpoint.method == "GET" || name == "userId";
    format!("{{{{{}}}}}", if listed { name.to_owned() } else { new(name) })
}

// === ids and their variables ===

/// The variable for the id that `path` calls `name`: where two resources share a name, each has one of its own.
fn variable<'n>(path: &str, name: &'n str) -> &'n str {
    match name {
        "definitionId" if path.contains("/definitions/sources") => "sourceDefinitionId",
        "definitionId" if path.contains("/definitions/destinations") => "destinationDefinitionId",
        "definitionId" => "declarativeSourceDefinitionId",
        "permissionId" if path.starts_with("/groups/") => "groupPermissionId",
        name => name,
    }
}

fn new(name: &str) -> String {
    let (first, rest) = name.split_at(1.min(name.len()));
    format!("new{}{rest}", first.to_ascii_uppercase())
}

/// What is done with the answer of a list or of a creation: the id in it is remembered.
fn remembers(endpoint: &Endpoint) -> Option<Vec<String>> {
    let id = match endpoint.path {
        "/users" => "userId",
        "/organizations" => "organizationId",
        path => {
            let below = format!("{path}/{{");
            let one =
                endpoints().iter().find(|one| one.path.starts_with(&below) && one.path.ends_with('}'))?;
            let id = one.path[below.len()..].strip_suffix('}').filter(|id| !id.contains('/'))?;
            if path.ends_with("/members") {
                return None;
            }
            id
        }
    };
    let name = variable(endpoint.path, id);
    let name = match endpoint.method {
        "GET" => name.to_owned(),
        "POST" => new(name),
        _ => return None,
    };
    Some(vec![
        "const said = pm.response.code < 300 ? pm.response.json() : {};".to_owned(),
        "const row = said.data ? said.data[0] : said.applications ? said.applications[0] : said;".to_owned(),
        format!("const id = row && (row.{id} || row.id);"),
        format!("if (id) pm.collectionVariables.set(\"{name}\", id);"),
    ])
}

#[cfg(test)]
mod tests;
