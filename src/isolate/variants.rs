//! How many variants of a key this isolate has seen: strangers choose the header fields by which answers vary, so
//! their number has a bound.

use std::collections::BTreeMap;

use crate::core::{
    key::Hash,
    time::{Instant, Span},
};

/// After this long the variants of a key are counted anew.
const COUNTED_FOR: Span = Span(3_600_000);
/// The most keys whose variants are counted at once.
const MAX_KEYS: usize = 1_000;

/// The variants of each key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Variants {
    keys: BTreeMap<Hash, Known>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Known {
    since: Instant,
    variants: Vec<Hash>,
}

impl Variants {
    /// Whether a variant of a key may be cached: it is known, or one of the first `most`.
    pub fn may_cache(&mut self, key: Hash, variant: Hash, most: u32, now: Instant) -> bool {
        if self.keys.len() >= MAX_KEYS && !self.keys.contains_key(&key) {
            self.keys.retain(|_, known| known.since.covers(COUNTED_FOR, now));
            if self.keys.len() >= MAX_KEYS {
                self.keys.clear();
            }
        }
        let known = self.keys.entry(key).or_insert_with(|| Known { since: now, variants: Vec::new() });
        if !known.since.covers(COUNTED_FOR, now) {
            *known = Known { since: now, variants: Vec::new() };
        }
        if known.variants.contains(&variant) {
            return true;
        }
        let has_room = known.variants.len() < most as usize;
        if has_room {
            known.variants.push(variant);
        }
        has_room
    }
}
