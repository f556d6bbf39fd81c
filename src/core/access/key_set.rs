//! The keys of an identity provider: a JWK Set (RFC 7517).

use base64ct::{Base64UrlUnpadded, Encoding};
use serde_json::Value;

use super::jwt::{Algorithm, Token};
use crate::core::canonical_json;

/// The greatest number of keys that are read of a set.
pub const MAX_KEYS: usize = 100;
/// How many keys a signature is verified with at most, where the token does not say which.
const MAX_CANDIDATES: usize = 4;
/// The smallest and the largest RSA modulus, in bytes: RFC 7518, section 3.3, and what costs too much to verify.
const RSA_MODULUS: std::ops::RangeInclusive<usize> = 256..=1_024;

/// The keys of a set that can verify a signature. Keys of other kinds, also private and secret ones, are left out: a
/// public set that holds a secret would let anybody sign.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KeySet(Vec<Jwk>);

#[derive(Clone, Debug, PartialEq)]
struct Jwk {
    kind: Kind,
    id: Option<String>,
    algorithm: Option<String>,
    /// The public parts alone.
    text: String,
}

/// The kind of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A secret that both sides know.
    Secret,
    /// RSA.
    Rsa,
    /// The curve P-256.
    P256,
    /// The curve P-384.
    P384,
    /// The curve P-521.
    P521,
    /// The curve Ed25519.
    Ed25519,
}

impl KeySet {
    /// Reads a set; `None` if it is none, or has no key that can verify a signature.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let set = canonical_json::parse_any_number(text).ok()?;
        let keys = set.get("keys")?.as_array()?;
        let keys: Vec<Jwk> = keys.iter().take(MAX_KEYS).filter_map(Jwk::read).collect();
        (!keys.is_empty()).then_some(Self(keys))
    }

    /// Secrets as a set, for the algorithms with HMAC.
    #[must_use]
    pub fn of_secrets(secrets: &[String]) -> Self {
        let jwk = |secret: &String| {
            let bytes = Base64UrlUnpadded::encode_string(secret.as_bytes());
            let text = canonical_json::object([("kty", "oct".into()), ("k", bytes.into())]);
            Jwk { kind: Kind::Secret, id: None, algorithm: None, text: canonical_json::text(&text) }
        };
        Self(secrets.iter().map(jwk).collect())
    }

    /// The keys, each as the text of a JWK, that may have signed a token: those of its algorithm's kind, and of its
    /// `kid`, where it has one and the key has one.
    #[must_use]
    pub fn candidates(&self, token: &Token<'_>) -> Vec<&str> {
        let algorithm = token.algorithm();
        let matches = |key: &&Jwk| {
            key.kind == algorithm.kind()
                && key.algorithm.as_deref().is_none_or(|it| it == algorithm.as_str())
                && match (&key.id, token.key_id()) {
                    (Some(own), Some(asked)) => own == asked,
                    // A secret has no name; a key without one is never what a token names.
                    (None, Some(_)) => key.kind == Kind::Secret,
                    (_, None) => true,
                }
        };
        self.0.iter().filter(matches).take(MAX_CANDIDATES).map(|key| key.text.as_str()).collect()
    }
}

impl Jwk {
    fn read(jwk: &Value) -> Option<Self> {
        let part = |name: &str| jwk.get(name).and_then(Value::as_str);
        let kind = match (part("kty")?, part("crv")) {
            ("RSA", _) => Kind::Rsa,
            ("EC", Some("P-256")) => Kind::P256,
            ("EC", Some("P-384")) => Kind::P384,
            ("EC", Some("P-521")) => Kind::P521,
            ("OKP", Some("Ed25519")) => Kind::Ed25519,
            _ => return None,
        };
        let is_for_signatures = jwk.get("use").is_none_or(|it| it == "sig");
        let can_verify = jwk
            .get("key_ops")
            .is_none_or(|operations| operations.as_array().is_some_and(|it| it.contains(&"verify".into())));
        if !is_for_signatures || !can_verify || jwk.get("d").is_some() {
            return None;
        }
        let names: &[&str] = match kind {
            Kind::Secret => return None,
            Kind::Rsa => {
                let modulus = Base64UrlUnpadded::decode_vec(part("n")?).ok()?;
                let length = modulus.iter().skip_while(|byte| **byte == 0).count();
                if !RSA_MODULUS.contains(&length) {
                    return None;
                }
                &["kty", "n", "e"]
            }
            Kind::P256 | Kind::P384 | Kind::P521 => &["kty", "crv", "x", "y"],
            Kind::Ed25519 => &["kty", "crv", "x"],
        };
        let mut own = serde_json::Map::new();
        for name in names {
            own.insert((*name).to_owned(), part(name)?.into());
        }
        Some(Self {
            kind,
            id: part("kid").map(str::to_owned),
            algorithm: part("alg").map(str::to_owned),
            text: canonical_json::text(&Value::Object(own)),
        })
    }
}

impl Algorithm {
    /// The kind of key that verifies it. No kind verifies both a secret's and a public key's signatures.
    #[must_use]
    pub fn kind(self) -> Kind {
        match self {
            Self::Hs256 | Self::Hs384 | Self::Hs512 => Kind::Secret,
            Self::Rs256 | Self::Rs384 | Self::Rs512 | Self::Ps256 | Self::Ps384 | Self::Ps512 => Kind::Rsa,
            Self::Es256 => Kind::P256,
            Self::Es384 => Kind::P384,
            Self::Es512 => Kind::P521,
            Self::EdDsa => Kind::Ed25519,
        }
    }
}
