//! One computation of one key, from the check before the lock to the stored entry, as a state machine: an
//! [`RefreshEvent`] in, a [`RefreshAction`] out.
//!
//! `refresh_task` turns the actions into effects and the effects' results into events; the rules are here. The
//! same machine serves a background refresh and the request that leads a cold miss. [`crate::isolate::miss`]
//! describes the requests that wait for it.

use std::sync::Arc;

use super::{
    computation::{Computed, Purpose, TriggerOutcome},
    holder_wait::HolderWait,
    refresh_outcome::RefreshOutcome,
};
use crate::{
    core::{
        entry::{self, Entry, Lifetime},
        failure::Failure,
        purge::Floor,
        time::{Instant, Span},
        xfetch,
    },
    protocol::{
        lease::MIN_RETRY,
        message::{Answer, Reply},
    },
};

/// What has happened.
#[derive(Clone, Debug)]
pub enum RefreshEvent {
    /// The refresh may begin.
    Started,
    /// The colo's cache holds this for the key.
    LookedInColo(Option<Arc<Entry>>),
    /// The object has answered; with `Newer` its entry, if it could be read.
    Replied(Reply, Option<Arc<Entry>>),
    /// The object threw, was overloaded, slower than the time limit of its message, or refused the message.
    ObjectLost {
        /// Whether this isolate may call the origin without a lease now.
        may_compute: bool,
    },
    /// The origin has answered.
    Computed(Computed),
    /// The origin has failed.
    Failed(Failure),
    /// The entry of [`RefreshAction::Store`] is stored.
    Stored,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Hash)]
pub enum RefreshAction {
    /// Look the key up in the colo's cache.
    LookInColo,
    /// Ask the object for the lease.
    Acquire {
        /// The generation seen.
        seen: u64,
    },
    /// Wait at the object until the holder of the lease has ended: the committed entry then arrives here at
    /// once, and not only after the next request has triggered a refresh.
    Wait {
        /// The generation seen.
        seen: u64,
    },
    /// Call the origin, once.
    Compute,
    /// Commit the entry to the object.
    Commit(Arc<Entry>),
    /// Close the lease of this token without an entry.
    Fail(u64, Failure),
    /// Store the entry in the colo's cache and in memory; an uncommitted entry in memory only.
    Store(Arc<Entry>),
    /// The computation has ended.
    End(RefreshOutcome),
}

/// What the machine must know of its key.
#[derive(Clone, Debug, Default, PartialEq, Hash)]
pub struct RefreshInput {
    /// The full canonical key.
    pub key: Arc<str>,
    /// The route's lifetime for new entries.
    pub lifetime: Lifetime,
    /// How long it is remembered that an answer must not be stored.
    pub pass_ttl: Span,
    /// The generation of the entry seen; 0 if none was seen.
    pub seen: u64,
    /// The smoothed cost until now.
    pub delta: Option<Span>,
    /// Whether an older entry answers if this computation fails.
    pub has_fallback: bool,
    /// Whether the colo's cache was looked up for the very request that triggers this: then it is not
    /// looked up a second time.
    pub has_looked: bool,
}

/// One computation under way.
#[derive(Clone, Debug, PartialEq, Hash)]
pub struct Refresh {
    subject: RefreshInput,
    purpose: Purpose,
    token: Option<u64>,
    /// It waits for another isolate's computation.
    waiting: Option<HolderWait>,
    floor: Floor,
    outcome: Option<RefreshOutcome>,
    trigger: Option<TriggerOutcome>,
}

impl Refresh {
    /// A computation that has not begun.
    #[must_use]
    pub fn new(subject: RefreshInput, purpose: Purpose) -> Self {
        let (token, waiting, floor) = (None, None, Floor::default());
        Self { subject, purpose, token, waiting, floor, outcome: None, trigger: None }
    }

    /// The token of the lease it holds.
    #[must_use]
    pub fn token(&self) -> Option<u64> {
        self.token
    }

    /// The highest purge floor in the object's replies.
    #[must_use]
    pub fn floor(&self) -> Floor {
        self.floor
    }

    /// The smoothed cost until now.
    #[must_use]
    pub fn delta(&self) -> Option<Span> {
        self.subject.delta
    }

    /// How long to start no other refresh of the key when its object is out of reach: the smoothed cost of a
    /// computation, at least 1 s.
    #[must_use]
    pub fn pause(&self) -> Span {
        self.subject.delta.unwrap_or(Span::SECOND).max(Span::SECOND)
    }

    /// Why it runs.
    #[must_use]
    pub fn purpose(&self) -> Purpose {
        self.purpose
    }

    /// The outcome of the trigger: `Some` once, as soon as it is known.
    pub fn take_trigger(&mut self) -> Option<TriggerOutcome> {
        self.trigger.take()
    }

