//! What the `/-/` routes are told of the rest.

use std::sync::Arc;

use http::Method;

use crate::airbyte::{self, BaseUrl};
use crate::config::Config;
use crate::control::{About, ControlState, End, Readiness, Status, TokenLife, TokenReadiness};
use crate::guard::Policy;
use crate::server::Stop;
use crate::telemetry::metrics::{Format, Metrics, Token};
use crate::token::{Health, Mood, TokenHandle};

/// What the `/-/` routes tell.
#[derive(Clone)]
pub(super) struct State {
    pub(super) tokens: TokenHandle,
    pub(super) stop: Stop,
    pub(super) public_url: Option<BaseUrl>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) about: About,
    pub(super) policy: Arc<Policy>,
    pub(super) allow_quit: bool,
}

impl ControlState for State {
    fn public_url(&self) -> Option<&BaseUrl> {
        self.public_url.as_ref()
    }

    fn about(&self) -> &About {
        &self.about
    }

    fn denied(&self, client: Option<&str>) -> Vec<(&'static str, String)> {
        let denied = airbyte::endpoints::endpoints().iter().filter_map(|endpoint| {
            let method = Method::from_bytes(endpoint.method.as_bytes()).ok()?;
            let why = self.policy.denial(&method, endpoint.path, client)?;
            Some((endpoint.operation, why))
        });
        denied.collect()
    }

    fn token(&self) -> TokenLife {
        let mood = |mood| match mood {
            Mood::Good => "good",
            Mood::Warning => "warning",
            Mood::Bad => "bad",
            Mood::Neutral => "neutral",
        };
        let happenings = self.tokens.history().into_iter();
        TokenLife {
            now: self.tokens.clock().now().wall,
            from_to: self.tokens.life(),
            history: happenings.map(|one| (one.at, mood(one.mood), one.what)).collect(),
        }
    }

    fn end(&self) -> End {
        let stop = self.stop.clone();
        Box::pin(async move { stop.closing().await })
    }

    fn quit(&self) -> bool {
        if self.allow_quit {
            tracing::info!("asked to quit");
            self.stop.drain();
        }
        self.allow_quit
    }

    fn readiness(&self) -> Readiness {
        let token = self.tokens.status();
        let status = match token.health {
            _ if self.stop.is_draining() => Status::Draining,
            Health::Starting => Status::Starting,
            Health::Ready => Status::Ready,
            Health::Degraded => Status::Degraded,
            Health::Broken => Status::Broken,
        };
        Readiness {
            status,
            reason: token.reason,
            token: TokenReadiness {
                generation: token.generation,
                expires_in: token.expires_in,
                next_attempt_in: token.next_attempt,
            },
        }
    }

    fn metrics(&self, format: Format) -> String {
        let mints = self.tokens.mints();
        self.metrics.report(
            format,
            &Token {
                state: self.readiness().status.as_str(),
                expires_in: self.tokens.status().expires_in.unwrap_or_default(),
                last_success: mints.last_success,
                mints: [
                    ("granted", mints.granted),
                    ("rejected", mints.rejected),
                    ("misconfigured", mints.misconfigured),
                    ("transient", mints.transient),
                ],
            },
        )
    }
}

/// `keys`: whether clients must show one.
pub(super) fn about(config: &Config, keys: bool) -> About {
    About { name: config.name.clone(), upstream: config.upstream.api_url.authority().to_string(), keys }
}
