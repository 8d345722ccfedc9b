//! Integration tests, one binary.
//!
//! * `forwarding`: what reaches upstream, what reaches the caller
//! * `simulator`: the simulated Airbyte against its real clients

mod forwarding;
mod harness;
mod simulator;
