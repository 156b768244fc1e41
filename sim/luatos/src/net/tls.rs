//! The device's side of TLS: as the firmware's mbedTLS, 1.2 and no questions.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientConnection, Resumption};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use super::Certificates;
use super::secrets::Secrets;

/// Accepts every certificate: the firmware's websocket verifies none.
#[derive(Debug)]
struct AcceptAny(Arc<CryptoProvider>);

impl ServerCertVerifier for AcceptAny {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("the device speaks TLS 1.2 only".into()))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// The TLS set-up every connection of a device shares: TLS 1.2, any
/// certificate, no resumption.
pub fn client() -> Arc<ClientConfig> {
    client_with(&Arc::default())
}

/// The same with keys that can be captured.
pub(super) fn client_with(secrets: &Arc<Secrets>) -> Arc<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS12])
        .expect("ring has suites for TLS 1.2")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AcceptAny(provider)))
        .with_no_client_auth();
    // The firmware resumes no sessions.
    config.resumption = Resumption::disabled();
    config.key_log = Arc::<Secrets>::clone(secrets);
    Arc::new(config)
}

/// A clock that stands at one moment.
#[derive(Debug)]
struct Fixed(i64);

impl TimeProvider for Fixed {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(self.0).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

/// Certificates that TLS cannot use; the handshake fails.
#[derive(Debug)]
pub(super) struct CertificateError;

impl<E: std::error::Error> From<E> for CertificateError {
    fn from(_: E) -> Self {
        Self
    }
}

/// The firmware's function that cannot read one of these, if any.
pub(super) fn unreadable(certificates: &Certificates) -> Option<&'static str> {
    let readable = |pem: &[u8]| {
        let mut list = CertificateDer::pem_slice_iter(pem);
        list.next().is_some_and(|first| first.is_ok())
    };
    let authority = certificates.authority.as_deref();
    if authority.is_some_and(|pem| !readable(pem)) {
        return Some("network_set_server_cert");
    }
    let certificate = certificates.certificate.as_deref()?;
    let key = certificates
        .key
        .as_deref()
        .map(PrivateKeyDer::from_pem_slice);
    let fits = readable(certificate) && key.is_some_and(|key| key.is_ok());
    (!fits).then_some("network_set_client_cert")
}

/// TLS with certificates of the script's own, judged at `utc` seconds.
pub(super) fn checked(
    certificates: &Certificates,
    utc: i64,
    secrets: &Arc<Secrets>,
) -> Result<Arc<ClientConfig>, CertificateError> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_details(Arc::clone(&provider), Arc::new(Fixed(utc)))
        .with_protocol_versions(&[&rustls::version::TLS12])?;
    let builder = if certificates.verify {
        let mut roots = RootCertStore::empty();
        let pem = certificates.authority.as_deref().unwrap_or_default();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            roots.add(certificate?)?;
        }
        builder.with_root_certificates(roots)
    } else {
        builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AcceptAny(provider)))
    };
    let mut config = match (&certificates.certificate, &certificates.key) {
        (Some(certificate), Some(key)) => {
            let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate).collect();
            builder.with_client_auth_cert(chain?, PrivateKeyDer::from_pem_slice(key)?)?
        }
        _ => builder.with_no_client_auth(),
    };
    config.resumption = Resumption::disabled();
    config.key_log = Arc::<Secrets>::clone(secrets);
    Ok(Arc::new(config))
}

/// One connection's TLS.
pub(super) struct Tls {
    connection: ClientConnection,
    /// Decrypted and not read yet.
    plaintext: usize,
    /// The handshake's computing time has been charged.
    pub(super) computed: bool,
}

impl Tls {
    /// A connection to `host`; `None` if that is no name TLS knows.
    pub(super) fn new(config: &Arc<ClientConfig>, host: &str) -> Option<Self> {
        let name = ServerName::try_from(host.to_owned()).ok()?;
        let connection = ClientConnection::new(Arc::clone(config), name).ok()?;
        Some(Self {
            connection,
            plaintext: 0,
            computed: false,
        })
    }

    pub(super) fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// Encrypts and appends to `out`.
    pub(super) fn write(&mut self, bytes: &[u8], out: &mut VecDeque<u8>) {
        for piece in bytes.chunks(8 * 1024) {
            // The plaintext buffer was emptied by the flush before; a piece of
            // this size is always taken.
            let _ = self.connection.writer().write_all(piece);
            self.flush(out);
        }
    }

    /// Moves ciphertext to `out`.
    pub(super) fn flush(&mut self, out: &mut VecDeque<u8>) {
        while self.connection.wants_write() {
            // Writing into a queue cannot fail.
            let _ = self.connection.write_tls(out);
        }
    }

    /// Plaintext bytes that can be read.
    pub(super) fn pending(&self) -> usize {
        self.plaintext
    }

    /// Takes ciphertext in; an error if the peer's bytes are no TLS.
    pub(super) fn receive(&mut self, mut bytes: &[u8]) -> Result<(), Error> {
        loop {
            while !bytes.is_empty() {
                let taken = self.connection.read_tls(&mut bytes);
                if !matches!(taken, Ok(1..)) {
                    break;
                }
            }
            self.plaintext = self
                .connection
                .process_new_packets()?
                .plaintext_bytes_to_read();
            if bytes.is_empty() {
                return Ok(());
            }
        }
    }

    /// Takes plaintext out.
    pub(super) fn read(&mut self, max: usize) -> Vec<u8> {
        let mut bytes = vec![0; max.min(self.plaintext)];
        // "Would block" means nothing to read, and so does a clean end.
        let len = self.connection.reader().read(&mut bytes).unwrap_or(0);
        bytes.truncate(len);
        self.plaintext = self.plaintext.saturating_sub(len);
        bytes
    }
}
