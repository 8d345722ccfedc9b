//! Times that an answer tells.

use std::time::Duration;

use http::header::{DATE, HeaderMap, HeaderName, RETRY_AFTER};

/// What time it is at the other end, in seconds since the epoch (RFC 9110 §6.6.1).
pub(crate) fn date(headers: &HeaderMap) -> Option<i64> {
    http_date(text(headers, &DATE)?)
}

/// When to ask again (RFC 9110 §10.2.3): seconds, or a date, which is read against the answer's own.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = text(headers, &RETRY_AFTER)?.trim();
    let seconds = match value.parse::<u64>() {
        Ok(seconds) => seconds,
        Err(_) => u64::try_from(http_date(value)?.saturating_sub(date(headers)?)).ok()?,
    };
    Some(Duration::from_secs(seconds))
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

fn http_date(value: &str) -> Option<i64> {
    jiff::fmt::rfc2822::parse(value).ok().map(|date| date.timestamp().as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date_on_the_servers_clock() {
        let after = |lines: &[(&'static str, &'static str)]| {
            let fields = lines
                .iter()
                .map(|(name, value)| (HeaderName::from_static(name), http::HeaderValue::from_static(value)));
            retry_after(&fields.collect())
        };
        assert_eq!(after(&[("retry-after", "7")]), Some(Duration::from_secs(7)));
        let date = ("date", "Tue, 14 Nov 2023 22:13:20 GMT");
        let later = ("retry-after", "Tue, 14 Nov 2023 22:13:50 GMT");
        assert_eq!(after(&[date, later]), Some(Duration::from_secs(30)));
        assert_eq!(after(&[later]), None);
        assert_eq!(after(&[("retry-after", "soon")]), None);
    }
}
