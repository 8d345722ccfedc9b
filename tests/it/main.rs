//! Integration tests, one binary.
//!
//! - `simulator`: the simulated Airbyte answers the official SDK

mod simulator;
