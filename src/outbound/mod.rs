//! How this machine reaches another: whom to trust, through which proxy, and when to come again. Shared by the data
//! path and the mint, so that both always take the same way out.

mod proxies;
mod times;
mod tls;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use rustls::ClientConfig;

pub use proxies::{Hop, OutboundProxy, ProxyUrl, UnsupportedProxy};
pub(crate) use times::{date, retry_after};
pub use tls::{Distrust, TlsError, distrust};

use crate::airbyte::BaseUrl;

/// Trust and proxies, resolved once at start.
#[derive(Debug, Clone)]
pub struct Outbound {
    trust: tls::Trust,
    proxies: proxies::Proxies,
}

/// Why there is no way out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutboundError {
    /// See [`TlsError`].
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl Outbound {
    /// Loads the roots of trust where any of `targets` needs them.
    pub fn new(
        targets: &[&BaseUrl],
        ca_file: Option<&Path>,
        proxy: &OutboundProxy,
    ) -> Result<Self, OutboundError> {
        let encrypted = targets.iter().any(|url| url.is_https());
        let trust = if encrypted { tls::Trust::load(ca_file)? } else { tls::Trust::nobody()? };
        let outbound = Self { trust, proxies: proxies::Proxies::new(proxy) };
        let hops: BTreeSet<_> =
            targets.iter().filter_map(|url| outbound.hop(url).ok()?).map(|h| h.to_string()).collect();
        for via in hops {
            // Often set by somebody else, long ago: without this line its failures look like Airbyte's.
            tracing::info!(
                via,
                "requests leave through an outbound proxy (upstream.proxy or the environment)"
            );
        }
        Ok(outbound)
    }

    /// TLS for a client that offers `alpn`. Trusts nobody if no target was https.
    pub fn tls(&self, alpn: &[&[u8]]) -> Arc<ClientConfig> {
        self.trust.client(alpn)
    }

    /// The proxy on the way to `target`, if there is one.
    pub fn hop(&self, target: &BaseUrl) -> Result<Option<Hop>, UnsupportedProxy> {
        self.proxies.hop(target)
    }
}
