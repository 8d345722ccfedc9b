//! The small commands, through the built binary.
//!
//! * `run`: a command with a proxy of its own
//! * `token`: one token, for whoever cannot go through the proxy

#![cfg(target_os = "linux")]

mod run;
mod token;
