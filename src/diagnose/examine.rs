//! Asks, one question after the other and each at most once, until one way works or nothing is left to try.

use super::Subject;
use super::ways::{Way, bases, ways};
use crate::airbyte::BaseUrl;
use crate::airbyte::paths::TOKEN_ENDPOINT;
use crate::clock::Clock;
use crate::mint::{Answer, Body, BodyFormat, Heard, Inquirer, Why};
use crate::outbound::{Distrust, Outbound};
use crate::secret::ClientCredentials;
use crate::token::Grant;

const WORKSPACES: &str = "/workspaces";
/// One row shows as much as twenty.
const QUERY: &str = "limit=1";

/// One question, and what came of it.
#[derive(Debug, Clone)]
pub(super) struct Attempt {
    pub(super) url: BaseUrl,
    /// Of a token request. None: this read the API.
    pub(super) body: Option<BodyFormat>,
    pub(super) answer: Answer,
}

/// All that was found out.
#[derive(Debug, Default)]
pub(super) struct Examined {
    pub(super) attempts: Vec<Attempt>,
    /// Plain http to another machine was not tried: this is where it would have gone.
    pub(super) unsafe_url: Option<BaseUrl>,
    /// The way by which a token came.
    pub(super) minted: Option<Minted>,
    /// Where the API was read with it.
    pub(super) api_url: Option<BaseUrl>,
    /// The way whose endpoint has read id and secret, and wants others.
    pub(super) rejected: Option<Way>,
}

/// A token, as far as anybody may know.
#[derive(Debug)]
pub(super) struct Minted {
    pub(super) way: Way,
    pub(super) grant: Grant,
    pub(super) issuer: Option<String>,
    /// How many seconds their clock is ahead of ours.
    pub(super) skew: Option<i64>,
}

/// Why nobody can be asked.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct CannotAsk(String);

/// Asks as the proxy would, then in all other ways.
pub(super) async fn examine(
    subject: &Subject<'_>,
    credentials: &ClientCredentials,
    clock: &Clock,
) -> Result<Examined, CannotAsk> {
    let mint = &subject.config.mint;
    let mut url = subject.url().clone();
    let mut configured = subject.by_hand.is_none().then(|| (mint.url.clone(), mint.body));
    let mut examined = Examined::default();
    let mut may_switch = true;
    if !subject.may_ask(&url) {
        examined.unsafe_url = Some(url.clone());
        url = url.other_scheme();
        may_switch = false;
    }
    loop {
        let next = round(subject, &url, configured.as_ref(), credentials, clock, &mut examined).await?;
        match next.filter(|next| may_switch && subject.may_ask(next)) {
            Some(next) => {
                // What was configured is at the other scheme too, unless it is elsewhere anyway.
                configured = configured
                    .filter(|(token_url, _)| token_url.authority() == url.authority())
                    .map(|(token_url, body)| (next.with_path(token_url.path()), body));
                url = next;
                may_switch = false;
            }
            None => return Ok(examined),
        }
    }
}

/// All ways by one scheme. Some: nothing came of it, and the same place should be asked by the other.
async fn round(
    subject: &Subject<'_>,
    url: &BaseUrl,
    configured: Option<&(BaseUrl, BodyFormat)>,
    credentials: &ClientCredentials,
    clock: &Clock,
    examined: &mut Examined,
) -> Result<Option<BaseUrl>, CannotAsk> {
    let mut silent = Vec::new();
    let mut other = None;
    for way in ways(url, configured) {
        if silent.contains(way.token_url.authority()) {
            continue;
        }
        let asker = inquirer(subject, &way.token_url)?;
        let answer = asker.token(&way.token_url, way.body, credentials).await;
        let now = clock.now().wall / 1000;
        if let Answer::Silence(_) = &answer {
            silent.push(way.token_url.authority().clone());
        }
        other = other.or_else(|| elsewhere(url, &answer));
        let granted = match &answer {
            Answer::Heard(Heard { token: Some(Ok(granted)), .. }) => Some(granted.clone()),
            _ => None,
        };
        let rejects = matches!(&answer, Answer::Heard(heard) if rejects(heard));
        examined.attempts.push(Attempt { url: way.token_url.clone(), body: Some(way.body), answer });
        if rejects {
            // Asking again, whichever way, would only count as guessing.
            examined.rejected = Some(way);
            return Ok(None);
        }
        if let Some((grant, issuer)) = granted {
            let skew = grant.date.map(|date| date.saturating_sub(now));
            read(subject, &way, &grant, examined).await?;
            let way = plainer(subject, way, credentials, examined).await?;
            examined.minted = Some(Minted { way, grant, issuer, skew });
            return Ok(None);
        }
        if other.is_some() {
            return Ok(other);
        }
    }
    Ok(other)
}

