//! A certificate authority of our own, made anew for each run.

use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

struct Authority {
    ca_file: tempfile::NamedTempFile,
    chain: Vec<CertificateDer<'static>>,
    key: Vec<u8>,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

static AUTHORITY: LazyLock<Authority> = LazyLock::new(|| {
    let mut ca = CertificateParams::new(vec![]).expect("parameters");
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate().expect("key")).expect("self-signed");
    let key = KeyPair::generate().expect("key");
    let server = CertificateParams::new(vec!["localhost".to_owned()]).expect("parameters");
    let server = server.signed_by(&key, &ca).expect("signed");
    let ca_file = tempfile::NamedTempFile::new().expect("temp file");
    std::fs::write(ca_file.path(), ca.pem()).expect("written");
    Authority { ca_file, chain: vec![server.der().clone()], key: key.serialize_der(), issuer: ca }
});

/// For `upstream.ca_file`.
pub(crate) fn ca_file() -> PathBuf {
    AUTHORITY.ca_file.path().to_owned()
}

/// Servers that must not be trusted, and why.
pub(crate) fn untrusted() -> Vec<(&'static str, Arc<ServerConfig>)> {
    let parameters = |name: &str| CertificateParams::new(vec![name.to_owned()]).expect("parameters");
    let key = KeyPair::generate().expect("key");
    let unknown = parameters("localhost").self_signed(&key).expect("signed");
    let by_ca = |params: CertificateParams| params.signed_by(&key, &AUTHORITY.issuer).expect("signed");
    let elsewhere = by_ca(parameters("elsewhere.example"));
    let mut expired = parameters("localhost");
    (expired.not_before, expired.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
    let expired = by_ca(expired);
    let mut future = parameters("localhost");
    (future.not_before, future.not_after) = (date_time_ymd(2090, 1, 1), date_time_ymd(2091, 1, 1));
    let future = by_ca(future);
    [
        ("unknown authority", unknown),
        ("another name", elsewhere),
        ("expired", expired),
        ("not yet valid", future),
    ]
    .map(|(what, certificate)| (what, config(vec![certificate.der().clone()], key.serialize_der(), false)))
    .into()
}

/// A server named `localhost`, offering h2 (and HTTP/1.1) or HTTP/1.1 alone.
pub(crate) fn server(h2: bool) -> Arc<ServerConfig> {
    config(AUTHORITY.chain.clone(), AUTHORITY.key.clone(), h2)
}

fn config(chain: Vec<CertificateDer<'static>>, key: Vec<u8>, h2: bool) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = PrivateKeyDer::try_from(key).expect("a key");
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("certificate");
    config.alpn_protocols =
        if h2 { vec![b"h2".to_vec(), b"http/1.1".to_vec()] } else { vec![b"http/1.1".to_vec()] };
    Arc::new(config)
}
