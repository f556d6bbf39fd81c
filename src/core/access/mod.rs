//! Who asks, and which entries are shared with whom: pure checks of credentials, and the part of a key that keeps
//! tenants apart.
//!
//! Nothing here verifies a signature: the platform's cryptography does that.

mod api_keys;
mod audience;
mod credential;
mod digest;
mod identity;
mod jwt;
mod key_set;
mod partition;

pub use api_keys::ApiKeys;
pub use audience::Accepted;
pub use credential::{MAX_CREDENTIAL, bearer_token};
pub use digest::{CredentialDigest, DigestSecret, same_text};
pub use identity::{Identity, MAX_TENANT, is_tenant};
pub use jwt::{Algorithm, BadToken, ClaimRules, Claims, Token};
pub use key_set::{KeySet, Kind, MAX_KEYS};
pub use partition::{Partition, Scope};
