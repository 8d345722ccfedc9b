//! Why there are no tokens, and what to write so that there are: what `doctor` and `init` do.
//!
//! * `ways`: which paths and bodies are worth trying; `examine`: asks, each once; `local`: this machine's part;
//! * `verdict`: what all of it means, `silence`: that no answer came; `report`: as people and programs read it.
//!
//! Of a token only who issued it and how long it lives gets out of here.

mod examine;
mod local;
mod report;
mod silence;
mod verdict;
mod ways;

use crate::airbyte::BaseUrl;
use crate::clock::Clock;
use crate::config::{Config, Origin, Row};
use crate::secret::ClientCredentials;

pub use examine::CannotAsk;
pub use report::Report;
pub use ways::Way;

/// What is to be looked at.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// What the proxy would run with.
    pub config: &'a Config,
    /// Its settings, with the source of each.
    pub rows: &'a [Row],
    /// What is odd about them.
    pub warnings: &'a [String],
    /// Where the secret comes from, where it was not just typed.
    pub secret_place: Option<&'a str>,
    /// An Airbyte to look for instead of the one that is configured.
    pub by_hand: Option<&'a BaseUrl>,
}

impl Subject<'_> {
    fn url(&self) -> &BaseUrl {
        self.by_hand.unwrap_or(&self.config.upstream.api_url)
    }

    /// Whether the secret may be sent there.
    fn may_ask(&self, url: &BaseUrl) -> bool {
        url.is_https()
            || url.is_loopback()
            || self.origin("upstream.allow_http").is_some_and(|(on, _)| on == "true")
    }

    /// What a setting says and where, unless it is the default.
    fn origin(&self, key: &str) -> Option<(&str, &Origin)> {
        let row = self.rows.iter().find(|row| row.key == key)?;
        let value = row.value.as_deref()?;
        (row.origin != Origin::Default).then_some((value, &row.origin))
    }
}

/// Asks Airbyte, looks at this machine, and judges.
pub async fn diagnose(
    subject: &Subject<'_>,
    credentials: &ClientCredentials,
    clock: &Clock,
) -> Result<Report, CannotAsk> {
    let local = local::look(subject).await;
    let examined = examine::examine(subject, credentials, clock).await?;
    Ok(Report::new(subject, local, &examined))
}

/// The URL that people mean: `airbyte.corp`, or one from the browser's address bar.
pub fn lenient_url(text: &str) -> Result<BaseUrl, crate::airbyte::BaseUrlError> {
    let text = text.trim();
    let text = text.split(['?', '#']).next().unwrap_or_default();
    if text.contains("://") {
        return BaseUrl::parse(text);
    }
    let plain = BaseUrl::parse(&format!("http://{text}"))?;
    Ok(if plain.is_loopback() { plain } else { plain.other_scheme() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_host_is_a_url() {
        for (text, url) in [
            ("airbyte.corp", "https://airbyte.corp"),
            (" https://airbyte.corp/ ", "https://airbyte.corp"),
            ("localhost:8000", "http://localhost:8000"),
            ("https://cloud.airbyte.com/workspaces/1?x=y#z", "https://cloud.airbyte.com/workspaces/1"),
        ] {
            assert_eq!(lenient_url(text).expect(text).to_string(), url);
        }
        for wrong in ["", "https://", "ftp://x", "https://me:pw@x"] {
            assert!(lenient_url(wrong).is_err(), "{wrong}");
        }
    }
}
