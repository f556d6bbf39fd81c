//! The nearest tier: entries in the memory of one isolate, bounded in bytes and in number, the least
//! recently used going first. Beside each entry stands what the isolate knows of its key: the purge
//! floor it has heard, and how often the key is asked for.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    entry::{Entry, Floor},
    key::Hash,
    rate::Rate,
    time::Millis,
};

/// What a key without an entry weighs: its floor and rate.
const BARE: usize = 256;

#[derive(Debug, Default)]
struct Slot {
    entry: Option<Arc<Entry>>,
    floor: Floor,
    rate: Rate,
    used: u64,
}

impl Slot {
    fn weight(&self) -> usize {
        BARE + self.entry.as_ref().map_or(0, |entry| entry.weight())
    }
}

/// The memory tier.
#[derive(Debug)]
pub struct Memory {
    slots: BTreeMap<Hash, Slot>,
    by_use: BTreeMap<u64, Hash>,
    clock: u64,
    bytes: usize,
    most_bytes: usize,
    most_keys: usize,
}

impl Memory {
    /// Room for so many bytes and keys.
    #[must_use]
    pub fn new(most_bytes: usize, most_keys: usize) -> Self {
        Self { slots: BTreeMap::new(), by_use: BTreeMap::new(), clock: 0, bytes: 0, most_bytes, most_keys }
    }

    /// The entry of this key, whatever its age; `None` when it is gone or another key's.
    /// Moves the key to the young end.
    pub fn get(&mut self, hash: &Hash, key: &str, now: Millis) -> Option<Arc<Entry>> {
        self.touch(hash);
        let entry = self.slots.get(hash)?.entry.as_ref()?;
        (*entry.key == *key && !entry.is_gone(now)).then(|| Arc::clone(entry))
    }

    /// Takes the entry if it fits, supersedes what is here, and stands above the floor. An older generation
    /// never overwrites a newer one.
    pub fn accept(&mut self, hash: Hash, entry: &Arc<Entry>, now: Millis) -> bool {
        if entry.weight() + BARE > self.most_bytes {
            return false;
        }
        let Some(allowed) = self.floor(&hash).applied((**entry).clone(), now) else {
            return false;
        };
        let held = self.slots.get(&hash).and_then(|slot| slot.entry.as_ref());
        if held.is_some_and(|held| held.key == allowed.key && !allowed.supersedes(held)) {
            return false;
        }
        self.change(hash, |slot| slot.entry = Some(Arc::new(allowed)));
        true
    }

    /// Hears a purge floor: drops or marks stale what lies below. Answers whether it was news.
    pub fn hear(&mut self, hash: Hash, floor: Floor, now: Millis) -> bool {
        let known = self.slots.get(&hash).map_or(Floor::default(), |slot| slot.floor);
        let raised = known.raised(floor);
        if raised == known {
            return false;
        }
        self.change(hash, |slot| {
            slot.floor = raised;
            slot.entry =
                slot.entry.take().and_then(|entry| raised.applied((*entry).clone(), now)).map(Arc::new);
        });
        true
    }

    /// The floor that this isolate has heard.
    #[must_use]
    pub fn floor(&self, hash: &Hash) -> Floor {
        self.slots.get(hash).map_or(Floor::default(), |slot| slot.floor)
    }

    /// Notes a request for the key.
    pub fn arrived(&mut self, hash: &Hash, now: Millis, memory: Millis) {
        if let Some(slot) = self.slots.get_mut(hash) {
            slot.rate.arrived(now, memory);
        }
    }

    /// How often the key is asked for, in requests per second, as far as this isolate knows.
    #[must_use]
    pub fn rate(&self, hash: &Hash) -> Option<f64> {
        self.slots.get(hash)?.rate.per_second()
    }

    /// How many entries it holds.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.slots.len()
    }

    /// How many bytes they take, near enough.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    fn touch(&mut self, hash: &Hash) {
        if let Some(slot) = self.slots.get_mut(hash) {
            self.clock += 1;
            self.by_use.remove(&slot.used);
            slot.used = self.clock;
            self.by_use.insert(self.clock, *hash);
        }
    }

    fn change(&mut self, hash: Hash, change: impl FnOnce(&mut Slot)) {
        let is_known = self.by_use.get(&self.slots.get(&hash).map_or(0, |slot| slot.used)) == Some(&hash);
        let slot = self.slots.entry(hash).or_default();
        let before = if is_known { slot.weight() } else { 0 };
        change(slot);
        self.bytes = self.bytes - before + slot.weight();
        self.touch(&hash);
        while self.bytes > self.most_bytes || self.slots.len() > self.most_keys {
            let Some((_, oldest)) = self.by_use.pop_first() else { return };
            if let Some(slot) = self.slots.remove(&oldest) {
                self.bytes -= slot.weight();
            }
        }
    }
}
