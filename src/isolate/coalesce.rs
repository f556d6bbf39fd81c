//! Coalesces requests of one isolate that wait for the same result: the first starts the work, and all of
//! them get its result.
//!
//! The work may never report a result, because a cancelled `waitUntil` runs no destructor. So every wait has
//! a time limit of its own, and a request that arrives after the work's time limit starts the work again.

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
pub type WaitTicket = u64;

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
    waiters: Vec<WaitTicket>,
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
    /// As a follower: it gets the result of the first.
    Follows,
    /// Not at all: too many requests wait already.
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

    /// Joins the requests that have seen the same generation of a key. At most `at_most` of them may wait,
    /// and [`MAX_WAITERS`] over all keys. The work of a first request counts as lost after `length`.
    pub fn join(
        &mut self,
        key: Hash,
        seen: u64,
        ticket: WaitTicket,
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

    /// Ends the work that `owner` started. Returns the tickets of the waiting requests, none if another
    /// request has started the work again.
    pub fn end(&mut self, key: Hash, seen: u64, owner: u64) -> Vec<WaitTicket> {
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

/// The key with the generation mixed in by XOR. The key is a hash, so collisions are as rare as for a hash.
fn name(mut key: Hash, seen: u64) -> Hash {
    for (byte, other) in key.iter_mut().zip(seen.to_le_bytes()) {
        *byte ^= other;
    }
    key
}
