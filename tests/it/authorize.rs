//! What a 401 causes, and what it does not.

use std::time::Duration;

use airbyte_proxy::clock::{Clock, Hand};
use airbyte_proxy::demo::ApiFault;
use http::{Method, StatusCode};

use crate::harness::daemon::{Daemon, Settings, start};
use crate::harness::simulated::stage;
use crate::harness::talk::{Head, Talk, show, soon};
use crate::harness::tls;
use crate::harness::wire::Wire;

/// Old enough for a 401 to mean something.
const AGED: Duration = Duration::from_secs(11);
/// Long enough for the next 401 to cause a mint again.
const LATER: Duration = Duration::from_secs(31);

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfine";
const REFUSED: &str = "HTTP/1.1 401 Unauthorized\r\nwww-authenticate: Bearer realm=\"x\", error=\"invalid_token\"\r\n\
    content-type: application/json\r\nx-n: 1\r\ncontent-length: 10\r\n\r\n{\"no\":401}";

/// A proxy with a token of some age, and its clock.
async fn aged(wire: &Wire, adjust: impl FnOnce(&mut Settings)) -> (Daemon, Hand) {
    let (clock, hand) = Clock::manual();
    let mut settings = wire.settings();
    settings.clock = clock;
    adjust(&mut settings);
    let proxy = start(settings).await;
    proxy.tokens.acquire().await.expect("the first token");
    pass(&proxy, &hand, AGED).await;
    (proxy, hand)
}

/// The keeper has heard all that was said before, and afterwards knows how late it is: a jump like this looks like a
/// suspend, for which it drops the connections that there are.
async fn pass(proxy: &Daemon, hand: &Hand, time: Duration) {
    proxy.heard().await;
    hand.advance(time);
    proxy.heard().await;
}

/// Returns once the token of this generation is there.
async fn generation(proxy: &Daemon, wanted: usize) {
    let mut changes = proxy.tokens.changes();
    while proxy.tokens.status().generation != Some(wanted as u64) {
        soon(changes.changed()).await.expect("a keeper");
    }
}

async fn asked(talk: &mut Talk, token: usize) -> Head {
    let head = talk.head().await;
    assert_eq!(head.all("authorization"), [format!("Bearer upstream-token-{token}")]);
    head
}

#[tokio::test]
async fn fifty_calls_with_a_revoked_token_succeed_with_one_more_mint() {
    let stage = stage(|_| {}).await;
    assert_eq!(stage.proxy.get("/v1/workspaces").await.status, StatusCode::OK);
    for round in 1..=3 {
        pass(&stage.proxy, &stage.hand, LATER).await;
        stage.airbyte.revoke_all();
        let calls: Vec<_> = (0..50).map(|_| stage.proxy.begin(Method::GET, "/v1/workspaces")).collect();
        for call in calls {
            assert_eq!(call.await.expect("a task").status, StatusCode::OK);
        }
        let counts = stage.airbyte.counts();
        assert_eq!((counts.mints, counts.revoked >= round), (1 + round, true), "{counts:?}");
        assert_eq!(counts.authorization_headers, counts.requests, "exactly one each");
    }
}

