//! From the first row of a list to its last: which page comes next, where the end is, and which rows are new.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::task::JoinHandle;

use super::pages::{PageError, Pages};
use super::rows::{Row, Rows, Seen};
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
    first: Option<Rows>,
    seen: Seen,
    /// The last page had fewer rows than asked for.
    short: bool,
    barren: u32,
    /// The last page, where only its bytes can tell that it is another one.
    last: Option<Rows>,
    pub(super) duplicates: u64,
}

/// A page that is being fetched in a task of its own, which ends with this.
#[derive(Debug)]
struct Fetching {
    offset: u64,
    page: JoinHandle<Result<Rows, PageError>>,
}

impl Drop for Fetching {
    fn drop(&mut self) {
        self.page.abort();
    }
}

/// The new rows of a page.
#[derive(Debug)]
pub(super) struct New {
    page: Rows,
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
    pub(super) fn new(pages: Arc<Pages>, first: Rows, offset: u64, most_ahead: usize) -> Self {
        Self {
            pages,
            ahead: VecDeque::new(),
            most_ahead,
            offset: offset.saturating_add(MOST_ROWS),
            first: Some(first),
            seen: Seen::default(),
            short: false,
            barren: 0,
            last: None,
            duplicates: 0,
        }
    }

    /// The next rows; `None` at the end of the list.
    pub(super) async fn next(&mut self) -> Result<Option<New>, PageError> {
        loop {
            let page = match self.first.take() {
                Some(first) => first,
                None => match self.fetched().await {
                    (offset, Err(error)) if error.may_be_the_end() && self.ends_before(offset).await => {
                        return Ok(None);
                    }
                    (_, page) => page?,
                },
            };
            if page.rows.is_empty() {
                return Ok(None);
            }
            self.short = (page.rows.len() as u64) < MOST_ROWS;
            while self.ahead.len() < self.most_ahead {
                self.fetch();
            }
            if let Some(new) = self.new_of(page)? {
                return Ok(Some(new));
            }
        }
    }

    /// The next page, and where it begins.
    async fn fetched(&mut self) -> (u64, Result<Rows, PageError>) {
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

    /// Whether the list has ended right before this row, at which there is an error instead of an empty page. After a
    /// full page that shows by asking once more, one row earlier: nothing but that row, which is known, may come.
    async fn ends_before(&mut self, offset: u64) -> bool {
        if self.short {
            return true;
        }
        let Ok(page) = self.pages.page(offset.saturating_sub(1)).await else { return false };
        matches!(&*page.rows, [row] if row.has_id() && !self.seen.is_new(row))
    }

    fn new_of(&mut self, page: Rows) -> Result<Option<New>, PageError> {
        let rows: Vec<_> = page.rows.iter().filter(|row| self.seen.is_new(row)).cloned().collect();
        self.duplicates += (page.rows.len() - rows.len()) as u64;
        let told_apart = page.rows.iter().any(Row::has_id);
        let same = !told_apart && self.last.as_ref().is_some_and(|last| last.page == page.page);
        self.barren = if rows.is_empty() || same { self.barren + 1 } else { 0 };
        if self.barren >= MOST_BARREN {
            return Err(PageError::Endless);
        }
        if rows.is_empty() {
            return Ok(None);
        }
        if !told_apart {
            self.last = Some(Rows { page: page.page.clone(), rows: Vec::new() });
        }
        Ok(Some(New { page, rows }))
    }
}
