//! The isolate's clock: the only module of the Worker that reads the time.

use crate::core::time::Instant;

/// The wall clock. On the deployed platform it stands still between I/O operations, so only time
/// around I/O can be measured.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is where the clock is read")]
pub fn now() -> Instant {
    Instant(js_sys::Date::now() as u64)
}