#[tokio::test]
async fn a_small_body_is_sent_again_byte_for_byte_and_the_401_does_not_leak() {
    for framing in [
        "content-length: 7\r\n\r\n{\"a\":1}",
        "transfer-encoding: chunked\r\n\r\n3\r\n{\"a\r\n4\r\n\":1}\r\n0\r\n\r\n",
    ] {
        let wire = Wire::listen().await;
        let (proxy, _hand) = aged(&wire, |_| {}).await;
        let mut caller = proxy.talk().await;
        let head =
            format!("POST /v1/jobs?a=%2F HTTP/1.1\r\nhost: localhost\r\nx-many: 1\r\nx-many: 2\r\n{framing}");
        caller.say(head).await;
        let mut upstream = wire.accept().await;
        let first = asked(&mut upstream, 1).await;
        let body = if first.all("content-length").is_empty() {
            upstream.until(b"0\r\n\r\n").await
        } else {
            upstream.exactly(7).await
        };
        upstream.say(REFUSED).await;
        let mut again = wire.accept().await;
        let second = asked(&mut again, 2).await;
        assert_eq!(second.text().replace("token-2", "token-1"), first.text());
        let body_again = if first.all("content-length").is_empty() {
            again.until(b"0\r\n\r\n").await
        } else {
            again.exactly(7).await
        };
        let content =
            |body: &[u8]| show(body).split("\r\n").filter(|l| l.contains(['{', '}'])).collect::<String>();
        assert_eq!(content(&body_again), content(&body));
        again.say(OK).await;
        let answer = caller.head().await;
        assert_eq!(answer.first_line(), "HTTP/1.1 200 OK");
        assert!(answer.all("www-authenticate").is_empty() && answer.all("x-n").is_empty());
        assert_eq!(show(&caller.exactly(4).await), "fine");
        assert_eq!(wire.tokens.mints(), 2);
    }
}

#[tokio::test]
async fn a_large_body_is_not_sent_again_but_the_next_call_is_fine() {
    let wire = Wire::listen().await;
    let (proxy, _hand) = aged(&wire, |_| {}).await;
    let body = vec![b'x'; 1024 * 1024 + 1];
    let mut caller = proxy.ask(&format!("POST /v1/x HTTP/1.1\r\ncontent-length: {}", body.len())).await;
    let mut upstream = wire.accept().await;
    asked(&mut upstream, 1).await;
    let (arrived, ()) = tokio::join!(upstream.exactly(body.len()), caller.say(&body));
    assert!(arrived == body);
    upstream.say(REFUSED).await;
    is_refused(&mut caller).await;
    let mut next = proxy.ask("GET /v1/next HTTP/1.1").await;
    asked(&mut upstream, 2).await;
    upstream.say(OK).await;
    assert_eq!(next.head().await.first_line(), "HTTP/1.1 200 OK");
    assert_eq!(wire.tokens.mints(), 2);
}

/// The caller gets upstream's own 401.
async fn is_refused(caller: &mut Talk) {
    let answer = caller.head().await;
    assert_eq!(answer.first_line(), "HTTP/1.1 401 Unauthorized", "{}", answer.text());
    assert_eq!(answer.all("www-authenticate"), ["Bearer realm=\"x\", error=\"invalid_token\""]);
    assert_eq!((answer.all("x-n"), answer.all("proxy-status").len()), (vec!["1".to_owned()], 0));
    assert_eq!(show(&caller.exactly(10).await), "{\"no\":401}");
}

#[tokio::test]
async fn a_body_of_any_size_is_sent_again_while_nothing_of_it_was_sent() {
    let wire = Wire::listen().await;
    let (proxy, _hand) = aged(&wire, |_| {}).await;
    let size = 3 * 1024 * 1024;
    let mut caller = proxy.ask(&format!("POST /v1/x HTTP/1.1\r\ncontent-length: {size}")).await;
    let mut upstream = wire.accept().await;
    asked(&mut upstream, 1).await;
    upstream.say(REFUSED).await;
    let mut again = wire.accept().await;
    asked(&mut again, 2).await;
    assert_eq!(upstream.rest().await, b"", "the first attempt is over");
    let body: Vec<u8> = (0..=250).cycle().take(size).collect();
    let (arrived, ()) = tokio::join!(again.exactly(size), caller.say(&body));
    assert!(arrived == body);
    again.say(OK).await;
    assert_eq!(caller.head().await.first_line(), "HTTP/1.1 200 OK");
}

