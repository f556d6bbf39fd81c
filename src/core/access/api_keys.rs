//! API keys, of which only the SHA-256 is configured.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

/// The digests of API keys, each with its tenant.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct ApiKeys(Vec<([u8; 32], Arc<str>)>);

impl std::fmt::Debug for ApiKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ApiKeys({})", self.0.len())
    }
}

impl ApiKeys {
    /// Adds a digest in hexadecimal; false if it is none, or is there already: a key belongs to one tenant.
    #[must_use]
    pub fn add(&mut self, tenant: &str, digest: &str) -> bool {
        let Some(digest) = read_hex(digest) else { return false };
        let is_new = self.0.iter().all(|(known, _)| *known != digest);
        if is_new {
            self.0.push((digest, tenant.into()));
        }
        is_new
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The tenant of an API key. Compares with all digests, so that the time says nothing about which one matches.
    #[must_use]
    pub fn tenant(&self, key: &str) -> Option<Arc<str>> {
        let digest: [u8; 32] = Sha256::digest(key.as_bytes()).into();
        let mut found = None;
        for (known, tenant) in &self.0 {
            let is_same: Choice = known.ct_eq(&digest);
            if is_same.into() {
                found = Some(tenant);
            }
        }
        found.map(Arc::clone)
    }
}

fn read_hex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() || pairs.len() != bytes.len() {
        return None;
    }
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        let digit = |it: &u8| char::from(*it).to_digit(16);
        *byte = (digit(high)? * 16 + digit(low)?) as u8;
    }
    Some(bytes)
}
