//! Credentials that cannot be printed, and where they come from.
//!
//! No type here shows its content through `Debug` or `Display`. Exposure is one greppable word: `expose`.

use std::fmt;

use http::HeaderValue;
use secrecy::{ExposeSecret, SecretString};

mod command;
mod content;
mod file;
mod keys;
mod memory;
#[cfg(unix)]
mod permissions;
mod source;
mod store;

pub use command::CommandError;
pub use content::InvalidContent;
pub use file::{FileError, Trusted};
pub use keys::{ClientKeys, KeysDir, KeysError, KeysFingerprint, KeysRead};
pub use memory::keep_to_ourselves;
pub use source::{Fingerprint, Half, Origin, SecretError, SecretErrorKind, Source};
pub use store::{Keychain, KeychainError, write_private};

/// A string that must not appear in any output. Zeroised when dropped.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Wraps `value`; the caller is responsible for copies it keeps.
    pub fn new(value: String) -> Self {
        Self(SecretString::from(value))
    }

    /// 32 random bytes as hexadecimal digits, which mean nothing to a URL, a shell or a header. Fails where the system has
    /// no random numbers.
    pub fn random() -> std::io::Result<Self> {
        use std::fmt::Write as _;

        let mut bytes = zeroize::Zeroizing::new([0; 32]);
        getrandom::fill(bytes.as_mut_slice()).map_err(std::io::Error::other)?;
        let mut text = String::with_capacity(64);
        for byte in bytes.iter() {
            let _ = write!(text, "{byte:02x}");
        }
        Ok(Self::new(text))
    }

    /// The content, for the one place that puts it on the wire.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl PartialEq for Secret {
    /// Tells whether a re-read source has changed. Both sides are ours, so timing tells nobody anything.
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Eq for Secret {}

/// The id and secret of an Airbyte application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCredentials {
    /// Public half; still not logged in full.
    pub client_id: String,
    /// Private half.
    pub client_secret: Secret,
}

/// An access token that is fit to be a header: RFC 6750 §2.1 `b64token`, at most 16 KiB.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessToken(HeaderValue);

/// Why a string cannot be an access token. Says nothing of its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidToken {
    /// Nothing there.
    #[error("access token is empty")]
    Empty,
    /// Larger than any header upstream would take.
    #[error("access token is longer than 16 KiB")]
    TooLong,
    /// Control characters, spaces or anything else outside the alphabet of RFC 6750 §2.1.
    #[error("access token contains a character that RFC 6750 does not allow, at position {at}")]
    Character {
        /// Offset in bytes.
        at: usize,
    },
}

const PREFIX: &str = "Bearer ";
const MAX_TOKEN: usize = 16 * 1024;

impl AccessToken {
    /// Checks the alphabet before the value gets anywhere near a header.
    pub fn parse(token: &str) -> Result<Self, InvalidToken> {
        if token.is_empty() {
            return Err(InvalidToken::Empty);
        }
        if token.len() > MAX_TOKEN {
            return Err(InvalidToken::TooLong);
        }
        let body = token.trim_end_matches('=');
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._~+/".contains(&b);
        if let Some(at) = body.bytes().position(|b| !allowed(b)) {
            return Err(InvalidToken::Character { at });
        }
        if body.is_empty() {
            return Err(InvalidToken::Character { at: 0 });
        }
        let mut header = HeaderValue::try_from(format!("{PREFIX}{token}"))
            .map_err(|_| InvalidToken::Character { at: body.len() })?;
        header.set_sensitive(true);
        Ok(Self(header))
    }

    /// The value of the `Authorization` header, marked sensitive. Cloning it is a reference count.
    pub fn authorization(&self) -> &HeaderValue {
        &self.0
    }

    /// The token alone.
    pub fn expose(&self) -> &str {
        self.0.to_str().ok().and_then(|v| v.strip_prefix(PREFIX)).unwrap_or_default()
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_secret_prints() {
        let credentials =
            ClientCredentials { client_id: "id".into(), client_secret: Secret::new("hunter2".into()) };
        let token = AccessToken::parse("abc.def").expect("valid");
        assert!(!format!("{credentials:?} {token:?} {:?}", token.authorization()).contains("hunter2"));
        assert!(!format!("{token:?} {:?}", token.authorization()).contains("abc"));
        assert_eq!(token.authorization().to_str().ok(), Some("Bearer abc.def"));
        assert_eq!(token.expose(), "abc.def");
    }

    #[test]
    fn padding_is_allowed_only_at_the_end() {
        assert!(AccessToken::parse("abc==").is_ok());
        assert_eq!(AccessToken::parse("a=c"), Err(InvalidToken::Character { at: 1 }));
        assert_eq!(AccessToken::parse("=="), Err(InvalidToken::Character { at: 0 }));
        assert_eq!(AccessToken::parse(""), Err(InvalidToken::Empty));
        assert_eq!(AccessToken::parse(&"a".repeat(MAX_TOKEN + 1)), Err(InvalidToken::TooLong));
    }

    proptest! {
        #[test]
        fn whatever_parses_is_one_header_without_breaks(token in ".*") {
            if let Ok(parsed) = AccessToken::parse(&token) {
                prop_assert_eq!(parsed.expose(), token.as_str());
                prop_assert!(parsed.authorization().as_bytes().iter().all(|b| (0x20..0x7f).contains(b)));
            }
        }
    }
}
