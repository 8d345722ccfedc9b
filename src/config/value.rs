//! One value at a time: from what was written to a type that holds only what is allowed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::fmt::friendly::SpanParser;

use super::keys::Kind;
use super::listen;
use super::lists;
use super::problem::Wrong;
use super::raw::Raw;
use crate::airbyte::BaseUrl;
use crate::guard::{HostName, Origin, Rule};
use crate::proxy::upstream::{OutboundProxy, ProxyUrl};
use crate::secret::Secret;
use crate::server::Listen;

/// A value of the type that the key's [`Kind`] asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Switch(bool),
    /// Also a size in bytes.
    Count(u64),
    Duration(Duration),
    Word(&'static str),
    Url(BaseUrl),
    Proxy(OutboundProxy),
    Path(PathBuf),
    Listen(Vec<Listen>),
    Hosts(Vec<HostName>),
    Origins(Vec<Origin>),
    Users(Vec<u32>),
    Rules(Vec<Rule>),
    Name(String),
    Id(String),
    Command(Vec<String>),
}

/// Parses `raw` as `kind`. Relative paths start at `folder`.
pub(crate) fn parse(kind: Kind, raw: &Raw, folder: Option<&Path>) -> Result<Value, Wrong> {
    match kind {
        Kind::Switch => switch(raw),
        Kind::Count(min, max) => count(raw, min, max),
        Kind::Duration(min, max) => duration(raw, min, max),
        Kind::Size(max) => size(raw, max),
        Kind::Word(words) => word(raw, words),
        Kind::OwnUrl => own_url(text(raw, "a URL in quotes", false)?),
        Kind::Name => name(text(raw, "a name in quotes", false)?),
        Kind::Hosts => lists::hosts(raw),
        Kind::Origins => lists::origins(raw),
        Kind::Users => lists::users(raw),
        Kind::Rules => lists::rules(raw),
        Kind::Url => url(text(raw, "a URL in quotes", false)?),
        Kind::UrlOr(word) => match text(raw, "a URL in quotes", false)? {
            text if text == word => Ok(Value::Word(word)),
            text => url(text),
        },
        Kind::Proxy => proxy(text(raw, "environment, none or a URL, in quotes", true)?),
        Kind::Path => path(raw, folder),
        Kind::Listen => listen::parse(raw).map(Value::Listen),
        Kind::Id => id(raw),
        Kind::Command => command(raw),
    }
}

fn mismatch(expected: &str, raw: &Raw, secretive: bool) -> Wrong {
    Wrong::new(format!("must be {expected}, found {}", raw.describe(secretive)))
}

fn text<'a>(raw: &'a Raw, expected: &str, secretive: bool) -> Result<&'a str, Wrong> {
    match raw {
        Raw::Text(text) if text.trim().is_empty() => {
            Err(Wrong::new("is empty").hint("leave it out to use the default"))
        }
        Raw::Text(text) => Ok(text.trim()),
        other => Err(mismatch(expected, other, secretive)),
    }
}

/// The longest name of a proxy: it stands beside other things in one line.
const LONGEST_NAME: usize = 40;

/// A name goes into titles and lines of the log, so it has nothing in it that breaks those.
fn name(text: &str) -> Result<Value, Wrong> {
    const SHORT: &str = "something short, such as \"prod\"";
    let ok = |c: char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_' | '.');
    if text.chars().count() > LONGEST_NAME {
        let wrong = Wrong::new(format!("is longer than {LONGEST_NAME} characters"));
        return Err(wrong.hint(SHORT));
    }
    if !text.chars().all(ok) {
        let wrong = Wrong::new("may have letters, digits, spaces, \"-\", \"_\" and \".\" in it");
        return Err(wrong.hint(SHORT));
    }
    Ok(Value::Name(text.to_owned()))
}

fn switch(raw: &Raw) -> Result<Value, Wrong> {
    match raw {
        Raw::Switch(on) => Ok(Value::Switch(*on)),
        other => Err(mismatch("true or false", other, false).hint("write it in lower case, without quotes")),
    }
}

fn count(raw: &Raw, min: u64, max: u64) -> Result<Value, Wrong> {
    match raw {
        Raw::Integer(n) => u64::try_from(*n)
            .ok()
            .filter(|n| (min..=max).contains(n))
            .map(Value::Count)
            .ok_or_else(|| Wrong::new(format!("must be between {min} and {max}, found {n}"))),
        other => Err(mismatch("a whole number", other, false)),
    }
}