#[tokio::test]
async fn an_upload_that_goes_on_while_a_token_is_awaited_is_sent_again_from_its_beginning() {
    let (wire, mint) = (Wire::listen().await, Wire::listen().await);
    let (clock, hand) = Clock::manual();
    let mut settings = wire.settings_minting_at(&mint);
    settings.clock = clock;
    let proxy = start(settings).await;
    mints(&mut mint.accept().await, 1).await;
    proxy.tokens.acquire().await.expect("the first token");
    pass(&proxy, &hand, AGED).await;

    let body: Vec<u8> = (0..=250).cycle().take(3 * 1024 * 1024).collect();
    let kept = 100_000;
    let mut caller = proxy.ask(&format!("POST /v1/x HTTP/1.1\r\ncontent-length: {}", body.len())).await;
    let mut upstream = wire.accept().await;
    asked(&mut upstream, 1).await;
    caller.say(&body[..kept]).await;
    assert!(upstream.exactly(kept).await == body[..kept]);
    upstream.say(REFUSED).await;
    let mut endpoint = mint.accept().await;
    endpoint.head().await;
    // More than may be kept, while the new token is on its way.
    let upload = tokio::spawn(async move {
        caller.say(&body[kept..]).await;
        (caller, body)
    });
    let _ = tokio::time::timeout(Duration::from_millis(100), upstream.rest()).await;
    answer_mint(&mut endpoint, 2, 86_400).await;
    let mut again = wire.accept().await;
    asked(&mut again, 2).await;
    let arrived = again.exactly(3 * 1024 * 1024).await;
    let (mut caller, body) = upload.await.expect("a task");
    assert!(arrived == body);
    again.say(OK).await;
    assert_eq!(caller.head().await.first_line(), "HTTP/1.1 200 OK");
}

async fn mints(endpoint: &mut Talk, n: usize) {
    endpoint.head().await;
    answer_mint(endpoint, n, 86_400).await;
}

async fn answer_mint(endpoint: &mut Talk, n: usize, lifetime: u32) {
    endpoint.grant(&format!("upstream-token-{n}"), lifetime).await;
}

#[tokio::test]
async fn a_token_that_dies_while_a_connection_is_made_is_not_sent() {
    for next in [true, false] {
        let (wire, mint) = (Wire::listen_tls().await, Wire::listen().await);
        let (clock, hand) = Clock::manual();
        let mut settings = wire.settings_minting_at(&mint);
        settings.clock = clock;
        let proxy = start(settings).await;
        let mut endpoint = mint.accept().await;
        endpoint.head().await;
        answer_mint(&mut endpoint, 1, 8).await;
        proxy.tokens.acquire().await.expect("the first token");
        let mut caller = proxy.ask("GET /v1/x HTTP/1.1").await;
        let tcp = wire.accept_tcp().await;
        proxy.heard().await;
        hand.advance(Duration::from_secs(9));
        let mut endpoint = mint.accept().await;
        endpoint.head().await;
        let mut upstream = Wire::handshake(tcp, &tls::server(false)).await.expect("a handshake");
        if next {
            answer_mint(&mut endpoint, 2, 86_400).await;
            asked(&mut upstream, 2).await;
            upstream.say(OK).await;
            assert_eq!(caller.head().await.first_line(), "HTTP/1.1 200 OK");
        } else {
            endpoint.say("HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n").await;
            assert_eq!(caller.head().await.first_line(), "HTTP/1.1 503 Service Unavailable");
            assert_eq!(upstream.rest().await, b"", "nothing was sent");
        }
    }
}

