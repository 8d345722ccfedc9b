//! All that is known about Airbyte's API: where it lives, its token paths, its endpoints, its lists, and the documents
//! that describe it to people and tools.

mod base_url;
pub mod endpoints;
pub(crate) mod known;
pub(crate) mod lists;
mod openapi;
pub mod paths;
mod postman;
pub(crate) mod shapes;

pub use base_url::{BaseUrl, BaseUrlError};
pub use openapi::openapi;
pub use postman::postman;
