//! The description of the API in the format of `OpenAPI` 3.1, in our own words.
//!
//! Which operations there are, and what they take, is in the table of [endpoints](super::endpoints); what is said about
//! them is in `operations.json`, bodies are in `schemas.json`, and the rest is in `parts.json`. Here they are put together.
//! Names in double braces, within examples, are variables: a Postman collection has them, here an example value stands in
//! their place.

mod parameters;
mod parts;
mod schemas;

use serde_json::{Map, Value, json};

pub(super) use parts::{PARTS, Said, said};

use super::endpoints::{Endpoint, endpoints};
use super::paths::WHOLE_LISTS;

/// The document for callers who reach the API at `base` + `/v1`, such as `http://localhost:8484`, as JSON.
pub fn openapi(base: &str) -> String {
    let words = &PARTS.servers;
    json!({
        "openapi": "3.1.0",
        "info": PARTS.info,
        "servers": [
            { "url": format!("{base}/v1"), "description": words.pages },
            { "url": format!("{base}{WHOLE_LISTS}"), "description": words.whole },
        ],
        "tags": PARTS.tags.iter().map(|(name, description)| json!({ "name": name, "description": description })).collect::<Vec<_>>(),
        "paths": paths(),
        "components": { "schemas": schemas::all(), "parameters": parameters::shared(), "responses": { "Failure": failure() } },
    })
    .to_string()
}

fn paths() -> Map<String, Value> {
    let mut paths = Map::new();
    for endpoint in endpoints() {
        let path = paths.entry(endpoint.path).or_insert_with(|| Value::Object(Map::new()));
        path[endpoint.method.to_ascii_lowercase()] = operation(endpoint);
    }
    paths
}

fn operation(endpoint: &Endpoint) -> Value {
    let said = said(endpoint.operation);
    let mut operation = json!({
        "operationId": endpoint.operation,
        "tags": [endpoint.tag],
        "summary": said.summary,
        "responses": responses(endpoint, said),
    });
    if let Some(description) = &said.description {
        operation["description"] = description.as_str().into();
    }
    let parameters = parameters::of(endpoint);
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
    if let Some(body) = &said.body {
        let example = said.example.as_ref().map(filled_in);
        let content = endpoint.content_types.iter().map(|media| {
            let content = json!({ "schema": schemas::reference(body), "example": example });
            ((*media).to_owned(), content)
        });
        let content: Map<_, _> = content.collect();
        operation["requestBody"] = json!({ "required": true, "content": content });
    }
    operation
}

fn responses(endpoint: &Endpoint, said: &Said) -> Value {
    let mut success = json!({ "description": PARTS.success.get(&endpoint.success.to_string()) });
    match said.answer.as_deref() {
        Some(media) if media.contains('/') => success["content"] = json!({ media: {} }),
        Some(schema) => {
            success["content"] = json!({ "application/json": { "schema": schemas::reference(schema) } });
        }
        None => {}
    }
    if endpoint.paginated {
        let words = &PARTS.answers;
        success["description"] = words.page.as_str().into();
        success["content"]["application/x-ndjson"] =
            json!({ "schema": { "type": "string", "description": words.lines } });
        success["headers"] = json!({ "Link": { "description": words.link, "schema": { "type": "string" } } });
    }
    let mut responses = Map::new();
    for (status, description) in &said.also {
        let mut also = success.clone();
        also["description"] = description.as_str().into();
        if status.starts_with('3')
            && let Some(also) = also.as_object_mut()
        {
            also.remove("content");
        }
        responses.insert(status.clone(), also);
    }
    responses.insert(endpoint.success.to_string(), success);
    responses.insert("default".to_owned(), json!({ "$ref": "#/components/responses/Failure" }));
    responses.into()
}

/// Everything that is no success, in whosever words.
fn failure() -> Value {
    let words = &PARTS.answers;
    json!({
        "description": words.failure,
        "headers": {
            "Proxy-Status": { "description": words.proxy_status, "schema": { "type": "string" } },
            "Retry-After": { "description": words.retry_after, "schema": { "type": "integer", "minimum": 0 } },
        },
        "content": {
            "application/json": { "schema": schemas::reference("AirbyteError") },
            "application/problem+json": { "schema": schemas::reference("ProxyProblem") },
            "text/html": {},
        },
    })
}

/// `example` with a sample in the place of each variable: `{{sourceId}}`, or `{{newSourceId}}`, which is one as well.
fn filled_in(example: &Value) -> Value {
    match example {
        Value::Object(members) => {
            members.iter().map(|(name, value)| (name.clone(), filled_in(value))).collect()
        }
        Value::String(text) => match text.strip_prefix("{{").and_then(|text| text.strip_suffix("}}")) {
            Some(variable) => sample(variable).unwrap_or(text).into(),
            None => example.clone(),
        },
        other => other.clone(),
    }
}

fn sample(variable: &str) -> Option<&'static str> {
    let samples = &PARTS.samples;
    let old = variable.strip_prefix("new").map(|name| {
        let (first, rest) = name.split_at(1.min(name.len()));
        format!("{}{rest}", first.to_ascii_lowercase())
    });
    samples.get(old.as_deref().unwrap_or(variable)).map(String::as_str)
}

#[cfg(test)]
mod tests;
