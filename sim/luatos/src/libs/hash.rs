//! Message digests and HMACs by mbedTLS's names.

use hmac::{KeyInit, Mac, SimpleHmac};
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};

/// A digest under way.
pub(crate) trait Hasher {
    fn update(&mut self, data: &[u8]);
    fn finish(self: Box<Self>) -> Vec<u8>;
}

struct Plain<D>(D);
struct Keyed<M>(M);

impl<D: Digest> Hasher for Plain<D> {
    fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    fn finish(self: Box<Self>) -> Vec<u8> {
        self.0.finalize().to_vec()
    }
}

impl<M: Mac> Hasher for Keyed<M> {
    fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    fn finish(self: Box<Self>) -> Vec<u8> {
        self.0.finalize().into_bytes().to_vec()
    }
}

/// Starts a digest; without a key (or with an empty one) a plain hash, as the
/// firmware does. `None` for a name mbedTLS does not know: case matters.
pub(crate) fn start(name: &str, key: &[u8]) -> Option<Box<dyn Hasher + Send>> {
    macro_rules! digest {
        ($kind:ty) => {
            if key.is_empty() {
                Box::new(Plain(<$kind>::new()))
            } else {
                let mac = SimpleHmac::<$kind>::new_from_slice(key);
                Box::new(Keyed(mac.expect("an HMAC takes keys of any length")))
            }
        };
    }
    Some(match name {
        "MD5" => digest!(Md5),
        "SHA1" | "SHA" => digest!(Sha1),
        "SHA224" => digest!(Sha224),
        "SHA256" => digest!(Sha256),
        "SHA384" => digest!(Sha384),
        "SHA512" => digest!(Sha512),
        _ => return None,
    })
}

/// The digest of `data`.
pub(crate) fn digest(name: &str, key: &[u8], data: &[u8]) -> Option<Vec<u8>> {
    let mut hasher = start(name, key)?;
    hasher.update(data);
    Some(hasher.finish())
}
