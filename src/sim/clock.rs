//! A clock that may be wrong.

use crate::core::time::Instant;

/// Off from the true time, by this many milliseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Clock(pub(super) i64);

impl Clock {
    pub(super) fn read(self, now: Instant) -> Instant {
        Instant(now.0.saturating_add_signed(self.0))
    }
}
