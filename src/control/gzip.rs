//! Pages and documents, compressed for whoever takes that: two thirds of them are repetition, and not every browser is on
//! this machine.
//!
//! As they are asked for: a page with all its parts costs some milliseconds, and is not opened often. What is for
//! machines that ask all the time, and the stream that never ends, are not passed through here.

use std::io::Write as _;

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, VARY};
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use flate2::Compression;
use flate2::write::GzEncoder;

/// Less than a packet is not worth it.
const WORTH_IT: usize = 1024;

/// The answer of `next`, compressed if that is taken. All of it is in memory already, so there is no limit to set.
pub(super) async fn compress(request: Request, next: Next) -> Response {
    let taken = takes_gzip(request.headers());
    let (mut head, body) = next.run(request).await.into_parts();
    // Also of what is not compressed: another caller might have taken it.
    head.headers.append(VARY, HeaderValue::from_static("accept-encoding"));
    if !taken {
        return Response::from_parts(head, body);
    }
    let Ok(plain) = to_bytes(body, usize::MAX).await else {
        return Response::from_parts(head, Body::empty());
    };
    if plain.len() < WORTH_IT {
        return Response::from_parts(head, Body::from(plain));
    }
    match gzip(&plain) {
        Ok(small) => {
            head.headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            head.headers.remove(CONTENT_LENGTH);
            Response::from_parts(head, Body::from(small))
        }
        // Memory takes all that is written to it; if not, the answer is as good as it is.
        Err(_) => Response::from_parts(head, Body::from(plain)),
    }
}

fn gzip(plain: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(plain.len() / 3), Compression::default());
    encoder.write_all(plain)?;
    encoder.finish()
}

/// RFC 9110 §12.5.3: what is named counts, `*` for what is not, and a weight of zero is a no.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let mut others = false;
    for coding in lines.flat_map(|line| line.split(',')) {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let weight = weight.trim().strip_prefix(['q', 'Q']).unwrap_or_default().trim_start();
        let wanted = weight.strip_prefix('=').is_none_or(|q| q.trim().parse().is_ok_and(|q: f32| q > 0.0));
        match name.trim() {
            name if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") => {
                return wanted;
            }
            "*" => others = wanted,
            _ => {}
        }
    }
    others
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_taken_where_it_is_named_and_wanted() {
        for (accepted, takes) in [
            (&["gzip, deflate, br, zstd"][..], true),
            (&["br", "x-gzip"], true),
            (&["GZIP;q=0.2"], true),
            (&["gzip ; q = 1.0"], true),
            (&["*"], true),
            (&["*;q=0.1, br"], true),
            (&["gzip;q=0, *"], false),
            (&["*, gzip;q=0.000"], false),
            (&["gzip;q=none"], false),
            (&["*;q=0"], false),
            (&["identity", "gzipped"], false),
            (&[""], false),
            (&[], false),
        ] {
            let lines = accepted.iter().map(|line| (ACCEPT_ENCODING, HeaderValue::from_static(line)));
            assert_eq!(takes_gzip(&lines.collect()), takes, "{accepted:?}");
        }
    }
}
