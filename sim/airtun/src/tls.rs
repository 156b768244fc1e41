//! Certificates: made on the spot for a laboratory, or read from files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{CertificateParams, DnType, KeyPair, SerialNumber, SignatureAlgorithm};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// Which key a made certificate has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// Signatures of fixed length: nothing random changes a packet's size.
    Ed25519,
    /// What real boards understand: mbedTLS knows no Ed25519.
    EcdsaP256,
}

/// Why no TLS set-up could be made.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file that could not be read or understood.
    #[error("cannot use {what} {path}: {error}")]
    File {
        /// `certificate` or `private key`.
        what: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why.
        error: String,
    },
    /// A certificate could not be made for these names.
    #[error("cannot make a certificate for {names:?}: {error}")]
    Make {
        /// The host names.
        names: Vec<String>,
        /// Why.
        error: String,
    },
    /// Key and certificate do not go together.
    #[error("certificate and private key cannot be used: {0}")]
    Use(#[from] rustls::Error),
}

/// A server set-up with a self-signed certificate for `names`. Serial number
/// and validity are fixed, so that certificates differ in key and signature
/// only.
pub fn self_signed(names: &[String], kind: KeyKind) -> Result<Arc<ServerConfig>, TlsError> {
    let make = |error: rcgen::Error| TlsError::Make {
        names: names.to_vec(),
        error: error.to_string(),
    };
    let algorithm: &SignatureAlgorithm = match kind {
        KeyKind::Ed25519 => &rcgen::PKCS_ED25519,
        KeyKind::EcdsaP256 => &rcgen::PKCS_ECDSA_P256_SHA256,
    };
    let key = KeyPair::generate_for(algorithm).map_err(make)?;
    let mut params = CertificateParams::new(names.to_vec()).map_err(make)?;
    params.serial_number = Some(SerialNumber::from(1u64));
    params
        .distinguished_name
        .push(DnType::CommonName, "airtun (airbench)");
    let certificate = params.self_signed(&key).map_err(make)?;
    let der = PrivatePkcs8KeyDer::from(key.serialize_der());
    config(vec![certificate.der().clone()], der.into())
}

/// A server set-up from PEM files: a certificate chain and its key.
pub fn from_files(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>, TlsError> {
    let file = |what, path: &Path, error: String| TlsError::File {
        what,
        path: path.to_owned(),
        error,
    };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| file("certificate", certificate, error.to_string()))?;
    if chain.is_empty() {
        return Err(file(
            "certificate",
            certificate,
            "no certificate in it".into(),
        ));
    }
    let key = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| file("private key", key, error.to_string()))?;
    config(chain, key)
}

fn config(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<ServerConfig>, TlsError> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    // Tickets and resumed sessions would make two connections differ.
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    Ok(Arc::new(config))
}
