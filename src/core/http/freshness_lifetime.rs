//! How long is an answer fresh, from its `Date` on? (RFC 9111, sections 4.2.1 and 4.2.2)

use super::{
    cache_control::{Extent, ResponseDirectives},
    date::{cache_date, earliest_date},
    storing::is_heuristically_cacheable,
};
use crate::core::time::{Instant, Span};

/// The fields beside the directives that say how long an answer is fresh.
#[derive(Clone, Copy, Debug)]
pub struct FreshnessFields<'a> {
    /// The status.
    pub status: u16,
    /// `Expires`, unless `CDN-Cache-Control` decides.
    pub expires: Option<&'a str>,
    /// `Last-Modified`.
    pub last_modified: Option<&'a str>,
    /// `Date`; the instant at which the answer came if it has no valid one.
    pub date: Instant,
}

/// The heuristic of a route for answers that say nothing about their lifetime.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Heuristic {
    /// The share of the time since `Last-Modified`; 0 for no heuristic.
    pub share: f64,
    /// The longest lifetime that it gives.
    pub most: Span,
}

/// The freshness lifetime for a shared cache: the first source that is there decides (section 4.2.1). `now` is the
/// instant at which the answer came.
#[must_use]
pub fn freshness_lifetime(
    directives: &ResponseDirectives,
    fields: &FreshnessFields,
    heuristic: Heuristic,
    now: Instant,
) -> Span {
    // Section 5.2.2.4: not used without validation, which is what an expired answer gets.
    if directives.no_cache == Extent::Whole {
        return Span::ZERO;
    }
    if let Some(span) = directives.s_maxage.or(directives.max_age) {
        return span;
    }
    match fields.expires {
        // Section 5.3: an invalid date, such as `0`, lies in the past.
        Some(field) => earliest_date(field, now).map_or(Span::ZERO, |expires| expires.since(fields.date)),
        None if directives.public || is_heuristically_cacheable(fields.status) => {
            heuristic_lifetime(fields, heuristic, now)
        }
        None => Span::ZERO,
    }
}

/// Section 4.2.2: a share of the time between the last change and the answer.
fn heuristic_lifetime(fields: &FreshnessFields, heuristic: Heuristic, now: Instant) -> Span {
    let modified = fields.last_modified.and_then(|field| cache_date(field, now));
    modified.map_or(Span::ZERO, |it| fields.date.since(it).share(heuristic.share).min(heuristic.most))
}
