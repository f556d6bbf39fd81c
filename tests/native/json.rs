//! Edge cases of reading and writing JSON.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use xfetch_edge::core::{
    canonical_json,
    key::{self, BadBody, Key, MAX_FIELD},
};

#[test]
fn every_ascii_character_is_escaped_as_shortly_as_json_allows() {
    let all: String = (0..128_u8).map(char::from).collect();
    // serde_json has the same short forms, and lower-case hexadecimal for the rest.
    assert_eq!(canonical_json::text(&Value::String(all.clone())), serde_json::to_string(&all).unwrap());
}

#[test]
fn an_object_of_fields_is_written_in_the_order_of_their_names() {
    let fields = [("b", Value::from(1)), ("", Value::Null), ("a", json!([true, "x"]))];
    assert_eq!(canonical_json::text(&canonical_json::object(fields)), r#"{"":null,"a":[true,"x"],"b":1}"#);
    assert_eq!(canonical_json::text(&canonical_json::object([])), "{}");
}

#[test]
fn numbers_are_read_up_to_the_largest_exact_integer_of_a_double() {
    const LARGEST: &str = "9007199254740991";
    for (text, is_read) in [
        (LARGEST, true),
        ("9007199254740992", false),
        ("-9007199254740991", true),
        ("-9007199254740992", false),
        ("9007199254740991.0", true),
        ("9007199254740992.0", false),
        ("-9007199254740991.0", true),
        ("9.007199254740992e15", false),
        ("4503599627370495.5", true),
        ("1e308", false),
        ("1e400", false),
        ("5e-324", true),
    ] {
        assert_eq!(canonical_json::parse(text).is_ok(), is_read, "{text}");
    }
    assert_eq!(canonical_json::parse("null"), Ok(Value::Null));
}

#[test]
fn a_field_has_a_minimum_and_a_maximum_length() {
    let fields = ["a".to_owned()];
    let read = |text: &str| {
        key::canonical_body(serde_json::to_string(&json!({ "a": text })).unwrap().as_bytes(), Some(&fields))
    };
    for (length, is_read) in [(0, false), (1, true), (MAX_FIELD, true), (MAX_FIELD + 1, false)] {
        let text = "x".repeat(length);
        let wanted =
            if is_read { Ok(format!(r#"{{"a":"{text}"}}"#)) } else { Err(BadBody::BadText("a".to_owned())) };
        assert_eq!(read(&text), wanted, "{length} bytes");
    }
}

#[test]
fn a_key_is_named_by_the_hexadecimal_of_its_hash() {
    let text = "key";
    let hash: [u8; 32] = Sha256::digest(text).into();
    let key = Key { text: text.into(), hash };
    let wanted: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(key.name(), wanted);
}
