//! The small commands, through the built binary.
//!
//! * `run`: a command with a proxy of its own
//! * `neighbour`: `wait`, `healthcheck --ready` and `quit`, which ask a proxy that runs
//! * `token`: one token, for whoever cannot go through the proxy

#![cfg(target_os = "linux")]

mod neighbour;
mod run;
mod token;
