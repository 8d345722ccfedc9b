//! Makes tokens and remembers them: a token is good because it was given out, not because of its signature.

use std::collections::HashMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::secret::{ClientCredentials, Secret};

use super::faults::Grant;
use super::handle::Unauthorized;
use super::{Style, data};

/// With more tokens than this, those that expired over an hour ago are forgotten.
const REMEMBERED: usize = 4096;

/// The application, its tokens, and how the next one will be.
pub(super) struct Issuer {
    credentials: ClientCredentials,
    style: Style,
    lifetime: Duration,
    issued: HashMap<String, Issued>,
    last: Option<Minted>,
    number: u64,
    random: fastrand::Rng,
}

#[derive(Debug, Clone, Copy)]
struct Issued {
    number: u64,
    /// Milliseconds since the epoch.
    expires: i64,
    revoked: bool,
}

/// A token as it goes out.
#[derive(Clone)]
pub(super) struct Minted {
    pub(super) token: String,
    pub(super) number: u64,
    /// How long it really lives.
    pub(super) lifetime: Duration,
}

impl Issuer {
    pub(super) fn new(credentials: ClientCredentials, style: Style, lifetime: Duration) -> Self {
        let random = fastrand::Rng::new();
        Self { credentials, style, lifetime, issued: HashMap::new(), last: None, number: 0, random }
    }

    pub(super) fn credentials(&self) -> &ClientCredentials {
        &self.credentials
    }

    pub(super) fn accepts(&self, id: &str, secret: &str) -> bool {
        id == self.credentials.client_id && secret == self.credentials.client_secret.expose()
    }

    /// What `expires_in` says: the configuration, not the token.
    pub(super) fn configured_lifetime(&self) -> Duration {
        self.lifetime
    }

    pub(super) fn set_lifetime(&mut self, lifetime: Duration) {
        self.lifetime = lifetime;
    }

    pub(super) fn rotate_secret(&mut self, new: Secret) {
        self.credentials.client_secret = new;
    }

    pub(super) fn revoke_all(&mut self) {
        self.issued.values_mut().for_each(|token| token.revoked = true);
    }

    pub(super) fn tokens(&self) -> Vec<Secret> {
        let mut tokens: Vec<_> = self.issued.iter().collect();
        tokens.sort_unstable_by_key(|(_, issued)| issued.number);
        tokens.into_iter().map(|(token, _)| Secret::new(token.clone())).collect()
    }

    /// A token as of `now`, in seconds since the epoch.
    pub(super) fn mint(&mut self, now: i64, grant: &Grant) -> Minted {
        if grant.repeat
            && let Some(last) = &self.last
        {
            return last.clone();
        }
        let lifetime = Duration::from_secs(grant.lifetime.unwrap_or(self.lifetime).as_secs());
        let expires = now.saturating_add(i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX));
        let token = match &grant.text {
            Some(text) => text.clone(),
            None if grant.opaque => data::random_text(&mut self.random, 64),
            None => self.jwt(now, expires, grant),
        };
        self.number += 1;
        let minted = Minted { token, number: self.number, lifetime };
        // A scripted text is to look like a token, not to work like one.
        if grant.text.is_none() {
            let expires = expires.saturating_mul(1000);
            let issued = Issued { number: self.number, expires, revoked: false };
            self.forget(now.saturating_mul(1000));
            self.issued.insert(minted.token.clone(), issued);
            self.last = Some(minted.clone());
        }
        minted
    }

    /// Whether `token` is good as of `now`, in milliseconds since the epoch.
    pub(super) fn check(&self, token: &str, now: i64) -> Result<(), Unauthorized> {
        let issued = self.issued.get(token).ok_or(Unauthorized::Foreign)?;
        if issued.revoked {
            return Err(Unauthorized::Revoked);
        }
        if now >= issued.expires {
            return Err(Unauthorized::Expired);
        }
        Ok(())
    }

    fn forget(&mut self, now: i64) {
        if self.issued.len() >= REMEMBERED {
            self.issued.retain(|_, token| token.expires.saturating_add(3_600_000) > now);
        }
    }

    fn jwt(&mut self, now: i64, expires: i64, grant: &Grant) -> String {
        let (header, mut claims, signature) = match self.style {
            // Keycloak: RS256, whose signature alone is 256 bytes.
            Style::Cloud => (
                json!({ "alg": "RS256", "typ": "JWT", "kid": "simulated" }),
                json!({
                    "iss": "https://cloud.airbyte.com/auth/realms/_airbyte-application-clients",
                    "aud": "account",
                    "sub": data::uuid(&mut self.random),
                    "azp": self.credentials.client_id,
                    "typ": "Bearer",
                    "iat": now,
                }),
                256,
            ),
            // Micronaut's own HMAC tokens, without `iat`.
            Style::Core => (
                json!({ "alg": "HS256" }),
                json!({
                    "iss": "http://localhost:8000",
                    "aud": "airbyte-server",
                    "sub": "00000000-0000-0000-0000-000000000000",
                    "roles": ["ADMIN"],
                }),
                32,
            ),
        };
        claims["exp"] = expires.into();
        // Tokens of the same second differ, as they do at Keycloak.
        claims["jti"] = data::uuid(&mut self.random).into();
        if grant.without_iat
            && let Some(claims) = claims.as_object_mut()
        {
            claims.remove("iat");
        }
        let mut random = vec![0; signature];
        self.random.fill(&mut random);
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}.{}", part(&header), part(&claims), URL_SAFE_NO_PAD.encode(random))
    }
}
