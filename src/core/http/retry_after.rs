//! `Retry-After` (RFC 9110, section 10.2.3).

use super::date::http_date;
use crate::core::time::{Instant, Span};

/// `Retry-After` as a delay: seconds, or a date read against `now` (RFC 9110, section 10.2.3).
#[must_use]
pub fn retry_after(field: &str, now: Instant) -> Option<Span> {
    let field = field.trim();
    if let Ok(seconds) = field.parse::<u64>() {
        return Some(Span(seconds.saturating_mul(1_000)));
    }
    Some(http_date(field, now)?.since(now))
}
