//! Integration tests, one binary.
//!
//! * `architecture`: which room may name what
//! * `config`: what the user writes wrongly, the layers through the binary, the example file, `check`, `healthcheck`
//! * `forwarding`: what reaches upstream, what reaches the caller, over HTTP/1.1 and plainly
//! * `http2`: the same over HTTP/2 and TLS
//! * `simulator`: the simulated Airbyte against its real clients

#![allow(clippy::expect_used, reason = "helpers of tests fail as tests do; the exemption knows only #[test]")]

mod architecture;
mod config;
mod forwarding;
mod harness;
mod http2;
mod simulator;
