//! Client keys: who is calling, where an address alone does not tell.
//!
//! A key is compared with every client's in constant time ([`subtle`]): how long that takes tells how many clients
//! there are and how long their keys are, and nothing of what is in them. Where the keys come from is another room's
//! business; they can be exchanged while requests are served.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arc_swap::ArcSwap;
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::{HeaderMap, HeaderName, header};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::refusal::Refusal;
use crate::problem;

/// The header of our own that carries a key, for clients whose `Authorization` is taken.
const OWN: HeaderName = HeaderName::from_static("airbyte-proxy-key");

/// Some clients pad, some do not.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The longest name of a client, in bytes: it goes into logs, metrics and rules.
const MAX_NAME: usize = 64;

/// Whether `name` can be the name of a client: ASCII letters and digits, `-`, `_` and `.`, but no dot in front.
pub fn is_client_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= MAX_NAME
        && !name.starts_with('.')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

/// Somebody with a key. Cloning is a reference count.
#[derive(Clone)]
pub struct Client(Arc<Holder>);

struct Holder {
    name: Box<str>,
    key: Zeroizing<String>,
}

impl Client {
    /// The name of the file that holds the key.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The key, for the token that a client is given: it gets back what it has shown.
    pub fn expose_key(&self) -> &str {
        &self.0.key
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Client").field(&self.name()).finish()
    }
}

impl PartialEq for Client {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Client {}

impl Hash for Client {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name().hash(state);
    }
}

/// The keys that are good at the moment, shared between the guard and whoever exchanges them.
#[derive(Debug, Clone, Default)]
pub struct Keys(Arc<ArcSwap<Vec<Client>>>);

/// What a request shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Carried {
    Nothing,
    /// A key, perhaps in several places.
    Valid(Client),
    /// Something that is no key of ours.
    Wrong,
    /// Two different keys.
    Two,
}

impl Keys {
    /// Puts these in the place of all others. Requests that are judged from now on are judged by them.
    pub fn replace<N: Into<Box<str>>>(&self, keys: impl IntoIterator<Item = (N, Zeroizing<String>)>) {
        let holders = keys.into_iter().map(|(name, key)| Client(Arc::new(Holder { name: name.into(), key })));
        self.0.store(Arc::new(holders.collect()));
    }

    /// Whose key this is.
    pub fn find(&self, key: &[u8]) -> Option<Client> {
        // To the end, whoever it is.
        let clients = self.0.load();
        clients.iter().fold(None, |found, client| {
            let same = bool::from(client.0.key.as_bytes().ct_eq(key));
            if same { Some(client.clone()) } else { found }
        })
    }

    /// What the head of a request shows: `Authorization: Bearer`, the password of `Basic`, or `Airbyte-Proxy-Key`.
    pub(super) fn carried(&self, headers: &HeaderMap) -> Carried {
        let authorization =
            headers.get_all(header::AUTHORIZATION).iter().filter_map(|v| in_authorization(v.as_bytes()));
        let own = headers.get_all(OWN).iter().map(|v| Zeroizing::new(v.as_bytes().trim_ascii().to_vec()));
        let mut keys = authorization.chain(own).filter(|key| !key.is_empty());
        let Some(first) = keys.next() else { return Carried::Nothing };
        // Which of two is meant is not ours to guess, and trying both would tell whether either is good.
        if keys.any(|other| !bool::from(other.ct_eq(&first))) {
            return Carried::Two;
        }
        self.find(&first).map_or(Carried::Wrong, Carried::Valid)
    }
}

/// The key in a value of `Authorization`. Other schemes than these two carry none.
fn in_authorization(value: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (scheme, rest) = value.split_at_checked(value.iter().position(|&b| b == b' ')?)?;
    let rest = rest.trim_ascii();
    if scheme.eq_ignore_ascii_case(b"bearer") {
        return Some(Zeroizing::new(rest.to_vec()));
    }
    if !scheme.eq_ignore_ascii_case(b"basic") {
        return None;
    }
    // Not Base64, or without a colon: it was meant as a key all the same, and is none.
    let decoded = Zeroizing::new(BASE64.decode(rest).unwrap_or_else(|_| b"?".to_vec()));
    let password = decoded.iter().position(|&b| b == b':').and_then(|colon| decoded.get(colon + 1..));
    Some(Zeroizing::new(password.unwrap_or(b"?").to_vec()))
}

