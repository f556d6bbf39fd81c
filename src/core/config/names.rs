//! Which header names and paths a setting may hold.

/// Headers that this Worker sets itself, or that belong to one connection.
pub(super) const RESERVED_HEADERS: [&str; 19] = [
    "accept",
    "accept-encoding",
    "cdn-loop",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "keep-alive",
    "range",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// Whether it is a header name in lower case.
pub(super) fn is_header_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 128
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b))
}

/// Whether it is `type/subtype`, `type/*` or `*/*`, without parameters.
pub(super) fn is_content_type(name: &str) -> bool {
    let is_token = |it: &str| {
        !it.is_empty()
            && it.len() <= 64
            && it.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&^_.+-".contains(&b))
    };
    name == "*/*"
        || name.split_once('/').is_some_and(|(kind, rest)| is_token(kind) && (rest == "*" || is_token(rest)))
}

/// Whether normalisation leaves `path` unchanged: it has no escapes, empty segments or dot segments.
pub(super) fn is_plain_path(path: &str) -> bool {
    path.starts_with('/')
        && !path.as_bytes().windows(2).any(|pair| pair == b"//")
        && !path.split('/').any(|segment| matches!(segment, "." | ".."))
        && path.bytes().all(|b| b.is_ascii_alphanumeric() || b"/-._~:@!$&'()*+,=".contains(&b))
}
