//! `If-None-Match` (RFC 9110, section 13.1.2).

/// Whether `If-None-Match` names this validator: by weak comparison, or `*` (RFC 9110, section 13.1.2).
#[must_use]
pub fn none_match_names(field: &str, etag: &str) -> bool {
    let opaque = |tag: &str| tag.strip_prefix("W/").unwrap_or(tag) == etag;
    field.trim() == "*" || field.split(',').any(|tag| opaque(tag.trim()))
}
