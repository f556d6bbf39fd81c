//! Paths that mean the same to every server.

use percent_encoding::percent_decode;

/// A path decoded until it has no escapes, if every decoder reads it the same way: none of its escapes
/// gives a separator, a dot segment or a control character, and three rounds are enough.
#[must_use]
pub fn unambiguous(path: &str) -> Option<String> {
    const ROUNDS: usize = 3;
    let mut decoded = path.as_bytes().to_vec();
    for _ in 0..ROUNDS {
        let is_bad = |segment: &[u8]| matches!(segment, b"." | b"..");
        if decoded.iter().any(|b| b.is_ascii_control() || *b == b'\\')
            || decoded.windows(2).any(|pair| pair == b"//")
            || decoded.split(|b| *b == b'/').any(|it| is_bad(it.split(|b| *b == b';').next().unwrap_or(it)))
        {
            return None;
        }
        let slashes = decoded.iter().filter(|b| **b == b'/').count();
        let next: Vec<u8> = percent_decode(&decoded).collect();
        if next.len() == decoded.len() {
            return String::from_utf8(decoded).ok();
        }
        if next.iter().filter(|b| matches!(b, b'/' | b'?' | b'#')).count() > slashes {
            return None;
        }
        decoded = next;
    }
    None
}

/// Whether a decoded path reads like a route's to somebody who forgives a trailing slash, a parameter
/// or the case of letters.
#[must_use]
pub fn reads_as(decoded: &str, route: &str) -> bool {
    let plain = decoded.split(';').next().unwrap_or(decoded).trim_end_matches('/');
    plain.eq_ignore_ascii_case(route)
}
