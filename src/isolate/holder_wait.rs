//! How long a refresh that found the lease held waits for the holder's commit.

use crate::{
    core::time::{Instant, Span},
    protocol::lease::{MAX_WAIT, MIN_RETRY},
};

/// A wait at the key's object for the holder of the lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HolderWait {
    since: Instant,
    /// The `retry_in` of the object's answer, counted from `since`.
    retry_in: Span,
    is_last: bool,
}

impl HolderWait {
    /// A wait that begins now, after the object answered `Held` with this `retry_in`.
    #[must_use]
    pub fn new(now: Instant, retry_in: Span) -> Self {
        Self { since: now, retry_in, is_last: false }
    }

    /// One more wait after this one, or `None` when it ended early, was the last, or the computation should
    /// have ended by now. At most two fit into `waitUntil`.
    #[must_use]
    pub fn next(self, now: Instant) -> Option<Self> {
        let is_worth_it = !self.is_last && self.has_run_its_time(now) && self.left(now) > Span::ZERO;
        is_worth_it.then(|| Self { since: now, retry_in: self.left(now), is_last: true })
    }

    /// Whether the wait lasted [`MAX_WAIT`]. A shorter wait was ended by a purge, by a grant that was given
    /// back, or by the end of the lease.
    #[must_use]
    pub fn has_run_its_time(self, now: Instant) -> bool {
        self.waited(now) >= MAX_WAIT
    }

    /// How long after the wait this isolate starts no refresh of the key.
    #[must_use]
    pub fn pause(self, now: Instant) -> Span {
        self.left(now).max(MIN_RETRY)
    }

    fn waited(self, now: Instant) -> Span {
        now.since(self.since)
    }

    fn left(self, now: Instant) -> Span {
        self.retry_in.minus(self.waited(now))
    }
}
