//! The marks of refreshes under way and of recent failures, by which an isolate asks a key's object once and
//! not once per request: the check before the lock.
//!
//! A refresh may never remove its mark, because a cancelled `waitUntil` runs no destructor. So every mark has
//! a time limit, a mark from the future is ignored, and a mark is removed early only by the refresh that set
//! it, or by a purge.

use std::collections::BTreeMap;

use crate::core::{
    failure::Failure,
    key::Hash,
    time::{Instant, Span},
};

/// The longest body of an origin's refusal that is remembered here.
const MAX_REMEMBERED_TEXT: usize = 4_096;

/// Why a refresh need not begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Blocked {
    /// This isolate refreshes the key already, or knows that another one does.
    UnderWay,
    /// The origin has just failed for this key.
    BackingOff {
        /// How.
        failure: Failure,
        /// How long this is remembered.
        retry_after: Span,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Why {
    UnderWay,
    BackingOff(Failure),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Mark {
    owner: u64,
    why: Why,
    since: Instant,
    length: Span,
}

impl Mark {
    fn is_live(&self, now: Instant) -> bool {
        self.since.covers(self.length, now)
    }
}

/// The marks of one isolate, bounded in number.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RefreshGate {
    marks: BTreeMap<Hash, Box<Mark>>,
    direct: BTreeMap<Hash, Box<Mark>>,
    next_owner: u64,
    most: usize,
}

impl RefreshGate {
    /// A gate that remembers at most this many keys.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { marks: BTreeMap::new(), direct: BTreeMap::new(), next_owner: 0, most }
    }

    /// A copy with this key's marks only.
    pub(super) fn of_key(&self, key: &Hash) -> Self {
        let mut copy = Self::new(self.most);
        copy.next_owner = self.next_owner;
        for (from, to) in [(&self.marks, &mut copy.marks), (&self.direct, &mut copy.direct)] {
            if let Some(mark) = from.get(key) {
                to.insert(*key, mark.clone());
            }
        }
        copy
    }

    /// Why no refresh of this key should begin now; `None` if one may.
    #[must_use]
    pub fn blocked(&self, key: &Hash, now: Instant) -> Option<Blocked> {
        let mark = self.marks.get(key)?;
        mark.is_live(now).then(|| match &mark.why {
            Why::UnderWay => Blocked::UnderWay,
            Why::BackingOff(failure) => Blocked::BackingOff {
                failure: failure.clone(),
                retry_after: mark.since.plus(mark.length).since(now),
            },
        })
    }

    /// Sets a mark for a refresh that begins; it lasts `lease` at most. Returns the mark's number, for `end`,
    /// `end_held` and `end_failed`.
    pub fn begin(&mut self, key: Hash, now: Instant, lease: Span) -> u64 {
        self.next_owner += 1;
        let mark = Mark { owner: self.next_owner, why: Why::UnderWay, since: now, length: lease };
        insert(&mut self.marks, key, mark, now, self.most);
        self.next_owner
    }

    /// The refresh that `begin` named has ended.
    pub fn end(&mut self, key: &Hash, owner: u64) {
        if self.marks.get(key).is_some_and(|mark| mark.owner == owner) {
            self.marks.remove(key);
        }
    }

    /// The refresh that `begin` named has ended; another isolate computes, so the next attempt waits for `length`.
    pub fn end_held(&mut self, key: Hash, owner: u64, now: Instant, length: Span) {
        self.replace(key, Mark { owner, why: Why::UnderWay, since: now, length }, now);
    }

    /// The refresh that `begin` named has ended, and this isolate remembers the failure for `length`. A
    /// refusal with a long body is not remembered, to bound the memory.
    pub fn end_failed(&mut self, key: Hash, owner: u64, failure: &Failure, now: Instant, length: Span) {
        if matches!(failure, Failure::Negative { body, .. } if body.len() > MAX_REMEMBERED_TEXT) {
            return self.end(&key, owner);
        }
        let why = Why::BackingOff(failure.clone());
        self.replace(key, Mark { owner, why, since: now, length }, now);
    }

    /// Removes the key's mark after a purge, because it concerns purged content.
    pub fn forget(&mut self, key: &Hash) {
        self.marks.remove(key);
    }

    fn replace(&mut self, key: Hash, mark: Mark, now: Instant) {
        if self.marks.get(&key).is_none_or(|held| held.owner == mark.owner) {
            insert(&mut self.marks, key, mark, now, self.most);
        }
    }

    /// Whether the origin may be called for this key without a lease, because the object is out of reach. It
    /// returns true once per `pause`.
    pub fn may_compute_without_lease(&mut self, key: Hash, now: Instant, pause: Span) -> bool {
        if self.direct.get(&key).is_some_and(|mark| mark.is_live(now)) {
            return false;
        }
        let mark = Mark { owner: 0, why: Why::UnderWay, since: now, length: pause };
        insert(&mut self.direct, key, mark, now, self.most)
    }
}

/// Sets a mark if there is room, and returns whether it did. A refresh without a mark is safe: the key's
/// object decides, as between isolates.
fn insert(marks: &mut BTreeMap<Hash, Box<Mark>>, key: Hash, mark: Mark, now: Instant, most: usize) -> bool {
    if marks.len() >= most && !marks.contains_key(&key) {
        marks.retain(|_, mark| mark.is_live(now));
        if marks.len() >= most {
            return false;
        }
    }
    marks.insert(key, Box::new(mark));
    true
}
