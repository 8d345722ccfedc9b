//! `airbyte-proxy token`: one access token on stdout, for whoever cannot go through the proxy.
//!
//! It is a new one, of nobody else's: the tokens of a running proxy stay with it. Whoever holds a bare token is bound by no
//! policy, so where the owner of the machine has set a ceiling, none is handed out.

use std::process::ExitCode;
use std::time::Duration;

use clap::ArgMatches;
use serde_json::json;

use super::{USAGE, args, block_on, load_all, output, serve};
use crate::clock::Clock;
use crate::config::{Config, Environment, Problem};
use crate::mint::HttpMinter;
use crate::outbound::Outbound;
use crate::secret::{AccessToken, ClientCredentials};
use crate::token::{FailureKind, Minter as _};

/// A token, and until when it is good, in Unix seconds.
struct Minted {
    token: AccessToken,
    expires_at: i64,
}

pub(super) fn run(matches: &ArgMatches, env: &Environment) -> ExitCode {
    match minted(matches, env) {
        Ok(minted) => {
            output::stdout(&shown(&minted, matches));
            ExitCode::SUCCESS
        }
        Err(code) => code,
    }
}

fn minted(matches: &ArgMatches, env: &Environment) -> Result<Minted, ExitCode> {
    let loaded = load_all(matches, env)?;
    if let Some(ceiling) = loaded.config.guard.policy.keeps_token() {
        output::stderr(&format!(
            "no token is handed out here: {ceiling} restricts what may be done on this machine, and would not bind \
             whoever holds the token\n  hint: go through the proxy: airbyte-proxy run -- COMMAND"
        ));
        return Err(ExitCode::FAILURE);
    }
    let Some(source) = &loaded.credentials else {
        output::stderr(serve::NO_CREDENTIALS);
        return Err(ExitCode::from(USAGE));
    };
    // Its warnings are about serving, mostly; `check` and the proxy tell them.
    block_on(async {
        let credentials = source.load().await.map_err(|error| {
            output::stderr(&Problem::from(&error).to_string());
            ExitCode::from(USAGE)
        })?;
        mint(&loaded.config, credentials).await.map_err(|why| {
            output::stderr(&why);
            ExitCode::FAILURE
        })
    })?
}

/// One attempt: whoever wants more of them has a shell.
async fn mint(config: &Config, credentials: ClientCredentials) -> Result<Minted, String> {
    let upstream = &config.upstream;
    let outbound = Outbound::new(&[&config.mint.url], upstream.ca_file.as_deref(), &upstream.proxy)
        .map_err(|error| format!("cannot ask for a token: {error}"))?;
    let minter = HttpMinter::new(config.mint.clone(), &outbound)
        .map_err(|error| format!("cannot ask for a token: {error}"))?;
    // Taken first, so that the token lives at least as long as we say.
    let asked = Clock::system().now();
    let grant = minter.mint(credentials.into()).await.map_err(|failure| {
        let hint = match failure.kind {
            FailureKind::Transient => "",
            _ => "\n  hint: airbyte-proxy doctor finds out why, and what to write",
        };
        format!("no access token: {}{hint}", failure.message)
    })?;
    let life = grant.lifetime(asked, config.token.max_lifetime).unwrap_or(Duration::ZERO);
    let expires_at = asked.plus(life).wall / 1000;
    Ok(Minted { token: grant.token, expires_at })
}

fn shown(minted: &Minted, matches: &ArgMatches) -> String {
    let token = minted.token.expose();
    if matches.get_flag(args::JSON) {
        let expires_at = jiff::Timestamp::from_second(minted.expires_at).unwrap_or(jiff::Timestamp::MAX);
        return json!({ "token": token, "expires_at": expires_at.to_string() }).to_string();
    }
    if matches.get_flag(args::HEADER) { format!("Authorization: Bearer {token}") } else { token.to_owned() }
}
