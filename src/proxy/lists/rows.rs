//! A page of a list, taken apart. Rows are never written anew: they are ranges of upstream's own bytes.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::ops::Range;
use std::sync::LazyLock;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::airbyte::lists::List;

/// The rows of a page.
#[derive(Debug)]
pub(super) struct RowPage {
    pub(super) page: Bytes,
    pub(super) rows: Vec<Row>,
    /// Upstream says that there is another page.
    pub(super) has_next: bool,
}

/// One row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) at: Range<usize>,
    /// None where it has none, or one of a kind we do not know.
    id: Option<Id>,
}

#[derive(Deserialize)]
struct Raw<'p> {
    #[serde(borrow)]
    data: Vec<&'p RawValue>,
    #[serde(borrow, default)]
    next: Option<&'p RawValue>,
}

impl RowPage {
    /// `None` if it is no page of a list.
    pub(super) fn of(page: Bytes, list: List) -> Option<Self> {
        let raw: Raw<'_> = serde_json::from_slice(&page).ok()?;
        let row = |row: &&RawValue| Row { at: place(row, &page), id: id(row, list.id) };
        let rows = raw.data.iter().map(row).collect();
        let has_next = raw.next.is_some_and(|next| next.get() != "\"\"");
        Some(Self { page, rows, has_next })
    }
}

/// Where in `page` a part of it is.
pub(super) fn place(part: &RawValue, page: &[u8]) -> Range<usize> {
    let start = part.get().as_ptr().addr() - page.as_ptr().addr();
    start..start + part.get().len()
}

// === ids ===

/// A UUID or a number as it is; of any other text a fingerprint that no two share but by a chance of 1 in 2^128.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Id(u128);

/// The ids that have been seen: 17 to 34 bytes each.
#[derive(Debug, Default)]
pub(super) struct Seen {
    ids: HashSet<Id>,
}

impl Seen {
    /// Whether a row is new. One without an id always is.
    pub(super) fn is_new(&mut self, row: &Row) -> bool {
        row.id.is_none_or(|id| self.ids.insert(id))
    }

    /// Whether a row has come before. One without an id cannot be told.
    pub(super) fn knows(&self, row: &Row) -> bool {
        row.id.is_some_and(|id| self.ids.contains(&id))
    }
}

impl Row {
    pub(super) fn has_id(&self) -> bool {
        self.id.is_some()
    }
}

fn id(row: &RawValue, key: &str) -> Option<Id> {
    let mut json = serde_json::Deserializer::from_str(row.get());
    let value = Member(key).deserialize(&mut json).ok()??;
    let text = value.get();
    if let Ok(number) = text.parse::<u64>() {
        return Some(Id(number.into()));
    }
    let inner = text.strip_prefix('"')?.strip_suffix('"')?;
    uuid(inner).or_else(|| Some(fingerprint(inner)))
}

/// `8-4-4-4-12` hexadecimal digits, in any case.
fn uuid(text: &str) -> Option<Id> {
    if text.len() != 36 || [8, 13, 18, 23].iter().any(|&at| text.as_bytes()[at] != b'-') {
        return None;
    }
    let digits = text.bytes().filter(|&b| b != b'-');
    let mut value = 0_u128;
    let mut count = 0;
    for digit in digits {
        value = value << 4 | u128::from(char::from(digit).to_digit(16)?);
        count += 1;
    }
    (count == 32).then_some(Id(value))
}

fn fingerprint(text: &str) -> Id {
    static KEYS: LazyLock<[RandomState; 2]> = LazyLock::new(|| [RandomState::new(), RandomState::new()]);
    let [high, low] = KEYS.each_ref().map(|key| u128::from(key.hash_one(text)));
    Id(high << 64 | low)
}

/// The value of one member of an object.
struct Member<'k>(&'k str);

impl<'de> DeserializeSeed<'de> for Member<'_> {
    type Value = Option<&'de RawValue>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Member<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(is_it) = map.next_key_seed(Is(self.0))? {
            if is_it {
                found = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// Whether a name is this one. Names may be escaped, and need not be kept.
struct Is<'k>(&'k str);

impl<'de> DeserializeSeed<'de> for Is<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Is<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<bool, E> {
        Ok(name == self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOBS: List = List { id: "jobId" };

    fn rows(page: &str) -> Option<Vec<String>> {
        let rows = RowPage::of(Bytes::copy_from_slice(page.as_bytes()), JOBS)?;
        Some(rows.rows.iter().map(|row| page[row.at.clone()].to_owned()).collect())
    }

    #[test]
    fn rows_are_upstreams_own_bytes() {
        let page =
            "{\"next\":null, \"data\" : [ {\"jobId\" : 1.50,\"b\":\"]}\\\"\"} ,{\"jobId\":2}\n], \"x\":{}}";
        assert_eq!(rows(page).expect("a page"), ["{\"jobId\" : 1.50,\"b\":\"]}\\\"\"}", "{\"jobId\":2}"]);
        assert_eq!(rows("{\"data\":[]}").expect("a page").len(), 0);
    }

    #[test]
    fn what_is_no_page_is_none() {
        for text in [
            "",
            "[]",
            "{}",
            "{\"data\":{}}",
            "{\"data\":null}",
            "{\"data\":[}",
            "{\"data\":[1,]}",
            "{\"data\":[]",
            "{\"data\":[]}x",
            "{\"data\":[],\"data\":[]}",
            "<html></html>",
            "{\"data\":[{\"a\":\u{1}}]}",
        ] {
            assert_eq!(rows(text), None, "{text}");
        }
        assert!(RowPage::of(Bytes::from_static(b"{\"data\":[\"\xff\"]}"), JOBS).is_none(), "not UTF-8");
    }

    #[test]
    fn a_row_is_new_once() {
        let page = concat!(
            "{\"data\":[{\"jobId\":7},{\"jobId\":7},{\"x\":{\"jobId\":8},\"jobId\":8},{\"job\\u0049d\":8},",
            "{\"jobId\":\"7\"},{\"jobId\":\"a\"},{\"jobId\":\"a\"},{},{},{\"jobId\":null},5,",
            "{\"jobId\":\"00000000-0000-0000-0000-00000000000A\"},{\"jobId\":\"00000000-0000-0000-0000-00000000000a\"}]}"
        );
        let rows = RowPage::of(Bytes::from_static(page.as_bytes()), JOBS).expect("a page");
        let mut seen = Seen::default();
        let new: Vec<_> = rows.rows.iter().map(|row| seen.is_new(row)).collect();
        let expected = [true, false, true, false, true, true, false, true, true, true, true, true, false];
        assert_eq!(new, expected);
    }
}
