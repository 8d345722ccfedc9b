//! The request target: its form, its spelling, and which room it belongs to.
//!
//! Nothing is normalised. A path that two readers could take for two things is refused; every other one is passed on
//! byte for byte. So `%2F`, `%5C`, `%00` and dot segments are refused in a *path*, where a server behind us might
//! decode and resolve them after the policy has looked; escapes of anything else, and every escape in a *query*, stay
//! as they are. No path parameter of Airbyte's API can contain a slash.

use http::Uri;
use http::request::Parts;

use super::host::Authority;
use super::refusal::{Refusal, Shown};
use crate::airbyte::known;
use crate::airbyte::paths::{WHOLE_LISTS, is_token_path};
use crate::problem;

/// Which of the two APIs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Api {
    /// The public API: `/v1/…`, its alias `/api/public/v1/…`, and `/-/all/v1/…`.
    Public,
    /// The Configuration API: `/api/v1/…`.
    Config,
}

/// Where a request goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Route {
    /// `/`.
    Root,
    /// `/-/…`: ours; and what browsers ask for beside whatever they are shown.
    Control,
    /// One of the token paths, whatever the method.
    Token,
    /// Airbyte's.
    Api {
        /// Which of the two.
        api: Api,
        /// How many bytes of the path are the local prefix.
        prefix: usize,
        /// Whether the base URL is the one under which lists are whole.
        whole_lists: bool,
    },
    /// `OPTIONS *`: about the proxy itself.
    Asterisk,
}

/// Local prefixes. Whatever reaches Airbyte belongs in here, or the policy would not see it.
static PREFIXES: [(&str, Api); 4] = [
    ("/v1", Api::Public),
    ("/api/public/v1", Api::Public),
    ("/api/v1", Api::Config),
    (WHOLE_LISTS, Api::Public),
];

/// Browsers ask for it unbidden, wherever they are shown anything.
pub const FAVICON: &str = "/favicon.ico";

impl Route {
    /// Sorts a path; `None` where nothing lives. Prefixes are literal: `/%761/jobs` is not the API.
    pub fn of(path: &str) -> Option<Self> {
        if path == "/" {
            return Some(Self::Root);
        }
        if is_token_path(path) {
            return Some(Self::Token);
        }
        let airbytes = PREFIXES.iter().find_map(|&(prefix, api)| {
            let rest = path.strip_prefix(prefix)?;
            let whole_lists = prefix == WHOLE_LISTS;
            (rest.is_empty() || rest.starts_with('/')).then_some(Self::Api {
                api,
                prefix: prefix.len(),
                whole_lists,
            })
        });
        let ours = || path.starts_with("/-/") || matches!(path, "/-" | FAVICON);
        airbytes.or_else(|| ours().then_some(Self::Control))
    }
}

/// Checks the form of the target (RFC 9112 §3.2) and its spelling (RFC 3986 §3.3, §3.4), then sorts it. `None`: there
/// is no such path, see [`unknown`], which strangers are not told.
///
/// `used` is the parsed `Host`, which an absolute-form target must repeat: two authorities are one too many.
pub(super) fn check(head: &Parts, used: &Authority<'_>) -> Result<Option<Route>, Refusal> {
    let uri = &head.uri;
    if let Some(authority) = uri.authority() {
        check_absolute(uri, authority.as_str(), used)?;
    }
    let path = uri.path();
    // RFC 9112 §3.2.4: as a whole URL, the asterisk is a URL without a path, which the parser reads as `/`.
    let about_us = path == "*" || (path == "/" && uri.authority().is_some() && uri.query().is_none());
    if about_us && head.method == http::Method::OPTIONS {
        return Ok(Some(Route::Asterisk));
    }
    if !path.starts_with('/') {
        return Err(invalid("the request target must be a path that starts with \"/\""));
    }
    check_path(path.as_bytes()).map_err(|fault| invalid(fault.describe()))?;
    if let Some(query) = uri.query() {
        check_bytes(query.as_bytes(), QUERY).map_err(|fault| invalid(fault.describe_in("query")))?;
    }
    Ok(Route::of(path))
}

fn check_absolute(uri: &Uri, authority: &str, used: &Authority<'_>) -> Result<(), Refusal> {
    match uri.scheme_str() {
        Some("http") => {}
        Some(_) => return Err(invalid("a target that is a whole URL must be an http URL here")),
        None => return Err(invalid("a target that is a host and port is for CONNECT only")),
    }
    match Authority::parse(authority.as_bytes()) {
        Ok(named) if named.same_http(used) => Ok(()),
        _ => Err(invalid("a target that is a whole URL must name the same host as the Host header")),
    }
}

fn invalid(detail: impl Into<String>) -> Refusal {
    Refusal::new(problem::INVALID_REQUEST, "target", detail)
}

