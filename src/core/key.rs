//! Which requests share an entry.
//!
//! A key is the canonical JSON (RFC 8785) of all parts of the origin request that decide the answer; its
//! SHA-256 names the entry in every tier. White space, the order of names and the way a character is escaped
//! do not matter. Texts that differ in JSON have different keys, also NFC and NFD forms, zero-width and
//! non-breaking spaces, because the origin could answer them differently.
//!
//! An ambiguous body is refused: duplicate names, integers that a double does not hold exactly, and nesting
//! beyond serde_json's limit of 128 are errors.

use std::sync::Arc;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::core::{
    access::Partition,
    body_fields::{BadBody, BodyFields},
    canonical_json,
    entry::Variant,
};

/// The SHA-256 of a canonical key.
pub type Hash = [u8; 32];

/// The longest value of a keyed header, in bytes.
pub const MAX_HEADER: usize = 1_024;

/// The identity of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The canonical text, stored with the entry and compared on every read.
    pub text: Arc<str>,
    /// Its SHA-256: the name in every tier.
    pub hash: Hash,
    /// The begin of its partition's SHA-256, the first part of the names; `None` where all clients share.
    pub scope: Option<[u8; 16]>,
}

impl Key {
    /// The key of the variant with these header fields. A key's text is a JSON array, and so is what is appended: no
    /// other key has this text.
    #[must_use]
    pub fn variant(&self, fields: &Variant) -> Self {
        let fields = fields.iter().map(|(name, value)| {
            Value::Array(vec![name.as_str().into(), value.as_deref().map_or(Value::Null, Value::from)])
        });
        let text = format!("{}{}", self.text, canonical_json::text(&Value::Array(fields.collect())));
        let hash = Sha256::digest(text.as_bytes()).into();
        Self { text: text.into(), hash, scope: self.scope }
    }

    /// The name of the object, and of the entry in the Cache API: the hash in hexadecimal, after that of the partition.
    #[must_use]
    pub fn name(&self) -> String {
        let hash = canonical_json::hex(&self.hash);
        match self.scope {
            None => hash,
            Some(scope) => format!("{}-{hash}", canonical_json::hex(&scope)),
        }
    }
}

/// The canonical form of the part of a request's body that is keyed.
///
/// # Errors
/// [`BadBody`], always the client's fault.
pub fn canonical_body(bytes: &[u8], fields: &BodyFields) -> Result<String, BadBody> {
    let text = str::from_utf8(bytes).map_err(|_| BadBody::NotStrictJson("it is not UTF-8".to_owned()))?;
    let value = canonical_json::parse(text).map_err(BadBody::NotStrictJson)?;
    Ok(canonical_json::text(&fields.of(value)?))
}

/// The form in a key of a body that is keyed as its bytes are. No JSON text begins in this way.
#[must_use]
pub fn raw_body(bytes: &[u8]) -> String {
    format!("sha256:{}", canonical_json::hex(&Sha256::digest(bytes)))
}

/// The parts of a key beside the body and the partition.
#[derive(Clone, Copy, Debug)]
pub struct KeyParts<'a> {
    /// The setting `CACHE_VERSION`.
    pub version: &'a str,
    /// The route's origin, so that two routes with different origins never meet.
    pub origin: &'a str,
    /// The method sent to the origin.
    pub method: &'a str,
    /// The path sent to the origin.
    pub path: &'a str,
    /// The route's `headers`, each with the request's value; `None` if the request lacks it.
    pub headers: &'a [(String, Option<String>)],
}

/// The key of a request with this canonical body, in the partition of its client. Only
/// [`ScopedRoute::key`](super::config::ScopedRoute::key) calls it: a key has the partition that its route demands.
#[must_use]
pub(in crate::core) fn key(partition: &Partition, parts: &KeyParts<'_>, canonical_body: &str) -> Key {
    // A JSON array keeps its elements apart, whatever they contain. The body is one of them, as a string, so
    // that different requests cannot have the same key text. The partition comes first, as an array: no part of a
    // request can take its place.
    let headers = parts.headers.iter().map(|(name, value)| {
        Value::Array(vec![name.as_str().into(), value.as_deref().map_or(Value::Null, Value::from)])
    });
    let partition = partition.in_key();
    let scope = partition.as_ref().map(canonical_json::text);
    let elements = partition.into_iter().chain([
        parts.version.into(),
        parts.origin.into(),
        parts.method.into(),
        parts.path.into(),
        Value::Array(headers.collect()),
        canonical_body.into(),
    ]);
    let text = canonical_json::text(&Value::Array(elements.collect()));
    let hash = Sha256::digest(text.as_bytes()).into();
    let scope = scope.map(|scope| name_of(&Sha256::digest(scope.as_bytes())));
    Key { text: text.into(), hash, scope }
}

/// The part of a partition's digest that stands in names.
fn name_of(digest: &[u8]) -> [u8; 16] {
    let mut name = [0; 16];
    name.copy_from_slice(&digest[..16]);
    name
}
