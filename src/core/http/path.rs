//! Paths that mean the same to every server.

use percent_encoding::percent_decode;

/// Decodes a path until it has no escapes. `None` if servers could read it differently: if it contains an
/// empty or dot segment, a control character, a backslash or an escaped separator, if it is not UTF-8, or if
/// three rounds are not enough.
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

/// Whether a decoded path equals `route`, or lies below it if it ends in `/*`, for a server that ignores trailing
/// slashes, path parameters (`;a=b`) and the case of letters.
#[must_use]
pub fn reads_as(decoded: &str, route: &str) -> bool {
    let segments: Vec<&str> = decoded.split('/').map(|it| it.split(';').next().unwrap_or(it)).collect();
    let plain = segments.join("/");
    let plain = plain.trim_end_matches('/');
    match route.strip_suffix('*') {
        None => plain.eq_ignore_ascii_case(route),
        Some(prefix) => plain.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix)),
    }
}