fn duration(raw: &Raw, min: Duration, max: Duration) -> Result<Value, Wrong> {
    const EXPECTED: &str = "a duration such as \"10s\" or \"5m\"";
    let bare = match raw {
        Raw::Integer(n) => Some(n.to_string()),
        Raw::Text(text) => Some(text.trim().to_owned()).filter(|text| text.parse::<u64>().is_ok()),
        _ => None,
    };
    if let Some(n) = bare {
        return Err(mismatch(EXPECTED, raw, false).hint(format!("with its unit: \"{n}s\" or \"{n}ms\"")));
    }
    let text = text(raw, EXPECTED, false)?;
    let parsed =
        SpanParser::new().parse_unsigned_duration(text).map_err(|_| mismatch(EXPECTED, raw, false))?;
    if !(min..=max).contains(&parsed) {
        return Err(Wrong::new(format!("must be between {min:?} and {}, found \"{text}\"", hours(max))));
    }
    Ok(Value::Duration(parsed))
}

fn hours(d: Duration) -> String {
    format!("{}h", d.as_secs() / 3600)
}

fn size(raw: &Raw, max: u64) -> Result<Value, Wrong> {
    const UNITS: [(&str, u64); 4] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("B", 1)];
    let unclear = || mismatch("a size such as \"1MiB\" or \"64KiB\", or a number of bytes", raw, false);
    let bytes = match raw {
        Raw::Integer(n) => u64::try_from(*n).map_err(|_| unclear())?,
        Raw::Text(text) => {
            let (digits, unit) = UNITS
                .iter()
                .find_map(|(unit, bytes)| Some((text.trim().strip_suffix(unit)?, *bytes)))
                .ok_or_else(unclear)?;
            let n: u64 = digits.trim().parse().map_err(|_| unclear())?;
            n.checked_mul(unit).ok_or_else(unclear)?
        }
        _ => return Err(unclear()),
    };
    if bytes > max {
        return Err(Wrong::new(format!("must be at most {max} bytes, found {}", raw.describe(false))));
    }
    Ok(Value::Count(bytes))
}

fn word(raw: &Raw, words: &'static [&'static str]) -> Result<Value, Wrong> {
    let expected = format!("one of {}", words.join(", "));
    let text = text(raw, &expected, false)?;
    words
        .iter()
        .find(|word| **word == text)
        .map(|word| Value::Word(word))
        .ok_or_else(|| mismatch(&expected, raw, false))
}

fn url(text: &str) -> Result<Value, Wrong> {
    let hint = "https://api.airbyte.com/v1 is Cloud, https://HOST/api/public/v1 a self-managed Airbyte";
    BaseUrl::parse(text).map(Value::Url).map_err(|error| Wrong::new(error.to_string()).hint(hint))
}

fn own_url(text: &str) -> Result<Value, Wrong> {
    let hint = "as people type it: https://airbyte.corp.example";
    BaseUrl::parse(text).map(Value::Url).map_err(|error| Wrong::new(error.to_string()).hint(hint))
}

fn proxy(text: &str) -> Result<Value, Wrong> {
    let hint = "http://PROXY:PORT, http://USER:PASSWORD@PROXY:PORT, environment or none";
    let (userinfo, url) = match text {
        "environment" => return Ok(Value::Proxy(OutboundProxy::Environment)),
        "none" => return Ok(Value::Proxy(OutboundProxy::None)),
        url => match (url.find("://"), url.rfind('@')) {
            (Some(scheme), Some(at)) if at > scheme => {
                (Some(&url[scheme + 3..at]), format!("{}{}", &url[..scheme + 3], &url[at + 1..]))
            }
            _ => (None, url.to_owned()),
        },
    };
    let url = BaseUrl::parse(&url).map_err(|error| match error {
        // Without a scheme, what stands before the colon may be a user or a password.
        crate::airbyte::BaseUrlError::Scheme(_) => Wrong::new("scheme must be http").hint(hint),
        other => Wrong::new(other.to_string()).hint(hint),
    })?;
    if url.is_https() {
        return Err(Wrong::new("scheme must be http: TLS to the proxy itself is not supported")
            .hint("TLS to Airbyte goes through the proxy untouched"));
    }
    if !url.path().is_empty() {
        return Err(Wrong::new("must not have a path").hint(hint));
    }
    let userinfo = userinfo.map(|userinfo| Secret::new(userinfo.to_owned()));
    Ok(Value::Proxy(OutboundProxy::Url(ProxyUrl { url, userinfo })))
}

