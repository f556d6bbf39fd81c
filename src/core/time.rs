//! Instants and durations in whole milliseconds, with arithmetic that cannot underflow.
//!
//! An instant counts from the Unix epoch by whatever clock its owner reads; nothing here reads one.

use serde::{Deserialize, Serialize};

/// Milliseconds: an instant since the Unix epoch, or a duration. All arithmetic saturates, so that a
/// clock which steps back gives an age of zero instead of an underflow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, Hash)]
#[serde(transparent)]
pub struct Millis(pub u64);

impl Millis {
    /// No time at all; also the Unix epoch.
    pub const ZERO: Self = Self(0);
    /// One second.
    pub const SECOND: Self = Self(1_000);
    /// One day.
    pub const DAY: Self = Self(86_400_000);

    /// From seconds, rounded to the nearest millisecond; negative and NaN become zero.
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

    /// Whole seconds, rounded up: what `Retry-After` and `max-age` want.
    #[must_use]
    pub fn whole_seconds_up(self) -> u64 {
        self.0.div_ceil(1_000)
    }

    /// The sum, at most `u64::MAX`.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The difference, at least zero.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// This share of it, rounded down; a negative or NaN share gives zero.
    #[must_use]
    pub fn share(self, share: f64) -> Self {
        Self((self.0 as f64 * share) as u64)
    }

    /// Whether `now` lies in `[self, self + length)`. By this rule every lease, back-off and marker
    /// lives: a clock step forward ends it early, one backward at most doubles it.
    #[must_use]
    pub fn covers(self, length: Self, now: Self) -> bool {
        self <= now && now < self.plus(length)
    }
}
