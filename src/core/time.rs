//! Instants and spans of time in whole milliseconds, with arithmetic that saturates.
//!
//! They are two types, so that a function of both cannot be called with its arguments swapped. An instant
//! counts from the Unix epoch on its owner's clock; nothing here reads a clock.

use serde::{Deserialize, Serialize};

/// A point in time: milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, Hash)]
#[serde(transparent)]
pub struct Instant(pub u64);

/// A length of time in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, Hash)]
#[serde(transparent)]
pub struct Span(pub u64);

impl Instant {
    /// The Unix epoch.
    pub const EPOCH: Self = Self(0);

    /// The instant `span` later; saturates at the end of the range.
    #[must_use]
    pub fn plus(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.0))
    }

    /// The instant `span` earlier, at the earliest the epoch.
    #[must_use]
    pub fn minus(self, span: Span) -> Self {
        Self(self.0.saturating_sub(span.0))
    }

    /// The time that has passed since `earlier`; zero when `earlier` lies ahead, as after a clock step.
    #[must_use]
    pub fn since(self, earlier: Self) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }

    /// Whether `now` lies in `[self, self + length)`. Leases, back-offs and marks use this rule: a clock step
    /// forward ends one early, a step backward at most doubles its length.
    #[must_use]
    pub fn covers(self, length: Span, now: Self) -> bool {
        self <= now && now < self.plus(length)
    }

    /// Seconds since the epoch, with a fraction.
    #[must_use]
    pub fn as_seconds(self) -> f64 {
        self.0 as f64 / 1_000.0
    }
}

impl Span {
    /// No time at all.
    pub const ZERO: Self = Self(0);
    /// One second.
    pub const SECOND: Self = Self(1_000);
    /// One day.
    pub const DAY: Self = Self(86_400_000);

    /// From seconds, rounded to the nearest millisecond; negative values and NaN become zero.
    #[must_use]
    pub fn from_seconds(seconds: f64) -> Self {
        // `as` saturates, and maps NaN to zero.
        Self((seconds * 1_000.0).round() as u64)
    }

    /// As seconds with a fraction.
    #[must_use]
    pub fn as_seconds(self) -> f64 {
        self.0 as f64 / 1_000.0
    }

    /// As whole seconds, rounded up: the unit of `Retry-After` and `max-age`.
    #[must_use]
    pub fn whole_seconds_up(self) -> u64 {
        self.0.div_ceil(1_000)
    }

    /// The sum; saturates.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The difference, at least zero.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// This share of it, rounded down; a negative share or NaN gives zero.
    #[must_use]
    pub fn share(self, share: f64) -> Self {
        Self((self.0 as f64 * share) as u64)
    }
}
