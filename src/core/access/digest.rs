//! Digests of credentials, so that no store holds a credential.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::core::canonical_json;

/// The HMAC of a credential with a secret of the deployment: without the secret it tells nothing about the
/// credential, also where that is short.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CredentialDigest([u8; 32]);

impl CredentialDigest {
    /// In hexadecimal.
    #[must_use]
    pub fn hex(&self) -> String {
        canonical_json::hex(&self.0)
    }
}

/// The secret that digests are made with.
#[derive(Clone, PartialEq, Eq)]
pub struct DigestSecret(String);

impl std::fmt::Debug for DigestSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DigestSecret")
    }
}

impl DigestSecret {
    /// Takes the secret's text.
    #[must_use]
    pub fn new(secret: String) -> Self {
        Self(secret)
    }

    /// The digest of header fields, each with its name: values of different fields never have the same digest.
    #[must_use]
    pub fn digest<'a>(&self, fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> CredentialDigest {
        // HMAC takes keys of any length.
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.as_bytes()).unwrap_or_else(|_| unreachable!());
        for (name, value) in fields {
            for part in [name, value] {
                mac.update(&(part.len() as u64).to_le_bytes());
                mac.update(part.as_bytes());
            }
        }
        CredentialDigest(mac.finalize().into_bytes().into())
    }
}

/// Whether two texts are equal. The time does not depend on where they differ.
#[must_use]
pub fn same_text(a: &str, b: &str) -> bool {
    a.as_bytes().ct_eq(b.as_bytes()).into()
}
