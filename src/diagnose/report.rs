//! What was found, as people and programs read it.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::examine::{Attempt, Examined};
use super::local::Local;
use super::verdict::{Finding, Setting, judge, span};
use super::{Subject, Way};
use crate::mint::{Answer, Body, BodyFormat, Heard};

/// Lines that are made of words are no longer than this.
const WIDTH: usize = 80;
const GREEN: &str = "\x1b[32m";
const RED: &str = "\x1b[31m";
const BOLD: &str = "\x1b[1m";
const PLAIN: &str = "\x1b[0m";

/// All of it. Shows no secret and no token.
#[derive(Debug, Clone)]
pub struct Report {
    url: String,
    local: Vec<(&'static str, String)>,
    asked: Vec<Asked>,
    token: Option<Token>,
    way: Option<Way>,
    rejected: bool,
    /// What to write so that the proxy takes the way that works; only where somebody named the place by hand.
    advice: Vec<Setting>,
    wrong: Vec<Finding>,
    remarks: Vec<String>,
}

#[derive(Debug, Clone)]
struct Asked {
    origin: String,
    method: &'static str,
    path: String,
    body: &'static str,
    works: bool,
    answer: String,
}

#[derive(Debug, Clone)]
struct Token {
    issuer: Option<String>,
    lifetime: Option<i64>,
    expires_in: Option<u64>,
    skew: Option<i64>,
}

impl Report {
    pub(super) fn new(subject: &Subject<'_>, local: Local, examined: &Examined) -> Self {
        let (wrong, remarks) = judge(subject, &local, examined);
        let minted = examined.minted.as_ref();
        let token = minted.map(|minted| Token {
            issuer: minted.issuer.clone(),
            lifetime: minted.lifetime(),
            expires_in: minted.grant.expires_in.map(|life| life.as_secs()),
            skew: minted.skew,
        });
        let way = minted.map(|minted| Way {
            api_url: examined.api_url.clone().unwrap_or_else(|| minted.way.api_url.clone()),
            ..minted.way.clone()
        });
        let advice = match (&way, subject.by_hand) {
            (Some(way), Some(_)) => subject.settings(&way.api_url, way),
            _ => Vec::new(),
        };
        Self {
            url: subject.url().to_string(),
            local: local.rows,
            asked: examined.attempts.iter().map(Asked::new).collect(),
            token,
            way,
            rejected: examined.rejected.is_some(),
            advice,
            wrong,
            remarks,
        }
    }

    /// Whether nothing is wrong.
    pub fn is_well(&self) -> bool {
        self.wrong.is_empty()
    }

    /// The way by which a token came.
    pub fn way(&self) -> Option<&Way> {
        self.way.as_ref()
    }

    /// Everything, on 80 columns, coloured.
    pub fn text(&self) -> String {
        let mut text = format!("{BOLD}airbyte-proxy doctor: {}{PLAIN}\n\n", self.url);
        for (name, value) in &self.local {
            wrapped(&mut text, &format!("{name:<10}"), value, 10);
        }
        text.push_str(&self.table());
        text.push_str(&self.about_token());
        for remark in &self.remarks {
            text.push('\n');
            wrapped(&mut text, "note: ", remark, 6);
        }
        text.push('\n');
        text.push_str(&self.end());
        text
    }

    /// Which questions were asked, and what came of each.
    pub fn table(&self) -> String {
        let mut text = String::new();
        let mut origin = "";
        for asked in &self.asked {
            if asked.origin != origin {
                origin = &asked.origin;
                let _ = writeln!(text, "\nasked at {origin}");
            }
            let (colour, mark) = if asked.works { (GREEN, "ok") } else { (RED, "no") };
            let head = format!("{:<4} {:<34} {:<4} ", asked.method, asked.path, asked.body);
            let _ = write!(text, "  {colour}{mark}{PLAIN} ");
            wrapped_from(&mut text, 5, &head, &asked.answer, 10);
        }
        text
    }

    fn about_token(&self) -> String {
        let Some(token) = &self.token else { return String::new() };
        let mut text = String::from("\ntoken\n");
        let issuer = token.issuer.as_deref().unwrap_or("not told: the token is no JWT, or names nobody");
        wrapped(&mut text, "  issuer  ", issuer, 10);
        let exp =
            token.lifetime.map_or("exp is not told".to_owned(), |life| format!("{} by its exp", span(life)));
        let promised = token.expires_in.and_then(|life| i64::try_from(life).ok());
        let promised = promised
            .map_or("expires_in is not told".to_owned(), |life| format!("{} by expires_in", span(life)));
        wrapped(&mut text, "  life    ", &format!("{exp}, {promised}"), 10);
        let clock = match token.skew {
            None => "Airbyte does not tell the time".to_owned(),
            Some(-1..=1) => "the same as Airbyte's".to_owned(),
            Some(skew) if skew > 0 => format!("{} behind Airbyte's", span(skew)),
            Some(skew) => format!("{} ahead of Airbyte's", span(-skew)),
        };
        wrapped(&mut text, "  clock   ", &clock, 10);
        text
    }

    /// Whether the token endpoint has read id and secret and wants others.
    pub fn is_rejected(&self) -> bool {
        self.rejected
    }

    /// The last word: what is wrong, and what to write.
    fn end(&self) -> String {
        let mut text = self.complaints();
        if self.wrong.is_empty() {
            let more = if self.advice.is_empty() { "." } else { "; write into the configuration:" };
            let _ = writeln!(
                text,
                "{GREEN}all is well:{PLAIN} Airbyte gives tokens, and its API takes them{more}"
            );
        }
        settings(&mut text, &self.advice);
        text
    }