/// Names the likely right path: Airbyte would answer a wrong one with a 401 that misleads.
pub(super) fn unknown(path: &str) -> Refusal {
    let shown = Shown(path.as_bytes());
    let detail = match known::likely_path(path) {
        Some(likely) => {
            format!("{shown} is not a path of this proxy; did you mean {}?", Shown(likely.as_bytes()))
        }
        None => format!("{shown} is not a path of this proxy; the API is below /v1/, such as /v1/workspaces"),
    };
    Refusal::new(problem::UNKNOWN_PATH, "unknown path", detail)
}

/// What is wrong with a path or query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// A byte that a URL does not contain, unless percent-encoded.
    Byte(u8),
    /// `%` without two hexadecimal digits.
    Escape,
    /// A segment that is `.` or `..`, in whatever spelling.
    Dots,
    /// An encoded `/`, `\` or NUL.
    Separator(u8),
}

impl Fault {
    fn describe(self) -> String {
        match self {
            Self::Byte(_) => self.describe_in("path"),
            Self::Escape => "\"%\" in the path must be followed by two hexadecimal digits".to_owned(),
            Self::Dots => {
                "\".\" and \"..\" in the path are refused: they would be resolved after the policy has looked"
                    .to_owned()
            }
            Self::Separator(byte) => format!(
                "%{byte:02X} in the path is refused: a server may take it for a separator after the policy has looked"
            ),
        }
    }

    fn describe_in(self, part: &str) -> String {
        match self {
            Self::Byte(byte) if byte.is_ascii_graphic() => {
                let byte = char::from(byte);
                format!("'{byte}' in the {part} must be written %{:02X}", u32::from(byte))
            }
            Self::Byte(byte) => format!("the byte {byte:#04x} in the {part} must be percent-encoded"),
            other => other.describe(),
        }
    }
}

/// `pchar` and `/` of RFC 3986.
static PATH: &[bool; 256] = &allowed(b"-._~!$&'()*+,;=:@%/");

/// The same and `?`.
static QUERY: &[bool; 256] = &allowed(b"-._~!$&'()*+,;=:@%/?");

const fn allowed(marks: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    while byte.is_ascii() {
        table[byte as usize] = byte.is_ascii_alphanumeric();
        byte += 1;
    }
    let mut mark = 0;
    while mark < marks.len() {
        table[marks[mark] as usize] = true;
        mark += 1;
    }
    table
}

fn check_bytes(bytes: &[u8], table: &[bool; 256]) -> Result<(), Fault> {
    match bytes.iter().find(|&&b| !table[usize::from(b)]) {
        None => Ok(()),
        Some(&byte) => Err(Fault::Byte(byte)),
    }
}

/// One pass over the bytes; segment by segment only where there is a dot after a slash, or an escape.
pub(super) fn check_path(path: &[u8]) -> Result<(), Fault> {
    check_bytes(path, PATH)?;
    if path.contains(&b'%') || path.windows(2).any(|pair| pair == b"/.") {
        path.split(|&b| b == b'/').try_for_each(check_segment)?;
    }
    Ok(())
}

fn check_segment(segment: &[u8]) -> Result<(), Fault> {
    let mut name_is_over = false;
    let (mut dots, mut others) = (0_usize, false);
    for byte in decode(segment) {
        match byte.ok_or(Fault::Escape)? {
            separator @ (b'/' | b'\\' | 0) => return Err(Fault::Separator(separator)),
            // Some servers take `..;x` for `..` with a parameter.
            b';' => name_is_over = true,
            _ if name_is_over => {}
            b'.' => dots += 1,
            _ => others = true,
        }
    }
    if !others && (dots == 1 || dots == 2) { Err(Fault::Dots) } else { Ok(()) }
}

