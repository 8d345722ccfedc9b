//! A value as the user wrote it, alike for all layers.

use std::fmt::Write as _;

use toml::de::{DeInteger, DeValue};

use super::keys::Kind;
use super::lists;
use super::problem::Wrong;

/// A TOML value without its place. Environment and flags are brought into this form by the kind of the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Raw {
    Text(String),
    Integer(i128),
    Switch(bool),
    List(Vec<Raw>),
    /// A TOML type that no key has, by its name.
    Other(&'static str),
}

impl Raw {
    /// From a TOML file.
    pub(crate) fn from_toml(value: &DeValue<'_>) -> Self {
        match value {
            DeValue::String(text) => Self::Text(text.to_string()),
            DeValue::Integer(n) => Self::Integer(integer(n)),
            DeValue::Boolean(on) => Self::Switch(*on),
            DeValue::Array(items) => {
                Self::List(items.iter().map(|item| Self::from_toml(item.get_ref())).collect())
            }
            DeValue::Float(_) => Self::Other("a fraction"),
            DeValue::Datetime(_) => Self::Other("a date"),
            DeValue::Table(_) => Self::Other("a table"),
        }
    }

    /// From a variable or flag, where everything is text. Several flags of one key are several texts.
    pub(crate) fn from_texts(kind: Kind, texts: &[String]) -> Result<Self, Wrong> {
        let Some(text) = texts.last().map(|text| text.trim()) else {
            return Err(Wrong::new("is empty"));
        };
        if texts.iter().any(|text| text.trim().is_empty()) {
            return Err(Wrong::new("is empty").hint("leave it out to use the default"));
        }
        let raw = match kind {
            Kind::Switch => text.parse().ok().map(Self::Switch),
            Kind::Count(..) | Kind::Size(_) => text.parse().ok().map(Self::Integer),
            _ if let Some(separator) = lists::separator(kind) => {
                let items = texts.iter().flat_map(|text| text.split(separator)).map(str::trim);
                // A semicolon after the last rule is no further rule.
                let items = items.filter(|item| !item.is_empty() || separator == ',');
                Some(Self::List(items.map(|item| Self::Text(item.to_owned())).collect()))
            }
            Kind::Command => DeValue::parse(text).ok().map(|value| Self::from_toml(value.get_ref())),
            _ => None,
        };
        Ok(raw.unwrap_or_else(|| Self::Text(text.to_owned())))
    }

    /// What it is, for a message about a value of the wrong type. `secretive` keeps the content to itself.
    pub(crate) fn describe(&self, secretive: bool) -> String {
        match self {
            Self::Text(_) if secretive => "a string".to_owned(),
            Self::Text(text) => format!("\"{}\"", shorten(text)),
            Self::Integer(_) if secretive => "a number".to_owned(),
            Self::Integer(n) => n.to_string(),
            Self::Switch(on) => on.to_string(),
            Self::List(_) => "an array".to_owned(),
            Self::Other(name) => (*name).to_owned(),
        }
    }

    /// As one would write it in the file; `check` prints this. Shows no more of a secret than its shape.
    pub(crate) fn show(&self, kind: Kind) -> String {
        match (kind, self) {
            (Kind::Id, Self::Text(id)) => quoted(&masked(id)),
            (Kind::Proxy, Self::Text(url)) => quoted(&without_userinfo(url)),
            (Kind::Command, Self::List(argv)) => match argv.split_first() {
                Some((program, [])) => format!("[{}]", program.show(Kind::Path)),
                Some((program, _)) => format!("[{}, …]", program.show(Kind::Path)),
                None => "[]".to_owned(),
            },
            (_, Self::Text(text)) => quoted(text),
            (_, Self::List(items)) => {
                let mut shown = String::from("[");
                for (i, item) in items.iter().enumerate() {
                    let comma = if i == 0 { "" } else { ", " };
                    let _ = write!(shown, "{comma}{}", item.show(kind));
                }
                shown + "]"
            }
            (_, Self::Integer(_) | Self::Switch(_) | Self::Other(_)) => self.describe(false),
        }
    }
}

fn integer(n: &DeInteger<'_>) -> i128 {
    // The parser has checked the digits, so only the size can be wrong, and no range reaches this far.
    i128::from_str_radix(n.as_str(), n.radix()).unwrap_or(i128::MAX)
}

/// A TOML string.
pub(crate) fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// The first characters: enough to recognise an id by, too few to use it.
pub(crate) fn masked(id: &str) -> String {
    let shown: String = id.chars().take(id.chars().count().min(16) / 2).collect();
    format!("{shown}…")
}

fn without_userinfo(url: &str) -> String {
    match (url.find("://"), url.rfind('@')) {
        (Some(scheme), Some(at)) if at > scheme => format!("{}[redacted]{}", &url[..scheme + 3], &url[at..]),
        (None, Some(at)) => format!("[redacted]{}", &url[at..]),
        _ => url.to_owned(),
    }
}

fn shorten(text: &str) -> String {
    let escaped: String = text.chars().take(40).flat_map(char::escape_debug).collect();
    if text.chars().count() > 40 { escaped + "…" } else { escaped }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_of_a_secret_is_its_shape() {
        let text = |text: &str| Raw::Text(text.to_owned());
        assert_eq!(
            text("http://u:hunter2@proxy:3128").show(Kind::Proxy),
            r#""http://[redacted]@proxy:3128""#
        );
        assert_eq!(text("u:hunter2@proxy:3128").show(Kind::Proxy), r#""[redacted]@proxy:3128""#);
        assert_eq!(text("01234567-89ab-cdef").show(Kind::Id), r#""01234567…""#);
        assert_eq!(text("abcd").show(Kind::Id), r#""ab…""#);
        let argv = Raw::List(vec![text("op"), text("read"), text("hunter2")]);
        assert_eq!(argv.show(Kind::Command), r#"["op", …]"#);
    }

    #[test]
    fn commands_are_arrays_in_variables_too() {
        let texts = [r#"["op", "read"]"#.to_owned()];
        let raw = Raw::from_texts(Kind::Command, &texts).expect("valid");
        assert_eq!(raw, Raw::List(vec![Raw::Text("op".into()), Raw::Text("read".into())]));
        let raw = Raw::from_texts(Kind::Command, &["op read".to_owned()]).expect("text");
        assert_eq!(raw, Raw::Text("op read".into()));
    }
}
