//! What is measured.

mod cold;
mod idle;
mod refresh;
mod scale;
mod scrape;
mod streams;
mod table;

pub(crate) use self::idle::{BARE_ROLE, bare};
use crate::Result;
use crate::report::Table;
use crate::stage::Bench;

pub(crate) async fn run(mode: &str, bench: &Bench) -> Result<Vec<Table>> {
    match mode {
        "cold" => cold::run(bench).await,
        "refresh" => refresh::run(bench).await,
        "idle" => idle::run(bench).await,
        "streams" => streams::run(bench).await,
        "scale" => scale::run(bench).await,
        "scrape" => scrape::run(bench).await,
        _ => table::run(bench).await,
    }
}

/// Says on standard error what is under way, and what went wrong.
fn progress(what: &str, outcome: Option<&str>) {
    match outcome {
        None => eprintln!("  {what}"),
        Some(wrong) => eprintln!("  {what}: {wrong}"),
    }
}
