//! How old is an answer when it comes? (RFC 9111, section 4.2.3)

use super::cache_control::delta_seconds;
use crate::core::time::{Instant, Span};

/// The corrected initial age of an answer. `date` is its `Date`, if it has a valid one.
#[must_use]
pub fn initial_age(
    age_field: Option<&str>,
    date: Option<Instant>,
    asked_at: Instant,
    answered_at: Instant,
) -> Span {
    let corrected_age = age_value(age_field).plus(answered_at.since(asked_at));
    // A date has whole seconds, and so has the difference.
    let answered_second = Instant(answered_at.0 / 1_000 * 1_000);
    let apparent_age = date.map_or(Span::ZERO, |date| answered_second.since(date));
    apparent_age.max(corrected_age)
}

/// Section 5.1: the first member of a list counts; an `Age` that is no number is ignored.
fn age_value(field: Option<&str>) -> Span {
    let first = field.unwrap_or_default().split(',').next().unwrap_or_default();
    delta_seconds(first.trim()).unwrap_or(Span::ZERO)
}
