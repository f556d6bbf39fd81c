//! What one isolate remembers of refreshes under way, so that it asks a key's object once and not once
//! per request: the check before the lock.
//!
//! Nobody can rely on a mark being taken away: a cancelled `waitUntil` runs no destructor. So every
//! mark has an end, a mark from the future is ignored, and one is removed early only by who set it.

use std::collections::BTreeMap;

use crate::{key::Hash, time::Millis};

/// Why a refresh need not begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blocked {
    /// This isolate refreshes the key already, or has heard that somebody does.
    UnderWay,
    /// The origin has just failed for this key.
    BackingOff,
}

#[derive(Clone, Copy, Debug)]
struct Mark {
    owner: u64,
    why: Blocked,
    since: Millis,
    length: Millis,
}

/// The marks of one isolate, bounded in number.
#[derive(Debug)]
pub struct Marks {
    marks: BTreeMap<Hash, Mark>,
    direct: BTreeMap<Hash, (Millis, Millis)>,
    next_owner: u64,
    most: usize,
}

impl Marks {
    /// Room for so many keys.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { marks: BTreeMap::new(), direct: BTreeMap::new(), next_owner: 0, most }
    }

    /// Why a refresh of this key need not begin now, if so.
    #[must_use]
    pub fn blocked(&self, key: &Hash, now: Millis) -> Option<Blocked> {
        let mark = self.marks.get(key)?;
        mark.since.covers(mark.length, now).then_some(mark.why)
    }

    /// Notes that a refresh begins, for a lease at most. The answer removes the mark.
    pub fn begin(&mut self, key: Hash, now: Millis, lease: Millis) -> u64 {
        self.next_owner += 1;
        self.set(
            key,
            Mark { owner: self.next_owner, why: Blocked::UnderWay, since: now, length: lease },
            now,
        );
        self.next_owner
    }

    /// The refresh that `begin` named has ended.
    pub fn end(&mut self, key: &Hash, owner: u64) {
        if self.marks.get(key).is_some_and(|mark| mark.owner == owner) {
            self.marks.remove(key);
        }
    }

    /// The refresh that `begin` named has ended, and there is no use in another one for a while.
    pub fn end_and_remember(&mut self, key: Hash, owner: u64, why: Blocked, now: Millis, length: Millis) {
        if self.marks.get(&key).is_none_or(|mark| mark.owner == owner) {
            self.set(key, Mark { owner, why, since: now, length }, now);
        }
    }

    /// Whether the origin may be called for this key without a lease, the object being out of reach:
    /// once per `pause`. A yes takes the permission.
    pub fn may_compute_without_lease(&mut self, key: Hash, now: Millis, pause: Millis) -> bool {
        if self.direct.get(&key).is_some_and(|(since, pause)| since.covers(*pause, now)) {
            return false;
        }
        if self.direct.len() >= self.most {
            self.direct.retain(|_, (since, pause)| since.covers(*pause, now));
        }
        if self.direct.len() >= self.most {
            return false;
        }
        self.direct.insert(key, (now, pause));
        true
    }

    fn set(&mut self, key: Hash, mark: Mark, now: Millis) {
        if self.marks.len() >= self.most && !self.marks.contains_key(&key) {
            self.marks.retain(|_, mark| mark.since.covers(mark.length, now));
            if self.marks.len() >= self.most {
                // Full of live marks: without one the object decides, as for any other isolate.
                return;
            }
        }
        self.marks.insert(key, mark);
    }
}
