//! What people read: pages for browsers, five lines for terminals.

use super::{About, Readiness};
use crate::browser::Html;

/// For a terminal.
pub(super) fn help(base: &str, about: &About) -> String {
    let curl = curl(about);
    format!(
        "airbyte-proxy: the Airbyte API without tokens. Every request gets a fresh one on its way.\n\
         Base URL of the API:  {base}/v1\n\
         Try:                  {curl} '{base}/v1/workspaces'   (a whole list: ?limit=all)\n\
         Is it ready?          curl '{base}/-/ready'\n\
         In a browser:         {base}/-/\n"
    )
}

/// How curl is called.
fn curl(about: &About) -> &'static str {
    if about.keys { "curl -u any:KEY" } else { "curl" }
}

/// How it is, at the moment of asking; from then on the page's script keeps it up to date.
pub(super) fn home(base: &str, about: &About, readiness: &Readiness) -> String {
    let hint = if about.keys {
        "KEY is your client key. No token, id or secret is needed; a tool that insists on an id and secret gets any id, \
         and the key as secret."
    } else {
        "No token, id or secret is needed. Where a tool insists on one, anything will do."
    };
    // A URL that knows the key is what every client takes.
    let keyed = match base.split_once("://") {
        Some((scheme, rest)) if about.keys => format!("{scheme}://any:KEY@{rest}"),
        _ => base.to_owned(),
    };
    let reason = readiness.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
    filled(
        include_str!("assets/status.html"),
        &[
            ("base", base),
            ("keyed", &keyed),
            ("curl", curl(about)),
            ("hint", hint),
            ("title", &title(about)),
            ("name", about.name.as_deref().unwrap_or_default()),
            ("upstream", &about.upstream),
            ("version", env!("CARGO_PKG_VERSION")),
            ("status", readiness.status.as_str()),
            ("reason", &reason),
        ],
    )
}

/// Every operation of the API, to be tried; but for those that are `denied`, each with the reason.
pub(super) fn explorer(base: &str, about: &About, denied: Vec<(&'static str, String)>) -> String {
    let denied: serde_json::Map<_, _> =
        denied.into_iter().map(|(operation, why)| (operation.to_owned(), why.into())).collect();
    filled(
        include_str!("assets/explorer.html"),
        &[
            ("base", base),
            ("title", &title(about)),
            ("name", about.name.as_deref().unwrap_or_default()),
            ("keys", if about.keys { "yes" } else { "" }),
            ("denied", &serde_json::Value::Object(denied).to_string()),
        ],
    )
}

fn title(about: &About) -> String {
    about.name.as_ref().map_or_else(|| "airbyte-proxy".to_owned(), |name| format!("{name} · airbyte-proxy"))
}

/// `page` with each `{{word}}` replaced by its text, as text.
fn filled(page: &str, words: &[(&str, &str)]) -> String {
    let mut filled = String::with_capacity(page.len() + 512);
    let mut rest = page;
    while let Some((before, tail)) = rest.split_once("{{") {
        let (word, after) = tail.split_once("}}").unwrap_or((tail, ""));
        let text = words.iter().find(|(known, _)| *known == word).map_or("", |(_, text)| text);
        filled.push_str(before);
        filled.push_str(&Html(text).to_string());
        rest = after;
    }
    filled + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_filled_in_is_not_read_again() {
        let words = [("a", "{{b}}<"), ("b", "no")];
        assert_eq!(filled("1 {{a}} 2 {{a}} {{c}}.", &words), "1 {{b}}&lt; 2 {{b}}&lt; .");
    }
}
