//! The process environment as a value, so that tests bring their own and nothing else reads it.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;

/// Prefix of every variable that is a configuration key.
pub(crate) const PREFIX: &str = "AIRBYTE_PROXY_";

/// A snapshot of the environment variables. `Debug` shows names only: values may be secrets.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Environment(BTreeMap<String, OsString>);

impl Environment {
    /// The variables of this process. Call it once, in `main`.
    pub fn capture() -> Self {
        // A name that is not UTF-8 cannot be one of ours.
        Self(
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value))).collect(),
        )
    }

    /// The raw value of `name`.
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.0.get(name).map(OsString::as_os_str)
    }

    /// The value of `name` if it is set, not empty and UTF-8: for variables that are not ours to complain about.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.to_str().filter(|value| !value.is_empty())
    }

    /// The names of the variables that hold `text`, or that and more.
    pub(crate) fn holding(&self, text: &str) -> impl Iterator<Item = &str> {
        let holds = move |value: &OsStr| {
            let (value, text) = (value.as_encoded_bytes(), text.as_bytes());
            !text.is_empty() && value.windows(text.len()).any(|window| window == text)
        };
        self.0.iter().filter(move |(_, value)| holds(value)).map(|(name, _)| name.as_str())
    }

    /// The names that start with [`PREFIX`], in order.
    pub(crate) fn own_names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str).filter(|name| name.starts_with(PREFIX))
    }
}

impl<N: Into<String>, V: Into<OsString>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        Self(variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
