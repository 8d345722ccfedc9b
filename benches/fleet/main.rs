//! What thousands of proxies do to one token endpoint: `cargo bench --bench fleet`.
//!
//! A simulation in virtual time, from one seed. It prints the tables of `docs/fleet.md`, the same bytes each time;
//! `-- --write` puts them into that page, `-- --seed 7` draws other numbers, `-- --only outage` makes one table.
#![allow(
    unreachable_pub,
    missing_docs,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::exit,
    reason = "a measurement, not the program"
)]

mod model;
mod scenarios;
mod table;

use std::fmt::Write as _;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/fleet.md");
const BEGIN: &str = "<!-- figures: cargo bench --bench fleet -- --write -->\n";
const END: &str = "<!-- end of figures -->\n";

fn main() {
    let (mut seed, mut only, mut write) = (1, None, false);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--bench" => {}
            "--write" => write = true,
            "--seed" => seed = arguments.next().and_then(|n| n.parse().ok()).unwrap_or_else(|| usage()),
            "--only" => only = Some(arguments.next().unwrap_or_else(|| usage())),
            _ => usage(),
        }
    }
    let mut page = String::new();
    for (name, title, table) in scenarios::ALL {
        if only.as_ref().is_none_or(|only| only == name) {
            let _ = write!(page, "\n### {title}\n\n{}", table(seed));
        }
    }
    print!("{page}");
    if write {
        put(&page);
    }
}

fn usage() -> ! {
    let names: Vec<_> = scenarios::ALL.iter().map(|(name, ..)| *name).collect();
    eprintln!("cargo bench --bench fleet -- [--seed NUMBER] [--only {}] [--write]", names.join("|"));
    std::process::exit(2);
}

/// Between the marks of the page.
fn put(figures: &str) {
    let page = std::fs::read_to_string(PAGE).expect("docs/fleet.md is readable");
    let begin = page.find(BEGIN).expect("the first mark") + BEGIN.len();
    let end = page.find(END).expect("the second mark");
    let page = format!("{}{figures}\n{}", &page[..begin], &page[end..]);
    std::fs::write(PAGE, page).expect("docs/fleet.md is writable");
}
