//! Which requests may share entries.

use std::sync::Arc;

use serde_json::Value;

use super::{digest::CredentialDigest, identity::Identity};

/// The setting `scope`: whom the entries of a route are shared with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// All clients.
    #[default]
    None,
    /// Each credential has entries of its own, and the origin gets the credential.
    Credential,
    /// Each tenant has entries of its own.
    Tenant,
}

/// The part of a key that says with whom its entry is shared. Only
/// [`Route::scoped`](crate::core::config::Route::scoped) makes one, so that a key of a scoped route has always the
/// partition of its client.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Partition(Kind);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Shared,
    /// `None` for all requests without a credential.
    Credential(Option<CredentialDigest>),
    Tenant(Arc<str>),
}

impl Scope {
    /// The partition of a client; `None` if the scope is by tenant and the client has none.
    pub(in crate::core) fn partition(self, identity: &Identity) -> Option<Partition> {
        Some(Partition(match self {
            Self::None => Kind::Shared,
            Self::Credential => Kind::Credential(identity.credential),
            Self::Tenant => Kind::Tenant(Arc::clone(identity.tenant.as_ref()?)),
        }))
    }

    /// The word in the settings.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Credential => "credential",
            Self::Tenant => "tenant",
        }
    }
}

impl Partition {
    /// Its form in a key: an array with the scope's word. `None` where all clients share.
    #[must_use]
    pub fn in_key(&self) -> Option<Value> {
        let (scope, whose) = match &self.0 {
            Kind::Shared => return None,
            Kind::Credential(digest) => (Scope::Credential, digest.map(|it| it.hex()).into()),
            Kind::Tenant(name) => (Scope::Tenant, Value::from(&**name)),
        };
        Some(Value::Array(vec![scope.as_str().into(), whose]))
    }

    /// The tenant that it belongs to.
    #[must_use]
    pub fn tenant(&self) -> Option<&str> {
        match &self.0 {
            Kind::Tenant(name) => Some(name),
            Kind::Shared | Kind::Credential(_) => None,
        }
    }
}
