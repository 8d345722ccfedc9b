//! What the answers mean, and what to write. Pure.

use super::Subject;
use super::examine::{Attempt, Examined, Minted};
use super::local::Local;
use super::silence::silent;
use super::ways::Way;
use crate::airbyte::BaseUrl;
use crate::airbyte::paths::{CLOUD_API_URL, SELF_MANAGED_API, TOKEN_ENDPOINT};
use crate::config::Origin;
use crate::mint::{Answer, Body, BodyFormat, Heard};

/// Clocks that agree are within the seconds that an answer takes.
const CLOCKS_AGREE: i64 = 60;
/// Lives that agree are within the second that either is rounded to, or a little more.
const LIVES_AGREE: i64 = 5;

/// One thing that is wrong, and its remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    /// Without a period.
    pub(super) what: String,
    /// What to do, without a period; none where writing the settings is all.
    pub(super) fix: Option<String>,
    /// What to write.
    pub(super) settings: Vec<Setting>,
}

/// One line of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Setting {
    /// `upstream.api_url`.
    pub(super) key: &'static str,
    /// In TOML.
    pub(super) value: String,
    /// Where another value stands now that a file could not overrule: a variable or a flag.
    pub(super) set_by: Option<String>,
}

impl Setting {
    pub(super) fn new(key: &'static str, value: impl Into<String>) -> Self {
        Self { key, value: value.into(), set_by: None }
    }
}

impl Subject<'_> {
    pub(super) fn setting(&self, key: &'static str, value: impl Into<String>) -> Setting {
        let set_by = match self.origin(key) {
            Some((_, Origin::Env(name) | Origin::Flag(name))) => Some(name.clone()),
            _ => None,
        };
        Setting { set_by, ..Setting::new(key, value) }
    }

    pub(super) fn url_setting(&self, key: &'static str, url: &BaseUrl) -> Setting {
        self.setting(key, format!("\"{url}\""))
    }

    /// What differs between the configuration and a way that works.
    pub(super) fn settings(&self, api_url: &BaseUrl, way: &Way) -> Vec<Setting> {
        let (upstream, mint) = (&self.config.upstream, &self.config.mint);
        let mut settings = Vec::new();
        if *api_url != upstream.api_url {
            settings.push(self.url_setting("upstream.api_url", api_url));
        }
        let derived = api_url.join(TOKEN_ENDPOINT);
        let written = self.origin("token.url").is_some();
        let in_force = if written { &mint.url } else { &derived };
        if *in_force != way.token_url {
            settings.push(self.url_setting("token.url", &way.token_url));
        }
        if way.token_url.host() != api_url.host() {
            settings.push(self.setting("token.allow_other_host", "true"));
        }
        if way.body != mint.body {
            let body = if way.body == BodyFormat::Form { "\"form\"" } else { "\"json\"" };
            settings.push(self.setting("token.body", body));
        }
        settings
    }
}

/// What is wrong, the worst first, and what is merely odd.
pub(super) fn judge(
    subject: &Subject<'_>,
    local: &Local,
    examined: &Examined,
) -> (Vec<Finding>, Vec<String>) {
    let mut wrong = Vec::new();
    let mut remarks = Vec::new();
    match &examined.minted {
        None => wrong.push(no_token(subject, local, examined)),
        Some(minted) => {
            match &examined.api_url {
                Some(api_url) => wrong.extend(misplaced(subject, api_url, &minted.way)),
                None => wrong.push(no_api(subject, examined, minted)),
            }
            wrong.extend(minted.skew.and_then(clocks));
            remarks.extend(lives(minted));
        }
    }
    wrong.extend(local.wrong.iter().cloned());
    remarks.extend(subject.warnings.iter().cloned());
    (wrong, remarks)
}

/// It works, though not as configured. What was asked about by hand is nobody's mistake.
fn misplaced(subject: &Subject<'_>, api_url: &BaseUrl, way: &Way) -> Option<Finding> {
    let settings = subject.settings(api_url, way);
    if settings.is_empty() || subject.by_hand.is_some() {
        return None;
    }
    let configured = &subject.config.upstream.api_url;
    let mut what = Vec::new();
    for setting in &settings {
        match setting.key {
            "upstream.api_url" if configured.scheme() != api_url.scheme() => what.push(format!(
                "{} speaks {}, not {}",
                api_url.authority(),
                api_url.scheme(),
                configured.scheme()
            )),
            "upstream.api_url" => {
                what.push(format!("Airbyte's API is not at {configured}, but at {api_url}"));
            }
            "token.url" => what.push(format!("tokens are to be had at {} only", way.token_url)),
            "token.body" if way.body == BodyFormat::Form => {
                what.push("the token endpoint takes forms, not JSON".to_owned());
            }
            "token.body" => what.push("the token endpoint takes JSON, not forms".to_owned()),
            _ => {}
        }
    }
    Some(Finding { what: what.join("; "), fix: None, settings })
}

