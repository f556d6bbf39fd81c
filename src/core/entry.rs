//! What is stored beside a body: when it was computed, what it cost, how long it may be served, and
//! the generation that orders it among all values its key ever had.
//!
//! An entry has two ends. At its *expiry* (`stored_at + ttl`) it turns stale. At the end of its
//! *physical lifetime* (expiry plus the longest of its windows) it counts as absent. A cache that drops
//! entries at expiry has nothing left to serve while it refreshes, and nothing to validate.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{
    canonical_json,
    time::{Instant, Span},
};

/// How far `stored_at` may lie in the future of the reader's clock before the entry's age counts as unknown.
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
    /// From expiry: kept so that the origin can be asked whether it is still good.
    pub kept: Span,
}

impl Lifetime {
    /// From `stored_at` to the end of use.
    #[must_use]
    pub fn physical(&self) -> Span {
        self.ttl.plus(self.stale_while_revalidate.max(self.stale_if_error).max(self.kept))
    }
}

/// The request's header fields by which an answer varies, with their normalised values.
pub type Variant = Vec<(String, Option<String>)>;

/// One complete answer of the origin, as it was.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    /// Strictly increasing per key; given by the key's object.
    pub generation: u64,
    /// The instant at which the body's last byte arrived, less the age that it had then, by the clock of the tier
    /// that holds this copy.
    pub stored_at: Instant,
    /// Smoothed measured cost of the computation.
    pub delta: Span,
    /// How long it may be served.
    pub lifetime: Lifetime,
    /// The key's request rate over all isolates, in requests per 1,000 seconds, as the key's object knew it
    /// when it sent or accepted this entry ([`super::global_rate`]); 0 for unknown.
    pub global_rate: u32,
    /// False for an entry that the key's object has not accepted, because the object was out of reach. Such
    /// an entry is kept only in the memory of the isolate that computed it.
    pub committed: bool,
    /// The full canonical key, compared on every read.
    pub key: Arc<str>,
    /// The request's header fields by which the answer varies, lower-case names, with their normalised values; `None`
    /// where the request had none.
    pub variant: Variant,
    /// The origin's status.
    pub status: u16,
    /// The origin's headers that are kept, lower-case names.
    pub headers: Vec<(String, String)>,
    /// A strong validator, as [`etag()`] makes it from the body.
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

    /// The value of a header that is kept, by its name in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(it, _)| it == name).map(|(_, value)| value.as_str())
    }

    /// Whether it answers a request with these header fields.
    #[must_use]
    pub fn answers(&self, field: impl Fn(&str) -> Option<String>) -> bool {
        self.variant.iter().all(|(name, value)| field(name) == *value)
    }

    /// The validator that clients get: the origin's, or that of the body.
    #[must_use]
    pub fn validator(&self) -> &str {
        self.header("etag").unwrap_or(&self.etag)
    }

    /// Whether the origin can be asked if it is still good.
    #[must_use]
    pub fn has_validator(&self) -> bool {
        self.header("etag").or(self.header("last-modified")).is_some()
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

    /// What is left of its physical lifetime.
    #[must_use]
    pub fn remaining(&self, now: Instant) -> Span {
        self.lifetime.physical().minus(self.age(now))
    }

    /// Whether it may be served without waiting for the origin.
    #[must_use]
    pub fn is_servable(&self, now: Instant) -> bool {
        now < self.expiry().plus(self.lifetime.stale_while_revalidate)
    }

    /// Whether it may be served when the origin fails or cannot be waited for.
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

    /// This copy as another clock sees it: `stored_at` becomes `now` less the age that the key's object
    /// states, and the TTL is at most the object's, which a soft purge may have shortened.
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
        let variant =
            |(name, value): &(String, Option<String>)| name.len() + value.as_ref().map_or(0, String::len);
        let variant: usize = self.variant.iter().map(variant).sum();
        OVERHEAD + self.key.len() + self.body.len() + headers + variant
    }
}

/// The validator of a body: the first 16 bytes of its SHA-256 in hexadecimal, quoted.
#[must_use]
pub fn etag(body: &[u8]) -> String {
    format!("\"{}\"", canonical_json::hex(&Sha256::digest(body)[..16]))
}
