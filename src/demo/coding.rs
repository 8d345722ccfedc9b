//! Content coding of answers, and bodies that arrive damaged.

use std::io::Write as _;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, VARY};
use http::{HeaderMap, HeaderValue};
use http_body::Body as _;

use super::faults::{ApiFault, Gate, ends_early, later};
use super::world::World;

/// Shorter bodies are not worth it, a gateway thinks.
const LEAST: u64 = 20;

/// What happens to a proper answer on its way out, as an extension of the response.
#[derive(Debug, Clone)]
pub(super) enum Damage {
    CutOff,
    Broken,
    CorruptGzip,
    TruncatedGzip,
    Stall(Gate),
}

impl Damage {
    /// What `fault` does to a proper answer, or `fault` again if there is to be none.
    pub(super) fn of(fault: ApiFault) -> Result<Self, ApiFault> {
        Ok(match fault {
            ApiFault::CutOff => Self::CutOff,
            ApiFault::Broken => Self::Broken,
            ApiFault::CorruptGzip => Self::CorruptGzip,
            ApiFault::TruncatedGzip => Self::TruncatedGzip,
            ApiFault::Stall(gate) => Self::Stall(gate),
            other => return Err(other),
        })
    }
}

/// Around everything: answers are gzip'd for those who take that, then damaged if that was asked for.
pub(super) async fn encode(State(world): State<Arc<World>>, request: Request, next: Next) -> Response {
    let takes_gzip = takes_gzip(request.headers());
    let mut response = next.run(request).await;
    let damage = response.extensions_mut().remove::<Damage>();
    let whole = response.body().size_hint().exact();
    let coded = response.headers().contains_key(CONTENT_ENCODING);
    let worth_it = world.options.compress && !coded && whole.is_some_and(|len| len >= LEAST);
    if worth_it {
        response.headers_mut().append(VARY, HeaderValue::from_static("accept-encoding"));
    }
    // A body that is not whole yet is a fault of its own.
    if whole.is_none() || (damage.is_none() && !(worth_it && takes_gzip)) {
        return response;
    }
    let (mut head, body) = response.into_parts();
    let mut bytes = to_bytes(body, usize::MAX).await.unwrap_or_default();
    head.headers.remove(CONTENT_LENGTH);
    if matches!(damage, Some(Damage::Broken)) {
        bytes.truncate(bytes.len() / 2);
    }
    let spoils_gzip = matches!(damage, Some(Damage::CorruptGzip | Damage::TruncatedGzip));
    if (worth_it && takes_gzip) || spoils_gzip {
        bytes = gzip(&bytes);
        head.headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    if let Some(Damage::CutOff | Damage::Stall(_)) = damage {
        head.headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
    }
    Response::from_parts(head, damaged(bytes, damage))
}

fn damaged(bytes: Bytes, damage: Option<Damage>) -> Body {
    let half = bytes.len() / 2;
    match damage {
        None | Some(Damage::Broken) => Body::from(bytes),
        Some(Damage::CutOff) => ends_early(bytes.slice(..half)),
        Some(Damage::TruncatedGzip) => Body::from(bytes.slice(..half)),
        Some(Damage::CorruptGzip) => {
            let mut bytes = Vec::from(bytes);
            bytes.iter_mut().skip(half).take(8).for_each(|byte| *byte = !*byte);
            Body::from(bytes)
        }
        Some(Damage::Stall(gate)) => later(bytes.slice(..half), gate, bytes.slice(half..)),
    }
}

/// Whether `Accept-Encoding` names gzip, or anything at all, with a weight above zero (RFC 9110 §12.5.3).
fn takes_gzip(headers: &HeaderMap) -> bool {
    let weight = |name: &str| {
        let lines = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|line| line.to_str().ok());
        let mut codings = lines.flat_map(|line| line.split(','));
        codings.find_map(|coding| {
            let (coding, parameters) = coding.split_once(';').unwrap_or((coding, ""));
            let weight = parameters.trim().strip_prefix("q=").map_or(Some(1.0), |q| q.trim().parse().ok());
            coding.trim().eq_ignore_ascii_case(name).then(|| weight.unwrap_or(0.0_f32))
        })
    };
    weight("gzip").or_else(|| weight("*")).is_some_and(|weight| weight > 0.0)
}

fn gzip(bytes: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), Compression::fast());
    // Into memory nothing fails.
    let written = encoder.write_all(bytes).and_then(|()| encoder.finish());
    Bytes::from(written.unwrap_or_default())
}