fn clocks(skew: i64) -> Option<Finding> {
    if skew.abs() <= CLOCKS_AGREE {
        return None;
    }
    let side = if skew > 0 { "behind" } else { "ahead of" };
    Some(Finding {
        what: format!("this machine's clock is {} {side} Airbyte's", span(skew.abs())),
        fix: "set the clock (timedatectl set-ntp true, or the host's where this is a container); the configuration \
              needs nothing"
            .to_owned()
            .into(),
        settings: Vec::new(),
    })
}

/// `exp` against `expires_in`.
fn lives(minted: &Minted) -> Option<String> {
    let promised = i64::try_from(minted.grant.expires_in?.as_secs()).ok()?;
    let real = minted.lifetime()?;
    if (real - promised).abs() <= LIVES_AGREE {
        return None;
    }
    let effect = if real < promised {
        "the proxy goes by exp, so nothing is to be written; clients that ask for tokens themselves and go by \
         expires_in fail after that. Tokens of an application that is created anew may live as promised"
    } else {
        "the proxy goes by the shorter, so nothing is to be written"
    };
    Some(format!(
        "tokens live {} by their own exp, while expires_in promises {}: {effect}",
        span(real),
        span(promised)
    ))
}

impl Minted {
    /// How long the token says it lives, from the server's clock where it does not say since when.
    pub(super) fn lifetime(&self) -> Option<i64> {
        let since = self.grant.issued_at.or(self.grant.date)?;
        Some(self.grant.expires_at?.saturating_sub(since))
    }
}

/// `600 s` reads as `10 min`.
pub(super) fn span(seconds: i64) -> String {
    match seconds {
        s if s >= 7200 && s % 3600 == 0 => format!("{} h", s / 3600),
        s if s >= 120 && s % 60 == 0 => format!("{} min", s / 60),
        s if s >= 600 => format!("{} min", (s + 30) / 60),
        s => format!("{s} s"),
    }
}

/// A token, and an API that will not have it.
fn no_api(subject: &Subject<'_>, examined: &Examined, minted: &Minted) -> Finding {
    let finding = |what: String, fix: &str| Finding { what, fix: Some(fix.to_owned()), settings: Vec::new() };
    let reads = examined.attempts.iter().filter(|attempt| attempt.body.is_none());
    let Some(first) = reads.clone().next() else {
        return finding("the API was not asked".to_owned(), "run it again");
    };
    let heard = reads.filter_map(|read| heard(read).map(|heard| (read, heard)));
    let worst = heard.max_by_key(|(_, heard)| match heard.status {
        403 => 4,
        429 => 3,
        500.. => 2,
        401 => 1,
        _ => 0,
    });
    let Some((attempt, heard)) = worst else {
        return finding(
            format!("there is a token, but {} does not answer", first.url),
            "see that Airbyte runs",
        );
    };
    let url = &attempt.url;
    match heard.status {
        403 => finding(
            format!("the token is good, but its owner may not read {url} (403)"),
            "give the user who created the application a role in a workspace: applications have their creator's \
             rights. The configuration needs nothing",
        ),
        429 => finding(format!("{url} turns requests away for now (429)"), "wait, and run it again"),
        status @ 500.. => finding(
            format!("there is a token, but the API itself fails: {url} answers {status}"),
            "look at Airbyte's server; the configuration needs nothing",
        ),
        401 => finding(
            format!("{url} does not take the token that {} gave", minted.way.token_url),
            "see that both are the same Airbyte",
        ),
        status => {
            let what = format!("there is a token, but no API at {url}: it answers {status}");
            let fix = "name the API's own URL".to_owned();
            let settings = vec![subject.url_setting("upstream.api_url", &template(&attempt.url))];
            Finding { what, fix: Some(fix), settings }
        }
    }
}

fn heard(attempt: &Attempt) -> Option<&Heard> {
    match &attempt.answer {
        Answer::Heard(heard) => Some(heard),
        Answer::Silence(_) => None,
    }
}

/// The URL that somebody who knows the host would fill in.
pub(super) fn template(url: &BaseUrl) -> BaseUrl {
    url.with_path(SELF_MANAGED_API)
}