    /// The next step. After [`RefreshAction::End`] the machine must get no further event.
    pub fn on(&mut self, event: RefreshEvent, now: Instant) -> RefreshAction {
        match event {
            RefreshEvent::Started => match self.purpose {
                Purpose::Early | Purpose::Stale if !self.subject.has_looked => RefreshAction::LookInColo,
                Purpose::Early | Purpose::Stale | Purpose::Cold => self.acquire(),
            },
            RefreshEvent::LookedInColo(found) => self.looked_in_colo(found),
            RefreshEvent::Replied(reply, entry) => self.replied(reply, entry, now),
            RefreshEvent::ObjectLost { may_compute } => match self.waiting.take() {
                Some(waiting) => held(waiting.pause(now)),
                None => self.object_lost(may_compute),
            },
            RefreshEvent::Computed(computed) => self.computed(computed),
            RefreshEvent::Failed(failure) => match self.token {
                Some(token) => self.give_up(token, failure),
                None => RefreshAction::End(RefreshOutcome::Failed(failure)),
            },
            RefreshEvent::Stored => self.finish(),
        }
    }

    fn acquire(&self) -> RefreshAction {
        RefreshAction::Acquire { seen: self.subject.seen }
    }

    /// The check before the lock. It compares generations and not freshness, as an early trigger concerns an
    /// entry that is still fresh.
    fn looked_in_colo(&mut self, found: Option<Arc<Entry>>) -> RefreshAction {
        match found.filter(|entry| entry.generation > self.subject.seen) {
            Some(newer) => {
                self.trigger = Some(TriggerOutcome::RecheckSkip);
                // It is in the colo already, and the lookup has put it into memory.
                RefreshAction::End(RefreshOutcome::AdoptedFromColo(newer))
            }
            None => self.acquire(),
        }
    }

    fn replied(&mut self, reply: Reply, entry: Option<Arc<Entry>>, now: Instant) -> RefreshAction {
        self.floor = self.floor.raised(reply.floor);
        if let Some(waiting) = self.waiting.take() {
            return self.woken(reply.answer, entry, waiting, now);
        }
        match reply.answer {
            Answer::Granted { token } => {
                self.token = Some(token);
                self.trigger = Some(TriggerOutcome::Started);
                RefreshAction::Compute
            }
            Answer::Newer { generation, .. } => match entry.and_then(|it| self.above_floor(&it, now)) {
                Some(newer) => {
                    self.trigger = Some(TriggerOutcome::RecheckSkip);
                    self.store(Arc::clone(&newer), RefreshOutcome::Adopted(newer))
                }
                // The entry cannot be read: ask for the lease with its generation, to replace it.
                None if generation > self.subject.seen => {
                    self.subject.seen = generation;
                    self.acquire()
                }
                None => self.object_lost(false),
            },
            Answer::Held { retry_in } => {
                self.trigger = Some(TriggerOutcome::Contention);
                match self.purpose {
                    Purpose::Early | Purpose::Stale => self.wait(HolderWait::new(now, retry_in)),
                    // The request that leads a miss waits at the object itself.
                    Purpose::Cold => RefreshAction::End(RefreshOutcome::Held { retry_in }),
                }
            }
            Answer::Failed { failure, retry_after } => {
                self.trigger = Some(TriggerOutcome::Backoff);
                RefreshAction::End(RefreshOutcome::BackedOff { failure, retry_after })
            }
            Answer::Committed => self.committed(reply.global_rate, now),
            Answer::Rejected => match self.outcome.take() {
                Some(RefreshOutcome::Stored(entry)) => RefreshAction::End(RefreshOutcome::Rejected(entry)),
                _ => RefreshAction::End(RefreshOutcome::ObjectLost),
            },
            Answer::Closed { retry_after, .. } => {
                // The client gets the back-off that the key's object remembers.
                if let Some(RefreshOutcome::Failed(Failure::Transient { retry_after: told, .. })) =
                    &mut self.outcome
                    && retry_after > Span::ZERO
                {
                    *told = Some(retry_after);
                }
                self.finish()
            }
            // Answers to other messages: an object that sends them counts as out of reach.
            Answer::Again
            | Answer::TooManyWaiters
            | Answer::Purged
            | Answer::Inspected(_)
            | Answer::Refused { .. } => self.object_lost(false),
        }
    }

    /// The object is out of reach. Before the grant, a call without a lease may be allowed. After the
    /// computation, the entry is kept in memory as uncommitted, with the generation seen.
    fn object_lost(&mut self, may_compute: bool) -> RefreshAction {
        match self.outcome.take() {
            None => {
                self.trigger = Some(TriggerOutcome::LockError);
                if may_compute {
                    RefreshAction::Compute
                } else {
                    RefreshAction::End(RefreshOutcome::ObjectLost)
                }
            }
            Some(RefreshOutcome::Stored(entry)) => {
                let kept =
                    Arc::new(Entry { generation: self.subject.seen, committed: false, ..(*entry).clone() });
                self.store(Arc::clone(&kept), RefreshOutcome::Uncommitted(kept))
            }
            Some(ending) => RefreshAction::End(ending),
        }
    }

