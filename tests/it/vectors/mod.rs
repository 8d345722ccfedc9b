//! The guard as an attacker meets it: bytes on a socket of the built binary, the answer to its last byte, and what
//! upstream saw of it.
//!
//! * `callers`: host names, origins, and who may read an answer
//! * `requests`: request lines and fields that have two readings
//! * `bodies`: where a body ends
//! * `limits`: sizes, times, numbers
//! * `framing`: how a body that passes is framed on its way to upstream

pub(crate) mod binary;
mod bodies;
mod callers;
mod framing;
mod limits;
mod requests;

use std::time::Duration;

use tokio::time::timeout;

use crate::harness::talk::{Head, Talk, show};
use binary::Stage;

/// Refusals are answered at once; whatever hangs fails, and says which.
const PATIENCE: Duration = Duration::from_secs(5);

/// What must come of some bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Expect {
    /// Upstream is asked once and answers this; the connection goes on.
    Passes(u16),
    /// The same, and the connection ends.
    PassesAndCloses(u16),
    /// Answered here, with no problem; the connection goes on.
    Local(u16),
    /// Refused with this problem; the connection goes on.
    Refused(u16, &'static str),
    /// Refused with this problem; the connection ends.
    Closed(u16, &'static str),
    /// Upstream may have seen the head of a request that was never completed; the connection ends.
    Broken(u16, &'static str),
    /// Not HTTP, says the parser, with no body; the connection ends.
    NotHttp(u16),
    /// The connection ends without an answer.
    Silence,
}

use Expect::{Broken, Closed, Local, NotHttp, Passes, PassesAndCloses, Refused, Silence};

/// A name for messages, what is sent, what must come of it.
type Vector<'a> = (&'a str, Vec<u8>, Expect);

/// A request with a good `Host` and these lines.
fn with(request_line: &str, lines: impl AsRef<[u8]>) -> Vec<u8> {
    [request_line.as_bytes(), b"\r\nhost: localhost\r\n", lines.as_ref(), b"\r\n"].concat()
}

/// Tries every vector on a connection of its own.
async fn try_all(stage: &Stage, vectors: &[Vector<'_>]) {
    let mut all = Vec::new();
    for (name, bytes, expect) in vectors {
        let before = stage.asked();
        let trying = attempt(stage, bytes, *expect);
        let wrong = timeout(PATIENCE, trying).await.unwrap_or_else(|_| Some("it hangs".to_owned()));
        let after = stage.asked();
        let seen = (after.0 - before.0, after.1 - before.1);
        let allowed = match expect {
            Passes(_) | PassesAndCloses(_) => seen == (1, 0),
            Broken(..) => seen.0 <= 1 && seen.1 == 0,
            _ => seen == (0, 0),
        };
        if wrong.is_some() || !allowed {
            all.push(format!("{name}: {expect:?}, upstream saw {seen:?}: {}", wrong.unwrap_or_default()));
        }
    }
    assert!(all.is_empty(), "{} of {} vectors: {}", all.len(), vectors.len(), all.join("\n"));
    assert_eq!(stage.airbyte.unauthorized(), 0);
    let log = stage.proxy.log().await;
    assert!(!log.iter().any(|line| line.contains("panick")), "{log:?}");
}

/// Sends the bytes; says what is wrong with the answer.
async fn attempt(stage: &Stage, bytes: &[u8], expect: Expect) -> Option<String> {
    let mut talk = stage.proxy.talk().await;
    // A refusal may come, and the connection end, before all is written.
    let _ = talk.try_say(bytes).await;
    let Some((head, body)) = answer(&mut talk).await else {
        return (!matches!(expect, Silence)).then(|| "no answer".to_owned());
    };
    let status: u16 = head.first_line().get(9..12).and_then(|s| s.parse().ok()).unwrap_or_default();
    let (wanted, problem, closes) = match expect {
        Passes(status) | Local(status) => (status, None, false),
        PassesAndCloses(status) | NotHttp(status) => (status, None, true),
        Refused(status, problem) => (status, Some(problem), false),
        Closed(status, problem) | Broken(status, problem) => (status, Some(problem), true),
        Silence => return Some(head.text()),
    };
    let text = format!("{}{}", head.text(), show(&body));
    if status != wanted {
        return Some(text);
    }
    if !head.text().to_ascii_lowercase().lines().all(|line| !line.starts_with("access-control-")) {
        return Some(format!("a page could read this: {text}"));
    }
    let ours = !head.all("proxy-status").is_empty();
    match problem {
        Some(problem) if !is_problem(&head, &body, status, problem) => return Some(text),
        None if ours => return Some(text),
        _ => {}
    }
    if matches!(expect, NotHttp(_)) && !body.is_empty() {
        return Some(text);
    }
    if closes { ends(&mut talk, &head).await } else { goes_on(&mut talk, &head).await }
}

/// A whole answer whose length is given, or `None` if the connection ends before there is one.
async fn answer(talk: &mut Talk) -> Option<(Head, Vec<u8>)> {
    let head = talk.try_head().await?;
    let length = head.all("content-length").first().and_then(|n| n.parse().ok()).unwrap_or(0);
    let body = talk.up_to(length).await;
    (body.len() == length).then_some((head, body))
}

/// Our own answer, marked as such, that no browser would sniff, embed or run.
fn is_problem(head: &Head, body: &[u8], status: u16, problem: &str) -> bool {
    let json: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let has = |name: &str, part: &str| head.all(name).iter().any(|value| value.contains(part));
    json["type"] == format!("urn:airbyte-proxy:problem:{problem}")
        && json["status"] == status
        && json["detail"].as_str().is_some_and(|detail| detail.bytes().all(|b| matches!(b, b' '..=b'~')))
        && has("content-type", "application/problem+json")
        && has("proxy-status", "airbyte-proxy; error=")
        && has("x-content-type-options", "nosniff")
        && has("cross-origin-resource-policy", "same-origin")
        && has("content-security-policy", "default-src 'none'; sandbox")
        && (status != 405 || has("allow", "GET"))
}

async fn ends(talk: &mut Talk, head: &Head) -> Option<String> {
    // If it were to go on, this would be answered.
    let _ = talk.try_say("GET /-/live HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    let rest = talk.rest_text().await;
    if !rest.is_empty() {
        return Some(format!("more came: {rest}"));
    }
    let said = head.first_line().starts_with("HTTP/1.0")
        || head.all("connection").iter().any(|value| value.eq_ignore_ascii_case("close"));
    (!said).then(|| format!("it ends without saying so: {}", head.text()))
}

async fn goes_on(talk: &mut Talk, head: &Head) -> Option<String> {
    let _ = talk.try_say("GET /-/live HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    match answer(talk).await {
        Some((next, _)) if next.first_line() == "HTTP/1.1 200 OK" => None,
        Some((next, _)) => Some(format!("after {} came {}", head.text(), next.text())),
        None => Some(format!("the connection ended after {}", head.text())),
    }
}
