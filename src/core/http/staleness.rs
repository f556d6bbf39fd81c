//! How long may an answer be served stale? (RFC 9111, section 4.2.4; RFC 5861)

use super::cache_control::{Extent, ResponseDirectives};
use crate::core::time::Span;

/// The directive that forbids to serve an answer stale, if there is one. `s-maxage` means `proxy-revalidate` too
/// (section 5.2.2.10).
#[must_use]
pub fn stale_forbidden_by(directives: &ResponseDirectives) -> Option<&'static str> {
    let is_forbidden = [
        (directives.no_cache == Extent::Whole, "no-cache"),
        (directives.must_revalidate, "must-revalidate"),
        (directives.proxy_revalidate, "proxy-revalidate"),
        (directives.s_maxage.is_some(), "s-maxage"),
    ];
    is_forbidden.into_iter().find(|(is_there, _)| *is_there).map(|(_, name)| name)
}

/// One of the two windows after expiry. The origin's own (RFC 5861) is cut to the route's. Where the origin says
/// nothing, the route's is the operator's contract (section 4.2.4), for an answer that was ever fresh.
#[must_use]
pub fn stale_window(of_origin: Option<Span>, of_route: Option<Span>, ttl: Span) -> Span {
    match (of_origin, of_route) {
        (Some(window), Some(most)) => window.min(most),
        (Some(window), None) => window,
        (None, Some(window)) if ttl > Span::ZERO => window,
        (None, _) => Span::ZERO,
    }
}
