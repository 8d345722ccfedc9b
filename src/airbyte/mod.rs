//! All that is known about Airbyte's API: where it lives, its token paths, its endpoints.

mod base_url;
pub(crate) mod known;
pub mod paths;

pub use base_url::{BaseUrl, BaseUrlError};
