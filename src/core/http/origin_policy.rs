//! The policy "origin": what the header fields of an answer say about storing and serving it (RFC 9111).

use super::{
    cache_control::{Extent, ResponseDirectives},
    date::earliest_date,
    freshness_lifetime::{FreshnessFields, Heuristic, freshness_lifetime},
    initial_age::initial_age,
    origin_answer::OriginAnswer,
    staleness::{stale_forbidden_by, stale_window},
    storing::may_store,
    vary::insert_sorted,
};
use crate::core::{
    entry::Lifetime,
    time::{Instant, Span},
};

/// How long an answer with a validator is kept after its expiry, to be validated (section 4.3).
const KEPT_FOR_VALIDATION: Span = Span::DAY;

/// The settings of a route that bound what an origin says.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Terms {
    /// The route's own `stale-while-revalidate`, if it names one.
    pub stale_while_revalidate: Option<Span>,
    /// The route's own `stale-if-error`, if it names one.
    pub stale_if_error: Option<Span>,
    /// For answers that say nothing about their lifetime.
    pub heuristic: Heuristic,
}

/// What the header fields say about an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judged {
    /// It may not be stored.
    DoNotStore,
    /// It may be stored.
    Store(StoringTerms),
}

/// How an answer is to be stored. One that has no lifetime is of use only with a validator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoringTerms {
    /// How long it may be served. The TTL counts from the instant at which its age was zero.
    pub lifetime: Lifetime,
    /// Its age when it came; it may already exceed the TTL.
    pub initial_age: Span,
    /// The header fields that are not stored with it; names in lower case.
    pub left_out: Vec<String>,
    /// The directive that forbids to serve it stale, if there is one.
    pub stale_forbidden_by: Option<&'static str>,
}

/// Judges an answer to a request that began at `asked_at`. It came at `answered_at`, by the same clock.
#[must_use]
pub fn judged(answer: &OriginAnswer, terms: &Terms, asked_at: Instant, answered_at: Instant) -> Judged {
    let (directives, expires) = answer.policy();
    if !may_store(answer, &directives, expires) {
        return Judged::DoNotStore;
    }
    let date = answer.date.and_then(|field| earliest_date(field, answered_at));
    let fields = FreshnessFields {
        status: answer.status,
        expires,
        last_modified: answer.last_modified,
        date: date.unwrap_or(answered_at),
    };
    let ttl = freshness_lifetime(&directives, &fields, terms.heuristic, answered_at);
    let stale_forbidden_by = stale_forbidden_by(&directives);
    let window = |of_origin, of_route| match stale_forbidden_by {
        Some(_) => Span::ZERO,
        None => stale_window(of_origin, of_route, ttl),
    };
    Judged::Store(StoringTerms {
        lifetime: Lifetime {
            ttl,
            stale_while_revalidate: window(directives.stale_while_revalidate, terms.stale_while_revalidate),
            stale_if_error: window(directives.stale_if_error, terms.stale_if_error),
            kept: if answer.has_validator { KEPT_FOR_VALIDATION } else { Span::ZERO },
        },
        initial_age: initial_age(answer.age, date, asked_at, answered_at),
        left_out: left_out(directives),
        stale_forbidden_by,
    })
}

/// The fields that `private` (section 5.2.2.7) and `no-cache` (section 5.2.2.4) name: sorted, each once.
fn left_out(directives: ResponseDirectives) -> Vec<String> {
    let mut names = Vec::new();
    for scope in [directives.private, directives.no_cache] {
        if let Extent::Fields(fields) = scope {
            for name in fields {
                insert_sorted(&mut names, name);
            }
        }
    }
    names
}
