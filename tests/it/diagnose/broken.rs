//! Set-ups that do not work, as people have reported them, and the remedy that `doctor` names.

use std::net::TcpListener;
use std::time::Duration;

use airbyte_proxy::demo::{ApiFault, Fault, Grant, Options, Simulator, Style};
use http::StatusCode;

use super::{Encrypted, configured, doctor, flowing, told};
use crate::harness::process::{airbyte, airbyte_proxy, free_port};
use crate::harness::tls;

fn failing(fault: Fault) -> Simulator {
    let airbyte = airbyte(Options::default());
    airbyte.handle().set_fault(Some(fault));
    airbyte
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_path_is_replaced_by_that_of_the_api() {
    let airbyte = airbyte(Options { self_managed_only: true, ..Options::default() });
    let right = airbyte.self_managed_url();
    for path in ["", "/v1", "/api/v1", "/api/public", "/workspaces"] {
        let wrong = format!("http://{}{path}", airbyte.addr());
        let ended = configured(&wrong, &airbyte).run().await;
        let what = format!("Airbyte's API is not at {wrong}, but at {right}; write into the configuration:");
        told(&ended, &what, &[&format!("upstream.api_url = \"{right}\"")]);
        assert!(
            flowing(&ended).contains("(--upstream-api-url is set and beats the file"),
            "{}",
            ended.stdout
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_that_takes_forms_only_needs_token_body() {
    let airbyte = airbyte(Options { refuse_json: true, ..Options::default() });
    let ended = configured(&airbyte.api_url(), &airbyte).run().await;
    told(&ended, "the token endpoint takes forms, not JSON;", &["token.body = \"form\""]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_that_takes_json_only_needs_token_body_too() {
    let airbyte = airbyte(Options { refuse_form: true, ..Options::default() });
    let ended = configured(&airbyte.api_url(), &airbyte).env("AIRBYTE_PROXY_TOKEN_BODY", "form").run().await;
    told(&ended, "the token endpoint takes JSON, not forms;", &["token.body = \"json\""]);
    assert!(flowing(&ended).contains("AIRBYTE_PROXY_TOKEN_BODY is set"), "{}", ended.stdout);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_url_that_is_none_is_corrected() {
    let airbyte = airbyte(Options::default());
    let ended = configured(&airbyte.api_url(), &airbyte)
        .env("AIRBYTE_PROXY_TOKEN_URL", format!("http://{}/applications/token", airbyte.addr()))
        .run()
        .await;
    let right = format!("{}/applications/token", airbyte.api_url());
    told(&ended, &format!("tokens are to be had at {right} only;"), &[&format!("token.url = \"{right}\"")]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_of_nginx_means_that_airbyte_is_down() {
    let airbyte = failing(Fault::Html(StatusCode::BAD_GATEWAY));
    let ended = configured(&airbyte.api_url(), &airbyte).run().await;
    let what =
        "what stands in front of Airbyte answers 502: Airbyte itself is down or still starting; look at";
    told(&ended, what, &[]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_credentials_are_told_for_both_kinds_of_airbyte_and_asked_about_once() {
    for style in [Style::Core, Style::Cloud] {
        let airbyte = airbyte(Options { style, ..Options::default() });
        let ended = configured(&airbyte.api_url(), &airbyte)
            .env("AIRBYTE_CLIENT_SECRET", "surely-not-the-right-one")
            .run()
            .await;
        let what = "the client id or the client secret is wrong: http://";
        told(&ended, what, &[]);
        let place = "; the secret comes from AIRBYTE_CLIENT_SECRET.";
        assert!(flowing(&ended).contains(place), "{}", ended.stdout);
        assert_eq!(airbyte.handle().counts().token_requests, 1, "guessing");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_of_the_server_may_be_wrong_credentials() {
    let airbyte = failing(Fault::ErrorId(StatusCode::INTERNAL_SERVER_ERROR));
    let ended = configured(&airbyte.api_url(), &airbyte).run().await;
    told(&ended, "Airbyte fails at http://", &[]);
    assert!(flowing(&ended).contains("check the client id and secret first"), "{}", ended.stdout);
    assert!(flowing(&ended).contains("(errorId "), "{}", ended.stdout);
    assert_eq!(airbyte.handle().counts().token_requests, 5, "each way once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clocks_that_differ_are_to_be_set() {
    for (clock_skew, side) in [(600, "behind"), (-600, "ahead of")] {
        let airbyte = airbyte(Options { clock_skew, ..Options::default() });
        let ended = configured(&airbyte.api_url(), &airbyte).run().await;
        told(&ended, &format!("this machine's clock is 10 min {side} Airbyte's; set the clock"), &[]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_life_that_is_not_as_promised_is_a_note_since_the_proxy_copes() {
    let airbyte = airbyte(Options::default());
    let short = Grant { lifetime: Some(Duration::from_secs(180)), ..Grant::default() };
    airbyte.handle().set_fault(Some(Fault::Grant(short)));
    let ended = configured(&airbyte.api_url(), &airbyte).run().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stdout);
    let text = flowing(&ended);
    let note = "note: tokens live 3 min by their own exp, while expires_in promises 15 min: the proxy goes by exp, \
                so nothing is to be written";
    assert!(text.contains(note), "{}", ended.stdout);
    assert!(text.contains("life 3 min by its exp, 15 min by expires_in"), "{}", ended.stdout);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_authority_is_to_be_named() {
    let airbyte = airbyte(Options::default());
    let encrypted = Encrypted::of(&airbyte).await;
    let url = format!("https://localhost:{}/v1", encrypted.port);
    let ended = configured(&url, &airbyte).run().await;
    let what = "the certificate of localhost is not by an authority that this machine trusts";
    told(&ended, what, &["upstream.ca_file = \"/PATH/TO/ca.pem\""]);
    let ended = configured(&url, &airbyte).env("AIRBYTE_PROXY_UPSTREAM_CA_FILE", tls::ca_file()).run().await;
    assert_eq!(ended.code, Some(0), "the remedy works: {}", ended.stdout);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_on_a_port_for_https_is_told() {
    let airbyte = airbyte(Options::default());
    let encrypted = Encrypted::of(&airbyte).await;
    let port = encrypted.port;
    let ended = configured(&format!("http://localhost:{port}/v1"), &airbyte)
        .env("AIRBYTE_PROXY_UPSTREAM_CA_FILE", tls::ca_file())
        .run()
        .await;
    let right = format!("upstream.api_url = \"https://localhost:{port}/v1\"");
    told(&ended, &format!("localhost:{port} speaks https, not http;"), &[&right]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn https_on_a_port_for_http_is_told() {
    let airbyte = airbyte(Options::default());
    let port = airbyte.addr().port();
    let ended = configured(&format!("https://127.0.0.1:{port}/v1"), &airbyte).run().await;
    let right = format!("upstream.api_url = \"http://127.0.0.1:{port}/v1\"");
    told(&ended, &format!("127.0.0.1:{port} speaks http, not https;"), &[&right]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_port_is_named_and_asked_once() {
    let airbyte = airbyte(Options::default());
    let port = free_port();
    let ended = configured(&format!("http://127.0.0.1:{port}/v1"), &airbyte).run().await;
    let abctl = "upstream.api_url = \"http://localhost:8000/api/public/v1\"";
    told(&ended, &format!("nothing listens at 127.0.0.1, port {port};"), &[abctl]);
    assert_eq!(ended.stdout.matches("POST").count(), 1, "{}", ended.stdout);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_without_an_address_is_told() {
    let airbyte = airbyte(Options::default());
    let ended = configured("https://no-such-host.invalid/v1", &airbyte).run().await;
    let template = "upstream.api_url = \"https://HOST/api/public/v1\"";
    told(&ended, "the name no-such-host.invalid has no address;", &[template]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_in_front_is_not_followed() {
    let airbyte = failing(Fault::Redirect("https://sso.example/login?state=x".to_owned()));
    let ended = configured(&airbyte.api_url(), &airbyte).run().await;
    assert_eq!(ended.code, Some(1));
    let what = "sends elsewhere, to https://sso.example/login, and a secret does not follow a redirect";
    assert!(flowing(&ended).contains(what), "{}", ended.stdout);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_for_people_is_no_api() {
    let airbyte = failing(Fault::Html(StatusCode::OK));
    let ended = configured(&airbyte.api_url(), &airbyte).run().await;
    let address = airbyte.addr();
    let template = format!("upstream.api_url = \"http://{address}/api/public/v1\"");
    told(
        &ended,
        &format!("no Airbyte API at {address}: a page for people answers there (200);"),
        &[&template],
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_may_read_nothing_wants_a_role() {
    let airbyte = airbyte(Options::default());
    airbyte.handle().set_api_fault(Some(ApiFault::Forbidden));
    let ended = configured(&airbyte.api_url(), &airbyte).run().await;
    told(&ended, "the token is good, but its owner may not read", &[]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_that_fails_is_told_from_a_token_endpoint_that_does() {
    let airbyte = airbyte(Options::default());
    airbyte.handle().set_api_fault(Some(ApiFault::ErrorId(StatusCode::INTERNAL_SERVER_ERROR)));
    let ended = configured(&airbyte.api_url(), &airbyte).run().await;
    told(&ended, "there is a token, but the API itself fails:", &[]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_of_ours_that_is_taken_is_replaced_by_a_free_one() {
    let airbyte = airbyte(Options::default());
    let other = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = other.local_addr().expect("bound");
    let ended =
        configured(&airbyte.api_url(), &airbyte).env("AIRBYTE_PROXY_LISTEN", address.to_string()).run().await;
    assert_eq!(ended.code, Some(1), "{}", ended.stdout);
    let what =
        format!("wrong: cannot listen on http://{address}: it is taken by another program; choose another");
    assert!(flowing(&ended).contains(&what), "{}", ended.stdout);
    assert!(ended.stdout.contains("  listen = [\"127.0.0.1:"), "{}", ended.stdout);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_airbyte_proxy_on_our_port_is_no_mistake() {
    let airbyte = airbyte(Options::default());
    let proxy = crate::harness::process::in_front_of(&airbyte).start().await;
    let ended = configured(&airbyte.api_url(), &airbyte)
        .env("AIRBYTE_PROXY_LISTEN", proxy.addr.to_string())
        .run()
        .await;
    assert_eq!(ended.code, Some(0), "{}", ended.stdout);
    assert!(flowing(&ended).contains(": an airbyte-proxy answers there"), "{}", ended.stdout);
    proxy.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_secret_does_not_travel_in_clear_to_find_out() {
    let airbyte = airbyte(Options::default());
    let ended = doctor("--url http://no-such-host.invalid", &airbyte).run().await;
    let settings =
        ["upstream.api_url = \"http://no-such-host.invalid/api/public/v1\"", "upstream.allow_http = true"];
    told(
        &ended,
        "no-such-host.invalid does not answer over https, and over http the client secret",
        &settings,
    );
    assert!(!ended.stdout.contains("asked at http://"), "{}", ended.stdout);
}

#[tokio::test]
async fn what_is_written_wrongly_and_missing_credentials_are_2() {
    let open = airbyte_proxy("doctor --upstream-api-url http://airbyte.corp").run().await;
    assert_eq!(open.code, Some(2), "{}", open.stderr);
    assert!(open.stderr.contains("hint: https://"), "{}", open.stderr);
    let nobody = airbyte_proxy("doctor").run().await;
    assert_eq!(nobody.code, Some(2), "{}", nobody.stderr);
    assert!(nobody.stderr.contains("no credentials"), "{}", nobody.stderr);
    let url = airbyte_proxy("doctor --url ftp://x").run().await;
    assert_eq!(
        (url.code, url.stderr.trim()),
        (Some(2), "--url: scheme must be http or https, found \"ftp\"")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_file_that_others_can_read_is_told_with_the_remedy() {
    let airbyte = airbyte(Options::default());
    let start = airbyte_proxy("doctor --client-id x").upstream(&airbyte);
    let secret = start.folder().join("secret");
    std::fs::write(&secret, "not-so-secret").expect("written");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(&secret, mode).expect("chmod");
    let ended = start.arg("--client-secret-file").arg(&secret).run().await;
    assert_eq!(ended.code, Some(2), "{}", ended.stdout);
    assert!(ended.stderr.contains(&format!("hint: chmod 600 {}", secret.display())), "{}", ended.stderr);
    assert_eq!(airbyte.handle().counts().token_requests, 0);
}
