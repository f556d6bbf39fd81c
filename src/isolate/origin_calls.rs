//! The origin calls that one isolate has under way: their number bounds it, and their ends are counted
//! once each, also of those whose end nobody saw.

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

    /// A call has ended; false when it had been swept as abandoned before, so that it counts nothing.
    pub fn settle(&mut self, id: CallId) -> bool {
        let before = self.open.len();
        self.open.retain(|(open, ..)| *open != id);
        self.open.len() < before
    }

    /// Takes away what is unsettled at the end of its lease: a background task that was cut off runs
    /// no destructor.
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

    /// How many are under way.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.open.len()
    }
}