#[tokio::test]
async fn a_second_401_is_returned_as_it_is_and_quiets_further_mints() {
    let wire = Wire::listen().await;
    let (proxy, hand) = aged(&wire, |_| {}).await;
    let mut caller = proxy.ask("GET /v1/x HTTP/1.1").await;
    let mut upstream = wire.accept().await;
    asked(&mut upstream, 1).await;
    upstream.say("HTTP/1.1 401 Unauthorized\r\ncontent-length: 5\r\n\r\nfirst").await;
    let mut upstream = wire.accept().await;
    asked(&mut upstream, 2).await;
    upstream.say(REFUSED).await;
    is_refused(&mut caller).await;
    assert_eq!(wire.tokens.mints(), 2);
    // It was not the token: the next ones cause nothing for a minute. A 503 in between says nothing about that.
    pass(&proxy, &hand, LATER).await;
    caller.say("GET /v1/x HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    let mut upstream = wire.accept().await;
    asked(&mut upstream, 2).await;
    upstream.say("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 4\r\n\r\nbusy").await;
    assert_eq!(caller.head().await.first_line(), "HTTP/1.1 503 Service Unavailable");
    caller.exactly(4).await;
    caller.say("GET /v1/x HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    asked(&mut upstream, 2).await;
    upstream.say(REFUSED).await;
    is_refused(&mut caller).await;
    assert_eq!(wire.tokens.mints(), 2);
    pass(&proxy, &hand, LATER).await;
    caller.say("GET /v1/x HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    let mut upstream = wire.accept().await;
    asked(&mut upstream, 2).await;
    upstream.say(REFUSED).await;
    let mut upstream = wire.accept().await;
    asked(&mut upstream, 3).await;
    upstream.say(OK).await;
    assert_eq!(caller.head().await.first_line(), "HTTP/1.1 200 OK");
}

#[tokio::test]
async fn a_401_for_a_young_token_is_relayed_and_causes_no_mint() {
    let stage = stage(|_| {}).await;
    assert_eq!(stage.proxy.get("/v1/workspaces").await.status, StatusCode::OK);
    stage.airbyte.next_api_answers([Some(ApiFault::Unauthorized)]);
    assert_eq!(stage.proxy.get("/v1/workspaces").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!((stage.airbyte.mints(), stage.airbyte.requests()), (1, 2));
    assert_eq!(stage.proxy.get("/v1/workspaces").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_403_never_refreshes() {
    let stage = stage(|_| {}).await;
    assert_eq!(stage.proxy.get("/v1/workspaces").await.status, StatusCode::OK);
    pass(&stage.proxy, &stage.hand, LATER).await;
    stage.airbyte.next_api_answers([Some(ApiFault::Forbidden)]);
    let answer = stage.proxy.get("/v1/workspaces").await;
    assert_eq!((answer.status, answer.header("proxy-status")), (StatusCode::FORBIDDEN, None));
    assert_eq!((stage.airbyte.mints(), stage.airbyte.requests()), (1, 2));
}

#[tokio::test]
async fn a_late_401_of_an_old_generation_causes_no_mint() {
    let wire = Wire::listen().await;
    let (proxy, hand) = aged(&wire, |_| {}).await;
    let mut early = proxy.ask("GET /v1/early HTTP/1.1").await;
    let mut one = wire.accept().await;
    asked(&mut one, 1).await;
    let mut late = proxy.ask("GET /v1/late HTTP/1.1").await;
    let mut two = wire.accept().await;
    asked(&mut two, 1).await;
    one.say(REFUSED).await;
    let mut renewed = wire.accept().await;
    asked(&mut renewed, 2).await;
    renewed.say(OK).await;
    assert_eq!(early.head().await.first_line(), "HTTP/1.1 200 OK");
    pass(&proxy, &hand, LATER).await;
    two.say(REFUSED).await;
    // With the token that is there.
    let mut renewed = wire.accept().await;
    asked(&mut renewed, 2).await;
    renewed.say(OK).await;
    assert_eq!(late.head().await.first_line(), "HTTP/1.1 200 OK");
    assert_eq!(wire.tokens.mints(), 2);
}

#[tokio::test]
async fn a_401_stands_when_no_new_token_can_be_had_and_the_old_one_stays_in_use() {
    let stage = stage(|_| {}).await;
    assert_eq!(stage.proxy.get("/v1/workspaces").await.status, StatusCode::OK);
    pass(&stage.proxy, &stage.hand, LATER).await;
    stage.airbyte.rotate_secret(airbyte_proxy::secret::Secret::new("another-client-secret".into()));
    stage.airbyte.next_api_answers([Some(ApiFault::Unauthorized)]);
    assert_eq!(stage.proxy.get("/v1/workspaces").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(stage.proxy.get("/v1/workspaces").await.status, StatusCode::OK);
    let counts = stage.airbyte.counts();
    assert_eq!((counts.mints, counts.refused, counts.requests), (1, 1, 3));
}

#[tokio::test]
async fn what_may_be_kept_in_all_is_bounded_and_given_back() {
    let wire = Wire::listen().await;
    let (proxy, hand) = aged(&wire, |settings| {
        (settings.proxy.replay_limit, settings.proxy.replay_total) = (1000, 1000);
    })
    .await;
    let body = "x".repeat(600);
    let request = format!("POST /v1/x HTTP/1.1\r\ncontent-length: 600\r\nhost: localhost\r\n\r\n{body}");
    let mut token = 1;
    for ends in ["answered", "answered early", "left", "refused"] {
        let mut holding = proxy.talk().await;
        let more = request.replace("length: 600", "length: 601");
        holding.say(if ends == "answered early" { &more } else { &request }).await;
        let mut its = wire.accept().await;
        asked(&mut its, token).await;
        its.exactly(600).await;

        let mut other = proxy.talk().await;
        other.say(&request).await;
        let mut upstream = wire.accept().await;
        asked(&mut upstream, token).await;
        upstream.exactly(600).await;
        upstream.say(REFUSED).await;
        is_refused(&mut other).await;
        token += 1;
        generation(&proxy, token).await;

        match ends {
            "answered" | "answered early" => {
                its.say(OK).await;
                holding.head().await;
            }
            "left" => {
                drop(holding);
                its.rest().await;
            }
            _ => {
                // Of an old generation: it is sent again with the token that is there.
                its.say(REFUSED).await;
                let mut again = upstream;
                asked(&mut again, token).await;
                again.exactly(600).await;
                again.say(OK.replace("200 OK", "200 OK\r\nconnection: close")).await;
                holding.head().await;
                upstream = again;
            }
        }
        drop(upstream);
        pass(&proxy, &hand, LATER).await;
        let mut third = proxy.talk().await;
        third.say(&request).await;
        let mut upstream = wire.accept().await;
        asked(&mut upstream, token).await;
        upstream.exactly(600).await;
        upstream.say(REFUSED.replace("401 Unauthorized", "401 Unauthorized\r\nconnection: close")).await;
        token += 1;
        let mut again = wire.accept().await;
        asked(&mut again, token).await;
        assert_eq!(show(&again.exactly(600).await), body, "{ends}");
        again.say(OK.replace("200 OK", "200 OK\r\nconnection: close")).await;
        assert_eq!(third.head().await.first_line(), "HTTP/1.1 200 OK", "{ends}");
        pass(&proxy, &hand, LATER).await;
    }
}

#[tokio::test]
async fn tiny_pieces_do_not_keep_more_than_their_share() {
    let wire = Wire::listen().await;
    let (proxy, hand) = aged(&wire, |settings| settings.proxy.replay_limit = 64 * 128).await;
    for (pieces, again) in [(64, true), (65, false)] {
        pass(&proxy, &hand, LATER).await;
        let mut caller = proxy.ask("POST /v1/x HTTP/1.1\r\ntransfer-encoding: chunked").await;
        let mut upstream = wire.accept().await;
        let token = wire.tokens.mints();
        asked(&mut upstream, token).await;
        for _ in 0..pieces {
            caller.say("1\r\nx\r\n").await;
            upstream.until(b"x\r\n").await;
        }
        caller.say("0\r\n\r\n").await;
        upstream.until(b"0\r\n\r\n").await;
        upstream.say(REFUSED.replace("401 Unauthorized", "401 Unauthorized\r\nconnection: close")).await;
        if again {
            let mut upstream = wire.accept().await;
            asked(&mut upstream, token + 1).await;
            upstream.until(b"0\r\n\r\n").await;
            upstream.say(OK.replace("200 OK", "200 OK\r\nconnection: close")).await;
            assert_eq!(caller.head().await.first_line(), "HTTP/1.1 200 OK");
        } else {
            is_refused(&mut caller).await;
        }
    }
}
