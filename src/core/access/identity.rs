//! What is known about a client once it has been verified.

use std::sync::Arc;

use super::digest::CredentialDigest;

/// The longest name of a tenant, in bytes: it is part of every key of the tenant.
pub const MAX_TENANT: usize = 256;

/// Who asks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The tenant that the client belongs to, if the verification has named one.
    pub tenant: Option<Arc<str>>,
    /// The digest of the credential that the origin gets; `None` for a request without one.
    pub credential: Option<CredentialDigest>,
}

impl Identity {
    /// A client of whom nothing is known.
    pub const ANONYMOUS: Self = Self { tenant: None, credential: None };
}

/// Whether a text can be a tenant's name: 1 to 256 visible ASCII characters. Other texts are refused, not changed: two
/// spellings of a name must never be one tenant.
#[must_use]
pub fn is_tenant(text: &str) -> bool {
    (1..=MAX_TENANT).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}
