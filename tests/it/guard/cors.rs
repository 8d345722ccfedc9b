//! Pages of other origins: those that are listed are told so, the others nothing.

use super::*;

const PAGE: (&str, &str) = ("Origin", "http://localhost:3000");
const EVIL: (&str, &str) = ("Origin", "http://evil.example");
const ASKS: (&str, &str) = ("Access-Control-Request-Method", "PUT");

async fn listed(upstream: &Upstream) -> Proxy {
    let mut command = serve(upstream);
    command.args(["--guard-allowed-origins", "http://localhost:3000"]);
    Proxy::start(command).await
}

#[tokio::test]
async fn a_listed_page_gets_its_preflight_answered_here() {
    let upstream = upstream().await;
    let proxy = listed(&upstream).await;
    let fields = [PAGE, ASKS, ("Access-Control-Request-Headers", "authorization,content-type")];
    let answer = proxy.send("OPTIONS", "/v1/sources/7", &fields, "").await;
    assert_eq!((answer.status, answer.body.as_str()), (204, ""));
    assert_eq!(answer.all("access-control-allow-origin"), ["http://localhost:3000"]);
    assert_eq!(answer.all("access-control-allow-headers"), ["authorization,content-type"]);
    assert!(answer.all("access-control-allow-methods")[0].contains("PUT"));
    assert_eq!(answer.all("access-control-max-age"), ["600"]);
    assert!(answer.all("vary").contains(&"origin"));
    for never in ["access-control-allow-credentials", "access-control-allow-private-network"] {
        assert!(answer.all(never).is_empty(), "{never}");
    }
    let private = [PAGE, ASKS, ("Access-Control-Request-Private-Network", "true")];
    let answer = proxy.send("OPTIONS", "/v1/sources/7", &private, "").await;
    assert_eq!(answer.all("access-control-allow-private-network"), ["true"]);
    assert!(upstream.seen().is_empty());
}

#[tokio::test]
async fn every_answer_to_a_listed_page_tells_it_refusals_included() {
    let upstream = upstream().await;
    let proxy = listed(&upstream).await;
    for (method, target, fields, status) in [
        ("GET", "/v1/jobs", &[PAGE, ("Sec-Fetch-Site", "same-site")][..], 200),
        ("GET", "/v1/applications", &[PAGE], 403),
        ("GET", "/nowhere", &[PAGE], 404),
        ("GET", "/v1/../x", &[PAGE], 400),
        ("GET", "/-/live", &[PAGE], 200),
        ("POST", "/v1/applications/token", &[PAGE], 200),
        ("GET", "/v1/jobs", &[PAGE, ("Host", "evil.example")], 403),
    ] {
        let answer = proxy.send(method, target, fields, "").await;
        assert_eq!(answer.status, status, "{method} {target}");
        // Once, and not upstream's.
        assert_eq!(answer.all("access-control-allow-origin"), ["http://localhost:3000"], "{method} {target}");
        assert!(answer.all("vary").contains(&"origin"), "{method} {target}");
    }
    assert_eq!(passed(&upstream), ["GET /v1/jobs"]);
}

#[tokio::test]
async fn nobody_else_is_told_anything() {
    let upstream = upstream().await;
    let plain = Proxy::start(serve(&upstream)).await;
    let listed = listed(&upstream).await;
    let own = format!("http://{}", plain.at);
    let (host, own) = (own.trim_start_matches("http://").to_owned(), own.clone());
    for (method, fields, status) in [
        ("GET", &[][..], 200),
        ("GET", &[("Origin", own.as_str()), ("Host", &host)], 200),
        ("GET", &[EVIL], 403),
        ("OPTIONS", &[EVIL, ASKS], 403),
        ("OPTIONS", &[EVIL, ASKS, ("Access-Control-Request-Private-Network", "true")], 403),
        ("OPTIONS", &[ASKS], 403),
        ("GET", &[("Origin", "null")], 403),
        ("GET", &[("Sec-Fetch-Site", "cross-site")], 403),
    ] {
        for proxy in [&plain, &listed] {
            let answer = proxy.send(method, "/v1/jobs", fields, "").await;
            assert_eq!((answer.status, answer.cors()), (status, vec![]), "{method} {fields:?}");
        }
    }
    let unlisted = plain.send("OPTIONS", "/v1/jobs", &[PAGE, ASKS], "").await;
    assert_eq!((unlisted.status, unlisted.cors()), (403, vec![]), "not listed there");
    assert_eq!(upstream.seen().len(), 4);
}
