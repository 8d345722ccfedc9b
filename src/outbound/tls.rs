//! Whom we trust: the platform's roots and the user's own, TLS 1.2 and up, one crypto provider named explicitly.
//!
//! There is no switch that turns verification off (RFC 9325 §7.1); a private authority is added by `upstream.ca_file`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier};
use rustls_platform_verifier::Verifier;

/// Why no server can be trusted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// `upstream.ca_file` cannot be read or holds no certificate.
    #[error("upstream.ca_file: cannot use {path}: {reason}")]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// No roots at all.
    #[error("no root certificates: install the system's (package ca-certificates) or set upstream.ca_file")]
    NoRoots(#[source] rustls::Error),
    /// The build lacks cipher suites.
    #[error("the TLS library supports neither TLS 1.2 nor 1.3")]
    Provider(#[source] rustls::Error),
}

/// Why a TLS handshake failed, as far as somebody can do something about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Distrust {
    /// Nobody we trust vouches for the certificate.
    UnknownAuthority,
    /// The certificate is for another name.
    OtherName,
    /// By this machine's clock, the certificate is not valid yet or no longer.
    Dates,
    /// What answers does not speak TLS.
    NotTls,
    /// Anything else.
    Other,
}

/// What `error`, or an error within it, says of TLS. None: it is about something else.
pub fn distrust(error: &(dyn std::error::Error + 'static)) -> Option<Distrust> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(tls) = error.downcast_ref::<rustls::Error>() {
            return Some(distrust_of(tls));
        }
        // An `io::Error` is transparent: its source is not what it wraps, but the source of that.
        let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        cause = match wrapped {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
    }
    None
}

fn distrust_of(error: &rustls::Error) -> Distrust {
    use rustls::CertificateError as Certificate;

    match error {
        rustls::Error::InvalidCertificate(certificate) => match certificate {
            Certificate::NotValidForName | Certificate::NotValidForNameContext { .. } => Distrust::OtherName,
            Certificate::Expired
            | Certificate::ExpiredContext { .. }
            | Certificate::NotValidYet
            | Certificate::NotValidYetContext { .. } => Distrust::Dates,
            // Some self-signed certificates are turned down before anybody asks who vouches for them.
            _ => Distrust::UnknownAuthority,
        },
        rustls::Error::InvalidMessage(_) => Distrust::NotTls,
        _ => Distrust::Other,
    }
}

/// Loaded roots.
#[derive(Debug, Clone)]
pub(super) struct Trust(ClientConfig);

impl Trust {
    /// The platform's roots, and those in `ca_file`.
    pub(super) fn load(ca_file: Option<&Path>) -> Result<Self, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let extra = ca_file.map(certificates).transpose()?.unwrap_or_default();
        let verifier =
            Verifier::new_with_extra_roots(extra, Arc::clone(&provider)).map_err(TlsError::NoRoots)?;
        let config = versions(provider)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        Ok(Self(config))
    }

    /// For a process that talks to nobody over TLS: loading roots takes milliseconds that a start need not spend.
    pub(super) fn nobody() -> Result<Self, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = versions(provider)?.with_root_certificates(RootCertStore::empty()).with_no_client_auth();
        Ok(Self(config))
    }

    pub(super) fn client(&self, alpn: &[&[u8]]) -> Arc<ClientConfig> {
        let mut config = self.0.clone();
        config.alpn_protocols = alpn.iter().map(|p| p.to_vec()).collect();
        Arc::new(config)
    }
}

fn versions(provider: Arc<CryptoProvider>) -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, TlsError> {
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Provider)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let failed = |reason: String| TlsError::CaFile { path: path.to_owned(), reason };
    let read = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| failed(error.to_string()))?;
    if read.is_empty() {
        return Err(failed("it contains no certificate in PEM form".to_owned()));
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_certificates_is_named() {
        let file = tempfile::NamedTempFile::new().expect("temp file");
        let error = Trust::load(Some(file.path())).expect_err("empty file");
        assert!(error.to_string().contains("contains no certificate"), "{error}");
        assert!(Trust::load(Some(Path::new("/nonexistent.pem"))).is_err());
    }
}
