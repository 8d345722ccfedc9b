//! The listener for probes: health and figures for whoever asks, and nothing else.
//!
//! It has neither a guard nor a way to Airbyte, so there is nothing that could be asked of it and go wrong. What it
//! answers is neither logged nor counted, since it is asked all the time.

use http::header::{CONNECTION, HeaderValue};
use http::{Request, Response};
use hyper::body::{Body as _, Incoming};

use crate::control::{Body, Control};
use crate::problem::{self, Problem};
use crate::server::{Handler, Peer};

/// Answers what [`Control::probes`] has.
#[derive(Debug, Clone)]
pub struct Probes {
    control: Control,
}

impl Probes {
    /// `control` decides what there is.
    pub fn new(control: Control) -> Self {
        Self { control }
    }
}

impl Handler for Probes {
    type Body = Body;

    async fn handle(&self, _: &Peer, request: Request<Incoming>) -> Response<Body> {
        let body = !request.body().is_end_stream();
        let mut response = self.control.respond(request).await;
        if body {
            // RFC 9112 §9.3: read to its end, or close. Nobody reads it.
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    fn panicked(&self) -> Response<Body> {
        let detail = "the request was given up because of a bug; others are not affected";
        Problem::new(problem::INTERNAL, detail).response(false).map(Body::from)
    }
}
