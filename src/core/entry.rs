//! What is stored beside a body: when it was computed, what it cost, how long it may be served, and
//! the generation that orders it among all values its key ever had.
//!
//! An entry has two ends. At its *expiry* (`stored_at + ttl`) it turns stale. At the end of its
//! *physical lifetime* (expiry plus the longer of the two stale windows) it counts as absent. A cache
//! that drops entries at expiry has nothing left to serve while it refreshes.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    core::{
        canonical_json,
        time::{Instant, Span},
    },
    protocol::codec,
};

/// How far ahead of the reader's clock an entry's may be before it is not believed.
pub const CLOCK_TOLERANCE: Span = Span(5_000);

/// How long an entry may be served, from when it was computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Hash)]
pub struct Lifetime {
    /// From `stored_at` to expiry.
    pub ttl: Span,
    /// From expiry: served at once while a refresh runs.
    pub stale_while_revalidate: Span,
    /// From expiry: served when the origin fails, is in back-off, or cannot be waited for.
    pub stale_if_error: Span,
}

impl Lifetime {
    /// From `stored_at` to the end of use.
    #[must_use]
    pub fn physical(&self) -> Span {
        self.ttl.plus(self.stale_while_revalidate.max(self.stale_if_error))
    }
}

/// One complete answer of the origin, as it was.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    /// Strictly increasing per key; given by the key's object.
    pub generation: u64,
    /// The instant of the body's last byte, by the clock of whoever holds this copy.
    pub stored_at: Instant,
    /// Smoothed measured cost of the computation.
    pub delta: Span,
    /// How long it may be served.
    pub lifetime: Lifetime,
    /// How often the key was asked for in the world when it was committed, in requests per 1,000 seconds, as
    /// far as its object had been told ([`crate::core::global_rate`]); 0 for unknown.
    pub global_rate: u32,
    /// False for a value computed without the object's word: it lives in one isolate's memory only.
    pub committed: bool,
    /// The full canonical key, compared on every read.
    pub key: Arc<str>,
    /// The origin's status, 2xx.
    pub status: u16,
    /// The origin's headers that are kept, lower-case names.
    pub headers: Vec<(String, String)>,
    /// A strong validator made of the body: its SHA-256, quoted.
    pub etag: String,
    /// The decoded body, byte for byte.
    pub body: Arc<[u8]>,
}

impl Entry {
    /// The instant it turns stale.
    #[must_use]
    pub fn expiry(&self) -> Instant {
        self.stored_at.plus(self.lifetime.ttl)
    }

    /// How old it is at `now`; never negative.
    #[must_use]
    pub fn age(&self, now: Instant) -> Span {
        now.since(self.stored_at)
    }

    /// Whether it is past its physical lifetime, so that it counts as absent.
    #[must_use]
    pub fn is_gone(&self, now: Instant) -> bool {
        self.age(now) >= self.lifetime.physical()
    }

    /// Whether it may be served without waiting for the origin.
    #[must_use]
    pub fn is_servable(&self, now: Instant) -> bool {
        now < self.expiry().plus(self.lifetime.stale_while_revalidate)
    }

    /// Whether it may answer when the origin cannot.
    #[must_use]
    pub fn is_usable_on_error(&self, now: Instant) -> bool {
        now < self.expiry().plus(self.lifetime.stale_if_error)
    }

    /// Whether this copy should replace `other` in a tier: a higher generation, or the same with an
    /// earlier expiry (a soft purge), or an uncommitted value over the one it was computed to replace.
    #[must_use]
    pub fn supersedes(&self, other: &Self) -> bool {
        match self.generation.cmp(&other.generation) {
            std::cmp::Ordering::Greater => true,
            std::cmp::Ordering::Less => false,
            // An uncommitted value carries the generation that its isolate had seen, and is newer.
            std::cmp::Ordering::Equal if !self.committed => self.stored_at >= other.stored_at,
            std::cmp::Ordering::Equal => other.committed && self.expiry() < other.expiry(),
        }
    }

    /// This copy as another clock sees it: `stored_at` is `now` less the age it had, and its TTL what
    /// the key's object has left of it.
    #[must_use]
    pub fn adopted(mut self, now: Instant, age: Span, ttl: Span) -> Self {
        self.stored_at = now.minus(age);
        self.lifetime.ttl = self.lifetime.ttl.min(ttl);
        self
    }

    /// Makes it stale from `now` on, if it was not already: a soft purge.
    pub fn expire(&mut self, now: Instant) {
        self.stored_at = self.stored_at.min(now);
        self.lifetime.ttl = self.lifetime.ttl.min(self.age(now));
    }

