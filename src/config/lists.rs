//! Lists: names, origins, users, rules. One wrong item is told with what it is.

use std::error::Error;
use std::fmt::Display;

use super::keys::Kind;
use super::problem::Wrong;
use super::raw::Raw;
use super::value::Value;
use crate::guard::{HostName, Origin, PatternError, Rule, RuleError};

/// What separates items where a whole list is one text. Methods within a rule are separated by commas, so rules are not.
pub(crate) fn separator(kind: Kind) -> Option<char> {
    match kind {
        Kind::Listen | Kind::Hosts | Kind::Origins | Kind::Users => Some(','),
        Kind::Rules => Some(';'),
        _ => None,
    }
}

pub(crate) fn hosts(raw: &Raw) -> Result<Value, Wrong> {
    const FORM: &str = "a name without scheme and port: allowed_hosts = [\"proxy.corp.example\"]";
    let parse = |item: &Raw| match item {
        Raw::Text(text) => HostName::parse(text).map_err(|error| unfit(item, "host name", &error)),
        _ => Err(Wrong::new(format!("{} is no host name", item.describe(false)))),
    };
    items(raw, FORM, parse).map(Value::Hosts)
}

pub(crate) fn origins(raw: &Raw) -> Result<Value, Wrong> {
    const FORM: &str = "scheme, host and port, no path: allowed_origins = [\"http://localhost:3000\"]";
    let parse = |item: &Raw| match item {
        Raw::Text(text) => Origin::parse(text).map_err(|error| unfit(item, "origin", &error)),
        _ => Err(Wrong::new(format!("{} is no origin", item.describe(false)))),
    };
    items(raw, FORM, parse).map(Value::Origins)
}

pub(crate) fn users(raw: &Raw) -> Result<Value, Wrong> {
    const FORM: &str = "numbers, as `id -u NAME` prints them: socket_uids = [1001]";
    let parse = |item: &Raw| {
        let uid = match item {
            Raw::Integer(n) => u32::try_from(*n).ok(),
            // A variable or flag.
            Raw::Text(text) => text.trim().parse().ok(),
            _ => None,
        };
        uid.ok_or_else(|| Wrong::new(format!("{} is no user id", item.describe(false))))
    };
    items(raw, FORM, parse).map(Value::Users)
}

pub(crate) fn rules(raw: &Raw) -> Result<Value, Wrong> {
    const FORM: &str = "rules = [\"deny * /connections/**\", \"allow POST /jobs as CLIENT\"], the first that matches \
                        decides";
    items(raw, FORM, rule).map(Value::Rules)
}

/// One rule; the problem repeats it, since there may be many.
pub(crate) fn rule(item: &Raw) -> Result<Rule, Wrong> {
    let Raw::Text(text) = item else {
        return Err(Wrong::new(format!("{} is no rule", item.describe(false))));
    };
    Rule::parse(text).map_err(|error| {
        let wrong = unfit(item, "rule", &error);
        match error {
            RuleError::Pattern(PatternError::Prefix) => {
                wrong.hint("\"allow POST /jobs\" is about /v1/jobs, whatever the prefix")
            }
            _ => wrong,
        }
    })
}

fn unfit(item: &Raw, what: &str, error: &dyn Error) -> Wrong {
    let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
    told(item, what, &format!("{error}{cause}"))
}

fn told(item: &Raw, what: &str, why: &dyn Display) -> Wrong {
    Wrong::new(format!("{} is no {what}: {why}", item.describe(false)))
}

fn items<T>(raw: &Raw, form: &str, parse: impl Fn(&Raw) -> Result<T, Wrong>) -> Result<Vec<T>, Wrong> {
    let Raw::List(items) = raw else {
        return Err(Wrong::new(format!("must be an array, found {}", raw.describe(false))).hint(form));
    };
    let parsed = items.iter().map(parse);
    parsed
        .map(|item| item.map_err(|wrong| if wrong.hint.is_some() { wrong } else { wrong.hint(form) }))
        .collect()
}
