//! The `airbyte-proxy` binary: argv → `cli` → exit code.

fn main() {}
