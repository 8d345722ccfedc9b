//! What a token endpoint's answer means. Pure.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::airbyte::BaseUrl;
use crate::outbound::{date, retry_after};
use crate::secret::{AccessToken, ClientCredentials};
use crate::token::{Failure, FailureKind, Grant, Outcome};

/// Longest part of an error answer that is shown to a person, in characters.
const MAX_EXCERPT: usize = 200;

pub(super) fn read(
    endpoint: &BaseUrl,
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
    limit: usize,
    credentials: &ClientCredentials,
) -> Outcome {
    let failure = |kind, message| Failure { kind, retry_after: retry_after(headers), message };
    if !status.is_success() {
        let said = excerpt(body, &sent(credentials)).map_or(String::new(), |said| format!(": {said}"));
        let hint = hint(status);
        return Err(failure(kind(status), format!("{endpoint} answered {}{said}{hint}", status.as_u16())));
    }
    grant(headers, body, limit)
        .map_err(|what| failure(FailureKind::Transient, format!("{endpoint} answered 200 with {what}")))
}

/// The token of a successful answer, or what was there instead.
pub(super) fn grant(headers: &HeaderMap, body: &[u8], limit: usize) -> Result<Grant, String> {
    if body.len() > limit {
        return Err(format!("more than {} KiB, which is no token", limit / 1024));
    }
    let answer = serde_json::from_slice::<Answer<'_>>(body).map_err(|_| what_it_is(body))?;
    let token = answer.access_token.ok_or("JSON that has no access_token")?;
    // RFC 6749 §7.1: a token of unknown type must not be used. Airbyte's older endpoint names none.
    if answer.token_type.is_some_and(|t| !t.eq_ignore_ascii_case("bearer")) {
        return Err("a token that is not of type Bearer".to_owned());
    }
    let claims = claims(&token);
    let token = AccessToken::parse(&token).map_err(|error| format!("an unusable token: {error}"))?;
    Ok(Grant {
        token,
        expires_in: answer.expires_in.and_then(seconds),
        expires_at: claims.exp.and_then(|raw| unix_time(&raw)),
        issued_at: claims.iat.and_then(|raw| unix_time(&raw)),
        date: date(headers),
    })
}

/// Who says to have issued the token, where it is a JWT.
pub(super) fn issuer(token: &AccessToken) -> Option<String> {
    claims(token.expose()).iss
}

#[derive(Deserialize)]
struct Answer<'a> {
    access_token: Option<String>,
    token_type: Option<String>,
    // Raw, so that a number nobody can represent spoils this member and not the whole answer.
    #[serde(borrow)]
    expires_in: Option<&'a RawValue>,
}

#[derive(Deserialize, Default)]
struct Claims {
    exp: Option<Box<RawValue>>,
    iat: Option<Box<RawValue>>,
    #[serde(default, deserialize_with = "text_or_none")]
    iss: Option<String>,
}

/// A claim of another type spoils itself alone.
fn text_or_none<'de, D: serde::Deserializer<'de>>(claim: D) -> Result<Option<String>, D::Error> {
    serde_json::Value::deserialize(claim).map(|value| value.as_str().map(str::to_owned))
}

/// `exp`, `iat` and `iss` of a JWT (RFC 7519 §4.1), unverified: they only ever shorten what is believed.
fn claims(token: &str) -> Claims {
    let payload = token.split('.').nth(1).filter(|_| token.split('.').count() == 3);
    payload
        .and_then(|p| URL_SAFE_NO_PAD.decode(p.trim_end_matches('=')).ok())
        .and_then(|json| serde_json::from_slice(&json).ok())
        .unwrap_or_default()
}

fn seconds(raw: &RawValue) -> Option<Duration> {
    let number: f64 = raw.get().parse().ok()?;
    Duration::try_from_secs_f64(number).ok()
}

/// A `NumericDate` (RFC 7519 §2), which may have a fraction. Outside the years 1970–9999 it is nonsense.
#[expect(clippy::cast_possible_truncation, reason = "checked to be in range just before")]
fn unix_time(raw: &RawValue) -> Option<i64> {
    let number: f64 = raw.get().parse().ok()?;
    (0.0..253_402_300_800.0).contains(&number).then_some(number as i64)
}

