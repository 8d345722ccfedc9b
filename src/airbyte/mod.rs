//! All that is known about Airbyte's API: where it lives, its token paths, its endpoints, its lists.

mod base_url;
pub(crate) mod known;
pub(crate) mod lists;
pub mod paths;

pub use base_url::{BaseUrl, BaseUrlError};
