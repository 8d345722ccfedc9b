//! One question to one URL, and all that came back: for whoever looks for a fault. Nothing is repeated or followed.

use std::error::Error as StdError;
use std::io;

use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, LOCATION};
use reqwest::{RequestBuilder, StatusCode};

use super::answer::{excerpt, fit, grant, issuer, sent};
use super::{BodyFormat, BuildError, Config, HttpMinter, MAX_ANSWER, exchange, root_cause, token_request};
use crate::airbyte::BaseUrl;
use crate::outbound::{Distrust, Outbound, date, distrust};
use crate::secret::{AccessToken, ClientCredentials};
use crate::token::Grant;

/// Asks the server at one origin.
#[derive(Debug, Clone)]
pub struct Inquirer {
    client: reqwest::Client,
}

/// What came of a question.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "there are never more than a handful")]
pub enum Answer {
    /// An answer in HTTP.
    Heard(Heard),
    /// None.
    Silence(Silence),
}

/// An answer in HTTP, whatever it says.
#[derive(Debug, Clone)]
pub struct Heard {
    /// Its status code.
    pub status: u16,
    /// What time it is there, in Unix seconds.
    pub date: Option<i64>,
    /// What its body is.
    pub body: Body,
    /// What the body says in words; nothing that repeats what was sent.
    pub said: Option<String>,
    /// Airbyte's number of the error, if that is all it says.
    pub is_error_id: bool,
    /// Whether it has the shape in which Airbyte's framework answers.
    pub is_framework: bool,
    /// Where a redirect leads to, without its query.
    pub location: Option<BaseUrl>,
    /// The token, and who issued it; or what was there instead. Only of a token request that succeeded.
    pub token: Option<Result<(Grant, Option<String>), String>>,
    /// How many rows there are, where the answer is a list.
    pub rows: Option<usize>,
}

/// What a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// Nothing.
    Empty,
    /// A page for people.
    Html,
    /// JSON.
    Json,
    /// Anything else.
    Other,
}

/// No answer came.
#[derive(Debug, Clone)]
pub struct Silence {
    /// Sorted by what to do about it.
    pub why: Why,
    /// The innermost error.
    pub message: String,
}

/// Why no answer came, by what to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The name has no address.
    Name,
    /// Nobody listens there.
    Refused,
    /// It took too long.
    Timeout,
    /// The TLS handshake failed.
    Tls(Distrust),
    /// There was a connection, and no HTTP on it.
    NotHttp,
    /// Anything else.
    Other,
}

impl Inquirer {
    /// For URLs at the origin of `origin`.
    pub fn new(origin: &BaseUrl, outbound: &Outbound) -> Result<Self, BuildError> {
        let client = HttpMinter::new(Config::new(origin.clone()), outbound)?.client;
        Ok(Self { client })
    }

    /// Asks for a token.
    pub async fn token(&self, url: &BaseUrl, body: BodyFormat, credentials: &ClientCredentials) -> Answer {
        let sent = sent(credentials);
        let request = token_request(&self.client, url, body, credentials);
        ask(request, &sent, |headers, body| {
            let granted = grant(headers, body, MAX_ANSWER);
            granted.map(|grant| {
                let issuer = issuer(&grant.token).and_then(|issuer| fit(&issuer, &sent));
                (grant, issuer)
            })
        })
        .await
    }

    /// Reads `url` with `query`, with a token.
    pub async fn read(&self, url: &BaseUrl, query: &str, token: &AccessToken) -> Answer {
        let request = self.client.get(format!("{url}?{query}"));
        let request =
            request.header(ACCEPT, "application/json").header(AUTHORIZATION, token.authorization().clone());
        let mut answer = ask(request, &[token.expose()], |_, _| Err(String::new())).await;
        if let Answer::Heard(heard) = &mut answer {
            heard.token = None;
        }
        answer
    }
}

type Granted = Result<(Grant, Option<String>), String>;

async fn ask(
    request: RequestBuilder,
    sent: &[&str],
    token: impl FnOnce(&HeaderMap, &[u8]) -> Granted,
) -> Answer {
    match exchange(request).await {
        Ok((status, headers, body)) => Answer::Heard(heard(status, &headers, &body, sent, token)),
        Err(error) => Answer::Silence(Silence { why: why(&error), message: root_cause(&error) }),
    }
}

fn heard(
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
    sent: &[&str],
    token: impl FnOnce(&HeaderMap, &[u8]) -> Granted,
) -> Heard {
    let json: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let has = |name: &str| json.as_ref().is_some_and(|json| json.get(name).is_some());
    let location = headers.get(LOCATION).and_then(|location| location.to_str().ok());
    let location = location.and_then(|location| location.split(['?', '#']).next());
    let location = location.filter(|location| fit(location, sent).is_some());
    Heard {
        status: status.as_u16(),
        date: date(headers),
        body: match body.trim_ascii_start().first() {
            None => Body::Empty,
            Some(b'<') => Body::Html,
            Some(_) if json.is_some() => Body::Json,
            Some(_) => Body::Other,
        },
        said: if status.is_success() { None } else { excerpt(body, sent) },
        is_error_id: has("errorId"),
        is_framework: has("_links"),
        location: location.and_then(|location| BaseUrl::parse(location).ok()),
        rows: json.as_ref().and_then(|json| json.get("data")?.as_array().map(Vec::len)),
        token: status.is_success().then(|| token(headers, body)),
    }
}

fn why(error: &reqwest::Error) -> Why {
    if error.is_timeout() {
        return Why::Timeout;
    }
    if let Some(distrust) = distrust(error) {
        return Why::Tls(distrust);
    }
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = cause {
        let io = error.downcast_ref::<io::Error>();
        if io.is_some_and(|io| io.kind() == io::ErrorKind::ConnectionRefused) {
            return Why::Refused;
        }
        // The connector's type is private, its words are not.
        if error.to_string() == "dns error" {
            return Why::Name;
        }
        cause = error.source();
    }
    if error.is_connect() { Why::Other } else { Why::NotHttp }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16, body: &str, location: Option<&str>) -> Heard {
        let headers = location.map(|to| (LOCATION, to.parse().expect("a value"))).into_iter().collect();
        let status = StatusCode::from_u16(status).expect("a status");
        heard(status, &headers, body.as_bytes(), &["the-secret"], |headers, body| {
            grant(headers, body, 1000).map(|grant| (grant, None))
        })
    }

    #[test]
    fn shapes_are_told_apart() {
        let html = answered(502, "<html>", None);
        assert_eq!((html.body, html.said, html.token.is_none()), (Body::Html, None, true));
        let id = answered(401, r#"{"errorId":"5b2f"}"#, None);
        assert_eq!((id.is_error_id, id.said.as_deref()), (true, Some("errorId 5b2f")));
        let framework = answered(401, r#"{"message":"Unauthorized","_links":{}}"#, None);
        assert!(framework.is_framework && !framework.is_error_id);
        assert_eq!(answered(200, r#"{"data":[1,2],"next":""}"#, None).rows, Some(2));
        assert!(answered(200, r#"{"access_token":"t"}"#, None).token.is_some_and(|token| token.is_ok()));
        assert_eq!(answered(200, "", None).body, Body::Empty);
    }

    #[test]
    fn a_redirect_that_repeats_the_secret_is_not_shown() {
        let to = |to| answered(302, "", Some(to)).location.map(|url| url.to_string());
        assert_eq!(to("https://sso.corp/login?state=the-secret").as_deref(), Some("https://sso.corp/login"));
        assert_eq!(to("https://sso.corp/the-secret"), None);
        assert_eq!(to("/login"), None);
    }
}
