//! What this machine has to do with it: listeners, the way out, trust.

use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;

use super::Subject;
use super::verdict::Finding;
use crate::outbound::{Hop, Outbound, OutboundProxy};
use crate::server::{self, BindError, Listen};

/// How many ports above the one that is taken are looked at.
const NEIGHBOURS: u16 = 50;

/// What was seen.
#[derive(Debug, Default)]
pub(super) struct Local {
    /// What it is, and how it is.
    pub(super) rows: Vec<(&'static str, String)>,
    pub(super) wrong: Vec<Finding>,
    pub(super) hop: Option<Hop>,
}

pub(super) async fn look(subject: &Subject<'_>) -> Local {
    let mut local = Local::default();
    listen(subject, &mut local).await;
    way_out(subject, &mut local);
    let trust = match &subject.config.upstream.ca_file {
        Some(file) => format!("the system's certificates and {}", file.display()),
        None => "the system's certificates".to_owned(),
    };
    local.rows.push(("trust", trust));
    local.rows.extend(subject.secret_place.map(|place| ("secret", format!("from {place}"))));
    local
}

/// Binds as the proxy would, and lets go again.
async fn listen(subject: &Subject<'_>, local: &mut Local) {
    let mut config = subject.config.server.clone();
    config.workers = NonZeroUsize::MIN;
    let all: Vec<_> = config.listen.iter().map(ToString::to_string).collect();
    let state = match server::bind(&config).await {
        Ok(_) => "free".to_owned(),
        // Most likely the one that is being looked into.
        Err(BindError::TakenByUs(_)) => "an airbyte-proxy answers there".to_owned(),
        Err(error) => {
            let settings = match &error {
                BindError::Taken(Listen::Tcp(address)) => free_near(*address)
                    .map(|free| subject.setting("listen", format!("[\"{free}\"]")))
                    .into_iter()
                    .collect(),
                _ => Vec::new(),
            };
            let hint = error.hint().map_or(String::new(), |hint| format!("; {hint}"));
            local.wrong.push(Finding {
                what: error.to_string(),
                fix: Some(format!("choose another{hint}")),
                settings,
            });
            "not possible".to_owned()
        }
    };
    local.rows.push(("listen", format!("{}: {state}", all.join(", "))));
}

fn free_near(taken: SocketAddr) -> Option<SocketAddr> {
    let ports = (1..=NEIGHBOURS).filter_map(|step| taken.port().checked_add(step));
    ports.map(|port| SocketAddr::new(taken.ip(), port)).find(|near| TcpListener::bind(near).is_ok())
}

fn way_out(subject: &Subject<'_>, local: &mut Local) {
    let upstream = &subject.config.upstream;
    // Only the way is asked for, so no trust is needed; http targets load none.
    let proxies = Outbound::new(&[], None, &upstream.proxy).ok();
    let url =
        if subject.may_ask(subject.url()) { subject.url().clone() } else { subject.url().other_scheme() };
    let way = match proxies.map(|outbound| outbound.hop(&url)) {
        Some(Ok(Some(hop))) => {
            let source = match &upstream.proxy {
                OutboundProxy::Url(_) => "upstream.proxy",
                _ => "HTTPS_PROXY or ALL_PROXY",
            };
            let way = format!("through {hop} ({source})");
            local.hop = Some(hop);
            way
        }
        // Nobody can be asked that way, which is what will be told.
        Some(Err(_)) => "through a proxy of an unknown kind".to_owned(),
        _ => "direct".to_owned(),
    };
    local.rows.push(("way out", way));
}
