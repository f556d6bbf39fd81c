//! JSON texts, all written by one library in one form, RFC 8785. A second writer of numbers would cost
//! the wasm another ten kilobytes of tables.

use serde::Serialize;

/// The canonical text of a value.
///
/// # Panics
/// Never for the values of this crate: names are strings and numbers are finite.
#[must_use]
pub fn text<T: Serialize>(value: &T) -> String {
    serde_json_canonicalizer::to_string(value).expect("names are strings and numbers are finite")
}
