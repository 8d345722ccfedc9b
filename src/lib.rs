//! `airbyte-proxy` is to the Airbyte API what `kubectl proxy` is to the Kubernetes API.
//!
//! The life of a request: [`server`] accepts the connection and reads the head; [`proxy`] is the stack that answers it.
//! There, [`guard`] says whether this caller may ask this at all, [`control`] answers what is about the proxy itself, and
//! anything else goes to Airbyte with the live token of [`token`] on it, and its answer streams back. What goes wrong on
//! the way becomes a [`problem`]. Meanwhile [`token`] keeps that token fresh: it says when, [`mint`] asks for the next one
//! with the credentials of [`secret`], and both [`mint`] and [`proxy`] leave this machine by way of [`outbound`].
//!
//! [`cli`] reads the command line, [`config`] what the user wrote, and [`app`] puts the rooms together; [`demo`] is an
//! Airbyte to try it against. [`airbyte`], [`clock`] and [`telemetry`] (the log and the metrics) are below all of them.
//!
//! Who may know whom is in `docs/architecture.md`, and held against the sources by `tests/it/architecture.rs`.

pub mod airbyte;
pub mod app;
mod browser;
pub mod cli;
pub mod clock;
pub mod config;
pub mod control;
pub mod demo;
pub mod diagnose;
pub mod guard;
pub mod mint;
pub mod outbound;
pub mod problem;
pub mod proxy;
pub mod secret;
pub mod server;
pub mod telemetry;
pub mod token;