fn kind(status: StatusCode) -> FailureKind {
    match status.as_u16() {
        400 | 401 | 403 => FailureKind::Rejected,
        500 => FailureKind::ServerError,
        408 | 425 | 429 | 501.. => FailureKind::Transient,
        _ => FailureKind::Misconfigured,
    }
}

fn hint(status: StatusCode) -> &'static str {
    match status.as_u16() {
        400 => "; the client id or secret is wrong, or the endpoint wants another body (token.body)",
        401 | 403 => "; the client id or secret is wrong, or token.url names the wrong path",
        300..=399 => "; a redirect is never followed, because the secret would go with it: check token.url",
        404 | 405 => "; this is not a token endpoint: check token.url",
        415 | 422 => "; the endpoint wants another body: check token.body",
        _ => "",
    }
}

/// What an error answer says in words: Airbyte has several shapes, RFC 6749 §5.2 one more. Never the raw body, and
/// nothing that repeats what we sent, be it a part of it.
pub(super) fn excerpt(body: &[u8], sent: &[&str]) -> Option<String> {
    let json: serde_json::Value = serde_json::from_slice(body).ok()?;
    let text =
        |pointer: &str| json.pointer(pointer).and_then(|v| v.as_str()).filter(|s| !s.trim().is_empty());
    let said = text("/_embedded/errors/0/message")
        .or_else(|| text("/error_description"))
        .or_else(|| text("/detail"))
        .or_else(|| text("/message"))
        .or_else(|| text("/error"))
        .or_else(|| text("/title"))
        .map(str::to_owned)
        .or_else(|| text("/errorId").map(|id| format!("errorId {id}")))?;
    fit(&said, sent)
}

/// What must not come back.
pub(super) fn sent(credentials: &ClientCredentials) -> [&str; 2] {
    [credentials.client_secret.expose(), &credentials.client_id]
}

/// `said`, fit to be shown: short, printable, and nothing of what was `sent`.
pub(super) fn fit(said: &str, sent: &[&str]) -> Option<String> {
    if sent.iter().any(|sent| repeats(said, sent)) {
        return None;
    }
    Some(said.chars().take(MAX_EXCERPT).map(|c| if c.is_control() { ' ' } else { c }).collect())
}

/// Whether `said` contains `sent` or eight bytes of it in a row, plainly or percent-encoded: whoever echoes may cut.
fn repeats(said: &str, sent: &str) -> bool {
    const TELLING: usize = 8;
    let decoded = percent_decoded(said);
    let contains = |part: &[u8]| {
        let found = |text: &[u8]| text.windows(part.len()).any(|window| window == part);
        found(said.as_bytes()) || found(&decoded)
    };
    match sent.as_bytes() {
        [] => false,
        short if short.len() <= TELLING => contains(short),
        long => long.windows(TELLING).any(contains),
    }
}

fn percent_decoded(text: &str) -> Vec<u8> {
    form_urlencoded::parse(text.replace(['&', '='], " ").as_bytes()).fold(
        Vec::new(),
        |mut all, (name, value)| {
            all.extend_from_slice(name.as_bytes());
            all.extend_from_slice(value.as_bytes());
            all
        },
    )
}