/// Says what is missing. Not whether somebody else's key would do.
pub(super) fn required(shown: &Carried) -> Refusal {
    let what = match shown {
        Carried::Two => {
            "the request carries two different client keys, in Authorization and Airbyte-Proxy-Key"
        }
        Carried::Wrong => "the client key is not one of this proxy's",
        _ => "this proxy asks for a client key",
    };
    Refusal::new(
        problem::KEY_REQUIRED,
        "guard.keys_dir",
        format!(
            "{what}; send one as \"Authorization: Bearer KEY\", as the password of Basic (curl -u :KEY), or as \
             \"Airbyte-Proxy-Key: KEY\""
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> Keys {
        let keys = Keys::default();
        let key = |text: &str| Zeroizing::new(text.to_owned());
        keys.replace([("etl", key("etl-key-0123456789")), ("bi", key("bi-key-0123456789"))]);
        keys
    }

    fn shown(lines: &[(&str, &str)]) -> Carried {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name.parse::<HeaderName>().expect("name"), value.parse().expect("value"));
        }
        keys().carried(&headers)
    }

    fn name(shown: &Carried) -> Option<&str> {
        if let Carried::Valid(client) = shown { Some(client.name()) } else { None }
    }

    fn basic(pair: &str) -> String {
        format!("Basic {}", BASE64.encode(pair))
    }

    #[test]
    fn each_carrier_is_understood() {
        let unpadded = basic("run:etl-key-0123456789").trim_end_matches('=').to_owned();
        for value in [
            "Bearer etl-key-0123456789",
            "bearer  etl-key-0123456789 ",
            &basic(":etl-key-0123456789"),
            &basic("anybody:etl-key-0123456789"),
            &unpadded,
        ] {
            assert_eq!(name(&shown(&[("authorization", value)])), Some("etl"), "{value}");
        }
        assert_eq!(name(&shown(&[("airbyte-proxy-key", "bi-key-0123456789")])), Some("bi"));
        let both =
            [("airbyte-proxy-key", "bi-key-0123456789"), ("authorization", "Bearer bi-key-0123456789")];
        assert_eq!(name(&shown(&both)), Some("bi"));
        // A scheme that carries no key is none of our business.
        let digest = [("airbyte-proxy-key", "bi-key-0123456789"), ("authorization", "Digest username=x")];
        assert_eq!(name(&shown(&digest)), Some("bi"));
    }

    #[test]
    fn what_is_no_key_is_wrong_and_two_keys_are_none() {
        for value in [
            "Bearer etl-key-012345678",
            "Bearer etl-key-01234567890",
            "Bearer ETL-KEY-0123456789",
            "Basic ???",
            "Basic ZXRs",
            &basic("etl-key-0123456789:"),
            &basic("etl-key-0123456789:x"),
        ] {
            let shown = shown(&[("authorization", value)]);
            let expected =
                if value == basic("etl-key-0123456789:") { Carried::Nothing } else { Carried::Wrong };
            assert_eq!(shown, expected, "{value}");
        }
        for value in ["Bearer", "Bearer ", "etl-key-0123456789", ""] {
            assert_eq!(shown(&[("authorization", value)]), Carried::Nothing, "{value}");
        }
        let (bi, etl) = ("Bearer bi-key-0123456789", "Bearer etl-key-0123456789");
        for two in [
            [("airbyte-proxy-key", "etl-key-0123456789"), ("authorization", bi)],
            [("airbyte-proxy-key", "etl-key-0123456789"), ("authorization", "Bearer wrong")],
            [("authorization", etl), ("authorization", bi)],
        ] {
            assert_eq!(shown(&two), Carried::Two);
        }
    }

    #[test]
    fn exchanged_keys_are_in_force_at_once() {
        let (keys, shared) = (keys(), Keys::default());
        let other = keys.clone();
        assert_eq!(keys.find(b"new-key-0123456789"), None);
        other.replace([("etl", Zeroizing::new("new-key-0123456789".to_owned()))]);
        assert_eq!(keys.find(b"new-key-0123456789").expect("found").name(), "etl");
        assert_eq!((keys.find(b"etl-key-0123456789"), keys.find(b"bi-key-0123456789")), (None, None));
        assert_eq!(shared.find(b""), None);
    }

    #[test]
    fn nothing_prints_a_key() {
        let keys = keys();
        let client = keys.find(b"etl-key-0123456789").expect("found");
        let all =
            format!("{keys:?} {client:?} {:?} {}", Carried::Valid(client.clone()), required(&Carried::Wrong));
        assert!(!all.contains("0123456789"), "{all}");
    }

    #[test]
    fn names_are_fit_for_logs_and_rules() {
        for yes in ["etl", "team-a.prod_2", "A"] {
            assert!(is_client_name(yes), "{yes}");
        }
        for no in ["", ".etl", "..data", "a b", "a/b", "a,b", "é", &"a".repeat(65)] {
            assert!(!is_client_name(no), "{no}");
        }
    }
}
