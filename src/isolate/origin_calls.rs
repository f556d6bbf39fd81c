//! The origin calls that one isolate has in progress. Their number is bounded, and the end of each is counted
//! once, even if the task that made the call was cut off.

use super::computation::Purpose;
use crate::core::time::{Instant, Span};

/// Names a call under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(u64);

/// The calls under way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct OriginCalls {
    next: u64,
    /// Short: `max_origin_calls` bounds it.
    open: Vec<(CallId, Purpose, Instant, Span)>,
}

impl OriginCalls {
    /// A call begins; after `lease` it counts as abandoned.
    pub fn begin(&mut self, purpose: Purpose, now: Instant, lease: Span) -> CallId {
        self.next += 1;
        let id = CallId(self.next);
        self.open.push((id, purpose, now, lease));
        id
    }

    /// Notes that a call has ended. False if it was already counted as abandoned.
    pub fn settle(&mut self, id: CallId) -> bool {
        let before = self.open.len();
        self.open.retain(|(open, ..)| *open != id);
        self.open.len() < before
    }

    /// Removes the calls that have no result at the end of their lease, and returns their purposes. A
    /// background task that was cut off cannot settle its call, because it runs no destructor.
    pub fn sweep(&mut self, now: Instant) -> Vec<Purpose> {
        let mut abandoned = Vec::new();
        self.open.retain(|(_, purpose, since, lease)| {
            let is_open = since.covers(*lease, now);
            if !is_open {
                abandoned.push(*purpose);
            }
            is_open
        });
        abandoned
    }

    /// How many are under way; a call beyond its lease is not, even before it is swept.
    #[must_use]
    pub fn under_way(&self, now: Instant) -> usize {
        self.open.iter().filter(|(_, _, since, lease)| since.covers(*lease, now)).count()
    }
}