    /// What is wrong, with what to write.
    pub fn complaints(&self) -> String {
        let mut text = String::new();
        for finding in &self.wrong {
            let _ = write!(text, "{RED}wrong:{PLAIN} ");
            let end = if finding.settings.is_empty() { "." } else { "; write into the configuration:" };
            let fix = finding.fix.as_ref().map_or(String::new(), |fix| format!("; {fix}"));
            wrapped_from(&mut text, 7, "", &format!("{}{fix}{end}", finding.what), 2);
            settings(&mut text, &finding.settings);
        }
        text
    }

    /// The same for programs.
    pub fn json(&self) -> Value {
        let settings = |settings: &[Setting]| -> Vec<Value> {
            settings
                .iter()
                .map(|one| json!({ "key": one.key, "value": one.value, "set_by": one.set_by }))
                .collect()
        };
        json!({
            "ok": self.is_well(),
            "url": self.url,
            "machine": self.local.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect::<Vec<_>>(),
            "asked": self.asked.iter().map(Asked::json).collect::<Vec<_>>(),
            "token": self.token.as_ref().map(|token| json!({
                "issuer": token.issuer,
                "lifetime_by_exp": token.lifetime,
                "expires_in": token.expires_in,
                "clock_behind": token.skew,
            })),
            "wrong": self.wrong.iter().map(|finding| json!({
                "what": finding.what,
                "fix": finding.fix,
                "settings": settings(&finding.settings),
            })).collect::<Vec<_>>(),
            "settings": settings(&self.advice),
            "remarks": self.remarks,
        })
    }
}

impl Asked {
    fn new(attempt: &Attempt) -> Self {
        let (works, answer) = match &attempt.answer {
            Answer::Silence(silence) => (false, silence.message.clone()),
            Answer::Heard(heard) => {
                (works(heard, attempt.body.is_some()), described(heard, attempt.body.is_some()))
            }
        };
        Self {
            origin: attempt.url.with_path("").to_string(),
            method: if attempt.body.is_some() { "POST" } else { "GET" },
            path: attempt.url.path().to_owned(),
            body: match attempt.body {
                Some(BodyFormat::Json) => "json",
                Some(BodyFormat::Form) => "form",
                None => "",
            },
            works,
            answer,
        }
    }

    fn json(&self) -> Value {
        json!({
            "method": self.method,
            "url": format!("{}{}", self.origin, self.path),
            "body": self.body,
            "works": self.works,
            "answer": self.answer,
        })
    }
}

fn works(heard: &Heard, for_token: bool) -> bool {
    if for_token { matches!(heard.token, Some(Ok(_))) } else { heard.status == 200 && heard.rows.is_some() }
}

fn described(heard: &Heard, for_token: bool) -> String {
    let status = heard.status;
    let of = match heard.body {
        Body::Empty => "nothing",
        Body::Html => "a page",
        Body::Json => "JSON",
        Body::Other => "something",
    };
    match (&heard.token, heard.rows, &heard.said, &heard.location) {
        (Some(Ok(_)), ..) => format!("{status} a token"),
        (Some(Err(what)), ..) => format!("{status} {what}"),
        (None, Some(0), ..) if !for_token => format!("{status} a list without rows"),
        (None, Some(_), ..) if !for_token => format!("{status} a list with rows"),
        (_, _, Some(said), _) => format!("{status} {said}"),
        (_, _, _, Some(to)) => format!("{status} to {to}"),
        _ => format!("{status} {of}"),
    }
}

/// One line each, never broken: they are to be copied.
fn settings(text: &mut String, settings: &[Setting]) {
    for setting in settings {
        let _ = writeln!(text, "  {BOLD}{} = {}{PLAIN}", setting.key, setting.value);
        if let Some(name) = &setting.set_by {
            wrapped(text, "    ", &format!("({name} is set and beats the file: change it there)"), 4);
        }
    }
}

fn wrapped(text: &mut String, head: &str, words: &str, indent: usize) {
    wrapped_from(text, 0, head, words, indent);
}

/// Writes `head` at column `at`, then `words`, broken before [`WIDTH`] where there are spaces.
fn wrapped_from(text: &mut String, at: usize, head: &str, words: &str, indent: usize) {
    text.push_str(head);
    let mut column = at + head.chars().count();
    let mut first = true;
    for word in words.split_whitespace() {
        let length = word.chars().count();
        if column + usize::from(!first) + length > WIDTH && column > indent {
            while text.ends_with(' ') {
                text.pop();
            }
            text.push('\n');
            text.push_str(&" ".repeat(indent));
            column = indent;
        } else if !first {
            text.push(' ');
            column += 1;
        }
        text.push_str(word);
        column += length;
        first = false;
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_end_before_column_80_and_addresses_stay_whole() {
        let mut text = String::new();
        let words = "a word and then another ".repeat(10);
        wrapped(&mut text, "note: ", &words, 6);
        assert!(text.lines().all(|line| line.len() <= WIDTH && !line.ends_with(' ')), "{text}");
        assert!(
            text.lines().skip(1).all(|line| line.starts_with("      a") || line.starts_with("      ")),
            "{text}"
        );
        let url = format!("https://{}", "x".repeat(100));
        let mut text = String::new();
        wrapped(&mut text, "note: ", &format!("see {url}"), 6);
        assert_eq!(text, format!("note: see\n      {url}\n"));
    }
}
