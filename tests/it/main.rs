//! Integration tests, one binary.
//!
//! * `agents`: the recipes for programs that are not to have the secret, each with a second user
//! * `arbitrary`: any bytes at all
//! * `architecture`: which room may name what
//! * `authorize`: what a 401 causes, and what it does not
//! * `browser`: a real one, with a hostile page and with our own
//! * `claims`: what the documents promise is held by tests that exist
//! * `clients`: curl, `HTTPie`, the SDK of Airbyte's course and what Terraform sends, with only the URL changed
//! * `commands`: `token`, `run`, `wait` and the other small commands, through the binary
//! * `config`: what the user writes wrongly, the layers through the binary, the example file, `check`, `healthcheck`
//! * `diagnose`: what `doctor` says of set-ups that do not work, and what `init` makes of a conversation
//! * `differential`: every operation, with the proxy and without
//! * `documents`: the `OpenAPI` document and the Postman collection, by tools from outside
//! * `fleet`: many proxies and one token endpoint, simulated
//! * `forwarding`: what reaches upstream, what reaches the caller, over HTTP/1.1 and plainly
//! * `guard`: policy, client keys, CORS and the ceiling, through the binary
//! * `http2`: the same over HTTP/2 and TLS
//! * `lists`: whole lists, and links that lead back
//! * `load`: many connections while tokens are renewed
//! * `metrics`: what is counted, and that it is what was done
//! * `mint`: what the token endpoint can do to a request
//! * `pods`: application and proxy in one network namespace, Airbyte in another; jobs, outages, rolling restarts
//! * `process`: the real binary: first contact, credentials, signals, streams, large bodies, the SDK
//! * `request_ids`: by which a request is known to its caller, to Airbyte and in the log
//! * `secrets`: the scan of all output finds what it looks for
//! * `server`: the composition as a whole: tasks that fall
//! * `simulator`: the simulated Airbyte against its real clients
//! * `slow`: clients that take their time
//! * `systemd`: sockets that are passed, what a supervisor is told, the units, and all of it under a real systemd
//! * `terminal`: the first minutes as a person has them
//! * `vectors`: the guard, by bytes on a socket of the built binary

#![allow(clippy::expect_used, clippy::panic, reason = "helpers of tests are not seen as tests by the lints")]
#![allow(clippy::too_many_lines, reason = "a table of vectors is as long as it has to be")]
#![allow(clippy::print_stdout, reason = "what was measured is shown with --nocapture")]

mod agents;
mod arbitrary;
mod architecture;
mod authorize;
mod browser;
mod claims;
mod clients;
mod commands;
mod config;
mod diagnose;
mod differential;
mod documents;
mod fleet;
mod forwarding;
mod guard;
mod harness;
mod http2;
mod lists;
mod load;
mod metrics;
mod mint;
mod pods;
mod process;
mod request_ids;
mod secrets;
mod server;
mod simulator;
mod slow;
mod systemd;
mod terminal;
mod vectors;
