//! The parts of our pages, within the program: nothing is fetched from anywhere else.

use axum::extract::Path;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};

const STYLE: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

macro_rules! assets {
    ($($name:literal $kind:ident),* $(,)?) => {
        /// Each with its type and content.
        pub(super) const ALL: &[(&str, &str, &str)] =
            &[$(($name, $kind, include_str!(concat!("assets/", $name)))),*];
    };
}

assets! {
    "style.css" STYLE,
    "explorer.css" STYLE,
    "status.js" SCRIPT,
    "common.js" SCRIPT,
    "explorer.js" SCRIPT,
    "document.js" SCRIPT,
    "form.js" SCRIPT,
    "answer.js" SCRIPT,
    "snippets.js" SCRIPT,
}

/// `GET /-/assets/NAME`. Not kept by browsers, like all of ours: the next version has other ones.
pub(super) async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Response {
    match ALL.iter().find(|(known, ..)| *known == name) {
        Some((_, kind, content)) => {
            ([(CONTENT_TYPE, HeaderValue::from_static(kind))], *content).into_response()
        }
        None => super::nothing_here(&headers),
    }
}
