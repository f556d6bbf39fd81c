//! Conditional requests (RFC 9110, section 13). `If-Match` and `If-Unmodified-Since` are for the origin alone (RFC
//! 9111, section 4.3.2), and change nothing here.

use super::date::http_date;
use crate::core::time::Instant;

/// The weak comparison of two validators (RFC 9110, section 8.8.3.2).
#[must_use]
pub fn is_weakly_same(one: &str, other: &str) -> bool {
    let opaque = |tag| str::strip_prefix(tag, "W/").unwrap_or(tag);
    opaque(one) == opaque(other)
}

/// Whether `If-None-Match` names this validator: by weak comparison, or `*` (RFC 9110, section 13.1.2).
#[must_use]
pub fn none_match_names(field: &str, etag: &str) -> bool {
    if field.trim() == "*" {
        return true;
    }
    // Commas are allowed within a tag, and a tag after a broken one counts.
    let mut is_quoted = false;
    let is_between = |it: char| {
        is_quoted ^= it == '"';
        it == ',' && !is_quoted
    };
    field.split(is_between).chain(field.split(',')).any(|tag| is_weakly_same(tag.trim(), etag))
}

/// Whether `If-Modified-Since` says that the client's copy is still good: the date is not before `Last-Modified`
/// (RFC 9110, section 13.1.3). A field that is no date changes nothing.
#[must_use]
pub fn is_unmodified_since(field: &str, last_modified: &str, now: Instant) -> bool {
    match (http_date(field.trim(), now), http_date(last_modified.trim(), now)) {
        (Some(since), Some(modified)) => modified <= since,
        _ => false,
    }
}

/// Whether `If-Range` lets `Range` apply: it names the strong validator, or exactly the date of `Last-Modified`
/// (RFC 9110, section 13.1.5).
#[must_use]
pub fn range_applies(field: &str, etag: &str, last_modified: Option<&str>) -> bool {
    let field = field.trim();
    if field.starts_with('"') || field.starts_with("W/") {
        return field == etag && !etag.starts_with("W/");
    }
    last_modified.is_some_and(|date| date.trim() == field)
}
