//! Edge cases of reading and writing JSON.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use xfetch_edge::core::{
    body_fields::{BadBody, BodyFields, Pointer},
    canonical_json,
    key::{self, Key},
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
fn only_an_integer_literal_can_lose_digits() {
    for (text, is_read) in [
        ("9007199254740991", true),
        ("9007199254740992", false),
        ("-9007199254740991", true),
        ("-9007199254740992", false),
        ("18446744073709551615", false),
        ("18446744073709551616", false),
        ("-9223372036854775808", false),
        ("-9223372036854775809", false),
        (r#"{"a":[1,{"b":123456789012345678901234567890}]}"#, false),
        (r#"["12345678901234567890\"", "\\", 12345678901234567890123]"#, false),
        (r#"["12345678901234567890", "\"12345678901234567890123"]"#, true),
        (r#"{"12345678901234567890":1}"#, true),
        ("9007199254740992.0", true),
        ("9.007199254740992e15", true),
        ("1E22", true),
        ("123.456e78", true),
        ("1e30", true),
        ("12345678901234567890e0", true),
        ("0.1234567890123456789012345", true),
        ("4503599627370495.5", true),
        ("1e308", true),
        ("1e400", false),
        ("-1e400", false),
        ("5e-324", true),
        ("1e-400", true),
    ] {
        assert_eq!(canonical_json::parse(text).is_ok(), is_read, "{text}");
    }
    let written = |text: &str| canonical_json::text(&canonical_json::parse(text).unwrap());
    assert_eq!(written("[1E22, 123.456e78, 1e30, -0, 1e21, 1e-7]"), "[1e+22,1.23456e+80,1e+30,0,1e+21,1e-7]");
    assert_eq!(canonical_json::parse("null"), Ok(Value::Null));
}

fn pointers(texts: &[&str]) -> Vec<Pointer> {
    texts.iter().map(|text| Pointer::parse(text).unwrap()).collect()
}

#[test]
fn fields_name_the_only_parts_of_a_body() {
    let fields =
        BodyFields::Only(pointers(&["model", "/messages", "/user/id", "/list/0/a", "/a~1b~01", "/"]));
    for body in [
        "{}",
        r#"{"model":"m"}"#,
        r#"{"model":{"any":[1,{"shape":null}]},"messages":[{"role":"user"}]}"#,
        r#"{"user":{"id":1}}"#,
        r#"{"user":{}}"#,
        r#"{"list":[{"a":1}]}"#,
        r#"{"list":[]}"#,
        r#"{"a/b~1":1}"#,
        r#"{"":1}"#,
        r#"{"model":""}"#,
    ] {
        let canonical = canonical_json::text(&canonical_json::parse(body).unwrap());
        assert_eq!(key::canonical_body(body.as_bytes(), &fields), Ok(canonical));
    }
    for (body, unknown) in [
        (r#"{"other":1}"#, "other"),
        (r#"{"user":{"id":1,"name":2}}"#, "user/name"),
        (r#"{"user":1}"#, "user"),
        (r#"{"user":[]}"#, ""),
        (r#"{"list":[{"b":1}]}"#, "list/0/b"),
        (r#"{"list":[{"a":1},2]}"#, "list/1"),
        (r#"{"/messages":1}"#, "/messages"),
    ] {
        let read = key::canonical_body(body.as_bytes(), &fields);
        if unknown.is_empty() {
            assert!(read.is_ok(), "nothing is in it: {body}");
        } else {
            assert_eq!(read, Err(BadBody::UnknownField(unknown.to_owned())), "{body}");
        }
    }
    for body in ["[]", "1", "null", r#""model""#] {
        assert_eq!(key::canonical_body(body.as_bytes(), &fields), Err(BadBody::NotAnObject), "{body}");
    }
}

#[test]
fn what_is_ignored_is_neither_keyed_nor_sent() {
    let fields =
        BodyFields::AllBut(pointers(&["user", "/metadata/trace", "/list/1/id", "/list/0", "/x/y/z"]));
    for (body, left) in [
        (r#"{"user":{"a":1},"b":2}"#, r#"{"b":2}"#),
        (r#"{"metadata":{"trace":1,"kept":2}}"#, r#"{"metadata":{"kept":2}}"#),
        (r#"{"list":[{"id":1},{"id":2}]}"#, r#"{"list":[{"id":1},{}]}"#),
        (r#"{"metadata":[],"x":1}"#, r#"{"metadata":[],"x":1}"#),
        ("[1]", "[1]"),
        ("null", "null"),
    ] {
        assert_eq!(key::canonical_body(body.as_bytes(), &fields), Ok(left.to_owned()), "{body}");
    }
}

#[test]
fn a_pointer_is_a_name_or_a_pointer_of_the_rfc() {
    for bad in ["", "/~", "/a~2", "/a~"] {
        assert_eq!(Pointer::parse(bad), None, "{bad}");
    }
    assert_eq!(Pointer::parse("/a"), Pointer::parse("a"));
    assert_ne!(Pointer::parse("/a/b"), Pointer::parse("a/b"));
    assert_ne!(Pointer::parse("/a~1b"), Pointer::parse("/a/b"));
}

#[test]
fn a_key_is_named_by_the_hexadecimal_of_its_hash() {
    let text = "key";
    let hash: [u8; 32] = Sha256::digest(text).into();
    let key = Key { text: text.into(), hash, scope: None };
    let wanted: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(key.name(), wanted);
}
