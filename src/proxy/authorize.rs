//! Attaches the live token; on a 401 at most one replay with a newer one.

use http::{Response, StatusCode};

use super::problem::{self, Problem};
use super::upstream::{Kind, Origin, Outgoing, Relay, SendError};
use crate::token::{Lease, TokenHandle, Unavailable, Why};

/// An answer, and what it took to get it.
#[derive(Debug)]
pub(super) struct Authorized {
    pub(super) response: Response<Relay>,
    pub(super) generation: u64,
    pub(super) replayed: bool,
}

/// Sends `request` with a token. The 401 of a second attempt, like that of a first one that cannot be repeated, goes
/// back as it came.
pub(super) async fn send(
    origin: &Origin,
    tokens: &TokenHandle,
    request: &Outgoing,
) -> Result<Authorized, Problem> {
    let (mut lease, now) = tokens.lend().await.map_err(|error| unavailable(&error))?;
    let response = origin.send(request, &mut lease, now, tokens).await.map_err(|error| failed(&error))?;
    let generation = lease.generation();
    if response.status() == StatusCode::UNAUTHORIZED {
        // Boxed, as all that is rare and large: a request takes as much memory as the largest of its ways.
        return Box::pin(again(origin, tokens, request, response, generation)).await;
    }
    request.body.settle();
    if is_proof(response.status()) {
        tokens.accepted();
    }
    Ok(Authorized { response, generation, replayed: false })
}

/// What becomes of a 401 for the token of `generation`.
async fn again(
    origin: &Origin,
    tokens: &TokenHandle,
    request: &Outgoing,
    refused: Response<Relay>,
    generation: u64,
) -> Result<Authorized, Problem> {
    let Some(mut newer) = renewed(tokens, request, generation).await else {
        request.body.settle();
        return Ok(Authorized { response: refused, generation, replayed: false });
    };
    drop(refused);
    let response =
        origin.send(request, &mut newer, tokens.now(), tokens).await.map_err(|error| failed(&error))?;
    request.body.settle();
    let generation = newer.generation();
    if response.status() == StatusCode::UNAUTHORIZED {
        tokens.not_the_token(generation);
    } else if is_proof(response.status()) {
        tokens.accepted();
    }
    Ok(Authorized { response, generation, replayed: true })
}

/// Whether an answer that is no 401 proves the token good. A gateway that has nobody to ask answers 5xx without a look
/// at it.
fn is_proof(status: StatusCode) -> bool {
    !status.is_server_error()
}

/// A newer token for a second attempt, if there can be one. The first attempt is over then.
async fn renewed(tokens: &TokenHandle, request: &Outgoing, generation: u64) -> Option<Lease> {
    // An early 401 leaves an upload under way. It stands still meanwhile, and goes on if the 401 stands.
    let Some(hold) = request.body.hold() else {
        tokens.refused(generation);
        return None;
    };
    let newer = tokens.renewed(generation).await.ok()?;
    request.body.withdraw();
    drop(hold);
    Some(newer)
}

fn unavailable(error: &Unavailable) -> Problem {
    let kind = match error.why {
        Why::Rejected(_) => problem::CREDENTIALS_REJECTED,
        Why::WrongEndpoint(_) => problem::TOKEN_ENDPOINT_WRONG,
        _ => problem::TOKEN_UNAVAILABLE,
    };
    let passes = kind == problem::TOKEN_UNAVAILABLE;
    let advice = if passes { "" } else { "; airbyte-proxy doctor tells what to write" };
    Problem::new(kind, format!("{error}{advice}")).retry_after(error.next_attempt)
}

fn failed(error: &SendError) -> Problem {
    let kind = match &error.kind {
        Kind::Dns => problem::UPSTREAM_DNS,
        Kind::DnsTimeout => problem::UPSTREAM_DNS_TIMEOUT,
        Kind::Refused => problem::UPSTREAM_REFUSED,
        Kind::ConnectTimeout => problem::UPSTREAM_CONNECT_TIMEOUT,
        Kind::Tls => problem::UPSTREAM_TLS,
        Kind::OutboundProxy => problem::UPSTREAM_PROXY,
        Kind::ResponseTimeout => problem::UPSTREAM_RESPONSE_TIMEOUT,
        Kind::Protocol => problem::UPSTREAM_PROTOCOL,
        Kind::Closed => problem::UPSTREAM_CLOSED,
        Kind::ClientBodyIdle => problem::REQUEST_TIMEOUT,
        Kind::ClientBodyBroken => problem::INVALID_REQUEST,
        Kind::Token(error) => return unavailable(error),
    };
    Problem { close: kind.status.is_client_error(), ..Problem::new(kind, error.message.clone()) }
}
