//! Which requests share an entry.
//!
//! A key is the canonical JSON (RFC 8785) of everything that the origin is sent and that decides its
//! answer; its SHA-256 names the entry in every tier. White space, the order of names and the way a
//! character is escaped do not matter. What JSON itself tells apart stays apart: NFC and NFD forms of
//! a text, zero-width and non-breaking spaces make different keys, because the origin could answer
//! them differently.
//!
//! A body is refused rather than guessed at: duplicate names, numbers that a double cannot hold, and
//! nesting beyond serde_json's limit of 128 are errors.

use std::{fmt, sync::Arc};

use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::json;

/// The SHA-256 of a canonical key.
pub type Hash = [u8; 32];

/// The longest string that a field may hold, in bytes.
pub const FIELD_MOST: usize = 1_024;
/// The largest integer that a double holds exactly.
const SAFE_INTEGER: u64 = (1 << 53) - 1;

/// The identity of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The canonical text, stored with the entry and compared on every read.
    pub text: Arc<str>,
    /// Its SHA-256: the name in every tier.
    pub hash: Hash,
}

impl Key {
    /// The hash in hexadecimal: the name of the object, and of the entry in the Cache API.
    #[must_use]
    pub fn name(&self) -> String {
        hex(&self.hash)
    }
}

/// Lower-case hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string cannot fail");
        text
    })
}

/// Why a request's body is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadBody {
    /// Not UTF-8, not JSON, nested too deep, a name given twice, or a number out of range.
    NotStrictJson(String),
    /// The route has `fields`, and the body is no object.
    NotAnObject,
    /// A field that the route does not name.
    UnknownField(String),
    /// A field that holds an array or an object.
    NotScalar(String),
    /// A field with an empty text, one above [`FIELD_MOST`], or one with control characters.
    BadText(String),
}

impl fmt::Display for BadBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotStrictJson(why) => write!(f, "The body is not acceptable JSON: {why}."),
            Self::NotAnObject => f.write_str("The body must be a JSON object."),
            Self::UnknownField(name) => {
                write!(f, "The field {} is not known here.", json::text(name))
            }
            Self::NotScalar(name) => {
                write!(f, "The field \"{name}\" must be a text, a number, true, false or null.")
            }
            Self::BadText(name) => {
                write!(f, "The field \"{name}\" must have 1 to {FIELD_MOST} bytes and no control characters.")
            }
        }
    }
}

/// The canonical form of a request's body; with `fields`, only those, and only scalars.
///
/// # Errors
/// [`BadBody`], always the client's fault.
pub fn canonical_body(bytes: &[u8], fields: Option<&[String]>) -> Result<String, BadBody> {
    let Strict(value) = serde_json::from_slice(bytes).map_err(|error| {
        // The message names a line and a column, and never more of the body than one name.
        BadBody::NotStrictJson(error.to_string())
    })?;
    if let Some(fields) = fields {
        let Value::Object(object) = &value else {
            return Err(BadBody::NotAnObject);
        };
        object.iter().try_for_each(|(name, value)| check_field(name, value, fields))?;
    }
    serde_json_canonicalizer::to_string(&value).map_err(|error| BadBody::NotStrictJson(error.to_string()))
}

fn check_field(name: &str, value: &Value, fields: &[String]) -> Result<(), BadBody> {
    if !fields.iter().any(|field| field == name) {
        return Err(BadBody::UnknownField(name.chars().take(64).collect()));
    }
    match value {
        Value::Array(_) | Value::Object(_) => Err(BadBody::NotScalar(name.to_owned())),
        Value::String(text)
            if text.is_empty() || text.len() > FIELD_MOST || text.contains(char::is_control) =>
        {
            Err(BadBody::BadText(name.to_owned()))
        }
        Value::String(_) | Value::Number(_) | Value::Bool(_) | Value::Null => Ok(()),
    }
}

/// The parts of a key beside the body.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// The setting `CACHE_VERSION`.
    pub version: &'a str,
    /// The route's origin, so that two routes with different origins never meet.
    pub route: &'a str,
    /// The method sent to the origin.
    pub method: &'a str,
    /// The path sent to the origin.
    pub path: &'a str,
    /// The route's `headers`, each with the request's value, or without one.
    pub headers: &'a [(String, Option<String>)],
}

/// The key of a request with this canonical body.
///
/// # Panics
/// Never: strings always serialize.
#[must_use]
pub fn key(scope: &Scope<'_>, canonical_body: &str) -> Key {
    // An array of strings has one canonical form; the body stands in it as the text it is, so that no
    // value can be mistaken for two, nor two for one.
    let parts = (scope.version, scope.route, scope.method, scope.path, scope.headers, canonical_body);
    let text = serde_json::to_string(&parts).expect("strings serialize");
    let hash = Sha256::digest(text.as_bytes()).into();
    Key { text: text.into(), hash }
}

/// A JSON value without duplicate names, all of whose numbers a double holds.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        StrictSeed.deserialize(deserializer).map(Self)
    }
}

#[derive(Clone, Copy)]
struct StrictSeed;

impl<'de> DeserializeSeed<'de> for StrictSeed {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for StrictSeed {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
        if value > SAFE_INTEGER {
            return Err(E::custom("an integer beyond 2^53 would lose its last digits"));
        }
        Ok(value.into())
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Value, E> {
        if value.unsigned_abs() > SAFE_INTEGER {
            return Err(E::custom("an integer beyond 2^53 would lose its last digits"));
        }
        Ok(value.into())
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        if value.fract() == 0.0 && value.abs() > SAFE_INTEGER as f64 {
            return Err(E::custom("an integer beyond 2^53 would lose its last digits"));
        }
        serde_json::Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("a number out of range"))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E: de::Error>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = sequence.next_element_seed(self)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(name) = entries.next_key::<String>()? {
            let value = entries.next_value_seed(self)?;
            if map.insert(name, value).is_some() {
                return Err(de::Error::custom("a name is given twice"));
            }
        }
        Ok(Value::Object(map))
    }
}
