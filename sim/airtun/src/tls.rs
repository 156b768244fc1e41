//! Certificates: made on the spot for a laboratory, or read from files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{CertificateParams, DnType, KeyPair, SerialNumber, date_time_ymd};
use rsa::RsaPrivateKey;
use rsa::pkcs8::EncodePrivateKey;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};

/// Length of a made RSA key.
const RSA_BITS: usize = 2048;

/// Which key a made certificate has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// Signatures of fixed length: nothing random changes a packet's size.
    Ed25519,
    /// What real boards understand: mbedTLS knows no Ed25519.
    EcdsaP256,
    /// The same, as older servers have it: 2048 bits.
    Rsa,
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
pub fn self_signed(names: &[String], kind: KeyKind) -> Result<ServerConfig, TlsError> {
    signed(names, kind, |_| ())
}

/// What a client that checks certificates must refuse: another host's name, long
/// expired.
pub fn wrong(kind: KeyKind) -> Result<ServerConfig, TlsError> {
    signed(&["wrong.invalid".to_owned()], kind, |params| {
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(2000, 1, 2);
    })
}

fn signed(
    names: &[String],
    kind: KeyKind,
    change: impl FnOnce(&mut CertificateParams),
) -> Result<ServerConfig, TlsError> {
    let make = |error: rcgen::Error| TlsError::Make {
        names: names.to_vec(),
        error: error.to_string(),
    };
    let key = match kind {
        KeyKind::Ed25519 => KeyPair::generate_for(&rcgen::PKCS_ED25519).map_err(make)?,
        KeyKind::EcdsaP256 => {
            KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(make)?
        }
        // ring signs with RSA keys, but makes none.
        KeyKind::Rsa => rsa_key().map_err(|error| TlsError::Make {
            names: names.to_vec(),
            error,
        })?,
    };
    let mut params = CertificateParams::new(names.to_vec()).map_err(make)?;
    params.serial_number = Some(SerialNumber::from(1u64));
    params
        .distinguished_name
        .push(DnType::CommonName, "airtun (airbench)");
    change(&mut params);
    let certificate = params.self_signed(&key).map_err(make)?;
    let der = PrivatePkcs8KeyDer::from(key.serialize_der());
    config(vec![certificate.der().clone()], der.into())
}

fn rsa_key() -> Result<KeyPair, String> {
    let key = RsaPrivateKey::new(&mut rsa::rand_core::OsRng, RSA_BITS);
    let der = key
        .map_err(|error| error.to_string())?
        .to_pkcs8_der()
        .map_err(|error| error.to_string())?;
    let der = PrivatePkcs8KeyDer::from(der.as_bytes());
    KeyPair::from_pkcs8_der_and_sign_algo(&der, &rcgen::PKCS_RSA_SHA256)
        .map_err(|error| error.to_string())
}

/// A server set-up from PEM files: certificate chains with their keys. The first
/// whose names fit what the client asks for (SNI) is shown, else the first.
pub fn from_files(pairs: &[(PathBuf, PathBuf)]) -> Result<ServerConfig, TlsError> {
    let keys = pairs
        .iter()
        .map(|(certificate, key)| read(certificate, key));
    let resolver = ByName(keys.collect::<Result<_, _>>()?);
    Ok(finish(builder()?.with_cert_resolver(Arc::new(resolver))))
}

fn read(certificate: &Path, key: &Path) -> Result<Arc<CertifiedKey>, TlsError> {
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
    let provider = ring::default_provider();
    Ok(Arc::new(CertifiedKey::from_der(chain, key, &provider)?))
}

/// Certificates, chosen by the name a client asks for.
#[derive(Debug)]
struct ByName(Vec<Arc<CertifiedKey>>);

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello
            .server_name()
            .and_then(|name| ServerName::try_from(name).ok());
        let fits = |key: &&Arc<CertifiedKey>| {
            let certificate = key.end_entity_cert().ok();
            let parsed = certificate.and_then(|der| webpki::EndEntityCert::try_from(der).ok());
            parsed
                .zip(name.as_ref())
                .is_some_and(|(cert, name)| cert.verify_is_valid_for_subject_name(name).is_ok())
        };
        let chosen = self.0.iter().find(fits).or(self.0.first());
        chosen.cloned()
    }
}

fn builder()
-> Result<rustls::ConfigBuilder<ServerConfig, rustls::server::WantsServerCert>, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider);
    Ok(builder
        .with_safe_default_protocol_versions()?
        .with_no_client_auth())
}

fn config(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, TlsError> {
    Ok(finish(builder()?.with_single_cert(chain, key)?))
}

/// Tickets and resumed sessions would make two connections differ.
fn finish(mut config: ServerConfig) -> ServerConfig {
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    config
}
