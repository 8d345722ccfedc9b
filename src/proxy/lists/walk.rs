//! From the first row of a list to its last: which page comes next, where the end is, and which rows are new.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use tokio::task::JoinHandle;

use super::pages::{PageError, Pages};
use super::rows::{Row, RowPage, Seen};
use crate::airbyte::lists::{MOST_OFFSET, MOST_ROWS};

/// Pages in a row that may hold nothing new. Rows that are added in front while the list is read push a whole page of
/// known ones before us; a server that ignores `offset` does so without end.
const MOST_BARREN: u32 = 3;

/// A list that is being read.
#[derive(Debug)]
pub(super) struct Walk {
    pages: Arc<Pages>,
    /// Pages that are being fetched, in order.
    ahead: VecDeque<Fetching>,
    most_ahead: usize,
    /// Of the next page to be fetched.
    offset: u64,
    /// Arrived before the walk began.
    first: Option<(u64, RowPage)>,
    seen: Seen,
    last: Option<Last>,
    looked_behind: bool,
    barren: u32,
    /// The last page, where only its bytes can tell that it is another one.
    anonymous: Option<Bytes>,
    pub(super) duplicates: u64,
    /// Pages that were read so far, the empty one at the end among them.
    pub(super) read: u64,
}

/// Which rows the last page held.
#[derive(Debug, Clone, Copy)]
struct Last {
    offset: u64,
    rows: u64,
}

/// A page that is being fetched in a task of its own, which ends with this.
#[derive(Debug)]
struct Fetching {
    offset: u64,
    page: JoinHandle<Result<RowPage, PageError>>,
}

impl Drop for Fetching {
    fn drop(&mut self) {
        self.page.abort();
    }
}

/// The new rows of a page.
#[derive(Debug)]
pub(super) struct New {
    page: RowPage,
    rows: Vec<Row>,
}

impl New {
    /// Their bytes.
    pub(super) fn rows(&self) -> impl Iterator<Item = &[u8]> {
        self.rows.iter().map(|row| &self.page.page[row.at.clone()])
    }
}

impl Walk {
    /// Goes on after `first`, the page at `offset`.
    pub(super) fn new(pages: Arc<Pages>, first: RowPage, offset: u64, most_ahead: usize) -> Self {
        Self {
            pages,
            ahead: VecDeque::new(),
            most_ahead,
            offset: offset.saturating_add(MOST_ROWS),
            first: Some((offset, first)),
            seen: Seen::default(),
            last: None,
            looked_behind: false,
            barren: 0,
            anonymous: None,
            duplicates: 0,
            read: 0,
        }
    }

    /// The next rows; `None` at the end of the list.
    pub(super) async fn next(&mut self) -> Result<Option<New>, PageError> {
        loop {
            let (offset, page) = match self.first.take() {
                Some((offset, first)) => (offset, Ok(first)),
                None => self.fetched().await,
            };
            let page = match page {
                Err(error) if error.may_be_the_end() && self.has_ended().await => return Ok(None),
                page => page?,
            };
            self.read += 1;
            if page.rows.is_empty() && !page.has_next {
                return Ok(None);
            }
            while self.ahead.len() < self.most_ahead {
                self.fetch();
            }
            let before = self.last.replace(Last { offset, rows: page.rows.len() as u64 });
            let new = self.new_of(page)?;
            if let Some(before) = before.filter(|before| (1..MOST_ROWS).contains(&before.rows)) {
                self.look_behind(before.offset + before.rows).await?;
            }
            if new.is_some() {
                return Ok(new);
            }
        }
    }

    /// The next page, and where it begins.
    async fn fetched(&mut self) -> (u64, Result<RowPage, PageError>) {
        if self.ahead.is_empty() {
            self.fetch();
        }
        match self.ahead.pop_front() {
            Some(mut next) => (next.offset, (&mut next.page).await.unwrap_or(Err(PageError::Lost))),
            None => (self.offset, Err(PageError::Lost)),
        }
    }

    fn fetch(&mut self) {
        let (pages, offset) = (Arc::clone(&self.pages), self.offset);
        self.offset = offset.saturating_add(MOST_ROWS);
        let page = async move {
            if offset > MOST_OFFSET { Err(PageError::Endless) } else { pages.page(offset).await }
        };
        self.ahead.push_back(Fetching { offset, page: tokio::spawn(page) });
    }

    /// Whether nothing follows the last row that we know, where the page after it is an error instead of empty: asked
    /// for once more, that row must come alone.
    async fn has_ended(&self) -> bool {
        let Some(last) = self.last.filter(|last| last.rows > 0) else { return false };
        let Ok(page) = self.pages.page(last.offset + last.rows - 1).await else { return false };
        matches!(&*page.rows, [row] if self.seen.knows(row))
    }

    /// A page that was not full, with another one after it: rows that are hidden from us may count, or upstream gives
    /// fewer than it was asked for, and then those that it has left out begin at `offset`. It does so each time, so that
    /// one look is enough.
    async fn look_behind(&mut self, offset: u64) -> Result<(), PageError> {
        if std::mem::replace(&mut self.looked_behind, true) {
            return Ok(());
        }
        let page = self.pages.page(offset).await?;
        let left_out = page.rows.iter().any(|row| row.has_id() && !self.seen.knows(row));
        if left_out { Err(PageError::Capped) } else { Ok(()) }
    }

    fn new_of(&mut self, page: RowPage) -> Result<Option<New>, PageError> {
        let rows: Vec<_> = page.rows.iter().filter(|row| self.seen.is_new(row)).cloned().collect();
        self.duplicates += (page.rows.len() - rows.len()) as u64;
        let told_apart = page.rows.iter().any(Row::has_id);
        let same = !told_apart && self.anonymous.as_ref() == Some(&page.page);
        self.barren = if rows.is_empty() || same { self.barren + 1 } else { 0 };
        if self.barren >= MOST_BARREN {
            return Err(PageError::Endless);
        }
        if rows.is_empty() {
            return Ok(None);
        }
        self.anonymous = (!told_apart).then(|| page.page.clone());
        Ok(Some(New { page, rows }))
    }
}
