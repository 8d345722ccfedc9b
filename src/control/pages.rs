//! What people read: pages for browsers, five lines for terminals.

use super::{About, Readiness};
use crate::browser::Html;

/// For a terminal.
pub(super) fn help(base: &str) -> String {
    format!(
        "airbyte-proxy: the Airbyte API without tokens. Every request gets a fresh one on its way.\n\
         Base URL of the API:  {base}/v1\n\
         Try:                  curl '{base}/v1/workspaces'   (a whole list: ?limit=all)\n\
         Is it ready?          curl '{base}/-/ready'\n\
         In a browser:         {base}/-/\n"
    )
}

/// How it is, at the moment of asking; from then on the page's script keeps it up to date.
pub(super) fn home(base: &str, about: &About, readiness: &Readiness) -> String {
    let reason = readiness.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
    filled(
        include_str!("assets/status.html"),
        &[
            ("base", base),
            ("title", &title(about)),
            ("name", about.name.as_deref().unwrap_or_default()),
            ("upstream", &about.upstream),
            ("version", env!("CARGO_PKG_VERSION")),
            ("status", readiness.status.as_str()),
            ("reason", &reason),
        ],
    )
}

/// Every operation of the API, to be tried.
pub(super) fn explorer(base: &str, about: &About) -> String {
    filled(
        include_str!("assets/explorer.html"),
        &[
            ("base", base),
            ("title", &title(about)),
            ("name", about.name.as_deref().unwrap_or_default()),
            ("denied", &about.denied.join(" ")),
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
