//! Integration tests, one binary.
//!
//! * `architecture`: which room may name what
//! * `authorize`: what a 401 causes, and what it does not
//! * `config`: what the user writes wrongly, the layers through the binary, the example file, `check`, `healthcheck`
//! * `forwarding`: what reaches upstream, what reaches the caller, over HTTP/1.1 and plainly
//! * `http2`: the same over HTTP/2 and TLS
//! * `mint`: what the token endpoint can do to a request
//! * `simulator`: the simulated Airbyte against its real clients

#![allow(clippy::expect_used, clippy::panic, reason = "helpers of tests are not seen as tests by the lints")]

mod architecture;
mod authorize;
mod config;
mod forwarding;
mod harness;
mod http2;
mod mint;
mod simulator;
