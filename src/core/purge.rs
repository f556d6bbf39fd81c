//! Purge floors: which generations of a key were purged, and how.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{entry::Entry, time::Instant};

/// Two purge floors: generations below them were purged. Each tier that learns a floor applies it to its entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Hash)]
pub struct Floor {
    /// Entries of a lower generation are stale.
    pub soft: u64,
    /// Entries of a lower generation are gone.
    pub hard: u64,
}

impl Floor {
    /// The higher soft floor and the higher hard floor of both.
    #[must_use]
    pub fn raised(self, other: Self) -> Self {
        Self { soft: self.soft.max(other.soft), hard: self.hard.max(other.hard) }
    }

    /// The highest generation that was purged in any way.
    #[must_use]
    pub fn highest(self) -> u64 {
        self.soft.max(self.hard)
    }

    /// Applies this floor to an entry: returns `None` if the entry is purged, a stale copy, or the entry
    /// itself. Either floor drops an uncommitted entry, because it may have been computed before the purge.
    #[must_use]
    pub fn applied(self, mut entry: Arc<Entry>, now: Instant) -> Option<Arc<Entry>> {
        if entry.generation < self.hard || (!entry.committed && entry.generation < self.soft) {
            return None;
        }
        if entry.generation < self.soft {
            Arc::make_mut(&mut entry).expire(now);
        }
        Some(entry)
    }
}
