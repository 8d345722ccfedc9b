//! The small commands, through the built binary.
//!
//! * `run`: a command with a proxy of its own
//! * `ci`: what the tests of others do with the demo
//! * `documented`: every command of the documents
//! * `help`: what is generated from the grammar: help, completions, manual pages
//! * `neighbour`: `wait`, `healthcheck --ready` and `quit`, which ask a proxy that runs
//! * `token`: one token, for whoever cannot go through the proxy

#![cfg(target_os = "linux")]

mod ci;
mod documented;
mod help;
mod neighbour;
mod run;
mod token;