/// The bytes of a segment, percent-decoded once; `None` for a broken escape, and then it ends.
pub(super) fn decode(segment: &[u8]) -> impl Iterator<Item = Option<u8>> {
    let mut rest = segment.iter();
    std::iter::from_fn(move || {
        let &byte = rest.next()?;
        if byte != b'%' {
            return Some(Some(byte));
        }
        let mut digit = || char::from(*rest.next()?).to_digit(16).and_then(|d| u8::try_from(d).ok());
        let decoded = digit().and_then(|high| Some(high * 16 + digit()?));
        if decoded.is_none() {
            rest = [].iter();
        }
        Some(decoded)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_are_sorted_by_their_literal_prefix() {
        let api = |api, prefix| Some(Route::Api { api, prefix, whole_lists: prefix == 9 });
        for (path, route) in [
            ("/", Some(Route::Root)),
            ("/-", Some(Route::Control)),
            ("/-/", Some(Route::Control)),
            ("/-/ready", Some(Route::Control)),
            ("/favicon.ico", Some(Route::Control)),
            ("/v1/favicon.ico", api(Api::Public, 3)),
            ("/favicon.ico/", None),
            ("/v1", api(Api::Public, 3)),
            ("/v1/jobs", api(Api::Public, 3)),
            ("/v1//jobs", api(Api::Public, 3)),
            ("/api/public/v1/jobs", api(Api::Public, 14)),
            ("/api/v1/jobs/get", api(Api::Config, 7)),
            ("/-/all/v1", api(Api::Public, 9)),
            ("/-/all/v1/jobs", api(Api::Public, 9)),
            ("/-/all/v1x", Some(Route::Control)),
            ("/-/all/api/v1/jobs", Some(Route::Control)),
            ("/-/all/v1/applications/token", Some(Route::Token)),
            ("/v1/applications/token", Some(Route::Token)),
            ("/applications/token", Some(Route::Token)),
            ("/api/public/v1/applications/token", Some(Route::Token)),
            ("/api/v1/applications/token", Some(Route::Token)),
            ("/v1/applications/token/", api(Api::Public, 3)),
            ("/v1/Applications/token", api(Api::Public, 3)),
            ("/v2/jobs", None),
            ("/v1x/jobs", None),
            ("/%761/jobs", None),
            ("//v1/jobs", None),
            ("/V1/jobs", None),
            ("/-x", None),
            ("/jobs", None),
        ] {
            assert_eq!(Route::of(path), route, "{path}");
        }
    }

    #[test]
    fn ambiguous_paths_are_faults() {
        for (path, fault) in [
            ("/v1/../x", Fault::Dots),
            ("/v1/x/..", Fault::Dots),
            ("/v1/./x", Fault::Dots),
            ("/v1/%2e%2E/x", Fault::Dots),
            ("/v1/.%2e/x", Fault::Dots),
            ("/v1/..;a=b/x", Fault::Dots),
            ("/v1/..%3ba/x", Fault::Dots),
            ("/v1/a%2Fb", Fault::Separator(b'/')),
            ("/v1/a%2fb", Fault::Separator(b'/')),
            ("/v1/a%5Cb", Fault::Separator(b'\\')),
            ("/v1/a%00", Fault::Separator(0)),
            ("/v1/a;%2F", Fault::Separator(b'/')),
            ("/v1/%zz", Fault::Escape),
            ("/v1/a%", Fault::Escape),
            ("/v1/a%2", Fault::Escape),
            ("/v1/a%+1", Fault::Escape),
            ("/v1/a\\b", Fault::Byte(b'\\')),
            ("/v1/a|b", Fault::Byte(b'|')),
            ("/v1/\"", Fault::Byte(b'"')),
            ("/v1/é", Fault::Byte(0xc3)),
        ] {
            assert_eq!(check_path(path.as_bytes()), Err(fault), "{path}");
        }
    }

    #[test]
    fn plain_paths_are_no_faults() {
        for path in [
            "/v1/jobs/123",
            "/v1//jobs/",
            "/v1/.well-known",
            "/v1/...",
            "/v1/a..b",
            "/v1/a.b%2e",
            "/v1/a%20b%7C%C3%A9",
            "/v1/%252e%252e",
            "/v1/;x=1",
        ] {
            assert_eq!(check_path(path.as_bytes()), Ok(()), "{path}");
        }
    }

    #[test]
    fn a_wrong_byte_is_told_with_its_escape() {
        assert_eq!(Fault::Byte(b'|').describe_in("query"), "'|' in the query must be written %7C");
        assert_eq!(
            Fault::Byte(0xc3).describe_in("path"),
            "the byte 0xc3 in the path must be percent-encoded"
        );
        assert_eq!(check_bytes(b"orderBy=createdAt%7CDESC&a=/?:@", QUERY), Ok(()));
        assert_eq!(check_bytes(b"a[b]=c", QUERY), Err(Fault::Byte(b'[')));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_path_or_a_fault(path in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = check_path(&path);
        }

        /// The fast pass must not let through what the slow one would refuse.
        #[test]
        fn no_admitted_path_decodes_to_another_one(path in "/(/|\\.|%2[eEfF]|%5[cC]|%00|;|a|%61|%){0,12}") {
            if check_path(path.as_bytes()).is_ok() {
                for segment in path.split('/') {
                    let decoded: Option<Vec<u8>> = decode(segment.as_bytes()).collect();
                    let decoded = decoded.expect("admitted escapes decode");
                    prop_assert!(!decoded.iter().any(|b| b"/\\\0".contains(b)), "{path}");
                    prop_assert!(decoded != b"." && decoded != b"..", "{path}");
                }
            }
        }
    }
}
