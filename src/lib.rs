//! `airbyte-proxy` is to the Airbyte API what `kubectl proxy` is to the Kubernetes API.

pub mod airbyte;
pub mod app;
mod browser;
pub mod cli;
pub mod clock;
pub mod config;
pub mod control;
pub mod demo;
pub mod guard;
pub mod mint;
pub mod outbound;
pub mod problem;
pub mod proxy;
pub mod secret;
pub mod server;
pub mod telemetry;
pub mod token;
