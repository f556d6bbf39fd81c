//! The nearest tier: entries in the memory of one isolate, bounded in bytes and in number. Each key also has
//! the purge floor that the isolate has learned, and the key's request rate.
//!
//! The clock algorithm, also known as second chance, chooses the key to evict: a hand goes round the keys,
//! skips and unmarks each key used since the last round, and evicts the first unused one. The choice is
//! nearly that of least recently used, but a hit sets a flag instead of doing two searches.

use std::{
    collections::BTreeMap,
    ops::Bound::{Excluded, Unbounded},
    sync::Arc,
};

use crate::core::{
    arrival_rate::ArrivalRate,
    entry::Entry,
    key::Hash,
    purge::Floor,
    time::{Instant, Span},
};

/// What a key without an entry weighs: its floor and rate.
const BARE: usize = 256;

#[derive(Clone, Debug, Default)]
struct Slot {
    entry: Option<Arc<Entry>>,
    floor: Floor,
    rate: ArrivalRate,
    used: bool,
}

impl Slot {
    fn weight(&self) -> usize {
        BARE + self.entry.as_ref().map_or(0, |entry| entry.weight())
    }
}

/// The memory tier.
#[derive(Clone, Debug)]
pub struct Memory {
    /// Boxed, so that this map and those of [`crate::isolate::refresh_gate`] are one piece of code.
    slots: BTreeMap<Hash, Box<Slot>>,
    hand: Hash,
    bytes: usize,
    max_bytes: usize,
    max_keys: usize,
}

impl Memory {
    /// A memory cache that holds at most this many bytes and keys.
    #[must_use]
    pub fn new(max_bytes: usize, max_keys: usize) -> Self {
        Self { slots: BTreeMap::new(), hand: Hash::default(), bytes: 0, max_bytes, max_keys }
    }

    /// A copy with this key only.
    pub(super) fn of_key(&self, hash: &Hash) -> Self {
        let mut copy = Self::new(self.max_bytes, self.max_keys);
        if let Some(slot) = self.slots.get(hash) {
            copy.bytes = slot.weight();
            copy.slots.insert(*hash, slot.clone());
        }
        copy
    }

    /// The entry of this key, whatever its age; `None` when it is gone or another key's.
    pub fn get(&mut self, hash: &Hash, key: &str, now: Instant) -> Option<Arc<Entry>> {
        let slot = self.slots.get_mut(hash)?;
        slot.used = true;
        let entry = slot.entry.as_ref()?;
        (*entry.key == *key && !entry.is_gone(now)).then(|| Arc::clone(entry))
    }

    /// The same without counting as a use of the key.
    #[must_use]
    pub fn peek(&self, hash: &Hash, key: &str, now: Instant) -> Option<Arc<Entry>> {
        let entry = self.slots.get(hash)?.entry.as_ref()?;
        (*entry.key == *key && !entry.is_gone(now)).then(|| Arc::clone(entry))
    }

    /// Stores the entry if it fits, supersedes the entry held, and is not purged by the floor. Returns
    /// whether it did. An older generation never overwrites a newer one.
    pub fn accept(&mut self, hash: Hash, entry: &Arc<Entry>, now: Instant) -> bool {
        if entry.weight() + BARE > self.max_bytes {
            return false;
        }
        let Some(allowed) = self.floor(&hash).applied(Arc::clone(entry), now) else {
            return false;
        };
        let held = self.slots.get(&hash).and_then(|slot| slot.entry.as_ref());
        if held.is_some_and(|held| held.key == allowed.key && !allowed.supersedes(held)) {
            return false;
        }
        self.change(hash, |slot| slot.entry = Some(allowed));
        true
    }

    /// Raises the key's purge floor, and drops or expires an entry below it. Returns whether it is new.
    pub fn hear(&mut self, hash: Hash, floor: Floor, now: Instant) -> bool {
        let known = self.slots.get(&hash).map_or(Floor::default(), |slot| slot.floor);
        let raised = known.raised(floor);
        if raised == known {
            return false;
        }
        self.change(hash, |slot| {
            slot.floor = raised;
            slot.entry = slot.entry.take().and_then(|entry| raised.applied(entry, now));
        });
        true
    }

    /// The purge floor of the key, as far as this isolate knows.
    #[must_use]
    pub fn floor(&self, hash: &Hash) -> Floor {
        self.slots.get(hash).map_or(Floor::default(), |slot| slot.floor)
    }

    /// Notes a request for the key.
    pub fn arrived(&mut self, hash: &Hash, now: Instant, memory: Span) {
        if let Some(slot) = self.slots.get_mut(hash) {
            slot.rate.arrived(now, memory);
        }
    }

    /// The key's request rate in this isolate, in requests per second; `None` while it is unknown.
    #[must_use]
    pub fn rate(&self, hash: &Hash, memory: Span) -> Option<f64> {
        self.slots.get(hash)?.rate.per_second(memory)
    }

    /// The number of keys in memory, with or without an entry.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.slots.len()
    }

    /// The approximate size of all keys and entries, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Changes a key's slot, then evicts other keys until memory is within its bounds.
    fn change(&mut self, hash: Hash, change: impl FnOnce(&mut Slot)) {
        let known = self.slots.get(&hash).map_or(0, |slot| slot.weight());
        let slot = self.slots.entry(hash).or_default();
        change(slot);
        slot.used = true;
        self.bytes = self.bytes - known + slot.weight();
        while self.bytes > self.max_bytes || self.slots.len() > self.max_keys {
            if !self.make_room(&hash) {
                return;
            }
        }
    }

    /// Moves the hand to the next key that was not used since the hand last passed it, and evicts that key.
    /// False if there is no key but `kept`.
    fn make_room(&mut self, kept: &Hash) -> bool {
        // Two rounds, each with a step back to the start: if all keys were used, the first unmarks them.
        for _ in 0..2 * (self.slots.len() + 1) {
            let next = self.slots.range_mut((Excluded(self.hand), Unbounded)).next();
            let Some((hash, slot)) = next else {
                self.hand = Hash::default();
                continue;
            };
            self.hand = *hash;
            if hash != kept && !std::mem::take(&mut slot.used) {
                self.bytes -= slot.weight();
                let gone = self.hand;
                self.slots.remove(&gone);
                return true;
            }
        }
        false
    }
}
