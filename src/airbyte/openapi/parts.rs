//! What is said in the document, read once from the files beside this one.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::Value;

/// What `parts.json` says.
#[derive(Debug, Default, Deserialize)]
pub(in crate::airbyte) struct Parts {
    pub(super) info: Value,
    pub(super) servers: Servers,
    /// In the order in which they are shown.
    pub(in crate::airbyte) tags: Vec<(String, String)>,
    /// By the parameter's name.
    pub(in crate::airbyte) parameters: BTreeMap<String, String>,
    pub(super) prefer: String,
    /// By status.
    pub(super) success: BTreeMap<String, String>,
    pub(super) answers: Answers,
    /// What stands for an id in an example.
    pub(in crate::airbyte) samples: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Servers {
    pub(super) pages: String,
    pub(super) whole: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Answers {
    pub(super) page: String,
    pub(super) lines: String,
    pub(super) link: String,
    pub(super) failure: String,
    pub(super) proxy_status: String,
    pub(super) retry_after: String,
}

/// What `operations.json` says about one operation.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::airbyte) struct Said {
    pub(in crate::airbyte) summary: String,
    pub(in crate::airbyte) description: Option<String>,
    /// The schema of the answer; or its media type, where it is no JSON.
    pub(super) answer: Option<String>,
    /// The schema of the request's body.
    pub(super) body: Option<String>,
    /// A body that works, with variables for ids.
    pub(in crate::airbyte) example: Option<Value>,
    /// What else may come of it, by status.
    #[serde(default)]
    pub(super) also: BTreeMap<String, String>,
}

// That all three can be read is a test's business: without a word said, the document would still be one.

pub(in crate::airbyte) static PARTS: LazyLock<Parts> =
    LazyLock::new(|| serde_json::from_str(include_str!("parts.json")).unwrap_or_default());

pub(super) static OPERATIONS: LazyLock<BTreeMap<String, Said>> =
    LazyLock::new(|| serde_json::from_str(include_str!("operations.json")).unwrap_or_default());

pub(super) static SCHEMAS: LazyLock<BTreeMap<String, Value>> =
    LazyLock::new(|| serde_json::from_str(include_str!("schemas.json")).unwrap_or_default());

/// What is said about `operation`.
pub(in crate::airbyte) fn said(operation: &str) -> &'static Said {
    static NOTHING: LazyLock<Said> = LazyLock::new(Said::default);
    OPERATIONS.get(operation).unwrap_or(&NOTHING)
}