/// Reads the API with the token, where it should be and then where it may be.
async fn read(
    subject: &Subject<'_>,
    way: &Way,
    grant: &Grant,
    examined: &mut Examined,
) -> Result<(), CannotAsk> {
    let mut tried = Vec::new();
    for base in std::iter::once(way.api_url.clone()).chain(bases(&way.api_url)) {
        if tried.contains(&base) {
            continue;
        }
        tried.push(base.clone());
        let url = base.join(WORKSPACES);
        let answer = inquirer(subject, &url)?.read(&url, QUERY, &grant.token).await;
        let (works, hopeless) = match &answer {
            Answer::Silence(_) => (false, true),
            // An Airbyte that knows the path and says no would say it elsewhere too.
            Answer::Heard(heard) => (
                heard.status == 200 && heard.rows.is_some(),
                matches!(heard.status, 403 | 429) && heard.body == Body::Json,
            ),
        };
        examined.attempts.push(Attempt { url, body: None, answer });
        if works {
            examined.api_url = Some(base);
        }
        if works || hopeless {
            break;
        }
    }
    Ok(())
}

/// Where a token came from another place than the API, whether the API's own token endpoint would do: then there is one
/// setting less to write.
async fn plainer(
    subject: &Subject<'_>,
    way: Way,
    credentials: &ClientCredentials,
    examined: &mut Examined,
) -> Result<Way, CannotAsk> {
    let Some(api_url) = examined.api_url.clone() else { return Ok(way) };
    let token_url = api_url.join(TOKEN_ENDPOINT);
    let asked = |attempt: &Attempt| attempt.url == token_url && attempt.body == Some(way.body);
    if way.token_url == token_url || examined.attempts.iter().any(asked) {
        return Ok(way);
    }
    let answer = inquirer(subject, &token_url)?.token(&token_url, way.body, credentials).await;
    let works = matches!(&answer, Answer::Heard(Heard { token: Some(Ok(_)), .. }));
    examined.attempts.push(Attempt { url: token_url.clone(), body: Some(way.body), answer });
    Ok(if works { Way { api_url, token_url, ..way } } else { way })
}

fn inquirer(subject: &Subject<'_>, url: &BaseUrl) -> Result<Inquirer, CannotAsk> {
    let upstream = &subject.config.upstream;
    let outbound = Outbound::new(&[url], upstream.ca_file.as_deref(), &upstream.proxy)
        .map_err(|error| CannotAsk(error.to_string()))?;
    Inquirer::new(url, &outbound).map_err(|error| CannotAsk(error.to_string()))
}

/// Whether the endpoint has read id and secret and wants others: the only refusals that say so.
fn rejects(heard: &Heard) -> bool {
    let said = heard.said.as_deref().unwrap_or_default().to_ascii_lowercase();
    let names_them = ["invalid client", "invalid_client", "client credentials"];
    match heard.status {
        401 => heard.is_error_id || names_them.iter().any(|words| said.contains(words)),
        400 => names_them.iter().any(|words| said.contains(words)),
        _ => false,
    }
}

/// Where to go on if `answer` shows that the other scheme is spoken here.
fn elsewhere(url: &BaseUrl, answer: &Answer) -> Option<BaseUrl> {
    let other = url.other_scheme();
    match answer {
        Answer::Silence(silence) => match silence.why {
            Why::NotHttp if !url.is_https() => Some(other),
            Why::Refused if !url.is_https() && url.authority().port().is_none() => Some(other),
            Why::Tls(Distrust::NotTls) if url.is_https() => Some(other),
            _ => None,
        },
        Answer::Heard(heard) if !url.is_https() => {
            let redirected = heard.location.as_ref().filter(|to| to.is_https() && to.host() == url.host());
            // How nginx answers http on a port for https.
            let wants_tls = heard.status == 400 && heard.body == Body::Html;
            match redirected {
                Some(to) => Some(to.with_path(url.path())),
                None => wants_tls.then_some(other),
            }
        }
        Answer::Heard(_) => None,
    }
}
