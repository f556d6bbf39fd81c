//! May an answer be stored? (RFC 9111, section 3)

use super::{
    cache_control::{Extent, ResponseDirectives},
    origin_answer::{Asker, OriginAnswer},
    vary::Vary,
};

/// The header fields of an origin's answer that decide whether it may be stored.
#[derive(Clone, Copy, Debug, Default)]
pub struct StoringHeaders<'a> {
    /// `Cache-Control`.
    pub cache_control: Option<&'a str>,
    /// `Vary`.
    pub vary: Option<&'a str>,
    /// Whether there is a `Set-Cookie`.
    pub has_set_cookie: bool,
    /// Whether it is stored for one client alone.
    pub is_personal: bool,
}

impl StoringHeaders<'_> {
    /// Whether it may be kept (RFC 9111, section 3): no `no-store` and, where it is for all clients, no `private`, with
    /// or without an argument; nothing that differs per client.
    #[must_use]
    pub fn allow(&self) -> bool {
        !self.has_set_cookie
            && !self.cache_control.is_some_and(|field| forbids_storing(field, self.is_personal))
            && !self.vary.is_some_and(|field| field.contains('*'))
    }
}

/// Whether a `Cache-Control` contains `no-store`, or `private` where the answer is for all.
fn forbids_storing(field: &str, is_personal: bool) -> bool {
    let read = ResponseDirectives::read(field);
    read.no_store || (read.private != Extent::Nothing && !is_personal)
}

/// Whether this shared cache may store the answer to a request whose method it understands. `expires` is the
/// field that counts: none where `CDN-Cache-Control` decides.
#[must_use]
pub fn may_store(answer: &OriginAnswer, directives: &ResponseDirectives, expires: Option<&str>) -> bool {
    is_storable_status(answer.status)
        && (!directives.must_understand || is_understood(answer.status))
        // A cache that understands the status ignores the `no-store` beside `must-understand` (5.2.2.3).
        && (!directives.no_store || directives.must_understand)
        // What is for one client is stored for that client (5.2.2.7).
        && (directives.private != Extent::Whole || answer.asker == Asker::OneClient)
        && (answer.asker != Asker::Authorized || allows_authorization(directives))
        && is_marked_storable(answer.status, directives, expires)
        && !answer.has_set_cookie
        // `Vary: *` matches no request (4.1).
        && answer.vary.is_none_or(|field| Vary::read(field) != Vary::Everything)
}

/// Section 3: the status is final. This cache combines no parts (3.4), so that it stores no 206, and a 304 only
/// updates what is stored.
fn is_storable_status(status: u16) -> bool {
    (200..600).contains(&status) && status != 206 && status != 304
}

/// Section 5.2.2.3: the statuses of RFC 9110 whose meaning for a cache this cache follows.
fn is_understood(status: u16) -> bool {
    matches!(status, 200..=205 | 300..=303 | 307 | 308 | 400..=417 | 421 | 422 | 426 | 500..=505)
}

/// Section 3.5: what allows a shared cache to store the answer to a request with `Authorization`.
fn allows_authorization(directives: &ResponseDirectives) -> bool {
    directives.public || directives.must_revalidate || directives.s_maxage.is_some()
}

/// Section 3, the last condition: what makes an answer storable.
fn is_marked_storable(status: u16, directives: &ResponseDirectives, expires: Option<&str>) -> bool {
    directives.public
        || directives.s_maxage.is_some()
        || directives.max_age.is_some()
        || expires.is_some()
        || is_heuristically_cacheable(status)
}

/// RFC 9110, section 15.1: the statuses that are storable without an explicit lifetime.
#[must_use]
pub fn is_heuristically_cacheable(status: u16) -> bool {
    matches!(status, 200 | 203 | 204 | 206 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501)
}
