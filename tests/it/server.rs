//! The composition as a whole: tasks that fall, requests that do, and what it must not ask.

use std::sync::Arc;

use airbyte_proxy::airbyte::BaseUrl;
use airbyte_proxy::app::App;
use airbyte_proxy::clock::Clock;
use airbyte_proxy::config::{CeilingFile, Environment, Flags, Loaded, load_below};
use airbyte_proxy::control::{About, Control, ControlState, End, Readiness, TokenLife};
use airbyte_proxy::demo::{ApiFault, Gate, Options, Simulator};
use airbyte_proxy::guard::Guard;
use airbyte_proxy::outbound::{Outbound, OutboundProxy};
use airbyte_proxy::proxy::{self, Proxy, Shared};
use airbyte_proxy::server::{self, Listen, Stop};
use airbyte_proxy::telemetry::metrics::{self, Format, Metrics};
use http::{Method, StatusCode};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::harness::daemon::{self, try_got};
use crate::harness::process::{SOON, airbyte, client, free_port};

fn loaded(airbyte: &Simulator) -> Loaded {
    let (id, secret, url) = (airbyte.client_id(), airbyte.client_secret(), airbyte.api_url());
    let env: Environment = [
        ("AIRBYTE_CLIENT_ID", id.as_str()),
        ("AIRBYTE_CLIENT_SECRET", secret.expose()),
        ("AIRBYTE_PROXY_UPSTREAM_API_URL", url.as_str()),
        ("AIRBYTE_PROXY_LISTEN", "127.0.0.1:0"),
    ]
    .into_iter()
    .collect();
    let nothing = CeilingFile::new(std::path::Path::new("/nonexistent"), 0);
    load_below(&nothing, &Flags::default(), &env).expect("valid")
}

async fn bound(airbyte: &Simulator, stop: &Stop) -> App {
    let loaded = loaded(airbyte);
    let source = loaded.credentials.expect("credentials");
    App::bind(&loaded.config, source, Clock::system(), stop.clone()).await.expect("bound")
}

#[tokio::test]
async fn a_task_that_ends_by_itself_drains_and_fails_the_daemon() {
    let airbyte = airbyte(Options::default());
    let gate = Gate::new();
    airbyte.handle().set_api_fault(Some(ApiFault::Hold(gate.clone())));
    let stop = Stop::new();
    let app = bound(&airbyte, &stop).await;
    let Some(&Listen::Tcp(at)) = app.addresses().first() else { panic!("an address") };
    let tokens = app.tokens().clone();
    let mut running = tokio::spawn(app.run(Arc::default()));
    let request = client().request(Method::GET, format!("http://{at}/v1/workspaces"));
    let asking = tokio::spawn(try_got(request));
    timeout(SOON, airbyte.handle().until(|counts| counts.held == 1)).await.expect("under way");
    // Ends the keeper of the token.
    tokens.close();
    let drained = async {
        tokio::select! {
            () = stop.closing() => {}
            ended = &mut running => panic!("the request in flight is lost: {ended:?}"),
        }
    };
    timeout(SOON, drained).await.expect("the drain begins");
    gate.open();
    let answer = asking.await.expect("no panic").expect("a whole answer");
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    let ended = timeout(SOON, running).await.expect("ends").expect("no panic");
    assert_eq!(ended.expect_err("a failure").to_string(), "the task of the token ended unexpectedly");
}

#[tokio::test]
async fn at_the_end_no_token_is_lent() {
    let airbyte = airbyte(Options::default());
    let stop = Stop::new();
    let app = bound(&airbyte, &stop).await;
    let tokens = app.tokens().clone();
    let running = tokio::spawn(app.run(Arc::default()));
    timeout(SOON, tokens.acquire()).await.expect("soon").expect("a token");
    stop.drain();
    let _ = timeout(SOON, running).await.expect("ends").expect("no panic").expect("as told");
    assert_eq!(tokens.status().generation, None);
    assert!(tokens.acquire().await.is_err());
}

