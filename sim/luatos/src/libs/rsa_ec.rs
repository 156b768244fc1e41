//! The elliptic curve keys that the functions of `rsa` take as well: ECDSA with
//! DER signatures. The board draws its nonces, so that its signatures differ
//! from call to call; these follow RFC 6979.

use elliptic_curve::pkcs8::{DecodePrivateKey, DecodePublicKey};
use p256::ecdsa::signature::hazmat::{PrehashSigner, PrehashVerifier};

/// Which curve a key is on, with what can be done there.
macro_rules! curves {
    ($($name:ident $bytes:literal),*) => {
        /// A public key.
        pub(super) enum Public {
            $(#[allow(non_camel_case_types)] $name($name::ecdsa::VerifyingKey),)*
        }

        /// A private key.
        pub(super) enum Private {
            $(#[allow(non_camel_case_types)] $name($name::ecdsa::SigningKey),)*
        }

        impl Public {
            /// Reads SubjectPublicKeyInfo in PEM.
            pub(super) fn from_pem(pem: &str) -> Option<Self> {
                $(if let Ok(key) = $name::PublicKey::from_public_key_pem(pem) {
                    return Some(Self::$name(key.into()));
                })*
                None
            }

            /// Whether the DER signature of a hash is right.
            pub(super) fn verify(&self, hash: &[u8], signature: &[u8]) -> bool {
                match self {
                    $(Self::$name(key) => $name::ecdsa::DerSignature::try_from(signature)
                        .is_ok_and(|s| key.verify_prehash(&widen(hash, $bytes), &s).is_ok()),)*
                }
            }
        }

        impl Private {
            /// Reads SEC 1 or PKCS #8 in PEM.
            pub(super) fn from_pem(pem: &str) -> Option<Self> {
                $(
                    let key = $name::SecretKey::from_sec1_pem(pem).ok();
                    if let Some(key) = key.or_else(|| $name::SecretKey::from_pkcs8_pem(pem).ok()) {
                        return Some(Self::$name(key.into()));
                    }
                )*
                None
            }

            /// Reads encrypted PKCS #8 in PEM.
            pub(super) fn from_encrypted_pem(pem: &str, password: &[u8]) -> Option<Self> {
                $(if let Ok(key) = $name::SecretKey::from_pkcs8_encrypted_pem(pem, password) {
                    return Some(Self::$name(key.into()));
                })*
                None
            }

            /// Signs a hash; DER.
            pub(super) fn sign(&self, hash: &[u8]) -> Option<Vec<u8>> {
                match self {
                    $(Self::$name(key) => {
                        let signature: $name::ecdsa::DerSignature =
                            key.sign_prehash(&widen(hash, $bytes)).ok()?;
                        Some(signature.as_bytes().to_vec())
                    })*
                }
            }

            /// Bytes of the curve's order.
            pub(super) fn size(&self) -> usize {
                match self {
                    $(Self::$name(_) => $bytes,)*
                }
            }
        }
    };
}

curves!(p256 32, p384 48, p521 66);

/// A hash is a number to ECDSA: zeros in front change nothing, and the crates
/// want a minimum.
fn widen(hash: &[u8], size: usize) -> Vec<u8> {
    let zeros = size.saturating_sub(hash.len());
    [vec![0; zeros], hash.to_vec()].concat()
}
