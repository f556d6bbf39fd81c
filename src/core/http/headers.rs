//! Which header fields are kept, and which belong to one connection.

/// The origin's headers that are kept with an entry.
pub const KEPT_HEADERS: [&str; 4] =
    ["content-type", "content-language", "last-modified", "x-content-type-options"];

/// Headers that belong to one connection and are never forwarded (RFC 9110, section 7.6.1), beside
/// those that `Connection` names.
pub const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