    fn computed(&mut self, mut computed: Computed) -> RefreshAction {
        // An error that may be stored must not replace what may answer in its place.
        computed.storable &= !(computed.says_failure() && self.subject.has_fallback);
        if !computed.storable {
            let Some(token) = self.token else {
                return RefreshAction::End(RefreshOutcome::Passed(computed));
            };
            // Without an older entry each client gets the origin's own words.
            let failure = if computed.is_failure() && self.subject.has_fallback {
                computed.as_failure()
            } else {
                Failure::Pass { ttl: self.subject.pass_ttl }
            };
            self.outcome = Some(RefreshOutcome::Passed(computed));
            return RefreshAction::Fail(token, failure);
        }
        // A cheap renewal must not take the protection away that the cost of a computation gives.
        let delta = match self.subject.delta {
            Some(known) if computed.is_renewal => known,
            known => xfetch::smooth_delta(known, computed.delta),
        };
        let entry = Arc::new(Entry {
            generation: self.token.unwrap_or(self.subject.seen),
            stored_at: computed.at.minus(computed.age),
            delta,
            lifetime: computed.lifetime.unwrap_or(self.subject.lifetime),
            global_rate: 0,
            committed: self.token.is_some(),
            key: Arc::clone(&self.subject.key),
            variant: computed.variant,
            status: computed.status,
            etag: entry::etag(&computed.body),
            headers: computed.headers,
            body: computed.body,
        });
        if self.token.is_some() {
            self.outcome = Some(RefreshOutcome::Stored(Arc::clone(&entry)));
            RefreshAction::Commit(entry)
        } else {
            self.store(Arc::clone(&entry), RefreshOutcome::Uncommitted(entry))
        }
    }

    fn give_up(&mut self, token: u64, failure: Failure) -> RefreshAction {
        self.outcome = Some(RefreshOutcome::Failed(failure.clone()));
        RefreshAction::Fail(token, failure)
    }

    /// A purge may have come between commit and its answer: the floor in the answer says so.
    fn committed(&mut self, global_rate: u32, now: Instant) -> RefreshAction {
        match self.outcome.take() {
            Some(RefreshOutcome::Stored(entry)) => match self.floor.applied(Arc::clone(&entry), now) {
                Some(mut entry) => {
                    Arc::make_mut(&mut entry).global_rate = global_rate;
                    self.store(Arc::clone(&entry), RefreshOutcome::Stored(entry))
                }
                None => RefreshAction::End(RefreshOutcome::Rejected(entry)),
            },
            _ => RefreshAction::End(RefreshOutcome::ObjectLost),
        }
    }

    fn above_floor(&self, entry: &Arc<Entry>, now: Instant) -> Option<Arc<Entry>> {
        self.floor.applied(Arc::clone(entry), now)
    }

    fn store(&mut self, entry: Arc<Entry>, ending: RefreshOutcome) -> RefreshAction {
        self.outcome = Some(ending);
        RefreshAction::Store(entry)
    }

    fn finish(&mut self) -> RefreshAction {
        // Every path that leads here has set its outcome.
        RefreshAction::End(self.outcome.take().unwrap_or(RefreshOutcome::ObjectLost))
    }

    fn wait(&mut self, waiting: HolderWait) -> RefreshAction {
        self.waiting = Some(waiting);
        RefreshAction::Wait { seen: self.subject.seen }
    }

    /// The object has answered the wait for another isolate's computation.
    fn woken(
        &mut self,
        answer: Answer,
        entry: Option<Arc<Entry>>,
        waiting: HolderWait,
        now: Instant,
    ) -> RefreshAction {
        match answer {
            Answer::Newer { .. } => match entry.and_then(|it| self.above_floor(&it, now)) {
                Some(newer) => self.store(Arc::clone(&newer), RefreshOutcome::Adopted(newer)),
                None => held(waiting.pause(now)),
            },
            Answer::Failed { failure, retry_after } => {
                RefreshAction::End(RefreshOutcome::BackedOff { failure, retry_after })
            }
            Answer::Again => match waiting.next(now) {
                Some(next) => self.wait(next),
                None if waiting.has_run_its_time(now) => held(waiting.pause(now)),
                None => held(MIN_RETRY),
            },
            Answer::Held { .. }
            | Answer::Granted { .. }
            | Answer::TooManyWaiters
            | Answer::Committed
            | Answer::Rejected
            | Answer::Closed { .. }
            | Answer::Purged
            | Answer::Inspected(_)
            | Answer::Refused { .. } => held(waiting.pause(now)),
        }
    }
}

/// Another isolate computes: for this long this isolate starts no refresh of the key.
fn held(retry_in: Span) -> RefreshAction {
    RefreshAction::End(RefreshOutcome::Held { retry_in })
}