fn path(raw: &Raw, folder: Option<&Path>) -> Result<Value, Wrong> {
    // Secretive, because some people put the secret itself where its file's name belongs.
    let text = text(raw, "the path of a file, in quotes", true)?;
    if text.starts_with("~/") {
        return Err(Wrong::new("~ is not expanded here").hint("write the whole path"));
    }
    Ok(Value::Path(folder.map_or_else(|| PathBuf::from(text), |folder| folder.join(text))))
}

fn id(raw: &Raw) -> Result<Value, Wrong> {
    let text = text(raw, "a string in quotes", true)?;
    if text.chars().any(char::is_control) {
        return Err(Wrong::new("contains a control character").hint("paste it as Airbyte shows it"));
    }
    Ok(Value::Id(text.to_owned()))
}

fn command(raw: &Raw) -> Result<Value, Wrong> {
    const EXPECTED: &str = "an array of strings: the program and its arguments";
    let hint = "[\"op\", \"read\", \"op://vault/airbyte/secret\"]; there is no shell";
    let Raw::List(items) = raw else {
        return Err(mismatch(EXPECTED, raw, true).hint(hint));
    };
    let mut argv = Vec::with_capacity(items.len());
    for item in items {
        let Raw::Text(argument) = item else {
            return Err(mismatch(EXPECTED, item, true).hint(hint));
        };
        argv.push(argument.clone());
    }
    if argv.first().is_none_or(|program| program.trim().is_empty()) {
        return Err(Wrong::new("names no program").hint(hint));
    }
    // A program named relative to the current directory would be another one in each.
    if argv.first().is_some_and(|program| program.contains('/') && !program.starts_with('/')) {
        return Err(Wrong::new("the program must be a name to look up in PATH, or an absolute path")
            .hint("relative to what depends on where the proxy is started"));
    }
    Ok(Value::Command(argv))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from_text(kind: Kind, text: &str) -> Result<Value, String> {
        Raw::from_texts(kind, &[text.to_owned()])
            .and_then(|raw| parse(kind, &raw, None))
            .map_err(|wrong| wrong.what)
    }

    #[test]
    fn durations_have_units() {
        let kind = Kind::Duration(Duration::from_millis(1), Duration::from_secs(3600));
        let cases = [("10s", 10_000), ("5m", 300_000), ("1m 30s", 90_000), ("250ms", 250), ("1.5s", 1500)];
        for (text, ms) in cases {
            assert_eq!(from_text(kind, text), Ok(Value::Duration(Duration::from_millis(ms))), "{text}");
        }
        for text in ["10", "-1s", "soon", "2h", "0s", ""] {
            assert!(from_text(kind, text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_binary() {
        let kind = Kind::Size(1 << 30);
        for (text, bytes) in
            [("1MiB", 1 << 20), ("64 KiB", 65_536), ("17", 17), ("0", 0), ("12B", 12), ("1GiB", 1 << 30)]
        {
            assert_eq!(from_text(kind, text), Ok(Value::Count(bytes)), "{text}");
        }
        for text in ["1MB", "1.5MiB", "-1", "2GiB", "99999999999999GiB", "MiB"] {
            assert!(from_text(kind, text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_proxy_keeps_its_password_to_itself() {
        let Ok(Value::Proxy(OutboundProxy::Url(proxy))) = from_text(Kind::Proxy, "http://u:p@ss@proxy:3128")
        else {
            panic!("a proxy");
        };
        assert_eq!(proxy.url.to_string(), "http://proxy:3128");
        assert_eq!(proxy.userinfo.map(|secret| secret.expose().to_owned()).as_deref(), Some("u:p@ss"));
        for text in ["hunter2:x@proxy:3128", "https://u:hunter2@proxy", "hunter2:3128", "http://u:hunter2@"] {
            let what = from_text(Kind::Proxy, text).expect_err(text);
            assert!(!what.contains("hunter2"), "{what}");
        }
    }
}
