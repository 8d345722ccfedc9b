//! What goes over the wire: known to both ends, so that every byte can be checked.

use bytes::Bytes;

pub(crate) const KILOBYTE: usize = 1024;
pub(crate) const MEGABYTE: usize = 1024 * 1024;

/// Paths that are ordinary to the proxy: no lists, whose answers it reads.
pub(crate) const KILOBYTE_PATH: &str = "/v1/sources/1k";
pub(crate) const MEGABYTE_PATH: &str = "/v1/sources/1m";
pub(crate) const SLOW_PATH: &str = "/v1/sources/slow";
pub(crate) const POST_PATH: &str = "/v1/sources";

/// Divides every size in use, so that a body may be cut anywhere into pieces of these.
const PERIOD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The first `length` bytes of every body.
pub(crate) fn bytes(length: usize) -> Bytes {
    PERIOD.iter().copied().cycle().take(length).collect()
}

/// What answers a body of this length.
pub(crate) fn received(length: usize) -> Bytes {
    format!("{{\"length\":{length}}}").into()
}
