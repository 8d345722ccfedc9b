//! The small commands, through the built binary.
//!
//! * `token`: one token, for whoever cannot go through the proxy

#![cfg(target_os = "linux")]

mod token;