fn what_it_is(body: &[u8]) -> String {
    let start = body.trim_ascii_start();
    match start.first() {
        None => "nothing".to_owned(),
        Some(b'<') => "an HTML page; another server answers at that address".to_owned(),
        Some(_) => "something that is no token answer".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    fn credentials() -> ClientCredentials {
        ClientCredentials { client_id: "the-id".into(), client_secret: Secret::new("the-secret".into()) }
    }

    fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Outcome {
        let endpoint = BaseUrl::parse("https://x/v1/applications/token").expect("valid");
        let status = StatusCode::from_u16(status).expect("valid");
        let headers = headers
            .iter()
            .map(|(n, v)| (n.parse().expect("name"), v.parse().expect("value")))
            .collect::<HeaderMap>();
        read(&endpoint, status, &headers, body.as_bytes(), 1000, &credentials())
    }

    fn jwt(payload: &str) -> String {
        format!("eyJhbGciOiJSUzI1NiJ9.{}.c2ln", URL_SAFE_NO_PAD.encode(payload))
    }

    #[test]
    fn a_documented_answer_is_understood_whole() {
        let token = jwt(r#"{"exp":1700000900,"iat":1700000000,"sub":"u"}"#);
        let body = format!(r#"{{"access_token":"{token}","token_type":"Bearer","expires_in":900,"x":1}}"#);
        let grant = answer(200, &[("date", "Tue, 14 Nov 2023 22:13:20 GMT")], &body).expect("a grant");
        assert_eq!(grant.expires_in, Some(Duration::from_secs(900)));
        assert_eq!((grant.expires_at, grant.issued_at), (Some(1_700_000_900), Some(1_700_000_000)));
        assert_eq!(grant.date, Some(1_700_000_000));
    }

    #[test]
    fn the_older_endpoint_names_neither_type_nor_life() {
        let grant = answer(200, &[], r#"{"access_token":"opaque"}"#).expect("a grant");
        assert_eq!((grant.expires_in, grant.expires_at), (None, None));
    }

    #[test]
    fn nonsense_in_expires_in_spoils_nothing_else() {
        for nonsense in ["1e400", "-1", "\"900\"", "{}", "null", "true"] {
            let body = format!(r#"{{"access_token":"t","token_type":"BEARER","expires_in":{nonsense}}}"#);
            assert_eq!(answer(200, &[], &body).expect(nonsense).expires_in, None, "{nonsense}");
        }
        let claims = jwt(r#"{"exp":1e400,"iat":"soon"}"#);
        let grant = answer(200, &[], &format!(r#"{{"access_token":"{claims}"}}"#)).expect("a grant");
        assert_eq!((grant.expires_at, grant.issued_at), (None, None));
    }

    #[test]
    fn a_200_without_a_usable_token_is_transient() {
        for (body, what) in [
            ("", "nothing"),
            ("<html><body>login</body></html>", "HTML"),
            ("[]", "no token answer"),
            ("{}", "no access_token"),
            (r#"{"access_token":7}"#, "no token answer"),
            (r#"{"access_token":""}"#, "empty"),
            (r#"{"access_token":"a\nb"}"#, "position 1"),
            (r#"{"access_token":"t","token_type":"mac"}"#, "not of type Bearer"),
            (&"x".repeat(1001), "more than"),
        ] {
            let failure = answer(200, &[], body).expect_err(body);
            assert_eq!(failure.kind, FailureKind::Transient, "{body}");
            assert!(failure.message.contains(what), "{}: {}", body, failure.message);
        }
    }

    #[test]
    fn statuses_are_sorted_by_what_to_do() {
        use FailureKind::{Misconfigured, Rejected, ServerError, Transient};
        for (status, expected) in [
            (301, Misconfigured),
            (307, Misconfigured),
            (400, Rejected),
            (401, Rejected),
            (403, Rejected),
            (404, Misconfigured),
            (405, Misconfigured),
            (408, Transient),
            (415, Misconfigured),
            (422, Misconfigured),
            (429, Transient),
            (500, ServerError),
            (502, Transient),
            (503, Transient),
        ] {
            assert_eq!(answer(status, &[], "").expect_err("no token").kind, expected, "{status}");
        }
    }

    #[test]
    fn airbytes_error_shapes_are_quoted_in_words() {
        let core =
            r#"{"message":"Bad Request","_embedded":{"errors":[{"message":"Invalid client id or token"}]}}"#;
        for (body, words) in [
            (core, "Invalid client id or token"),
            (r#"{"errorId":"5b2f"}"#, "errorId 5b2f"),
            (
                r#"{"message":"Internal Server Error: x","exceptionClassName":"y"}"#,
                "Internal Server Error: x",
            ),
            (r#"{"error":"invalid_client","error_description":"bad pair"}"#, "bad pair"),
            (r#"{"title":"invalid-access-token","detail":"not valid","status":"401"}"#, "not valid"),
        ] {
            let failure = answer(401, &[], body).expect_err("no token");
            assert!(failure.message.contains(words), "{}", failure.message);
        }
    }

    #[test]
    fn an_answer_that_repeats_what_we_sent_is_not_quoted() {
        for echo in ["the-secret", "the-id"] {
            let failure =
                answer(400, &[], &format!(r#"{{"message":"bad pair {echo}"}}"#)).expect_err("no token");
            assert!(!failure.message.contains(echo));
        }
    }
}
