//! Which requests invalidate stored answers, and of which URIs (RFC 9111, section 4.4).

/// Whether an answer with this status to a request with this method invalidates: the method is not known to be safe, and
/// the answer is no error.
#[must_use]
pub fn invalidates(method: &str, status: u16) -> bool {
    let is_safe =
        matches!(method, "GET" | "HEAD" | "OPTIONS" | "TRACE" | "QUERY" | "PROPFIND" | "SEARCH" | "REPORT");
    !is_safe && (200..400).contains(&status)
}

/// The path and query of a URI reference, if it has the same origin as the request: a server must not invalidate what is
/// another's. `origin` is the request's scheme and host, `own` its path and query.
#[must_use]
pub fn same_origin(reference: &str, origin: &str, own: &str) -> Option<String> {
    let reference = reference.split('#').next().unwrap_or_default();
    let rest = match reference.strip_prefix(origin) {
        Some(rest) => rest,
        None if reference.starts_with("//") || has_scheme(reference) => return None,
        None => reference,
    };
    if rest.starts_with('/') {
        return Some(rest.to_owned());
    }
    if rest.len() < reference.len() {
        // Another host that begins in the same way.
        return (rest.is_empty() || rest.starts_with('?')).then(|| format!("/{rest}"));
    }
    let path = own.split('?').next().unwrap_or_default();
    match reference.chars().next() {
        None => Some(own.to_owned()),
        Some('?') => Some(format!("{path}{reference}")),
        // Below the folder of the request. A reference with dots names no path that a route has.
        Some(_) => Some(format!("{}/{reference}", path.rsplit_once('/').map_or("", |(folder, _)| folder))),
    }
}

fn has_scheme(reference: &str) -> bool {
    let scheme = reference.split(['/', '?']).next().unwrap_or_default();
    scheme.contains(':')
}
