//! A strict JSON parser and a writer of canonical JSON (RFC 8785).
//!
//! The writer is thirty lines over the number format of `ryu-js`: the crate `serde_json_canonicalizer` parses
//! every name again and adds ten kilobytes to the wasm. A property test compares the two.

use std::{cmp::Ordering, collections::BinaryHeap, fmt};

use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// The largest integer that a double holds exactly.
const SAFE_INTEGER: u64 = (1 << 53) - 1;

const LOSES_DIGITS: &str = "an integer beyond 2^53 would lose its last digits";

/// Parses a JSON text without duplicate names, without numbers beyond a double's range, without nesting beyond 128
/// levels, and without integers beyond 2^53 - 1. A number with a fraction or an exponent is a double by its form, as
/// RFC 8785 has all numbers; only an integer's digits are lost by surprise.
///
/// # Errors
/// A sentence, with line and column where they are known. It quotes at most one name of the text.
pub fn parse(text: &str) -> Result<Value, String> {
    let value = parse_any_number(text)?;
    if has_long_integer(text) { Err(LOSES_DIGITS.to_owned()) } else { Ok(value) }
}

/// The same, with integers of any length, which are read as doubles.
///
/// # Errors
/// As for [`parse`].
pub fn parse_any_number(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map(|Strict(value)| value).map_err(|error| error.to_string())
}

/// Whether a JSON text has an integer literal beyond 2^53 - 1. serde_json reads one beyond 64 bits as a double, like a
/// number with an exponent.
fn has_long_integer(text: &str) -> bool {
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        match first {
            b'"' => loop {
                match rest {
                    [b'\\', _, tail @ ..] => rest = tail,
                    [b'"', tail @ ..] => {
                        rest = tail;
                        break;
                    }
                    [_, tail @ ..] => rest = tail,
                    [] => return false,
                }
            },
            b'0'..=b'9' => {
                let is_part = |b: &u8| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-');
                let length = rest.iter().position(|b| !is_part(b)).unwrap_or(rest.len());
                let (number, tail) = rest.split_at(length);
                if number.iter().all(u8::is_ascii_digit) {
                    let value = number.iter().fold(u64::from(first - b'0'), |value, digit| {
                        value.saturating_mul(10).saturating_add(u64::from(digit - b'0'))
                    });
                    if value > SAFE_INTEGER {
                        return true;
                    }
                }
                rest = tail;
            }
            _ => {}
        }
    }
    false
}

/// The canonical text of a value.
#[must_use]
pub fn text(value: &Value) -> String {
    let mut text = String::new();
    write(value, &mut text);
    text
}

fn write(value: &Value, text: &mut String) {
    match value {
        Value::Null => text.push_str("null"),
        Value::Bool(true) => text.push_str("true"),
        Value::Bool(false) => text.push_str("false"),
        // Section 3.2.2.3: as ECMAScript writes a double. None is infinite or NaN.
        Value::Number(number) => {
            let number = number.as_f64().unwrap_or_default();
            text.push_str(ryu_js::Buffer::new().format_finite(number));
        }
        Value::String(string) => quote(string, text),
        Value::Array(values) => {
            for (index, value) in values.iter().enumerate() {
                text.push(if index == 0 { '[' } else { ',' });
                write(value, text);
            }
            text.push_str(if values.is_empty() { "[]" } else { "]" });
        }
        Value::Object(fields) => {
            // Section 3.2.3: sorted by UTF-16 code units, which differs from the order of characters.
            let fields: BinaryHeap<_> = fields.iter().map(|(name, value)| Field(name, value)).collect();
            let fields = fields.into_sorted_vec();
            for (index, Field(name, value)) in fields.iter().enumerate() {
                text.push(if index == 0 { '{' } else { ',' });
                quote(name, text);
                text.push(':');
                write(value, text);
            }
            text.push_str(if fields.is_empty() { "{}" } else { "}" });
        }
    }
}

/// A field, in the order of its name's UTF-16 code units. A heap sorts them: the code of a slice's sort is
/// five times as large.
struct Field<'a>(&'a str, &'a Value);

impl Ord for Field<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.encode_utf16().cmp(other.0.encode_utf16())
    }
}

impl PartialOrd for Field<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Field<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Field<'_> {}

/// Section 3.2.2.2: the shortest escapes, and no more of them than JSON demands.
fn quote(string: &str, text: &mut String) {
    text.push('"');
    for character in string.chars() {
        match character {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\u{8}' => text.push_str("\\b"),
            '\t' => text.push_str("\\t"),
            '\n' => text.push_str("\\n"),
            '\u{c}' => text.push_str("\\f"),
            '\r' => text.push_str("\\r"),
            '\0'..='\u{1f}' => {
                text.push_str("\\u00");
                text.push_str(&hex(&[character as u8]));
            }
            _ => text.push(character),
        }
    }
    text.push('"');
}

/// Lower-case hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from(b"0123456789abcdef"[usize::from(nibble)]);
    let mut text = String::new();
    for byte in bytes {
        text.push(digit(byte >> 4));
        text.push(digit(byte & 15));
    }
    text
}

/// A JSON object.
#[must_use]
pub fn object<const N: usize>(fields: [(&str, Value); N]) -> Value {
    let mut fields = fields;
    from_fields(&mut fields)
}

fn from_fields(fields: &mut [(&str, Value)]) -> Value {
    let mut map = Map::new();
    for (name, value) in fields {
        map.insert((*name).to_owned(), value.take());
    }
    Value::Object(map)
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
        Ok(value.into())
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        serde_json::Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("a number out of range"))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Value, E> {
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
