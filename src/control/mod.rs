//! The `/-/` routes. To come.

use http::{Request, Response};

/// Body of a control response.
pub type Body = axum::body::Body;

/// The `/-/` routes.
#[derive(Debug, Clone)]
pub struct Control;

impl Control {
    /// Answers one request.
    pub async fn respond(&self, _request: Request<hyper::body::Incoming>) -> Response<Body> {
        Response::new(Body::empty())
    }
}