    /// How many bytes of memory it takes, near enough for a budget.
    #[must_use]
    pub fn weight(&self) -> usize {
        const OVERHEAD: usize = 512;
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        OVERHEAD + self.key.len() + self.body.len() + headers
    }
}

/// The validator of a body: its SHA-256 in hexadecimal, quoted.
#[must_use]
pub fn etag(body: &[u8]) -> String {
    format!("\"{}\"", canonical_json::hex(&Sha256::digest(body)[..16]))
}

/// Two purge floors: what lies below was purged. Whoever hears one applies it to what it holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Hash)]
pub struct Floor {
    /// Entries of a lower generation are stale.
    pub soft: u64,
    /// Entries of a lower generation are gone.
    pub hard: u64,
}

impl Floor {
    /// The higher of both, each kind by itself.
    #[must_use]
    pub fn raised(self, other: Self) -> Self {
        Self { soft: self.soft.max(other.soft), hard: self.hard.max(other.hard) }
    }

    /// The highest generation that was purged in any way.
    #[must_use]
    pub fn highest(self) -> u64 {
        self.soft.max(self.hard)
    }

    /// What is left of an entry under this floor: nothing, a stale copy, or the entry itself.
    /// An uncommitted value is dropped by either kind: nobody knows what it was computed from.
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

/// Why stored bytes are not an entry of this key. All of them are a miss, then overwritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// No frame of ours, cut short, or bits changed.
    Corrupt,
    /// Written by a version of this program that this one does not know.
    UnknownVersion,
    /// A whole entry, but of another key.
    ForeignKey,
}

/// The version that [`encode`] writes. Older ones stay readable by [`decode`] as long as they can
/// exist: one physical lifetime after the upgrade.
pub const FORMAT: u32 = u32::from_le_bytes(*b"XFE2");

/// The version before, which did not know the global_rate.
const FORMAT_1: u32 = u32::from_le_bytes(*b"XFE1");

/// The head of version 1, frozen: a change of any field is a new version.
#[derive(Serialize, Deserialize)]
struct HeadV1 {
    generation: u64,
    stored_at: Instant,
    delta: Span,
    lifetime: Lifetime,
    key: String,
    status: u16,
    headers: Vec<(String, String)>,
    etag: String,
    length: usize,
}

/// The stored form, for the Cache API and the object. Only committed entries are ever stored.
#[must_use]
pub fn encode(entry: &Entry) -> Vec<u8> {
    let head = HeadV1 {
        generation: entry.generation,
        stored_at: entry.stored_at,
        delta: entry.delta,
        lifetime: entry.lifetime,
        key: entry.key.to_string(),
        status: entry.status,
        headers: entry.headers.clone(),
        etag: entry.etag.clone(),
        length: entry.body.len(),
    };
    // Version 2 is version 1, and then four bytes for the global_rate.
    let mut bytes = codec::join(FORMAT, &head, &entry.body);
    bytes.extend_from_slice(&entry.global_rate.to_le_bytes());
    bytes
}

/// Writes the global_rate into an entry's stored form: its key's object knows it, and nothing else of an entry.
pub fn stamp(bytes: &mut [u8], global_rate: u32) {
    let knows_demand = codec::version(bytes).is_some_and(|(version, _)| version == FORMAT);
    if let Some(last) = bytes.last_chunk_mut().filter(|_| knows_demand) {
        *last = global_rate.to_le_bytes();
    }
}

/// Reads any stored form.
///
/// # Errors
/// [`Unreadable`], when the bytes are not a whole entry of `key`.
pub fn decode(bytes: &[u8], key: &str) -> Result<Entry, Unreadable> {
    let (version, _) = codec::version(bytes).ok_or(Unreadable::Corrupt)?;
    if version != FORMAT && version != FORMAT_1 {
        return Err(Unreadable::UnknownVersion);
    }
    let (head, rest) = codec::split::<HeadV1>(version, bytes).ok_or(Unreadable::Corrupt)?;
    let (body, global_rate) = match rest.split_last_chunk() {
        _ if version == FORMAT_1 => (rest, 0),
        Some((body, global_rate)) => (body, u32::from_le_bytes(*global_rate)),
        None => return Err(Unreadable::Corrupt),
    };
    if head.key != key {
        return Err(Unreadable::ForeignKey);
    }
    if body.len() != head.length || etag(body) != head.etag {
        return Err(Unreadable::Corrupt);
    }
    Ok(Entry {
        generation: head.generation,
        stored_at: head.stored_at,
        delta: head.delta,
        lifetime: head.lifetime,
        global_rate,
        committed: true,
        key: head.key.into(),
        status: head.status,
        headers: head.headers,
        etag: head.etag,
        body: body.into(),
    })
}
