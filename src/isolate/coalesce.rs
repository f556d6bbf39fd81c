//! Requests of one isolate that sleep for the same key, collapsed into one message: the first sends it, and the
//! others hear what it is told.
//!
//! Nobody can rely on the first: a cancelled `waitUntil` runs no destructor. So every sleeper has an end of its
//! own, and whoever comes after the message should have been answered sends one again.

use std::collections::BTreeMap;

use crate::core::{
    key::Hash,
    time::{Instant, Span},
};

/// So many sleeps may be there before those that have ended unheard are looked for.
const MIN_SWEEP: usize = 256;
/// So many requests of one isolate may sleep at once, over all keys.
pub const MAX_SLEEPERS: usize = 10_000;
/// When there are as many, those that have ended unheard are looked for no more often than this.
const SWEEP_EVERY: Span = Span(1_000);

/// Who sleeps in one isolate, and for what. `W` is what wakes one of them.
#[derive(Debug)]
pub struct Coalesce<W> {
    sleeps: BTreeMap<Hash, Box<Sleep<W>>>,
    sleepers: usize,
    next_owner: u64,
    sweep_at: usize,
    swept: Instant,
}

#[derive(Debug)]
struct Sleep<W> {
    owner: u64,
    since: Instant,
    length: Span,
    sleepers: Vec<W>,
}

impl<W> Sleep<W> {
    fn is_live(&self, now: Instant) -> bool {
        self.since.covers(self.length, now)
    }
}

/// How a request has joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joined {
    /// As the first: it sends the message, and gives this name to [`Coalesce::end`].
    First(u64),
    /// It hears what the first is told.
    Follows,
    /// So many sleep already; it does not.
    TooMany,
}

impl<W> Default for Coalesce<W> {
    fn default() -> Self {
        Self {
            sleeps: BTreeMap::new(),
            sleepers: 0,
            next_owner: 0,
            sweep_at: MIN_SWEEP,
            swept: Instant::EPOCH,
        }
    }
}

impl<W> Coalesce<W> {
    /// How long the message that somebody would sleep by may still take.
    #[must_use]
    pub fn left(&self, key: Hash, seen: u64, now: Instant) -> Option<Span> {
        let sleep = self.sleeps.get(&name(key, seen)).filter(|it| it.is_live(now))?;
        Some(sleep.since.plus(sleep.length).since(now))
    }

    /// Joins those who have seen the same generation of a key, as one of `at_most` and of [`MAX_SLEEPERS`] over all
    /// keys. The message is answered within `length`, or not at all.
    pub fn join(
        &mut self,
        key: Hash,
        seen: u64,
        sleeper: W,
        at_most: u32,
        length: Span,
        now: Instant,
    ) -> Joined {
        let name = name(key, seen);
        if self.sleepers >= MAX_SLEEPERS && !self.swept.covers(SWEEP_EVERY, now) {
            self.sweep(now);
        }
        if self.sleepers >= MAX_SLEEPERS {
            return Joined::TooMany;
        }
        if let Some(sleep) = self.sleeps.get_mut(&name).filter(|it| it.is_live(now)) {
            if sleep.sleepers.len() >= at_most as usize {
                return Joined::TooMany;
            }
            sleep.sleepers.push(sleeper);
            self.sleepers += 1;
            return Joined::Follows;
        }
        if self.sleeps.len() >= self.sweep_at {
            self.sweep(now);
        }
        self.next_owner += 1;
        let owner = self.next_owner;
        // Where the clock has gone back, those who slept by a message of the future sleep by this one, too.
        let earlier = self.take(&name).filter(|it| it.since > now);
        let mut sleepers = earlier.map_or_else(Vec::new, |it| it.sleepers);
        sleepers.push(sleeper);
        self.sleepers += sleepers.len();
        self.sleeps.insert(name, Box::new(Sleep { owner, since: now, length, sleepers }));
        Joined::First(owner)
    }

    /// The message that `owner` sent has been answered, or is lost: who is to hear of it.
    pub fn end(&mut self, key: Hash, seen: u64, owner: u64) -> Vec<W> {
        let name = name(key, seen);
        if self.sleeps.get(&name).is_none_or(|sleep| sleep.owner != owner) {
            return Vec::new();
        }
        self.take(&name).map_or_else(Vec::new, |sleep| sleep.sleepers)
    }

    fn take(&mut self, name: &Hash) -> Option<Box<Sleep<W>>> {
        let sleep = self.sleeps.remove(name)?;
        self.sleepers -= sleep.sleepers.len();
        Some(sleep)
    }

    /// Forgets the sleeps that have ended unheard.
    fn sweep(&mut self, now: Instant) {
        self.sleeps.retain(|_, sleep| sleep.is_live(now));
        self.sleepers = self.sleeps.values().map(|sleep| sleep.sleepers.len()).sum();
        self.sweep_at = (self.sleeps.len() * 2).max(MIN_SWEEP);
        self.swept = now;
    }
}

/// One name for a key and a generation: of its length as good as a hash of both, since the key is one.
fn name(mut key: Hash, seen: u64) -> Hash {
    for (byte, other) in key.iter_mut().zip(seen.to_le_bytes()) {
        *byte ^= other;
    }
    key
}
