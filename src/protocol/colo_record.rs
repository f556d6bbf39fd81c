//! What the colo's cache stores for a key: a purge floor, and an entry where there is one.
//!
//! A record without an entry is the tombstone that a purge leaves, so that a late write does not bring back
//! what was purged. The Cache API has no compare-and-set: between a lookup and a write another isolate may
//! write, and a lost race can put an older entry back until the colo's next exchange with the key's object.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    codec,
    entry_format::{self, Unreadable},
};
use crate::core::{entry::Entry, purge::Floor, time::Instant};

/// The version of the record's head.
pub const FORMAT: u32 = u32::from_le_bytes(*b"XFC1");

#[derive(Serialize, Deserialize)]
struct RecordHead {
    floor: Floor,
}

/// A colo's record of one key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ColoRecord {
    /// The highest purge floor that the colo has heard of.
    pub floor: Floor,
    /// The entry, if there is one above the hard floor.
    pub entry: Option<Arc<Entry>>,
}

impl ColoRecord {
    /// Encodes the record.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let entry = self.entry.as_deref().map(entry_format::encode).unwrap_or_default();
        codec::join(FORMAT, &RecordHead { floor: self.floor }, &entry)
    }

    /// Decodes a record at `now`: applies its floor, and leaves out an entry past its physical lifetime. If
    /// the entry or the whole record cannot be read, it is left out and the reason returned. A readable floor
    /// is kept.
    #[must_use]
    pub fn decode(bytes: &[u8], key: &str, now: Instant) -> (Self, Option<Unreadable>) {
        let Some((head, rest)) = codec::split::<RecordHead>(FORMAT, bytes) else {
            return (Self::default(), Some(Unreadable::Corrupt));
        };
        let floor = head.floor;
        if rest.is_empty() {
            return (Self { floor, entry: None }, None);
        }
        match entry_format::decode(rest, key) {
            Ok(entry) => {
                let entry = floor.applied(Arc::new(entry), now).filter(|it| !it.is_gone(now));
                (Self { floor, entry }, None)
            }
            Err(why) => (Self { floor, entry: None }, Some(why)),
        }
    }

    /// The record to write for a committed entry, or `None` if the colo should keep what it has: `heard` is
    /// the floor that the writing isolate knows.
    #[must_use]
    pub fn with_entry(&self, entry: &Arc<Entry>, heard: Floor, now: Instant) -> Option<Self> {
        let floor = self.floor.raised(heard);
        let entry = floor.applied(Arc::clone(entry), now).filter(|it| !it.is_gone(now))?;
        let is_newer = self.entry.as_ref().is_none_or(|held| entry.supersedes(held));
        is_newer.then_some(Self { floor, entry: Some(entry) })
    }

    /// The record to write when a purge floor is heard, or `None` if it is not news.
    #[must_use]
    pub fn with_floor(&self, heard: Floor, now: Instant) -> Option<Self> {
        let floor = self.floor.raised(heard);
        if floor == self.floor {
            return None;
        }
        let entry = self.entry.clone().and_then(|entry| floor.applied(entry, now));
        Some(Self { floor, entry })
    }
}
