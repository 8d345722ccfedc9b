//! Markdown.

use crate::model::{MINUTE, SECOND};

pub struct Table(String, usize);

impl Table {
    /// Columns after the first are numbers.
    pub fn new(columns: &[&str]) -> Self {
        let rule = format!("|---|{}", "--:|".repeat(columns.len() - 1));
        Self(format!("| {} |\n{rule}\n", columns.join(" | ")), columns.len())
    }

    pub fn row(&mut self, cells: &[String]) {
        assert_eq!(cells.len(), self.1, "a cell for each column");
        self.0.extend(["| ", &cells.join(" | "), " |\n"]);
    }

    pub fn done(self) -> String {
        self.0
    }
}

/// Something a second.
pub fn rate(rate: f64) -> String {
    if rate < 99.95 { format!("{rate:.1}") } else { grouped(&format!("{rate:.0}")) }
}

pub fn whole(number: u64) -> String {
    grouped(&number.to_string())
}

/// With a space every three digits.
fn grouped(digits: &str) -> String {
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join(" ")
}

pub fn time(millis: i64) -> String {
    match millis {
        ..SECOND => format!("{millis} ms"),
        SECOND..600_000 => format!("{} s", (millis + SECOND / 2) / SECOND),
        _ => format!("{} min", (millis + MINUTE / 2) / MINUTE),
    }
}

pub fn or_never(millis: Option<i64>) -> String {
    millis.map_or("never".to_owned(), time)
}
