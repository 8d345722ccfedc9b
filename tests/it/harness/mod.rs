//! Verbs for tests: start an upstream, start the proxy in front of it, ask, look.

pub(crate) mod daemon;
pub(crate) mod frames;
pub(crate) mod process;
pub(crate) mod simulated;
pub(crate) mod talk;
pub(crate) mod tls;
pub(crate) mod trace;
pub(crate) mod upstream;
pub(crate) mod wire;
