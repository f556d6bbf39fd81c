//! Header fields as lists of names in lower case and values.

use super::{conditional::is_weakly_same, field_list::list_names, headers::HOP_BY_HOP};

/// Header fields, each name once.
pub type Fields = Vec<(String, String)>;

/// Fields of a request that concern the exchange between client and cache, or a copy that the client holds: the cache
/// sends its own.
const OF_THE_CLIENT: [&str; 10] = [
    "cdn-loop",
    "content-length",
    "expect",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "range",
];

/// The value of a field.
#[must_use]
pub fn value<'a>(fields: &'a [(String, String)], name: &str) -> Option<&'a str> {
    fields.iter().find(|(it, _)| it == name).map(|(_, value)| value.as_str())
}

/// The fields that do not belong to one connection (RFC 9110, section 7.6.1).
#[must_use]
pub fn end_to_end(mut fields: Fields) -> Fields {
    let connection = value(&fields, "connection").unwrap_or_default().to_owned();
    fields.retain(|(name, _)| !is_of_connection(name, &connection));
    fields
}

/// Whether a field belongs to one connection, whose `Connection` is given.
#[must_use]
pub fn is_of_connection(name: &str, connection: &str) -> bool {
    HOP_BY_HOP.contains(&name) || list_names(connection, name)
}

/// The fields of a client's request that its origin gets.
#[must_use]
pub fn to_origin(fields: Fields) -> Fields {
    let mut fields = end_to_end(fields);
    fields.retain(|(name, _)| !OF_THE_CLIENT.contains(&name.as_str()));
    fields
}

/// The values of `Content-Encoding` with which the runtime decodes a body; with any other it does not.
const DECODED: [&str; 2] = ["gzip", "br"];

/// The fields of an answer that are kept with its body (RFC 9111, section 3.1). If the runtime has decoded the body, its
/// coding is gone, and a strong validator names other bytes than these (RFC 9110, section 8.8.1).
#[must_use]
pub fn to_keep(fields: Fields) -> Fields {
    let mut fields = end_to_end(fields);
    let is_decoded = value(&fields, "content-encoding").is_some_and(|coding| DECODED.contains(&coding));
    fields.retain(|(name, _)| !(name == "content-length" || is_decoded && name == "content-encoding"));
    if is_decoded
        && let Some((_, etag)) = fields.iter_mut().find(|(name, _)| name == "etag")
        && !etag.starts_with("W/")
    {
        etag.insert_str(0, "W/");
    }
    fields
}

/// Stored fields after a 304 with these fields: those that it names are replaced (RFC 9111, section 3.2).
#[must_use]
pub fn updated(stored: &[(String, String)], mut by: Fields) -> Fields {
    // The stored validator may be weak because its body was decoded; it names the same.
    let is_same = value(stored, "etag").zip(value(&by, "etag")).is_some_and(|(a, b)| is_weakly_same(a, b));
    if is_same {
        by.retain(|(name, _)| name != "etag");
    }
    let kept = stored.iter().filter(|(name, _)| value(&by, name).is_none()).cloned();
    let kept: Fields = kept.collect();
    by.extend(kept);
    by
}
