//! Requests of one isolate that wait for the same thing, coalesced: the first does the work or sends the
//! message, and the others are told what came of it.
//!
//! Nobody can rely on the first: a cancelled `waitUntil` runs no destructor. So every wait has an end of its
//! own, and a request that comes after the result should have been there starts the work again.

use std::collections::BTreeMap;

use crate::core::{
    key::Hash,
    time::{Instant, Span},
};

/// Number of waits above which expired ones are swept.
const MIN_SWEEP: usize = 256;
/// How many requests of one isolate may wait at once, over all keys.
pub const MAX_WAITERS: usize = 10_000;
/// While that many wait, expired waits are swept no more often than this.
const SWEEP_EVERY: Span = Span(1_000);

/// Names one wait of one request in an isolate, so that a result finds who waits for it.
pub type Ticket = u64;

/// The requests that wait in one isolate, by key and generation seen.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Coalesce {
    groups: BTreeMap<Hash, Box<Group>>,
    waiters: usize,
    next_owner: u64,
    sweep_at: usize,
    swept: Instant,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Group {
    owner: u64,
    since: Instant,
    length: Span,
    waiters: Vec<Ticket>,
}

impl Group {
    fn is_live(&self, now: Instant) -> bool {
        self.since.covers(self.length, now)
    }
}

/// How a request has joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joined {
    /// As the first: it starts the work, and passes this number to [`Coalesce::end`].
    First(u64),
    /// It is told what the first gets.
    Follows,
    /// It may not wait: too many do already.
    TooMany,
}

impl Default for Coalesce {
    fn default() -> Self {
        Self {
            groups: BTreeMap::new(),
            waiters: 0,
            next_owner: 0,
            sweep_at: MIN_SWEEP,
            swept: Instant::EPOCH,
        }
    }
}

impl Coalesce {
    /// The number of waiting requests, including expired ones not yet swept.
    #[must_use]
    pub fn waiters(&self) -> usize {
        self.waiters
    }

    /// How long the work under way for this key and generation may still take; `None` without any.
    #[must_use]
    pub fn left(&self, key: Hash, seen: u64, now: Instant) -> Option<Span> {
        let group = self.groups.get(&name(key, seen)).filter(|it| it.is_live(now))?;
        Some(group.since.plus(group.length).since(now))
    }

    /// Joins the requests that have seen the same generation of a key, as one of at most `at_most`, and of
    /// [`MAX_WAITERS`] over all keys. The work takes at most `length`, or is lost.
    pub fn join(
        &mut self,
        key: Hash,
        seen: u64,
        ticket: Ticket,
        at_most: u32,
        length: Span,
        now: Instant,
    ) -> Joined {
        let name = name(key, seen);
        if self.waiters >= MAX_WAITERS && !self.swept.covers(SWEEP_EVERY, now) {
            self.sweep(now);
        }
        if self.waiters >= MAX_WAITERS {
            return Joined::TooMany;
        }
        if let Some(group) = self.groups.get_mut(&name).filter(|it| it.is_live(now)) {
            if group.waiters.len() >= at_most as usize {
                return Joined::TooMany;
            }
            group.waiters.push(ticket);
            self.waiters += 1;
            return Joined::Follows;
        }
        if self.groups.len() >= self.sweep_at {
            self.sweep(now);
        }
        self.next_owner += 1;
        let owner = self.next_owner;
        // After a clock step backward a group from the future counts as expired; its waiters join this one.
        let earlier = self.take(&name).filter(|it| it.since > now);
        let mut waiters = earlier.map_or_else(Vec::new, |it| it.waiters);
        waiters.push(ticket);
        self.waiters += waiters.len();
        self.groups.insert(name, Box::new(Group { owner, since: now, length, waiters }));
        Joined::First(owner)
    }

    /// The work that `owner` started has ended: who is to be told.
    pub fn end(&mut self, key: Hash, seen: u64, owner: u64) -> Vec<Ticket> {
        let name = name(key, seen);
        if self.groups.get(&name).is_none_or(|group| group.owner != owner) {
            return Vec::new();
        }
        self.take(&name).map_or_else(Vec::new, |group| group.waiters)
    }

    fn take(&mut self, name: &Hash) -> Option<Box<Group>> {
        let group = self.groups.remove(name)?;
        self.waiters -= group.waiters.len();
        Some(group)
    }

    /// Forgets the groups whose work should have ended.
    fn sweep(&mut self, now: Instant) {
        self.groups.retain(|_, group| group.is_live(now));
        self.waiters = self.groups.values().map(|group| group.waiters.len()).sum();
        self.sweep_at = (self.groups.len() * 2).max(MIN_SWEEP);
        self.swept = now;
    }
}

/// One name for a key and a generation: as good as a hash of both, since the key is a hash.
fn name(mut key: Hash, seen: u64) -> Hash {
    for (byte, other) in key.iter_mut().zip(seen.to_le_bytes()) {
        *byte ^= other;
    }
    key
}
