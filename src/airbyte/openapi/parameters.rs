//! Parameters: those of a path, of a query, and the one field that the proxy understands.

use serde_json::{Map, Value, json};

use super::PARTS;
use crate::airbyte::endpoints::{Endpoint, Parameter, Type};
use crate::airbyte::lists::{DEFAULT_ROWS, MOST_OFFSET, MOST_ROWS};

/// What is the same wherever it stands.
pub(super) fn shared() -> Value {
    let in_query = |name: &str, schema: &Value| json!({ "name": name, "in": "query", "description": PARTS.parameters.get(name), "schema": schema });
    json!({
        "limit": in_query("limit", &schema(&Type::Limit)),
        "offset": in_query("offset", &schema(&Type::Offset)),
        "prefer": {
            "name": "Prefer", "in": "header", "description": PARTS.prefer,
            "schema": { "enum": ["pagination=all"] },
        },
    })
}

/// All that `endpoint` takes besides a body.
pub(super) fn of(endpoint: &Endpoint) -> Vec<Value> {
    let shared = |name: &str| json!({ "$ref": format!("#/components/parameters/{name}") });
    let in_path = endpoint.in_path().map(|parameter| one(&parameter, "path"));
    let in_query = endpoint.query.iter().map(|parameter| match parameter.is {
        Type::Limit => shared("limit"),
        Type::Offset => shared("offset"),
        _ => one(parameter, "query"),
    });
    in_path.chain(in_query).chain(endpoint.paginated.then(|| shared("prefer"))).collect()
}

fn one(parameter: &Parameter, place: &str) -> Value {
    let mut one = Map::new();
    one.insert("name".to_owned(), parameter.name.into());
    one.insert("in".to_owned(), place.into());
    one.insert("schema".to_owned(), schema(&parameter.is));
    if parameter.required {
        one.insert("required".to_owned(), true.into());
    }
    if place == "query"
        && let Some(description) = PARTS.parameters.get(parameter.name)
    {
        one.insert("description".to_owned(), description.as_str().into());
    }
    // Airbyte takes repetition as well, which would be the other setting.
    let exploded = match parameter.is {
        Type::Uuids | Type::Texts => Some(false),
        Type::TextsByName => Some(true),
        _ => None,
    };
    if let Some(exploded) = exploded {
        one.insert("style".to_owned(), "form".into());
        one.insert("explode".to_owned(), exploded.into());
    }
    one.into()
}

fn schema(is: &Type) -> Value {
    match is {
        Type::Uuid => json!({ "$ref": "#/components/schemas/Id" }),
        Type::Uuids => json!({ "type": "array", "items": { "$ref": "#/components/schemas/Id" } }),
        Type::Text => json!({ "type": "string" }),
        Type::Texts => json!({ "type": "array", "items": { "type": "string" } }),
        Type::TextsByName => json!({ "type": "object", "additionalProperties": { "type": "string" } }),
        Type::Number => json!({ "type": "integer", "format": "int64" }),
        Type::Boolean => json!({ "type": "boolean", "default": false }),
        Type::DateTime => json!({ "type": "string", "format": "date-time" }),
        Type::Limit => json!({
            "anyOf": [{ "type": "integer", "minimum": 1, "maximum": MOST_ROWS }, { "const": "all" }],
            "default": DEFAULT_ROWS,
        }),
        Type::Offset => json!({ "type": "integer", "minimum": 0, "maximum": MOST_OFFSET, "default": 0 }),
        Type::Order => json!({
            "type": "string", "pattern": "^(createdAt|updatedAt)\\|(ASC|DESC)$", "default": "createdAt|ASC",
            "examples": ["updatedAt|DESC"],
        }),
        Type::OneOf(words) => json!({ "enum": words }),
    }
}