/// What the configuration cannot know, because the kernel chose the port.
#[tokio::test]
async fn an_address_that_turns_out_to_be_its_own_is_nothing_to_ask() {
    let airbyte = airbyte(Options::default());
    for key in ["upstream.api_url", "upstream.config_api_url", "token.url"] {
        let Loaded { mut config, credentials, .. } = loaded(&airbyte);
        let port = free_port();
        config.server.listen = vec![Listen::Tcp(([127, 0, 0, 1], port).into())];
        let own = BaseUrl::parse(&format!("http://localhost:{port}/v1")).expect("a URL");
        match key {
            "upstream.api_url" => config.upstream.api_url = own,
            "upstream.config_api_url" => config.upstream.config_api_url = Some(own),
            _ => config.mint.url = own,
        }
        let source = credentials.expect("credentials");
        let refused = App::bind(&config, source, Clock::system(), Stop::new()).await.expect_err(key);
        let told = format!("{key}: http://localhost:{port}/v1 is an address this proxy listens on itself");
        assert_eq!(refused.to_string(), told);
        assert!(refused.is_configuration());
    }
}

/// State of the control routes with a bug in it.
struct Buggy;

impl ControlState for Buggy {
    fn readiness(&self) -> Readiness {
        panic!("a bug")
    }

    fn public_url(&self) -> Option<&BaseUrl> {
        None
    }

    fn metrics(&self, _: Format) -> String {
        String::new()
    }

    fn about(&self) -> &About {
        panic!("a bug")
    }

    fn denied(&self, _: Option<&str>) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    fn token(&self) -> TokenLife {
        TokenLife::default()
    }

    fn end(&self) -> End {
        Box::pin(std::future::pending())
    }

    fn quit(&self) -> bool {
        false
    }
}

/// It was counted as a caller that left (499), and as an answer to nothing that is known (500).
#[tokio::test]
async fn a_request_whose_handling_panics_is_counted_once_and_as_what_it_was() {
    let daemon = daemon::daemon("http://localhost:9/v1").await;
    let settings = daemon::settings("http://localhost:9/v1");
    let guard = Guard::new(settings.guard, None);
    let metrics = Arc::new(Metrics::new(proxy::labels(&guard), Clock::system().now()));
    let (tokens, control) = (daemon.tokens.clone(), Control::new(Buggy));
    let shared = Shared::new(&settings.proxy, tokens, guard, control, Arc::clone(&metrics));
    let outbound = Outbound::new(&[], None, &OutboundProxy::None).expect("outbound");
    let (_told, resumed) = watch::channel(0);
    let proxy = Proxy::new(Arc::new(shared), &settings.upstream, &outbound, &resumed).expect("a proxy");
    let listen = vec![Listen::Tcp(([127, 0, 0, 1], 0).into())];
    let bound = server::bind(&server::Config { listen, ..server::Config::default() }).await.expect("a port");
    let Some(&Listen::Tcp(at)) = bound.addresses().first() else { panic!("an address") };
    let stop = Stop::new();
    let serving = tokio::spawn(bound.serve(move |_| proxy.clone(), stop.clone()));

    let request =
        client().request(Method::GET, format!("http://{at}/-/ready")).header("x-request-id", "mine");
    let got = try_got(request).await.expect("an answer");
    assert_eq!(got.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!((got.problem().as_str(), got.header("x-request-id")), ("internal", Some("mine")));

    stop.drain();
    let _ = timeout(SOON, serving).await.expect("it ends").expect("no panic");
    let report = metrics.report(Format::Plain, &metrics::Token::default());
    let counted: Vec<&str> =
        report.lines().filter(|line| line.starts_with("airbyte_proxy_requests_total{")).collect();
    let once = r#"airbyte_proxy_requests_total{method="GET",route="/-/",status="5xx",answered_by="proxy"} 1"#;
    assert_eq!(counted, [once]);
}
