//! airbyte-proxy beside nginx, `HAProxy`, Envoy and Caddy: `cargo bench --bench peers`.
//!
//! `-- --help` lists what else it measures; `docs/performance.md` says how, and how to read it. Linux only.
//!
//! * `upstream`, `load`: the two ends, each this program again in a process of its own.
//! * `proxies`, `conf/`: who is compared, and how each is configured.
//! * `bare`: a relay that is hyper and nothing else, to compare with.
//! * `child`, `words`, `system`: processes, what is said to them, and what the kernel tells of them.
//! * `stage`: one upstream and one proxy, from start to end. Whatever ends, its processes end with it.
//! * `modes`: what is measured.
#![allow(
    clippy::expect_used,
    clippy::disallowed_types,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a measurement, not the program"
)]

#[cfg(target_os = "linux")]
mod authority;
#[cfg(target_os = "linux")]
mod bare;
#[cfg(target_os = "linux")]
mod child;
#[cfg(target_os = "linux")]
mod content;
#[cfg(target_os = "linux")]
mod histogram;
#[cfg(target_os = "linux")]
mod load;
#[cfg(target_os = "linux")]
mod modes;
#[cfg(target_os = "linux")]
mod options;
#[cfg(target_os = "linux")]
mod proxies;
#[cfg(target_os = "linux")]
mod report;
#[cfg(target_os = "linux")]
mod run;
#[cfg(target_os = "linux")]
mod stage;
#[cfg(target_os = "linux")]
mod system;
#[cfg(target_os = "linux")]
mod upstream;
#[cfg(target_os = "linux")]
mod words;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[cfg(target_os = "linux")]
fn main() -> Result<()> {
    run::main()
}

#[cfg(not(target_os = "linux"))]
fn main() -> Result<()> {
    Err("it reads /proc, so it runs on Linux only".into())
}
