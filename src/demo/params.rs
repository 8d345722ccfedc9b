//! Query parameters as the API takes them, and what is wrong with them.

use axum::extract::Query;
use http::Uri;

use super::errors::Failure;

/// Decoded parameters in order, duplicates included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Params(Vec<(String, String)>);

/// Which rows of a list are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    /// How many, 1 to 100.
    pub(super) limit: usize,
    /// How many before them.
    pub(super) offset: usize,
}

impl Params {
    /// The query of `uri`.
    pub(super) fn of(uri: &Uri) -> Result<Self, Failure> {
        let query = Query::try_from_uri(uri).map_err(|_| Failure::Invalid("query is not readable".into()))?;
        Ok(Self(query.0))
    }

    /// A form, which is a query elsewhere. `None` if it is none.
    pub(super) fn parse(form: &str) -> Option<Self> {
        let uri = Uri::builder().path_and_query(format!("/?{form}")).build().ok()?;
        Self::of(&uri).ok()
    }

    /// The first value under `name`: of a link's two `limit`s, the framework takes the first as well.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str()).filter(|v| !v.is_empty())
    }

    /// Every value under `name`, given by repetition, by commas, or by both.
    pub(super) fn all(&self, name: &str) -> Vec<&str> {
        let values = self.0.iter().filter(|(key, _)| key == name);
        values.flat_map(|(_, value)| value.split(',')).filter(|value| !value.is_empty()).collect()
    }

    /// Every id under `name`.
    pub(super) fn ids(&self, name: &str) -> Result<Vec<String>, Failure> {
        self.all(name).into_iter().map(|id| checked_id(name, id)).collect()
    }

    /// The id under `name`.
    pub(super) fn id(&self, name: &str) -> Result<Option<String>, Failure> {
        self.text(name).map(|id| checked_id(name, id)).transpose()
    }

    /// `true` or `false`, false if absent.
    pub(super) fn flag(&self, name: &str) -> Result<bool, Failure> {
        match self.text(name) {
            None => Ok(false),
            Some(text) => match text.to_ascii_lowercase().as_str() {
                "true" => Ok(true),
                "false" => Ok(false),
                _ => Err(Failure::Invalid(format!("{name}: is neither true nor false"))),
            },
        }
    }

    /// The time under `name`, in seconds since the epoch.
    pub(super) fn time(&self, name: &str) -> Result<Option<i64>, Failure> {
        let parse = |text: &str| {
            let time: jiff::Timestamp =
                text.parse().map_err(|_| Failure::Invalid(format!("{name}: is not a date-time")))?;
            Ok(time.as_second())
        };
        self.text(name).map(parse).transpose()
    }

    /// `limit`, 20 if absent, and `offset`, 0 if absent.
    pub(super) fn window(&self) -> Result<Window, Failure> {
        let number = |name: &str, absent: i32| match self.text(name) {
            None => Ok(absent),
            Some(text) => text.parse().map_err(|_| Failure::Invalid(format!("{name}: is not a number"))),
        };
        let limit = number("limit", 20)?;
        if !(1..=100).contains(&limit) {
            return Err(Failure::Invalid("limit: must lie between 1 and 100".into()));
        }
        let offset = number("offset", 0)?;
        let offset =
            usize::try_from(offset).map_err(|_| Failure::Invalid("offset: must not be negative".into()))?;
        Ok(Window { limit: usize::try_from(limit).unwrap_or(20), offset })
    }
}

/// `id` in lower case, if it is a UUID.
fn checked_id(name: &str, id: &str) -> Result<String, Failure> {
    let dashes = [8, 13, 18, 23];
    let shaped = id.len() == 36
        && id.bytes().enumerate().all(
            |(at, b)| {
                if dashes.contains(&at) { b == b'-' } else { b.is_ascii_hexdigit() }
            },
        );
    if shaped { Ok(id.to_ascii_lowercase()) } else { Err(Failure::Invalid(format!("{name}: is not a UUID"))) }
}
