//! Bodies: those of `schemas.json`, and the lists of them, which are all alike.

use serde_json::{Map, Value, json};

use super::parts::{OPERATIONS, SCHEMAS};
use super::said;
use crate::airbyte::endpoints::endpoints;

/// Where the schema called `name` is.
pub(super) fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// Every schema that the document refers to.
pub(super) fn all() -> Map<String, Value> {
    let mut all: Map<_, _> = SCHEMAS.iter().map(|(name, schema)| (name.clone(), schema.clone())).collect();
    let paged = |name: &str| {
        let lists = endpoints().iter().filter(|endpoint| endpoint.paginated);
        lists.map(|endpoint| said(endpoint.operation)).any(|said| said.answer.as_deref() == Some(name))
    };
    for name in OPERATIONS.values().filter_map(|said| said.answer.as_deref()) {
        if let (Some(row), false) = (name.strip_suffix("List"), all.contains_key(name)) {
            all.insert(name.to_owned(), list(row, paged(name)));
        }
    }
    all
}

fn list(row: &str, paged: bool) -> Value {
    let mut list = json!({
        "type": "object", "required": ["data"],
        "properties": { "data": { "type": "array", "items": reference(row) } },
    });
    if paged {
        list["allOf"] = json!([reference("Page")]);
    }
    list
}
