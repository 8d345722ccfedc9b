//! The names under which requests are logged and counted. There are as many as the configuration has rules and Airbyte
//! has paths, and none that a caller made up.

use crate::airbyte::shapes;
use crate::guard::{Api, Guard, Route};
use crate::problem;
use crate::telemetry::metrics::Labels;

/// Refused for another reason than where to.
pub(super) const NOWHERE: usize = 0;
const ROOT: usize = 1;
const CONTROL: usize = 2;
const TOKEN: usize = 3;
const ASTERISK: usize = 4;
/// A path of Airbyte's that is not known.
const OTHER: usize = 5;
/// Known paths of Airbyte's come after these.
const OURS: [&str; 6] = ["-", "/", "/-/", "token", "*", "other"];

/// The caller left before the end of its answer.
pub(super) const CALLER_LEFT: &str = "caller-left";

/// What can end an answer that has begun, besides what is a problem before it has.
const ENDINGS: [&str; 6] = [
    CALLER_LEFT,
    "upstream-truncated",
    "upstream-body-timeout",
    "list-page-refused",
    "list-page-unusable",
    "list-endless",
];

/// All names that there can be with this guard.
pub fn labels(guard: &Guard) -> Labels {
    Labels {
        routes: OURS.into_iter().map(str::to_owned).chain(shapes::all()).collect(),
        errors: problem::ALL.iter().map(|kind| kind.name).chain(ENDINGS).collect(),
        rules: guard.rules(),
    }
}

/// The number of a route. `path` is the whole one.
pub(super) fn route(route: Route, path: &str) -> usize {
    match route {
        Route::Root => ROOT,
        Route::Control => CONTROL,
        Route::Token => TOKEN,
        Route::Asterisk => ASTERISK,
        Route::Api { api, prefix, .. } => {
            let path = path.get(prefix..).unwrap_or_default();
            let number = match api {
                Api::Public => shapes::public(path),
                Api::Config => shapes::config(path),
            };
            number.map_or(OTHER, |number| OURS.len() + number)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::Config;

    #[test]
    fn routes_have_the_names_of_their_numbers() {
        let labels = labels(&Guard::new(Config::default(), None));
        for (path, name) in [
            ("/", "/"),
            ("/-/live", "/-/"),
            ("/v1/applications/token", "token"),
            ("/v1/jobs/17", "/v1/jobs/{id}"),
            ("/-/all/v1/jobs", "/v1/jobs"),
            ("/api/public/v1/jobs/17", "/v1/jobs/{id}"),
            ("/api/v1/jobs/get", "/api/v1/jobs/get"),
            ("/api/v1/made/up", "other"),
            ("/v1/made/up", "other"),
        ] {
            let number = route(Route::of(path).expect("a route"), path);
            assert_eq!(labels.routes[number], name, "{path}");
        }
        let asterisk = route(Route::Asterisk, "*");
        assert_eq!((labels.routes[asterisk].as_str(), labels.routes[NOWHERE].as_str()), ("*", "-"));
    }
}
