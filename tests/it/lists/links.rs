//! Pages: links that lead back, and nothing else changed.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::{answer, asked, page};
use crate::harness::daemon::start;
use crate::harness::talk::show;
use crate::harness::wire::Wire;

const NEXT: &str = "http://airbyte-server:8001/api/public/v1/jobs?offset=1";

#[tokio::test]
async fn links_lead_to_the_host_that_was_asked_and_keep_every_filter() {
    let wire = Wire::listen().await;
    let proxy = wire.daemon().await;
    for (target, upstream_target, next) in [
        ("/v1/jobs", "/v1/jobs", "/v1/jobs?limit=20&offset=20"),
        (
            "/v1/jobs?status=failed&limit=5&offset=10&orderBy=createdAt%7CDESC",
            "/v1/jobs?status=failed&limit=5&offset=10&orderBy=createdAt%7CDESC",
            "/v1/jobs?status=failed&orderBy=createdAt%7CDESC&limit=5&offset=15",
        ),
        ("/-/all/v1/jobs?limit=7", "/v1/jobs?limit=7", "/-/all/v1/jobs?limit=7&offset=7"),
        ("/api/public/v1/jobs?a=,", "/v1/jobs?a=,", "/api/public/v1/jobs?a=,&limit=20&offset=20"),
    ] {
        for said in [format!("\"{NEXT}\""), "\"/public/v1/jobs?limit=20\"".to_owned()] {
            let mut caller = proxy.talk().await;
            caller
                .say(format!("GET {target} HTTP/1.1\r\nhost: localhost:5\r\naccept-encoding: br\r\n\r\n"))
                .await;
            let mut upstream = wire.accept().await;
            let head = asked(&mut upstream, upstream_target).await;
            assert_eq!(head.all("accept-encoding"), ["gzip, identity"]);
            answer(
                &mut upstream,
                "200 OK\r\netag: \"x\"",
                &page(0..3).replace(&format!("\"{NEXT}\""), &said),
            )
            .await;
            drop(upstream);
            let next = format!("http://localhost:5{next}");
            let head = caller.head().await;
            assert_eq!(head.all("link"), [format!("<{next}>; rel=\"next\"")]);
            assert!(head.all("etag").is_empty());
            let expected = page(0..3).replace(NEXT, &next);
            assert_eq!(head.all("content-length"), [expected.len().to_string()]);
            assert_eq!(show(&caller.exactly(expected.len()).await), expected);
        }
    }
}

#[tokio::test]
async fn a_compressed_page_is_mended_and_sent_plain() {
    let wire = Wire::listen().await;
    let proxy = wire.daemon().await;
    let mut caller = proxy.ask("GET /v1/jobs HTTP/1.1").await;
    let mut upstream = wire.accept().await;
    asked(&mut upstream, "/v1/jobs").await;
    let packed = gzip(&page(0..20));
    let length = packed.len();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\ncontent-length: {length}\r\n\r\n"
    );
    upstream.say(head).await;
    upstream.say(&packed[..length / 2]).await;
    upstream.say(&packed[length / 2..]).await;
    let head = caller.head().await;
    let expected = page(0..20).replace(NEXT, "http://localhost/v1/jobs?limit=20&offset=20");
    assert_eq!(head.all("content-encoding").len(), 0);
    assert_eq!(head.all("content-length"), [expected.len().to_string()]);
    assert_eq!(show(&caller.exactly(expected.len()).await), expected);
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).expect("written");
    encoder.finish().expect("packed")
}

#[tokio::test]
async fn what_is_no_page_passes_as_it_is() {
    let wire = Wire::listen().await;
    let proxy = wire.daemon().await;
    for (head, content) in [
        ("200 OK\r\ncontent-type: text/html", "<html></html>"),
        ("200 OK\r\ncontent-type: application/json", "{\"data\":{},\"next\":\"http://x/\"}"),
        ("200 OK\r\ncontent-type: application/json", "{\"data\":["),
        (
            "200 OK\r\ncontent-type: application/json\r\ncache-control: no-transform",
            "{\"data\":[],\"next\":\"http://x/\"}",
        ),
        ("200 OK\r\ncontent-type: application/json\r\ncontent-encoding: br", "\u{1}\u{2}{\"data\":[]"),
        ("400 Bad Request\r\ncontent-type: application/json", "{\"data\":[],\"next\":\"http://x/\"}"),
        ("200 OK\r\ncontent-type: application/json\r\ncontent-encoding: gzip", ""),
    ] {
        let mut caller = proxy.ask("GET /v1/jobs?limit=3 HTTP/1.1").await;
        let mut upstream = wire.accept().await;
        asked(&mut upstream, "/v1/jobs?limit=3").await;
        let length = content.len();
        upstream
            .say(format!("HTTP/1.1 {head}\r\netag: \"x\"\r\ncontent-length: {length}\r\n\r\n{content}"))
            .await;
        drop(upstream);
        let got = caller.head().await;
        assert_eq!((got.all("etag"), got.all("link").len()), (vec!["\"x\"".to_owned()], 0), "{head}");
        assert_eq!(show(&caller.exactly(length).await), content);
    }
}

#[tokio::test]
async fn content_that_is_not_what_it_says_is_a_problem_and_never_half_an_answer() {
    let wire = Wire::listen().await;
    let proxy = wire.daemon().await;
    for (sent, problem) in
        [(gzip(&page(0..20)), "upstream-protocol"), (b"no gzip".to_vec(), "upstream-protocol")]
    {
        let call = proxy.begin(http::Method::GET, "/v1/jobs");
        let mut upstream = wire.accept().await;
        asked(&mut upstream, "/v1/jobs").await;
        let cut = &sent[..sent.len() - 3];
        let length = cut.len();
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\ncontent-length: {length}\r\n\r\n"
        );
        upstream.say(head).await;
        upstream.say(cut).await;
        drop(upstream);
        assert_eq!(call.await.expect("a task").problem(), problem);
    }
}

#[tokio::test]
async fn with_mending_off_a_page_is_upstreams_own() {
    let wire = Wire::listen().await;
    let mut settings = wire.settings();
    settings.proxy.lists.mend_links = false;
    let proxy = start(settings).await;
    let mut caller = proxy.ask("GET /v1/jobs HTTP/1.1\r\naccept-encoding: br").await;
    let mut upstream = wire.accept().await;
    assert_eq!(asked(&mut upstream, "/v1/jobs").await.all("accept-encoding"), ["br"]);
    answer(&mut upstream, "200 OK\r\nlocation: http://localhost/v1/x\r\netag: \"x\"", &page(0..3)).await;
    let head = caller.head().await;
    assert_eq!(
        (head.all("etag"), head.all("location")),
        (vec!["\"x\"".into()], vec!["http://localhost/v1/x".into()])
    );
    assert_eq!(show(&caller.exactly(page(0..3).len()).await), page(0..3));
}

#[tokio::test]
async fn a_location_at_upstream_leads_here() {
    let wire = Wire::listen().await;
    let proxy = wire.daemon().await;
    let mut caller = proxy.ask("POST /v1/jobs HTTP/1.1\r\ncontent-length: 0").await;
    let mut upstream = wire.accept().await;
    upstream.head().await;
    let port = wire.addr.port();
    upstream
        .say(format!(
            "HTTP/1.1 201 Created\r\nlocation: http://localhost:{port}/v1/jobs/7\r\ncontent-length: 0\r\n\r\n"
        ))
        .await;
    assert_eq!(caller.head().await.all("location"), ["http://localhost/v1/jobs/7"]);
}
