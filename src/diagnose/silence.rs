//! What it means that no answer came. Pure.

use super::Subject;
use super::examine::Examined;
use super::local::Local;
use super::verdict::{Finding, template};
use crate::airbyte::BaseUrl;
use crate::airbyte::paths::SELF_MANAGED_API;
use crate::mint::{Silence, Why};
use crate::outbound::Distrust;

const ABCTL: &str = "http://localhost:8000/api/public/v1";

/// No answer at all.
pub(super) fn silent(
    subject: &Subject<'_>,
    local: &Local,
    examined: &Examined,
    url: &BaseUrl,
    silence: &Silence,
) -> Finding {
    if let Some(wanted) = &examined.unsafe_url {
        return Finding {
            what: format!(
                "{} does not answer over https, and over http the client secret would travel in clear",
                wanted.host()
            ),
            fix: Some("have it speak TLS; or, if the network between is yours alone, allow it".to_owned()),
            settings: vec![
                subject.url_setting("upstream.api_url", &template(wanted)),
                subject.setting("upstream.allow_http", "true"),
            ],
        };
    }
    if let Some(hop) = local.hop.as_ref().filter(|_| !matches!(silence.why, Why::Tls(_))) {
        return Finding {
            what: format!(
                "no connection to {} through the outbound proxy {hop}: {}",
                url.authority(),
                silence.message
            ),
            fix: Some("go without it if Airbyte is in your own network, or correct it".to_owned()),
            settings: vec![subject.setting("upstream.proxy", "\"none\"")],
        };
    }
    match silence.why {
        Why::Tls(distrust) => untrusted(subject, url, distrust, silence),
        why => unreached(subject, url, why, silence),
    }
}

fn unreached(subject: &Subject<'_>, url: &BaseUrl, why: Why, silence: &Silence) -> Finding {
    let (host, port) = (url.host(), url.port());
    let (what, fix, setting) = match why {
        Why::Name => (
            format!("the name {host} has no address"),
            "correct it; if it is right, mend this machine's DNS or its VPN",
            subject.setting("upstream.api_url", format!("\"https://HOST{SELF_MANAGED_API}\"")),
        ),
        Why::Refused => (
            format!("nothing listens at {host}, port {port}"),
            "see that Airbyte runs, and name its port; abctl's is 8000",
            if url.is_loopback() && port != 8000 {
                subject.setting("upstream.api_url", format!("\"{ABCTL}\""))
            } else {
                let to = format!("\"{}://{host}:PORT{SELF_MANAGED_API}\"", url.scheme());
                subject.setting("upstream.api_url", to)
            },
        ),
        Why::Timeout => (
            format!("{host}, port {port} does not answer in time"),
            "see that Airbyte is up and a firewall lets this machine through; if the way is through a proxy, name it",
            subject.setting("upstream.proxy", "\"http://PROXY:PORT\""),
        ),
        Why::NotHttp | Why::Tls(_) | Why::Other => (
            format!("what listens at {host}, port {port} does not speak HTTP: {}", silence.message),
            "name the port at which Airbyte answers",
            subject
                .setting("upstream.api_url", format!("\"{}://{host}:PORT{SELF_MANAGED_API}\"", url.scheme())),
        ),
    };
    Finding { what, fix: Some(fix.to_owned()), settings: vec![setting] }
}

fn untrusted(subject: &Subject<'_>, url: &BaseUrl, distrust: Distrust, silence: &Silence) -> Finding {
    let host = url.host();
    let (what, fix, settings) = match distrust {
        Distrust::UnknownAuthority => {
            let by = match &subject.config.upstream.ca_file {
                Some(file) => format!("nor by one in {}", file.display()),
                None => "and none is named besides".to_owned(),
            };
            (
                format!("the certificate of {host} is not by an authority that this machine trusts, {by}"),
                "get the authority's certificate (PEM) from whoever runs it",
                vec![subject.setting("upstream.ca_file", "\"/PATH/TO/ca.pem\"")],
            )
        }
        Distrust::OtherName => (
            format!("the certificate that answers at {host} is for another name"),
            "name the host that it is for",
            vec![subject.setting("upstream.api_url", format!("\"https://HOST{SELF_MANAGED_API}\""))],
        ),
        Distrust::Dates => (
            format!("by this machine's clock the certificate of {host} has run out or is not valid yet"),
            "look at this machine's clock; if it is right, have the certificate renewed",
            Vec::new(),
        ),
        Distrust::NotTls if subject.may_ask(&url.other_scheme()) => (
            format!("{} does not speak TLS, and is not Airbyte either", url.authority()),
            "name the port at which Airbyte answers",
            vec![subject.setting("upstream.api_url", format!("\"http://{host}:PORT{SELF_MANAGED_API}\""))],
        ),
        Distrust::NotTls => (
            format!("{} speaks http, not https", url.authority()),
            "have it speak TLS; or, if the network between is yours alone, allow the secret to travel in clear",
            vec![
                subject.url_setting("upstream.api_url", &template(&url.other_scheme())),
                subject.setting("upstream.allow_http", "true"),
            ],
        ),
        Distrust::Other => (
            format!("no TLS connection to {}: {}", url.authority(), silence.message),
            "see what it speaks: TLS 1.2 or 1.3 is needed",
            Vec::new(),
        ),
    };
    Finding { what, fix: Some(fix.to_owned()), settings }
}