fn no_token(subject: &Subject<'_>, local: &Local, examined: &Examined) -> Finding {
    if let Some(way) = &examined.rejected {
        return rejected(subject, way);
    }
    let answers = examined.attempts.iter().filter_map(|attempt| Some((&attempt.url, heard(attempt)?)));
    // What says most about what is wrong: something of Airbyte's beats something that is not.
    let telling = answers.max_by_key(|(_, heard)| telling(heard));
    let silence = examined.attempts.iter().rev().find_map(|attempt| match &attempt.answer {
        Answer::Silence(silence) => Some((&attempt.url, silence)),
        Answer::Heard(_) => None,
    });
    match (telling, silence) {
        (Some((url, heard)), None) => unusable(subject, url, heard),
        (Some((url, heard)), Some(_)) if telling_by_itself(heard) => unusable(subject, url, heard),
        (_, Some((url, silence))) => silent(subject, local, examined, url, silence),
        (None, None) => Finding {
            what: "nobody was asked".to_owned(),
            fix: Some("name Airbyte's URL".to_owned()),
            settings: vec![Setting::new("upstream.api_url", format!("\"{CLOUD_API_URL}\""))],
        },
    }
}

/// The pair was read and refused.
fn rejected(subject: &Subject<'_>, way: &Way) -> Finding {
    let settings = if subject.by_hand.is_some() { Vec::new() } else { subject.settings(&way.api_url, way) };
    Finding {
        what: format!(
            "the client id or the client secret is wrong: {} has read and refused them",
            way.token_url
        ),
        fix: Some(format!(
            "use the pair of an application of this very Airbyte (User settings → Applications){}",
            subject.secret_place.map_or(String::new(), |place| format!("; the secret comes from {place}"))
        )),
        settings,
    }
}

/// Larger says more.
fn telling(heard: &Heard) -> u8 {
    match heard.status {
        502..=504 => 9,
        500 | 501 | 505.. => 8,
        429 => 7,
        407 => 6,
        403 => 5,
        200..=299 if heard.body != Body::Html => 4,
        400 | 415 | 422 => 3,
        401 => 2,
        _ => 1,
    }
}

fn telling_by_itself(heard: &Heard) -> bool {
    telling(heard) > 2
}

/// Answers, and no token in any of them; `heard` says most.
fn unusable(subject: &Subject<'_>, url: &BaseUrl, heard: &Heard) -> Finding {
    let nothing = |what: String, fix: &str| Finding { what, fix: Some(fix.to_owned()), settings: Vec::new() };
    let said = heard.said.as_ref().map_or(String::new(), |said| format!(" ({said})"));
    match heard.status {
        status @ 502..=504 => nothing(
            format!(
                "what stands in front of Airbyte answers {status}: Airbyte itself is down or still starting"
            ),
            "look at Airbyte's server (kubectl get pods, abctl local status); the configuration needs nothing",
        ),
        status @ 500.. => nothing(
            format!("Airbyte fails at {url} with {status}{said}"),
            "check the client id and secret first: older servers answer wrong ones like that; else look at its \
             server's log. The URL and the rest of the configuration are right as far as can be told",
        ),
        429 => {
            nothing(format!("{url} turns requests away for now (429)"), "wait some minutes, and run it again")
        }
        407 => Finding {
            what: "the outbound proxy wants a password (407)".to_owned(),
            fix: Some("name it with the proxy".to_owned()),
            settings: vec![Setting::new("upstream.proxy", "\"http://USER:PASSWORD@PROXY:PORT\"")],
        },
        403 => nothing(
            format!("{url} refuses this machine (403{said})"),
            "ask whoever runs it to let this machine's address in, or to exempt the API from a login in front of it",
        ),
        300..=399 => Finding {
            what: match &heard.location {
                Some(to) => {
                    format!("{url} sends elsewhere, to {to}, and a secret does not follow a redirect")
                }
                None => format!("{url} sends elsewhere, and a secret does not follow a redirect"),
            },
            fix: Some("if that is a login in front of Airbyte, have the API exempted from it".to_owned()),
            settings: redirect(subject, heard),
        },
        401 | 400 | 415 | 422 if heard.is_framework => not_here(
            subject,
            url,
            format!("an Airbyte answers at {}, but no documented token endpoint does", url.authority()),
        ),
        status => {
            let shows = if heard.body == Body::Html { "a page for people" } else { "something else" };
            let what = format!("no Airbyte API at {}: {shows} answers there ({status})", url.authority());
            not_here(subject, url, what)
        }
    }
}

fn redirect(subject: &Subject<'_>, heard: &Heard) -> Vec<Setting> {
    heard.location.iter().map(|to| subject.url_setting("upstream.api_url", &template(to))).collect()
}

fn not_here(subject: &Subject<'_>, url: &BaseUrl, what: String) -> Finding {
    let fix = format!(
        "name the URL of the API: that of Airbyte Cloud is {CLOUD_API_URL}, that of another ends with {SELF_MANAGED_API}"
    );
    Finding { what, fix: Some(fix), settings: vec![subject.url_setting("upstream.api_url", &template(url))] }
}
